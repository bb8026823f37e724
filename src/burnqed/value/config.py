"""Which value judges states."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field

from burnqed.remote.config import EndpointConfig


class ValueConfig(BaseModel, frozen=True, extra="forbid"):
    """Where energies come from. `none`, `size`, `goals` and `length` need no model and are what a head has to beat."""

    kind: Literal["none", "size", "goals", "length", "head", "server"] = Field(
        "size", description="no value, a trivial one, an energy head in this process, or an encode server"
    )
    head: Path | None = Field(
        None, description="kind head: the head's folder; kind server: a head here, if the server has none"
    )
    encoder: Path | None = Field(
        None, description="kind head: the encoder's model folder; empty = the policy's model, which then serves both"
    )
    url: str = Field("", description="kind server: the encode server, such as http://127.0.0.1:30001")
    accept: tuple[str, ...] = Field(
        (), description="fields of the encoder card that may differ from the head's, such as dtype"
    )
    device: str = Field("auto", description="kind head: auto, cpu, cuda, cuda:1")
    dtype: str = Field("auto", description="kind head: of an encoder of its own")
    quantization: Literal["none", "int8", "nf4"] = Field("none", description="kind head: of an encoder of its own")
    batch_tokens: int = Field(8192, ge=64, description="kind head: tokens encoded at once, padding included")
    endpoint: EndpointConfig = Field(EndpointConfig(), description="patience with the server")
