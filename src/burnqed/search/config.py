"""The budget and the weights of a search."""

from __future__ import annotations

from pydantic import BaseModel, Field


class SearchConfig(BaseModel, frozen=True, extra="forbid"):
    """Defaults: 800 nodes and 300 s a theorem; depth of search is worth more than many shallow ones."""

    max_nodes: int = Field(800, ge=1, description="states expanded before giving up")
    max_seconds: float = Field(300.0, gt=0, description="wall time before giving up")
    max_depth: int = Field(40, ge=1, description="tactics on a path")
    candidates: int = Field(64, ge=1, description="tactics asked of the policy for a state")
    slice_size: int = Field(8, ge=1, description="tactics tried at a time; a state comes back for the rest")
    length_exponent: float = Field(0.5, ge=0, description="alpha of the length-normalised log-probability")
    value_weight: float = Field(1.0, ge=0, description="weight of the energy against the log-probability")
    seed: int = Field(0, ge=0, description="seed of everything random")
