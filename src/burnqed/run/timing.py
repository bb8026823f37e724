"""Where the seconds of a search go: the ports, each with a stopwatch around it.

What is measured is how long the search waited, so a request that waits for a busy model counts as the model's time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Literal

from burnqed.core.files import FileVerdict, Place, Target
from burnqed.core.outcome import Outcome, StateRef, Verdict
from burnqed.core.ports import Clock, Gate, LeanSession, TacticPolicy, ValueFn
from burnqed.core.state import ProofState
from burnqed.core.tactic import Candidate
from burnqed.core.theorem import Theorem

Part = Literal["lean", "gate", "policy", "value"]


class Stopwatch:
    """Adds up seconds by part. Parts that are inside one another are counted in each: keep them apart."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.spent_s: dict[Part, float] = {}

    @contextlib.contextmanager
    def measuring(self, part: Part) -> Iterator[None]:
        """Count the time inside for a part, also when it ends in an error."""
        began_s = self._clock.now_s()
        try:
            yield
        finally:
            self.spent_s[part] = self.spent_s.get(part, 0.0) + self._clock.now_s() - began_s


class TimedSession:
    """A LeanSession whose waiting counts as ``lean``."""

    def __init__(self, session: LeanSession, watch: Stopwatch) -> None:
        self._session = session
        self._watch = watch

    async def start(self, target: Target) -> tuple[StateRef, ProofState]:
        """As the session's."""
        with self._watch.measuring("lean"):
            return await self._session.start(target)

    async def apply(self, ref: StateRef, tactics: Sequence[str]) -> list[Outcome]:
        """As the session's."""
        with self._watch.measuring("lean"):
            return await self._session.apply(ref, tactics)

    async def focus(self, ref: StateRef, goals: Sequence[int]) -> tuple[StateRef, ProofState]:
        """As the session's."""
        with self._watch.measuring("lean"):
            return await self._session.focus(ref, goals)

    async def verdict(self, ref: StateRef) -> Verdict:
        """As the session's."""
        with self._watch.measuring("lean"):
            return await self._session.verdict(ref)

    async def forget(self, refs: Sequence[StateRef]) -> None:
        """As the session's."""
        with self._watch.measuring("lean"):
            await self._session.forget(refs)

    async def places(self, text: str) -> list[Place]:
        """As the session's."""
        with self._watch.measuring("lean"):
            return await self._session.places(text)

    async def try_file(self, original: str, filled: str) -> FileVerdict:
        """As the session's."""
        with self._watch.measuring("lean"):
            return await self._session.try_file(original, filled)


class TimedGate:
    """A Gate whose waiting counts as ``gate``."""

    def __init__(self, gate: Gate, watch: Stopwatch) -> None:
        self._gate = gate
        self._watch = watch

    async def check(self, theorem: Theorem, source: str) -> Verdict:
        """As the gate's."""
        with self._watch.measuring("gate"):
            return await self._gate.check(theorem, source)

    async def check_file(self, original: str, filled: str) -> FileVerdict:
        """As the gate's."""
        with self._watch.measuring("gate"):
            return await self._gate.check_file(original, filled)


class TimedPolicy:
    """A TacticPolicy whose waiting counts as ``policy``."""

    def __init__(self, policy: TacticPolicy, watch: Stopwatch) -> None:
        self._policy = policy
        self._watch = watch

    async def propose(self, states: Sequence[ProofState], n: int) -> list[list[Candidate]]:
        """As the policy's."""
        with self._watch.measuring("policy"):
            return await self._policy.propose(states, n)


class TimedValue:
    """A ValueFn whose waiting counts as ``value``."""

    def __init__(self, value: ValueFn, watch: Stopwatch) -> None:
        self._value = value
        self._watch = watch

    async def energies(self, pairs: Sequence[tuple[ProofState, ProofState]]) -> list[float]:
        """As the value's."""
        with self._watch.measuring("value"):
            return await self._value.energies(pairs)
