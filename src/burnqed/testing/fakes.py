"""Stand-ins for the ports: a Lean that follows a table, a policy that follows a script, a clock that stands still."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

from burnqed.core.errors import StatementRejected
from burnqed.core.events import Event
from burnqed.core.files import FileVerdict, Place, Target
from burnqed.core.outcome import Outcome, Refused, StateRef, Stepped, Verdict
from burnqed.core.state import Goal, ProofState
from burnqed.core.tactic import Candidate
from burnqed.core.theorem import Theorem

DONE = ""
"""The state with no goals, in the tables below."""


def state_of(*targets: str) -> ProofState:
    """A state with these targets and no hypotheses; the target is its own key."""
    return ProofState(
        tuple(Goal(variables=(), target=t, key=t, group=i) for i, t in enumerate(t for t in targets if t))
    )


@dataclass
class FakeLean:
    """Lean as a table: ``{(target, tactic): targets after it}``. Whatever is not in the table is refused.

    It is session, pool and gate at once. ``refused_proofs`` are finished states whose verdict is no, by the tactic
    that led there.
    """

    table: Mapping[tuple[str, str], str | tuple[str, ...]]
    start_target: str = "start"
    refused_tactics: frozenset[str] = frozenset()
    rejects: bool = False
    refused_texts: tuple[str, ...] = ()
    tried_files: list[str] = field(default_factory=list)
    applied: list[tuple[str, str]] = field(default_factory=list)
    _states: list[tuple[ProofState, str]] = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def lease(self) -> AsyncIterator[FakeLean]:
        """Itself."""
        yield self

    async def start(self, target: Target) -> tuple[StateRef, ProofState]:
        """The state of ``start_target``."""
        if self.rejects:
            raise StatementRejected(f"Lean does not accept the statement of {target.name}: unknown identifier")
        state = state_of(self.start_target)
        self._states = [(state, "")]
        return StateRef(0), state

    async def apply(self, ref: StateRef, tactics: Sequence[str]) -> list[Outcome]:
        """What the table says of the state's first target."""
        state, _ = self._states[ref.index]
        first, rest = state.goals[0].target, [g.target for g in state.goals[1:]]
        outcomes: list[Outcome] = []
        for tactic in tactics:
            self.applied.append((first, tactic))
            result = self.table.get((first, tactic))
            if result is None:
                outcomes.append(Refused("error", "not in the table", 1.0))
                continue
            new = state_of(*([result] if isinstance(result, str) else result), *rest)
            self._states.append((new, tactic))
            outcomes.append(Stepped(StateRef(len(self._states) - 1), new, 1.0))
        return outcomes

    async def verdict(self, ref: StateRef) -> Verdict:
        """Yes, unless the tactic that led here is one of ``refused_tactics``."""
        _, by = self._states[ref.index]
        return Verdict(False, "metavariables left") if by in self.refused_tactics else Verdict(True)

    async def forget(self, refs: Sequence[StateRef]) -> None:
        """Nothing to free."""

    async def places(self, text: str) -> list[Place]:
        """Every ``sorry`` in the text, as a tactic of declaration ``foo``."""
        found = re.finditer(r"\bsorry\b", text)
        return [Place(i, m.start(), m.end(), "tactic", "foo") for i, m in enumerate(found)]

    async def try_file(self, original: str, filled: str) -> FileVerdict:
        """Refuses texts that hold one of ``refused_texts``."""
        self.tried_files.append(filled)
        bad = next((t for t in self.refused_texts if t in filled), None)
        return FileVerdict(bad is None, f"error at {bad}" if bad else "")

    async def check(self, theorem: Theorem, source: str) -> Verdict:
        """The gate's side: always yes."""
        return Verdict(True)

    async def check_file(self, original: str, filled: str) -> FileVerdict:
        """As :meth:`try_file`."""
        return await self.try_file(original, filled)


@dataclass
class ScriptedPolicy:
    """Proposes what a table says for the first target: (tactic, log-probability) pairs; ``default`` elsewhere."""

    table: Mapping[str, Sequence[tuple[str, float]]] = field(default_factory=dict)
    default: Sequence[tuple[str, float]] = ()
    asked: list[str] = field(default_factory=list)

    async def propose(self, states: Sequence[ProofState], n: int) -> list[list[Candidate]]:
        """The table's entries, at most ``n`` a state."""
        self.asked += [s.goals[0].target for s in states]
        return [[Candidate(t, p) for t, p in self.table.get(s.goals[0].target, self.default)][:n] for s in states]


@dataclass
class ToyValue:
    """Energies from a table of targets; 0 elsewhere. Remembers the size of each batch."""

    table: Mapping[str, float] = field(default_factory=dict)
    batches: list[int] = field(default_factory=list)

    async def energies(self, pairs: Sequence[tuple[ProofState, ProofState]]) -> list[float]:
        """The table's energies of the first targets."""
        self.batches.append(len(pairs))
        return [self.table.get(s.goals[0].target, 0.0) for s, _ in pairs]


@dataclass
class RecordingSink:
    """Keeps every event."""

    events: list[Event] = field(default_factory=list)

    def emit(self, event: Event) -> None:
        """Keep it."""
        self.events.append(event)


@dataclass
class ManualClock:
    """Stands still; every reading moves it by ``step_s``."""

    time_s: float = 0.0
    step_s: float = 0.0

    def now_s(self) -> float:
        """The time, which then moves on."""
        self.time_s += self.step_s
        return self.time_s - self.step_s
