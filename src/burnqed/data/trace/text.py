"""One text through Lean, command by command; what hangs or kills it is found, put on record, and passed over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container
from typing import Any

import msgspec

from burnqed.data.lean_ask import LeanAsk, Lost
from burnqed.data.records import TacticRecord
from burnqed.data.trace.config import TraceConfig
from burnqed.data.trace.inputs import ProofText
from burnqed.data.trace.journal import TextId, Traced
from burnqed.data.trace.outcome import BROKEN, Outcome, name_of, outcomes, piece_of
from burnqed.data.trace.replay import objection
from burnqed.data.trace.rows import Step, row
from burnqed.lean.process import RequestFailed
from burnqed.lean.protocol import TracedCommand, TraceReply
from burnqed.lean.session import Empty
from burnqed.theorems.lean_text import body_start

HUNG = "hangs Lean"
KILLED = "kills Lean"
_NOTHING = "/-! -/"
"""A command that does nothing."""
_STRIKES = 2  # so often a command may be the one during which the process is lost, for once may be bad luck


class TextTracer:
    """Traces one text. ``on_theorem`` is called with each theorem as soon as it is known what became of it."""

    def __init__(
        self,
        ask: LeanAsk,
        proof: ProofText,
        text_id: TextId,
        config: TraceConfig,
        *,
        lean: str,
        on_theorem: Callable[[Traced], None],
    ) -> None:
        self._ask = ask
        self._proof = proof
        self._id = text_id
        self._config = config
        self._lean = lean
        self._on_theorem = on_theorem
        self._text = proof.text  # as it is sent: without the proofs of theorems that were given up
        self._strikes: Counter[str] = Counter()
        self._given_up: set[int] = set()
        self._told: set[str] = set()

    async def trace(self, done: Container[str] = ()) -> None:
        """Trace it to its end, but for the theorems in ``done``. Raises WorkerLost when no process can be had."""
        while True:
            commands, lost = await self._read()
            if isinstance(lost, RequestFailed):
                name = self._proof.record.name if self._proof.record else "line 1"
                self._tell(name, reason=BROKEN, detail=lost.desc)
                break
            if lost is None or not (self._config.check or self._proof.record):
                ended = [c for c in commands if c.errors is not None]
                fresh = [o for o in outcomes(self._proof, self._text, ended) if o.theorem.name not in done]
                if not await self._tell_all(fresh):
                    continue
            if lost is None or self._give_up(commands, lost):
                break
        self._on_theorem(self._entry(last=True))

    async def _read(self) -> tuple[list[TracedCommand], Lost | RequestFailed | None]:
        """One pass over the text: what came of its commands, and how it ended if not well."""
        payload: dict[str, Any] = {"file": self._text, "states": self._config.check}
        if self._proof.record:
            payload["imports"] = list(self._proof.record.imports)
        try:
            if self._config.check:  # states of the pass before
                await self._ask.ask("reset", {}, Empty, Empty, silence_s=self._config.silence_s)
            commands, _ = await self._ask.ask(
                "trace.file", payload, TracedCommand, TraceReply, silence_s=self._config.silence_s
            )
        except Lost as lost:
            return lost.entries, lost
        except RequestFailed as refusal:
            return [], refusal
        return commands, None

    def _give_up(self, commands: list[TracedCommand], lost: Lost) -> bool:
        """Blame the command that was under way, from the second time on; whether nothing more can come of the text."""
        ended = {c.command for c in commands if c.errors is not None}
        culprit = next((c for c in reversed(commands) if c.command not in ended), None)
        if not self._strike(f"command {culprit.command if culprit else 'none'}"):
            return False
        reason = HUNG if lost.hung else KILLED
        if self._proof.record is not None or culprit is None:
            name = self._proof.record.name if self._proof.record else "line 1"
            self._tell(name, reason=reason, detail=str(lost))
            return True
        self._tell(name_of(self._text, culprit), reason=reason, detail=str(lost))
        self._cut(culprit)
        return False

    def _strike(self, culprit: str) -> bool:
        """Count a loss against a culprit; whether it is to be given up."""
        self._strikes[culprit] += 1
        return self._strikes[culprit] % _STRIKES == 0

    def _cut(self, command: TracedCommand) -> None:
        """Take a command's proof away, so that what follows can use the theorem; the second time, all of it.

        Commands keep their numbers, and lines stay lines.
        """
        data, (begin, end) = self._text.encode(), command.boundary
        piece = piece_of(self._text, command)
        at = body_start(piece) if command.command not in self._given_up else None
        kept = _NOTHING if at is None else f"{piece[:at]}:= sorry"
        kept += "\n" * (piece.count("\n") - kept.count("\n"))
        self._given_up.add(command.command)
        self._text = (data[:begin] + kept.encode() + data[end:]).decode()

    async def _tell_all(self, found: list[Outcome]) -> bool:
        """Tell of theorems, their steps checked if that is wanted; False when the process was lost over a check."""
        for outcome in found:
            name = outcome.theorem.name
            if name in self._told or outcome.command in self._given_up:
                continue
            rows: list[TacticRecord] = []
            refused: list[str] = []
            for number, step in enumerate(outcome.steps):
                try:
                    why = await self._objection(step, f"{name} step {number}") if self._config.check else ""
                except Lost:
                    return False
                if why:
                    refused.append(f"{step.invocation.tactic}: {why}")
                else:
                    made = msgspec.structs.replace(outcome.theorem, lean=self._lean)
                    rows.append(row(step, number, made, outcome.made))
            self._tell(
                name,
                reason=outcome.reason,
                detail=outcome.detail,
                rows=tuple(rows),
                conv=outcome.conv,
                refused=len(refused),
                example=refused[0] if refused else "",
            )
        return True

    async def _objection(self, step: Step, called: str) -> str:
        if self._strikes[called] >= _STRIKES:
            return KILLED
        try:
            return await objection(self._ask, step.invocation, silence_s=self._config.silence_s)
        except Lost:
            self._strikes[called] += 1
            raise

    def _tell(self, name: str, **fields: Any) -> None:
        self._told.add(name)
        self._on_theorem(self._entry(theorem=name, **fields))

    def _entry(self, **fields: Any) -> Traced:
        return Traced(key=self._id[0], digest=self._id[1], **fields)
