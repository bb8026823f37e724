"""Settings of a harvest."""

from __future__ import annotations

from pydantic import BaseModel, Field


class HarvestConfig(BaseModel, frozen=True, extra="forbid"):
    """What is harvested, and how it is split. Every field decides what comes out."""

    roots: tuple[str, ...] = Field(
        ("Init", "Std"), min_length=1, description="modules, with all that are named below them"
    )
    limit: int | None = Field(None, ge=1, description="so many theorems at most are tried, drawn at random")
    seed: int = Field(0, ge=0, description="which ones")
    held_out: float = Field(0.1, ge=0, lt=1, description="share of the modules none of whose theorems is trained on")
    valid: float = Field(0.05, ge=0, lt=1, description="share of the other modules' theorems that are for validation")
    silence_s: float = Field(60.0, gt=0, description="one statement may take so long before it is given up")
