"""The contracts that keep the parts apart.

Nothing above them knows whether Lean is embedded or native, or whether the policy is a model.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from burnqed.core.events import Event
from burnqed.core.files import FileVerdict, Place, Target
from burnqed.core.outcome import Outcome, StateRef, Verdict
from burnqed.core.state import ProofState
from burnqed.core.tactic import Candidate, ProofScript
from burnqed.core.theorem import Theorem


class LeanSession(Protocol):
    """One theorem, open in its own header, the theorem itself not in scope. It survives the death of the process behind it."""

    async def start(self, target: Target) -> tuple[StateRef, ProofState]:
        """Open a theorem or a hole of a file. Raises StatementRejected when Lean does not accept it."""
        ...

    async def apply(self, ref: StateRef, tactics: Sequence[str]) -> list[Outcome]:
        """Try every tactic on one state, an outcome each, in order. Raises WorkerLost only when no process can be had."""
        ...

    async def focus(self, ref: StateRef, goals: Sequence[int]) -> tuple[StateRef, ProofState]:
        """The state with only these of its goals, by place. The others are out of sight, not proved: no verdict on what
        comes of it is yes. Raises LeanError when this Lean cannot do it, WorkerLost when no process can be had.
        """
        ...

    async def verdict(self, ref: StateRef) -> Verdict:
        """Ask the kernel about a finished state: no metavariable, no sorry, which axioms."""
        ...

    async def forget(self, refs: Sequence[StateRef]) -> None:
        """Let go of states that will not be used again."""
        ...

    async def places(self, text: str) -> list[Place]:
        """Where the sorries of a file stand. Raises StatementRejected when Lean does not accept the file."""
        ...

    async def try_file(self, original: str, filled: str) -> FileVerdict:
        """What the gate would say, asked of this session's process, whose word does not count."""
        ...


class LeanPool(Protocol):
    """Lends sessions, each on a process of its own."""

    def lease(self) -> AbstractAsyncContextManager[LeanSession]:
        """Wait for a free process and lend it."""
        ...


class TacticPolicy(Protocol):
    """Proposes tactics."""

    async def propose(self, states: Sequence[ProofState], n: int) -> list[list[Candidate]]:
        """At most ``n`` candidates for each state, best first, no text twice."""
        ...


class ProofWriter(Protocol):
    """Writes whole proofs, to be replayed step by step."""

    async def write(self, states: Sequence[ProofState], n: int) -> list[list[ProofScript]]:
        """At most ``n`` scripts for each state, best first, none twice."""
        ...


class ValueFn(Protocol):
    """Judges states: lower energy = more provable."""

    async def energies(self, pairs: Sequence[tuple[ProofState, ProofState]]) -> list[float]:
        """The energy of each (state, root goal of its theorem), in one batch."""
        ...


class Gate(Protocol):
    """The independent judge of a finished proof."""

    async def check(self, theorem: Theorem, source: str) -> Verdict:
        """Judge the theorem's source in a process that no search has touched."""
        ...

    async def check_file(self, original: str, filled: str) -> FileVerdict:
        """Judge a file whose sorries were replaced, in a process that no search has touched."""
        ...


class EventSink(Protocol):
    """Receives what happens. It must not raise for its own troubles while a search runs."""

    def emit(self, event: Event) -> None:
        """Take one event; return quickly."""
        ...


class Clock(Protocol):
    """Time, so that tests own it."""

    def now_s(self) -> float:
        """Seconds from some fixed point; never goes back."""
        ...
