"""The gate: one fresh Lean process a proof, thrown away afterwards.

The process elaborates our own header and statement by itself, compiles the whole source, demands that the theorem of
that name has that very type, replays through the kernel everything made after the header, and reports the axioms.
The target is never in scope while its proof is checked, since the header's environment does not hold it. A process
that has accepted a proof is asked about false ones at once: one that a proof has taken over would accept them too.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from burnqed.core.errors import LeanError, WorkerLost
from burnqed.core.files import FileVerdict
from burnqed.core.outcome import Verdict
from burnqed.core.theorem import DEFAULT_IMPORTS, Theorem
from burnqed.lean.process import BatchLost, LeanProcess, RequestFailed
from burnqed.lean.protocol import FileVerdictReply, VerdictReply
from burnqed.verify.canary import try_on_process

_TRIES = 3
V = TypeVar("V", Verdict, FileVerdict)


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
        """Judge a theorem's source. Trouble of the process itself is a refusal that says so, after two more tries.

        Raises CanaryProved when the process accepts something false as well.
        """

        async def ask(process: LeanProcess) -> Verdict:
            payload: dict[str, Any] = {"header": theorem.header, "theorem": theorem.sorried, "source": source}
            if theorem.imports != DEFAULT_IMPORTS:  # what the process was started with
                payload["imports"] = list(theorem.imports)
            _, reply = await process.request("theorem.check", payload, VerdictReply, timeout_s=self._timeout_s)
            return reply.verdict()

        answer = await self._asked(ask)
        return Verdict(False, answer) if isinstance(answer, str) else answer

    async def check_file(self, original: str, filled: str) -> FileVerdict:
        """Judge a file whose sorries were replaced; as :meth:`check`. The processes must run the complete program."""

        async def ask(process: LeanProcess) -> FileVerdict:
            payload = {"src": original, "dst": filled}
            _, reply = await process.request("file.check", payload, FileVerdictReply, timeout_s=self._timeout_s)
            return reply.verdict()

        answer = await self._asked(ask)
        return FileVerdict(False, answer) if isinstance(answer, str) else answer

    async def _asked(self, ask: Callable[[LeanProcess], Awaitable[V]]) -> V | str:
        """What a fresh process answers; a sentence if it cannot be had. Who accepts has to refuse the canaries too."""
        failure = ""
        for _ in range(_TRIES):
            try:
                process = await self._fresh()
            except WorkerLost as error:
                failure = f"the gate's Lean could not be started: {error}"
                continue
            try:
                verdict = await ask(process)
                if verdict.accepted:
                    await try_on_process(process, timeout_s=self._timeout_s)
                return verdict
            except RequestFailed as error:
                return f"the gate refuses: {error.desc}"
            except LeanError as error:
                failure = f"the gate's Lean was lost: {error}"
                if isinstance(error, BatchLost) and error.busy:
                    break  # it worked all that time, and would again
            finally:
                await process.close()
        return failure

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
