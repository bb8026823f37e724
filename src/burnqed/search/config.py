"""The budget, the strategy and the weights of a search."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class SearchConfig(BaseModel, frozen=True, extra="forbid"):
    """Defaults: 800 nodes and 300 s a theorem; depth of search is worth more than many shallow ones."""

    strategy: Literal["best-first", "puct", "and-or"] = Field(
        "best-first", description="which state comes next: docs/decisions/0005-search-strategies.md"
    )
    max_nodes: int = Field(800, ge=1, description="states expanded before giving up")
    max_seconds: float = Field(300.0, gt=0, description="wall time before giving up")
    max_tactics: int = Field(0, ge=0, description="tactics tried before giving up; 0 = no limit")
    max_tokens: int = Field(
        0, ge=0, description="tokens of proposed tactics, each text of a state once, before giving up; 0 = no limit"
    )
    after_proof: int = Field(
        0,
        ge=0,
        description="tactics that are still tried once a proof is accepted, within the budget: the record then tells more of the"
        " states beside it. For training data",
    )
    max_depth: int = Field(40, ge=1, description="tactics on a path")
    candidates: int = Field(64, ge=1, description="tactics asked of the policy for a state")
    slice_size: int = Field(8, ge=1, description="tactics tried at a time; a state comes back for the rest")
    expand_batch: int = Field(
        1, ge=1, description="states chosen at once, put to the policy together; and-or may choose more, see there"
    )
    length_exponent: float = Field(0.5, ge=0, description="alpha of the length-normalised log-probability")
    token_exponent: float = Field(
        0.0, ge=0, description="a step's log-probability is divided by its tokens to this power before it is summed"
    )
    policy_weight: float = Field(1.0, ge=0, description="weight of the policy's log-probabilities")
    value_weight: float = Field(1.0, ge=0, description="weight of the value's term against the policy's")
    value_ramp_depth: int = Field(
        0,
        ge=0,
        description="the value's weight grows from 0 at the root to its full size at this depth; 0 = full at once",
    )
    c_puct: float = Field(
        1.25, ge=0, description="puct and and-or: how much a probability counts against what was found"
    )
    whole_proofs: int = Field(0, ge=0, description="whole proofs asked of the policy for the root, and each time again")
    whole_proof_every: int = Field(
        0, ge=0, description="ask for whole proofs of the best open state after so many expansions; 0 = never again"
    )
    seed: int = Field(0, ge=0, description="seed of everything random")
