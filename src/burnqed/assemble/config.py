"""The whole configuration of a run, section by section."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, Field, model_validator

from burnqed.lean.config import LeanConfig
from burnqed.policy.config import PolicyConfig
from burnqed.search.config import SearchConfig
from burnqed.value.config import ValueConfig


class RunConfig(BaseModel, frozen=True, extra="forbid"):
    """Everything that decides what a run does. The effective one is stored with the run."""

    search: SearchConfig = Field(SearchConfig(), description="budget, strategy and weights of a search")
    policy: PolicyConfig = Field(PolicyConfig(), description="who proposes tactics")
    value: ValueConfig = Field(ValueConfig(), description="who judges states")
    lean: LeanConfig = Field(LeanConfig(), description="Lean processes and their limits")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        """What one setting demands of others."""
        policy, value = self.policy, self.value
        if policy.kind == "model" and policy.model is None:
            raise ValueError("policy.model: kind model needs the model's folder")
        if policy.kind in ("sglang", "openai") and not policy.url:
            raise ValueError(f"policy.url: kind {policy.kind} needs the server's address")
        if policy.kind in ("sglang", "openai") and not policy.prompt_format:
            raise ValueError(
                f"policy.prompt_format: kind {policy.kind} needs the format that the served model was trained on"
            )
        if value.kind == "head" and value.head is None:
            raise ValueError("value.head: kind head needs the head's folder")
        if value.kind == "head" and value.encoder is None and policy.kind != "model":
            raise ValueError("value.encoder: there is no model in this process to share; name the head's encoder")
        if value.kind == "server" and not value.url:
            raise ValueError("value.url: kind server needs the encode server's address")
        if self.search.whole_proofs and policy.kind == "menu":
            raise ValueError("search.whole_proofs: the menu cannot write whole proofs; choose a model policy")
        return self
