"""What a search tells the world while it runs. Search emits; sinks write, draw or ignore."""

from __future__ import annotations

from dataclasses import dataclass

from burnqed.core.outcome import SearchStatus


@dataclass(frozen=True)
class SearchStarted:
    """A search begins."""

    theorem: str
    statement: str


@dataclass(frozen=True)
class NodeAdded:
    """A state that was not known before. Both terms of its priority are logged apart, weighted as they enter it.

    ``energy``, ``policy_term`` and ``value_term`` are None for states that are never scored: finished ones, and those
    that were split into parts.
    """

    theorem: str
    node: int
    parent: int | None
    depth: int
    state: str
    num_goals: int
    path_logprob_nats: float
    energy: float | None
    priority: float
    finished: bool
    policy_term: float | None = None
    value_term: float | None = None


@dataclass(frozen=True)
class StateSplit:
    """A state was split into parts that are proved apart: for each its node and the places of its goals in the state."""

    theorem: str
    node: int
    parts: tuple[tuple[int, tuple[int, ...]], ...]


@dataclass(frozen=True)
class TacticApplied:
    """One tactic tried on one state. ``child`` is set when it led to a state, known or new."""

    theorem: str
    node: int
    tactic: str
    logprob_nats: float
    num_tokens: int
    outcome: str  # "stepped" or the kind of refusal
    detail: str
    child: int | None
    lean_ms: float


@dataclass(frozen=True)
class NodeSpent:
    """Every candidate of a state was tried and its outcome taken in; comes once, after the last of them.

    A state that was worked on when its search ended is not spent, nor is one that was never chosen or was split. What the
    outcomes say is another matter: some may have run into a limit.
    """

    theorem: str
    node: int


@dataclass(frozen=True)
class ProofAccepted:
    """The gate accepted the proof that ends in this finished state. Of a proof put together of parts nothing is said."""

    theorem: str
    node: int


@dataclass(frozen=True)
class SearchEnded:
    """The last event of a search."""

    theorem: str
    status: SearchStatus
    nodes: int
    expansions: int
    tactics: int
    seconds: float


Event = SearchStarted | NodeAdded | StateSplit | TacticApplied | NodeSpent | ProofAccepted | SearchEnded
