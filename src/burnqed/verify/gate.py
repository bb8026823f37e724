"""The gate: one fresh Lean process a proof, thrown away afterwards.

The process elaborates our own header and statement by itself, compiles the whole source, demands that the theorem of
that name has that very type, replays through the kernel everything made after the header, and reports the axioms.
The target is never in scope while its proof is checked, since the header's environment does not hold it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from burnqed.core.errors import WorkerLost
from burnqed.core.outcome import Verdict
from burnqed.core.theorem import Theorem
from burnqed.lean.process import LeanProcess, RequestFailed
from burnqed.lean.protocol import VerdictReply


class FreshProcessGate:
    """The Gate port. Keeps one unused process ready, so that a proof seldom waits for a start. An async context manager."""

    def __init__(
        self, spawn: Callable[[], Awaitable[LeanProcess]], *, timeout_s: float = 120.0, keep_spare: bool = True
    ) -> None:
        self._spawn = spawn
        self._timeout_s = timeout_s
        self._keep_spare = keep_spare
        self._spare: asyncio.Task[LeanProcess] | None = None

    async def __aenter__(self) -> FreshProcessGate:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    def prepare(self) -> None:
        """Begin to start the process for the next proof, if none is ready."""
        if self._spare is None:
            self._spare = asyncio.create_task(self._start())

    async def check(self, theorem: Theorem, source: str) -> Verdict:
        """Judge a theorem's source. Trouble of the process itself is a refusal that says so, after a second try."""
        verdict = Verdict(False, "the gate did not answer")
        for _ in range(2):
            try:
                process = await self._fresh()
            except WorkerLost as error:
                return Verdict(False, f"the gate's Lean could not be started: {error}")
            try:
                payload = {"header": theorem.header, "theorem": theorem.sorried, "source": source}
                _, reply = await process.request("theorem.check", payload, VerdictReply, timeout_s=self._timeout_s)
                return reply.verdict()
            except WorkerLost as error:
                verdict = Verdict(False, f"the gate's Lean was lost: {error}")
            except RequestFailed as error:
                return Verdict(False, f"the gate refuses: {error.desc}")
            finally:
                await process.close()
        return verdict

    async def close(self) -> None:
        """Kill the spare process."""
        if self._spare is not None:
            self._spare.cancel()
            with contextlib.suppress(asyncio.CancelledError, WorkerLost):
                await (await self._spare).close()
            self._spare = None

    async def _start(self) -> LeanProcess:
        process = await self._spawn()
        assert process.requests == 0, "the gate's process must not have answered anything before"
        return process

    async def _fresh(self) -> LeanProcess:
        self.prepare()
        assert self._spare is not None
        task, self._spare = self._spare, None
        process = await task
        if self._keep_spare:
            self.prepare()
        return process
