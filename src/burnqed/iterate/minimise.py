"""A shorter proof from a proof, by running it again with steps left out. What Lean does then is the only judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from burnqed.core.errors import StatementRejected
from burnqed.core.outcome import Outcome, StateRef, Stepped
from burnqed.core.ports import Gate, LeanSession
from burnqed.core.state import ProofState
from burnqed.core.theorem import Theorem
from burnqed.data.records import TacticRecord
from burnqed.run.judge import ProofJudge, scripts, with_suggestion
from burnqed.search.graph import ProofStep

NOT_REPLAYED = "does not replay"
"""How the reason begins when the proof that was given did not work."""
_SLICE = 8
"""Tactics put to Lean at a time, as the search does by default: a request has one time limit for all of them."""


@dataclass(frozen=True)
class Minimised:
    """What became of a proof.

    ``records`` are the steps with the states that they had when they were run here, none if the proof did not replay. ``source``
    is Lean source of these steps that the gate accepted, or what the caller gave where the proof stayed as it was. ``reason``
    says why a proof was kept that could not be made shorter for another cause than that nothing shorter works.
    """

    replayed: bool
    records: tuple[TacticRecord, ...]
    source: str
    tried: int
    steps_before: int
    steps_after: int
    reason: str = ""


async def minimise(
    theorem: Theorem,
    steps: Sequence[str],
    *,
    session: LeanSession,
    gate: Gate | None,
    accepted_source: str = "",
    max_tactics: int = 500,
    set_name: str = "",
    split: str = "",
) -> Minimised:
    """Replay a proof, each step on the first goal of the whole state, then make it shorter as long as that works.

    At each state, from the first on, two things are tried, the one that saves most first: to leave out the next steps, however
    many, and go on with a later one; and to close the first goal at once with a step that closes a goal somewhere in the
    proof, and go on after the steps that closed it before. What the kernel accepts and is shorter replaces the proof, and this
    goes on until a whole round changed nothing, or ``max_tactics`` tactics were run. ``exact?`` and its kind become what they
    found. Given the same answers of Lean it does the same thing.

    At the end the gate judges the source, unless that is ``accepted_source``, which it accepted before. If it refuses, the
    proof is kept as it was given. Without a gate no source is written, but ``accepted_source`` handed back. ``set_name`` and
    ``split`` go into the records. A proof that does not replay is reported, and is no error. Raises LeanError when no Lean
    can be had.
    """
    run = _Rerun(session, max_tactics)
    try:
        reason = await run.replay(theorem, steps)
    except StatementRejected as error:
        reason = str(error)
    if reason:
        return Minimised(False, (), accepted_source, run.tried, len(steps), len(steps), f"{NOT_REPLAYED}: {reason}")
    given = run.line
    while await run.shortened():
        pass
    line = run.line
    source, refusal = await _judged(theorem, line, gate, accepted_source)
    if refusal and line is not given:
        line, source = given, accepted_source
    records = line.records(theorem.name, set_name=set_name, split=split)
    return Minimised(True, records, source, run.tried, len(steps), len(records), refusal)


async def _judged(theorem: Theorem, line: _Line, gate: Gate | None, accepted: str) -> tuple[str, str]:
    """Source for these steps that the gate accepts, and why it does not if so."""
    steps = line.proof_steps()
    if gate is None or accepted in {theorem.proved_by(script) for script in scripts(steps)}:
        return accepted, ""
    judge = ProofJudge(theorem, gate)
    verdict = await judge(steps)
    if judge.accepted_source is None:
        return accepted, f"the gate refused its source: {verdict.reason}"
    return judge.accepted_source, ""


@dataclass(frozen=True)
class _Line:
    """A proof that was run: its tactics and the states around them, one more than there are tactics."""

    tactics: tuple[str, ...]
    refs: tuple[StateRef, ...]
    states: tuple[ProofState, ...]

    def __len__(self) -> int:
        return len(self.tactics)

    def up_to(self, place: int) -> _Line:
        """The first steps only."""
        return _Line(self.tactics[:place], self.refs[: place + 1], self.states[: place + 1])

    def then(self, tactic: str, outcome: Stepped) -> _Line:
        """One step more."""
        return _Line((*self.tactics, tactic), (*self.refs, outcome.ref), (*self.states, outcome.state))

    def open_goals(self, place: int) -> int:
        return len(self.states[place].goals)

    def closed_at(self, place: int) -> int:
        """The first place after this one at which a goal less is open: there the first goal of this place is closed."""
        return next(i for i in range(place + 1, len(self) + 1) if self.open_goals(i) < self.open_goals(place))

    def proof_steps(self) -> list[ProofStep]:
        return [ProofStep(t, self.open_goals(i), self.open_goals(i + 1)) for i, t in enumerate(self.tactics)]

    def records(self, theorem: str, *, set_name: str, split: str) -> tuple[TacticRecord, ...]:
        return tuple(
            TacticRecord(
                theorem=theorem,
                source=set_name,
                state_before=self.states[i].text,
                tactic=tactic,
                state_after=self.states[i + 1].text,
                split=split,
                step=i,
            )
            for i, tactic in enumerate(self.tactics)
        )


class _Rerun:
    """Runs lines of tactics, and counts them."""

    def __init__(self, session: LeanSession, limit: int) -> None:
        self.session = session
        self.limit = limit
        self.tried = 0
        self.line = _Line((), (), ())

    @property
    def spent(self) -> bool:
        return self.tried >= self.limit

    async def apply(self, ref: StateRef, tactics: Sequence[str]) -> list[Outcome]:
        self.tried += len(tactics)
        return await self.session.apply(ref, tactics)

    async def replay(self, theorem: Theorem, steps: Sequence[str]) -> str:
        """Run the proof as it was given; empty when it is one, else why not. Steps after its end are left out."""
        ref, state = await self.session.start(theorem)
        line = _Line((), (ref,), (state,))
        for number, tactic in enumerate(steps, start=1):
            if line.states[-1].finished:
                break
            (outcome,) = await self.apply(line.refs[-1], [tactic])
            if not isinstance(outcome, Stepped):
                return f"step {number} (`{tactic.splitlines()[0] if tactic else ''}`) fails: {outcome.detail}"
            line = line.then(*await self._settled(line, tactic, outcome))
        if not line.states[-1].finished:
            return "goals are left at its end"
        verdict = await self.session.verdict(line.refs[-1])
        self.line = line
        return "" if verdict.accepted else f"the kernel refuses it: {verdict.reason}"

    async def _settled(self, line: _Line, tactic: str, outcome: Stepped) -> tuple[str, Stepped]:
        """What a step found in place of the search for it, if that leads to the same state."""
        before, after = len(line.states[-1].goals), len(outcome.state.goals)
        found = with_suggestion(ProofStep(tactic, before, after, outcome.suggestion)).tactic
        if found == tactic:
            return tactic, outcome
        (again,) = await self.apply(line.refs[-1], [found])
        same = isinstance(again, Stepped) and again.state.text == outcome.state.text
        return (found, again) if same and isinstance(again, Stepped) else (tactic, outcome)

    async def shortened(self) -> bool:
        """One round over all states; whether the proof is shorter after it."""
        before = len(self.line)
        place = 0
        while place < len(self.line) and not self.spent:
            await self._shorten_from(place)
            place += 1
        return len(self.line) < before and not self.spent

    async def _shorten_from(self, place: int) -> None:
        """Replace what follows a state by the shortest of the ideas that works."""
        ideas, start = _ideas(self.line, place), self.line.up_to(place)
        begun = await self._begun(start.refs[-1], [idea[0] for idea in ideas])
        stale = [*self.line.refs, *(outcome.ref for outcome in begun.values())]
        for first, *rest in ideas:
            if first not in begun:
                continue
            line = await self._continued(start.then(first, begun[first]), rest)
            stale += line.refs
            if line.states[-1].finished and (await self.session.verdict(line.refs[-1])).accepted:
                self.line = line
                break
        await self.session.forget([ref for ref in dict.fromkeys(stale) if ref not in self.line.refs])

    async def _begun(self, ref: StateRef, tactics: Sequence[str]) -> dict[str, Stepped]:
        """Those of the tactics that work on a state, as many as the limit allows."""
        different = list(dict.fromkeys(tactics))
        begun: dict[str, Stepped] = {}
        for at in range(0, len(different), _SLICE):
            some = different[at : at + _SLICE][: max(0, self.limit - self.tried)]
            if some:
                outcomes = await self.apply(ref, some)
                begun |= {t: o for t, o in zip(some, outcomes, strict=True) if isinstance(o, Stepped)}
        return begun

    async def _continued(self, line: _Line, tactics: Sequence[str]) -> _Line:
        """As far as it goes: to the end of the proof, to a tactic that fails, or to the limit."""
        for tactic in tactics:
            if line.states[-1].finished or self.spent:
                break
            (outcome,) = await self.apply(line.refs[-1], [tactic])
            if not isinstance(outcome, Stepped):
                break
            line = line.then(tactic, outcome)
        return line


def _ideas(line: _Line, place: int) -> list[tuple[str, ...]]:
    """The tactics of each shorter way to go on from a state, the shortest first: see :func:`minimise`."""
    tactics, after = line.tactics, line.closed_at(place)
    left_out = [tactics[later:] for later in range(place + 1, len(line))]
    closers = [t for i, t in enumerate(tactics) if line.open_goals(i + 1) < line.open_goals(i)]
    closed_early = [(closer, *tactics[after:]) for closer in closers] if after - place > 1 else []
    return sorted(dict.fromkeys([*left_out, *closed_early]), key=len)
