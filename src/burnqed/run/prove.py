"""Prove many theorems: a search each on a leased Lean, the gate for what is found, the record for everything."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from burnqed.core.calibration import Calibration
from burnqed.core.errors import LeanError, ModelError, ModelMismatch, RunError, StatementRejected
from burnqed.core.files import Hole, Target
from burnqed.core.outcome import SearchStatus
from burnqed.core.ports import Clock, EventSink, Gate, LeanPool, ProofWriter, TacticPolicy, ValueFn
from burnqed.core.tally import Tally
from burnqed.core.theorem import Theorem
from burnqed.run.folder import RunFolder
from burnqed.run.hole import HoleJudge
from burnqed.run.judge import ProofJudge
from burnqed.run.result import TheoremResult
from burnqed.run.timing import Stopwatch, TimedGate, TimedPolicy, TimedSession, TimedValue
from burnqed.search.config import SearchConfig
from burnqed.search.engine import Search, SearchResult
from burnqed.theorems.read import BadEntry, Entry
from burnqed.verify.canary import CanaryRounds

_REASONS = {
    SearchStatus.EXHAUSTED: "every candidate was tried on every state that could be reached",
    SearchStatus.OUT_OF_NODES: "the budget of nodes is spent",
    SearchStatus.OUT_OF_TIME: "the budget of seconds is spent",
    SearchStatus.OUT_OF_TACTICS: "the budget of tactics is spent",
    SearchStatus.OUT_OF_TOKENS: "the budget of tokens is spent",
    SearchStatus.STOPPED: "stopped",
}
EMBEDDED_ROOTS = ("Init", "Std")


@dataclass(frozen=True)
class Prover:
    """Everything that a run needs, as ports."""

    pool: LeanPool
    gate: Gate
    policy: TacticPolicy
    value: ValueFn
    config: SearchConfig
    events: EventSink
    clock: Clock
    folder: RunFolder
    writer: ProofWriter | None = None
    inside: Callable[[str], tuple[str, ...]] = lambda step: ()  # the steps inside a bullet of a whole proof
    calibration: Calibration | None = None
    tally: Tally = field(default_factory=Tally)
    canaries: CanaryRounds = field(default_factory=CanaryRounds)
    own_config: Mapping[str, SearchConfig] = field(default_factory=dict)  # of theorems that have a budget of their own
    roots: tuple[str, ...] | None = EMBEDDED_ROOTS  # of the modules that a theorem may import; None = Lean decides

    async def prove_all(
        self, entries: Sequence[Entry | Hole], on_result: Callable[[TheoremResult], None]
    ) -> list[TheoremResult]:
        """Prove what is not on record yet; results in the order of the entries, ``on_result`` as they come.

        Cancelling it loses the searches in flight and nothing else. Raises CanaryProved, and ends all searches, when
        Lean proves something false, and ModelMismatch when policy or value are not what they have to be.
        """
        done = self.folder.finished()

        async def one(entry: Entry | Hole) -> TheoremResult:
            if not isinstance(entry, BadEntry) and (before := done.get(entry.name)) and before.digest == entry.digest:
                result = before
            else:
                result = await self._prove(entry)
            on_result(result)
            return result

        searches = [asyncio.ensure_future(one(e)) for e in entries]
        try:
            return await asyncio.gather(*searches)
        finally:
            for search in searches:
                search.cancel()
            await asyncio.gather(*searches, return_exceptions=True)

    async def _prove(self, entry: Entry | Hole) -> TheoremResult:
        """One theorem, recorded. Trouble with one theorem is its result, not the end of the run."""
        if isinstance(entry, BadEntry):
            return self._record(TheoremResult(name=entry.name, status="error", reason=entry.reason), None)
        imports = entry.imports if isinstance(entry, Theorem) else ()  # of a file, Lean itself says what it lacks
        missing = [m for m in imports if self.roots is not None and m.split(".")[0] not in self.roots]
        if missing:
            reason = f"{entry.name} imports {', '.join(missing)}; the embedded Lean has Init and Std only"
            return self._record(_result(entry, status="error", reason=reason), None)
        watch = Stopwatch(self.clock)
        try:
            async with self.pool.lease() as leased:
                await self.canaries.before_theorem(leased)
                session, gate = TimedSession(leased, watch), TimedGate(self.gate, watch)
                judge = HoleJudge(entry, session, gate) if isinstance(entry, Hole) else ProofJudge(entry, gate)
                search = Search(
                    entry,
                    session=session,
                    policy=TimedPolicy(self.policy, watch),
                    value=TimedValue(self.value, watch),
                    writer=self.writer,
                    inside=self.inside,
                    calibration=self.calibration,
                    tally=self.tally,
                    judge=judge,
                    config=self.own_config.get(entry.name, self.config),
                    events=self.events,
                    clock=self.clock,
                )
                found = await search.run()
        except StatementRejected as error:
            self.folder.trajectory.drop(entry.name)
            return self._record(_result(entry, status="error", reason=str(error)), None)
        except LeanError as error:
            self.folder.trajectory.drop(entry.name)
            return self._record(_result(entry, status="error", reason=f"Lean failed on {entry.name}: {error}"), None)
        except ModelMismatch:
            raise  # it would be the same for every theorem
        except ModelError as error:
            self.folder.trajectory.drop(entry.name)
            reason = f"{entry.name} was given up, its policy or value failed: {error}"
            return self._record(_result(entry, status="error", reason=reason), None)
        return self._record(_from_search(entry, found, judge.accepted_source, watch), entry)

    def _record(self, result: TheoremResult, theorem: Target | None) -> TheoremResult:
        try:
            self.folder.record(result, theorem)
        except RunError as error:
            return msgspec.structs.replace(result, status="error", reason=str(error))  # a proof is still shown
        return result


def _from_search(theorem: Target, found: SearchResult, source: str | None, watch: Stopwatch) -> TheoremResult:
    proved = found.proof is not None and found.verdict is not None and source is not None
    reason = "" if proved else _REASONS.get(found.status, str(found.status))
    if not proved and found.refused_proofs:
        reason += (
            f"; {len(found.refused_proofs)} finished states were no proofs, the first because {found.refused_proofs[0]}"
        )
    return _result(
        theorem,
        status="proved" if proved else "not_proved",
        proof=source if proved else None,
        nodes=found.expansions,
        seconds=round(found.seconds, 3),
        axioms=list(found.verdict.axioms) if found.verdict else [],
        reason=reason,
        tactics=found.tactics,
        tokens=found.tokens,
        ended=str(found.status),
        spent_s={part: round(s, 3) for part, s in watch.spent_s.items()},
    )


def _result(theorem: Target, **fields: object) -> TheoremResult:
    return TheoremResult(name=theorem.name, source=theorem.source, digest=theorem.digest, **fields)  # type: ignore[arg-type]
