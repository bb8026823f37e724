"""Stand-ins for the ports: a Lean that follows a table, a policy that follows a script, a clock that stands still."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

from burnqed.core.errors import LeanError, StatementRejected
from burnqed.core.events import Event
from burnqed.core.files import FileVerdict, Place, Target
from burnqed.core.outcome import Outcome, Refused, StateRef, Stepped, Verdict
from burnqed.core.state import Goal, ProofState
from burnqed.core.tactic import Candidate, ProofScript
from burnqed.core.theorem import Theorem

DONE = ""
"""The state with no goals, in the tables below."""


_HOLE = re.compile(r"\?\w+")


def state_of(*targets: str) -> ProofState:
    """A state with these targets and no hypotheses. The target is its own key; targets that share a word ``?m`` hang together."""
    return _state([("", target) for target in targets if target])


def _state(goals: Sequence[tuple[str, str]]) -> ProofState:
    """Goals by name and target, with groups as Lean gives them: the place of the first goal that hangs together with it."""
    groups = list(range(len(goals)))
    holes = [_HOLE.findall(target) if "?" in target else [] for _, target in goals]
    if any(holes):
        for _ in goals:
            groups = [min([groups[j] for j, h in enumerate(holes) if set(h) & set(holes[i])] or [i]) for i in groups]
    return ProofState(
        tuple(
            Goal(variables=(), target=target, id=name, key=None if hole else target, group=group)
            for (name, target), group, hole in zip(goals, groups, holes, strict=True)
        )
    )


@dataclass(frozen=True)
class _FakeState:
    """A state, the tactic that led to it, and whether goals were put out of sight on the way."""

    state: ProofState
    by: str = ""
    part: bool = False


@dataclass
class FakeLean:
    """Lean as a table: ``{(target, tactic): targets after it}``. Whatever is not in the table is refused.

    It is session, pool and gate at once. ``refused_tactics`` are those whose finished states get no verdict;
    ``alone`` are those that work only where there is no other goal.
    """

    table: Mapping[tuple[str, str], str | tuple[str, ...]]
    start_target: str = "start"
    refused_tactics: frozenset[str] = frozenset()
    alone: frozenset[str] = frozenset()
    rejects: bool = False
    focuses: bool = True
    refused_texts: tuple[str, ...] = ()
    tried_files: list[str] = field(default_factory=list)
    applied: list[tuple[str, str]] = field(default_factory=list)
    asked: list[tuple[StateRef, str]] = field(default_factory=list)
    _states: list[_FakeState] = field(default_factory=list)
    _named: int = 0

    @contextlib.asynccontextmanager
    async def lease(self) -> AsyncIterator[FakeLean]:
        """Itself."""
        yield self

    async def start(self, target: Target) -> tuple[StateRef, ProofState]:
        """The state of ``start_target``."""
        if self.rejects:
            raise StatementRejected(f"Lean does not accept the statement of {target.name}: unknown identifier")
        state = _state(self._goals([self.start_target]))
        self._states = [_FakeState(state)]
        return StateRef(0), state

    async def apply(self, ref: StateRef, tactics: Sequence[str]) -> list[Outcome]:
        """What the table says of the state's first target."""
        now = self._states[ref.index]
        first, *rest = now.state.goals
        outcomes: list[Outcome] = []
        for tactic in tactics:
            self.applied.append((first.target, tactic))
            self.asked.append((ref, tactic))
            result = self.table.get((first.target, tactic))
            if result is None or (rest and tactic in self.alone):
                outcomes.append(Refused("error", "not in the table" if result is None else "there are others", 1.0))
                continue
            made = self._goals([result] if isinstance(result, str) else result)
            new = _state([*made, *((goal.id, goal.target) for goal in rest)])
            outcomes.append(Stepped(self._remember(_FakeState(new, tactic, now.part)), new, 1.0))
        return outcomes

    async def focus(self, ref: StateRef, goals: Sequence[int]) -> tuple[StateRef, ProofState]:
        """The state with these goals only."""
        if not self.focuses:
            raise LeanError("this Lean cannot take goals of a state apart")
        now = self._states[ref.index]
        state = _state([(now.state.goals[place].id, now.state.goals[place].target) for place in goals])
        return self._remember(_FakeState(state, now.by, part=True)), state

    async def verdict(self, ref: StateRef) -> Verdict:
        """Yes, unless goals are open, or out of sight, or the tactic that led here is one of ``refused_tactics``."""
        now = self._states[ref.index]
        good = now.state.finished and not now.part and now.by not in self.refused_tactics
        return Verdict(True) if good else Verdict(False, "metavariables left")

    def _goals(self, targets: Sequence[str]) -> list[tuple[str, str]]:
        """New goals, each with a name of its own."""
        self._named += len(targets)
        return [(f"m{self._named - i}", target) for i, target in enumerate(targets) if target]

    def _remember(self, state: _FakeState) -> StateRef:
        self._states.append(state)
        return StateRef(len(self._states) - 1)

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
class ScriptedWriter:
    """Writes the whole proofs that a table has for the first target: steps and a log-probability each; none elsewhere."""

    table: Mapping[str, Sequence[tuple[tuple[str, ...], float]]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def write(self, states: Sequence[ProofState], n: int) -> list[list[ProofScript]]:
        """The table's scripts, at most ``n`` a state, a token for each character."""
        self.asked += [s.text for s in states]
        found = [self.table.get(s.goals[0].target, ()) for s in states]
        return [[ProofScript(steps, p, sum(map(len, steps))) for steps, p in scripts][:n] for scripts in found]


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
