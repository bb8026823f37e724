"""Processes, lent one to a theorem; replaced when they are lost, old or large; never more than the machine bears."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable

import psutil

from burnqed.core.errors import LeanError, WorkerLost
from burnqed.lean.config import LeanConfig
from burnqed.lean.dialect import OWN, Dialect
from burnqed.lean.process import OWNER_VARIABLE, LeanProcess, owner_is_dead
from burnqed.lean.session import Empty, PooledSession

_START_TRIES = 3


class WorkerPool:
    """The LeanPool port. Use it as an async context manager; leaving it kills every process."""

    def __init__(self, spawn: Callable[[], Awaitable[LeanProcess]], config: LeanConfig, dialect: Dialect = OWN) -> None:
        self._spawn = spawn
        self._config = config
        self._dialect = dialect
        self.size = config.worker_count()
        self._slots = asyncio.Semaphore(self.size)
        self._idle: list[LeanProcess] = []
        self._alive: set[LeanProcess] = set()
        self._leases = 0
        self.replaced = 0

    async def __aenter__(self) -> WorkerPool:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def warm_up(self, count: int = 1) -> None:
        """Start so many processes ahead of the first lease."""
        wanted = min(count, self.size) - len(self._idle)
        # Wait for all of them even if one fails: a process that comes up later would belong to nobody.
        started = await asyncio.gather(*(self._start() for _ in range(wanted)), return_exceptions=True)
        self._idle += [p for p in started if isinstance(p, LeanProcess)]
        for failure in started:
            if isinstance(failure, BaseException):
                raise failure

    @contextlib.asynccontextmanager
    async def lease(self) -> AsyncIterator[PooledSession]:
        """Wait for a free process and lend it. Afterwards its states are dropped and it serves the next."""
        async with self._slots:
            self._leases += 1
            if self._leases % self._config.sweep_every == 0:
                await asyncio.to_thread(sweep_orphans)
            process = self._idle.pop() if self._idle else await self._start()
            session = PooledSession(process, self.replace, self._config, self._dialect)
            try:
                yield session
            finally:
                await self._take_back(session.process)

    async def close(self) -> None:
        """Kill all processes and wait for their end."""
        alive, self._alive, self._idle = self._alive, set(), []
        await asyncio.gather(*(p.close() for p in alive))

    async def _start(self) -> LeanProcess:
        for attempt in range(_START_TRIES):
            try:
                process = await self._spawn()
            except WorkerLost:
                if attempt == _START_TRIES - 1:
                    raise
                await asyncio.sleep(0.5 * 2**attempt)
            else:
                self._alive.add(process)
                return process
        raise AssertionError("unreachable")

    async def replace(self, old: LeanProcess) -> LeanProcess:
        """End a process that is lost or worn, and start another in its place."""
        self.replaced += 1
        await self._discard(old)
        return await self._start()

    async def _discard(self, process: LeanProcess) -> None:
        self._alive.discard(process)
        await process.close()

    async def _take_back(self, process: LeanProcess) -> None:
        if process not in self._alive:
            return
        if not process.lost:
            try:
                await process.request("reset", {}, Empty, timeout_s=self._config.request_timeout_s)
                self._idle.append(process)
                return
            except LeanError:  # what cannot even be reset is of no use to the next theorem
                pass
        await self._discard(process)


def sweep_orphans() -> int:
    """Kill Lean processes whose burnqed is gone (they should have died with it); returns how many."""
    killed = 0
    for process in psutil.process_iter():
        try:
            # The tag alone tells: Node calls its process "MainThread", so names say nothing.
            tag = process.environ().get(OWNER_VARIABLE)
            if tag and process.pid != os.getpid() and owner_is_dead(tag):
                os.killpg(os.getpgid(process.pid), signal.SIGKILL)
                killed += 1
        except (psutil.Error, OSError):
            continue
    return killed
