"""From a found path to a text that may stand where a ``sorry`` stood."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from burnqed.core.files import FileVerdict, Hole
from burnqed.core.outcome import Verdict
from burnqed.core.ports import Gate, LeanSession
from burnqed.run.judge import scripts
from burnqed.search.graph import ProofStep
from burnqed.verify.splice import filled, room, ways


class HoleJudge:
    """Writes a proof into its file and asks the gate. Keeps the text that was accepted.

    A proof found state by state may not be one in the file: another layout, names that only a macro may use, the limit of
    heartbeats of the whole declaration. So each way to write it is first tried in the session's process, which costs
    little; the gate is asked about the first that works there.
    """

    def __init__(self, hole: Hole, session: LeanSession, gate: Gate) -> None:
        self._hole = hole
        self._session = session
        self._gate = gate
        self.accepted_source: str | None = None

    async def __call__(self, steps: Sequence[ProofStep]) -> Verdict:
        """The gate's verdict on the first way that compiles; if none does, a refusal with the first reason."""
        text, place = self._hole.text, self._hole.place
        space = room(text, place)
        candidates = itertools.chain.from_iterable(ways(text, place, script) for script in scripts(steps))
        reason = ""
        for written in dict.fromkeys(candidates):
            candidate = filled(text, [(space, written)])
            found = await self._session.try_file(text, candidate)
            if found.accepted:
                found = await self._gate.check_file(text, candidate)
            if found.accepted:
                self.accepted_source = self.accepted_source or written
                return Verdict(True, axioms=axioms_of(found, place.declaration))
            reason = reason or found.reason
        return Verdict(False, f"the proof works step by step but not in the file: {reason}")


def axioms_of(verdict: FileVerdict, declaration: str) -> tuple[str, ...]:
    """The axioms of one declaration, without those that stand for its other sorries."""
    return tuple(a for d in verdict.declarations if d.name == declaration for a in d.axioms if a != "sorryAx")
