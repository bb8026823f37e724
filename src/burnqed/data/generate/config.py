"""Settings of the generator."""

from __future__ import annotations

from pydantic import BaseModel, Field, field_validator

from burnqed.data.generate.families import FAMILIES


class GenerateConfig(BaseModel, frozen=True, extra="forbid"):
    """What is generated. Seed, kinds and share decide every statement; ``count`` only where it ends."""

    count: int = Field(1000, ge=1, description="so many different statements")
    seed: int = Field(0, ge=0, description="another number gives other statements")
    kinds: tuple[str, ...] = Field(tuple(FAMILIES), min_length=1, description="the families to draw from, all alike")
    false_share: float = Field(0.25, ge=0, le=1, description="share of the statements that are meant to be false")

    @field_validator("kinds")
    @classmethod
    def _known(cls, kinds: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [k for k in kinds if k not in FAMILIES]:
            raise ValueError(f"there is no kind {', '.join(unknown)}; there are {', '.join(FAMILIES)}")
        return tuple(dict.fromkeys(kinds))
