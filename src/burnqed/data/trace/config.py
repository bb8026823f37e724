"""Settings of tracing."""

from __future__ import annotations

from pydantic import BaseModel, Field


class TraceConfig(BaseModel, frozen=True, extra="forbid"):
    """How proofs are traced. Every field decides what comes out."""

    share: float = Field(
        0.2, ge=0, le=1, description="share of the theorems that are traced first, as a set of their own"
    )
    check: bool = Field(
        False, description="whether every tactic is applied to its state again, and must give what it gave"
    )
    silence_s: float = Field(60.0, gt=0, description="one command of a file may take so long before it is given up")
