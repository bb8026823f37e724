"""Which policy proposes, and how candidates are drawn from a model."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field

from burnqed.prompts.premises import MOST
from burnqed.remote.config import EndpointConfig


class SamplingConfig(BaseModel, frozen=True, extra="forbid"):
    """Sampling and cleaning; the same for every kind of model policy."""

    samples: int = Field(16, ge=1, le=1024, description="completions drawn for a state")
    temperature: float = Field(1.0, ge=0, le=5, description="0 = the most probable text, once")
    top_p: float = Field(
        0.95, gt=0, le=1, description="draw from the most probable tokens that hold so much probability"
    )
    max_new_tokens: int = Field(64, ge=1, description="tokens of a completion; what does not end by then is dropped")
    max_characters: int = Field(2000, ge=1, description="longer tactics are dropped")
    length_exponent: float = Field(
        0.0, ge=0, le=1, description="rank by log-probability / tokens^this; 1 = the mean of a token"
    )
    first_token_cap: int = Field(
        0, ge=0, description="at most so many candidates with the same first token; 0 = no cap"
    )
    keep_unended: bool = Field(False, description="keep completions that the limit of tokens cut off")


class WriterConfig(BaseModel, frozen=True, extra="forbid"):
    """Whole proofs from the same model, replayed step by step; how many is `search.whole_proofs`."""

    prompt_format: str = Field("proof-text", description="deepseek-proof or proof-text")
    temperature: float = Field(1.0, ge=0, le=5, description="of the sampling")
    top_p: float = Field(0.95, gt=0, le=1, description="as for tactics")
    max_new_tokens: int = Field(1024, ge=1, description="tokens of a proof")
    max_characters: int = Field(20_000, ge=1, description="longer proofs are dropped")


class PolicyConfig(BaseModel, frozen=True, extra="forbid"):
    """Where candidates come from."""

    kind: Literal["menu", "model", "sglang", "openai"] = Field(
        "menu", description="the tactic menu, a model in this process, or a server"
    )
    menu: Path | None = Field(None, description="a tactic menu of your own; also the one that is mixed in")
    menu_share: float = Field(
        0.0, ge=0, lt=1, description="share of the probability that goes to the menu's candidates beside a model's"
    )
    model: Path | None = Field(None, description="kind model: a Hugging Face model folder")
    url: str = Field("", description="kinds sglang and openai: the server, such as http://127.0.0.1:30000")
    served_model: str = Field(
        "", description="the model that the server must say it has; for openai, the one to ask for"
    )
    lora: str = Field("", description="kind sglang: the adapter's name on the server")
    tokenizer: Path | None = Field(
        None, description="kinds sglang and openai: the model's tokenizer, to count tokens and to check the server's"
    )
    prompt_format: str = Field(
        "", description="how states are put to the model; empty = markers if the tokenizer has them as single tokens"
    )
    logprobs: Literal["probe", "raw", "scaled"] = Field(
        "probe",
        description="the server's log-probabilities: find out, or known to be the model's own, or divided by temperature",
    )
    deterministic_server: bool = Field(
        False, description="kind sglang: it runs with deterministic inference; send seeds"
    )
    context_tokens: int = Field(
        4096, ge=64, description="kinds sglang and openai: tokens of prompt and completion together"
    )
    device: str = Field("auto", description="kind model: auto, cpu, cuda, cuda:1")
    dtype: str = Field("auto", description="kind model: auto, float32, bfloat16, float16")
    quantization: Literal["none", "int8", "nf4"] = Field("none", description="kind model: with bitsandbytes")
    premises: int = Field(
        0,
        ge=0,
        le=MOST,
        description="kind model: names of library theorems like the goal before the prompt; as many as it was trained with",
    )
    without_premises: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="with premises: share of the samples that are drawn from the prompt without them, for what the model knows by"
        " heart",
    )
    gather: int = Field(
        0,
        ge=0,
        description="kind model: states of several searches put to it at once, for many workers on a GPU; 0 = each search alone",
    )
    sampling: SamplingConfig = Field(SamplingConfig(), description="how tactics are drawn")
    writer: WriterConfig = Field(WriterConfig(), description="how whole proofs are drawn")
    endpoint: EndpointConfig = Field(EndpointConfig(), description="patience with the server")
