"""Settings of a derivation."""

from __future__ import annotations

from pydantic import BaseModel, Field


class DeriveConfig(BaseModel, frozen=True, extra="forbid"):
    """What is tried for each task. Every field decides what comes out."""

    premises: int = Field(14, ge=0, description="theorems of the library that are tried by likeness, beside namesakes")
    namesakes: int = Field(6, ge=0, description="theorems with the same last name that are tried first")
    max_heartbeats: int = Field(
        50_000, ge=1, description="Lean's limit for one script, in thousands of small allocations"
    )
    limit: int | None = Field(None, ge=1, description="so many tasks at most, drawn at random")
    seed: int = Field(0, ge=0, description="which ones")
