"""From a found path to a proof that the gate accepts: the readable form first, the literal one if that is refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from burnqed.core.outcome import Verdict
from burnqed.core.ports import Gate
from burnqed.core.theorem import Theorem
from burnqed.search.graph import ProofStep
from burnqed.verify.render import flat_script, structured_script

_ASKING = ("exact?", "apply?", "rw?", "simp?", "simp_all?", "grind?", "show_term", "decide?")
_MORE_HEARTBEATS = "set_option maxHeartbeats 4000000 in\n"


class ProofJudge:
    """Writes a proof as source and asks the gate. Keeps the first source that was accepted."""

    def __init__(self, theorem: Theorem, gate: Gate) -> None:
        self._theorem = theorem
        self._gate = gate
        self.accepted_source: str | None = None

    async def __call__(self, steps: Sequence[ProofStep]) -> Verdict:
        """The gate's verdict on the first of the forms that it accepts, else on the literal one."""
        verdict = Verdict(False, "no steps")
        for source in self._forms(steps):
            verdict = await self._gate.check(self._theorem, source)
            if not verdict.accepted and "maximum number of heartbeats" in verdict.reason:
                # A file's limit is for the whole theorem, the search's for each tactic.
                source = _MORE_HEARTBEATS + source
                verdict = await self._gate.check(self._theorem, source)
            if verdict.accepted:
                self.accepted_source = self.accepted_source or source
                return verdict
        return verdict

    def _forms(self, steps: Sequence[ProofStep]) -> Iterator[str]:
        for script in scripts(steps):
            yield self._theorem.proved_by(script)


def scripts(steps: Sequence[ProofStep]) -> list[str]:
    """The ways to write a proof down, the most readable first, the literal one last."""
    forms = [structured_script([with_suggestion(s) for s in steps]), structured_script(steps), flat_script(steps)]
    return list(dict.fromkeys(forms))


def with_suggestion(step: ProofStep) -> ProofStep:
    """``exact?`` and its kind replaced by what they found, so that the proof does not search again when it is compiled."""
    if step.suggestion and step.tactic.split()[0] in _ASKING and "\n" not in step.suggestion:
        return dataclasses.replace(step, tactic=step.suggestion)
    return step
