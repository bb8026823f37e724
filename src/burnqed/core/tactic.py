"""What a policy proposes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Candidate:
    """A tactic text with the policy's natural-log probability of it and its length in tokens."""

    text: str
    logprob_nats: float
    num_tokens: int = 1


def normalise(text: str) -> str:
    """The text by which two candidates are the same: no outer blank space, no trailing blanks on its lines."""
    return "\n".join(line.rstrip() for line in text.strip().splitlines())
