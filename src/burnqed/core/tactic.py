"""What a policy proposes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Candidate:
    """A tactic text with the policy's natural-log probability of it and its length in tokens."""

    text: str
    logprob_nats: float
    num_tokens: int = 1


@dataclass(frozen=True)
class Sample:
    """What a model wrote for a prompt, before it is cleaned.

    ``logprob_nats`` is the model's own log-probability (temperature 1, nothing cut off) of every token it wrote, the one
    that ended it included; ``num_tokens`` counts the same tokens. ``first_token`` tells samples apart that begin
    differently: an id, or its text where ids are not known. ``ended`` is false when the limit of tokens cut it off.
    """

    text: str
    logprob_nats: float
    num_tokens: int
    first_token: int | str | None = None
    ended: bool = True


@dataclass(frozen=True)
class ProofScript:
    """A whole proof that a model wrote, as steps that each work on the first open goal."""

    steps: tuple[str, ...]
    logprob_nats: float
    num_tokens: int


def normalise(text: str) -> str:
    """The text by which two candidates are the same: no outer blank space, no trailing blanks on its lines."""
    return "\n".join(line.rstrip() for line in text.strip().splitlines())
