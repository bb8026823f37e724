"""Settings of a derivation."""

from __future__ import annotations

from pydantic import BaseModel, Field


class DeriveConfig(BaseModel, frozen=True, extra="forbid"):
    """What is tried for each task, and for which. Every field decides what comes out."""

    premises: int = Field(14, ge=0, description="theorems of the library to try: namesakes, then the most alike")
    namesakes: int = Field(6, ge=0, description="at most so many of them have the task's last name")
    max_heartbeats: int = Field(
        50_000, ge=1, description="Lean's limit for one script, in thousands of small allocations"
    )
    limit: int | None = Field(None, ge=1, description="so many tasks at most, drawn at random")
    seed: int = Field(0, ge=0, description="which ones")
