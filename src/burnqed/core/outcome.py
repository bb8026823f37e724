"""What became of a tactic, of a proof, of a search. Refusals are values here, never exceptions."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from burnqed.core.state import ProofState

ALLOWED_AXIOMS = frozenset({"propext", "Classical.choice", "Quot.sound"})

RefusalKind = Literal["error", "parse", "sorry", "unsafe", "heartbeats", "recursion", "crash", "timeout"]


@dataclass(frozen=True)
class StateRef:
    """A state of one Lean session. It stays good when the process behind it is replaced."""

    index: int


@dataclass(frozen=True)
class Stepped:
    """The tactic led to a new state. ``suggestion`` is what ``exact?`` and its kind said to write instead."""

    ref: StateRef
    state: ProofState
    lean_ms: float
    suggestion: str | None = None


@dataclass(frozen=True)
class Refused:
    """The tactic did not work: it failed, did not parse, left a sorry, ran out of its limit, or killed its process."""

    kind: RefusalKind
    detail: str
    lean_ms: float


Outcome = Stepped | Refused


@dataclass(frozen=True)
class Verdict:
    """Whether a finished proof counts, and what it rests on. ``reason`` is empty when it is accepted."""

    accepted: bool
    reason: str = ""
    axioms: tuple[str, ...] = ()

    @property
    def forbidden_axioms(self) -> tuple[str, ...]:
        """The axioms beyond the three that mathematics in Lean is done with."""
        return tuple(a for a in self.axioms if a not in ALLOWED_AXIOMS)


class SearchStatus(StrEnum):
    """How a search ended."""

    PROVED = "proved"
    EXHAUSTED = "exhausted"  # every state was tried with every candidate
    OUT_OF_NODES = "out_of_nodes"
    OUT_OF_TIME = "out_of_time"
    OUT_OF_TACTICS = "out_of_tactics"
    OUT_OF_TOKENS = "out_of_tokens"
    STOPPED = "stopped"  # somebody pressed Ctrl-C
