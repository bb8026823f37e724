"""One Lean process of the complete program that is asked for data, and replaced when it is lost or worn."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import msgspec

from burnqed.core.errors import ProtocolError, WorkerLost
from burnqed.lean.config import LeanConfig
from burnqed.lean.pool import WorkerPool
from burnqed.lean.process import BatchLost, LeanProcess
from burnqed.lean.protocol import decode
from burnqed.lean.session import PooledSession
from burnqed.lean.wear import Wear

T = TypeVar("T")
E = TypeVar("E")


class Lost(Exception):
    """The process was lost, or talked nonsense, during a request; ``entries`` are what it had answered by then.

    ``hung`` says that it was killed for its silence. It is a value for the code that asked, and never reaches a person.
    """

    def __init__(self, message: str, entries: list[Any], *, hung: bool) -> None:
        super().__init__(message)
        self.entries = entries
        self.hung = hung


class LeanAsk:
    """A leased process. Make one with :func:`leased`."""

    def __init__(self, session: PooledSession, pool: WorkerPool, config: LeanConfig) -> None:
        self._session = session
        self._pool = pool
        self._wear = Wear(config)

    @property
    def process(self) -> LeanProcess:
        """The process that answered last, with the states that it made."""
        return self._session.process

    async def _well(self) -> LeanProcess:
        """A process that is well: this one, or another in its place. Raises WorkerLost when none can be started."""
        if self._wear.is_worn(self._session.process):
            self._session.process = await self._pool.replace(self._session.process)
        return self._session.process

    async def ask(
        self, command: str, payload: dict[str, Any], entry: type[E], last: type[T], *, silence_s: float
    ) -> tuple[list[E], T]:
        """A request whose answer comes in entries, each a sign of life, and one last line.

        Raises Lost when the process is lost in it, and RequestFailed when the server refuses it.
        """
        process = await self._well()
        try:
            partial, reply = await process.request(command, payload, last, timeout_s=silence_s)
        except BatchLost as error:
            raise Lost(str(error), _read(error.partial, entry), hung=error.timed_out) from error
        except ProtocolError as error:
            raise Lost(str(error), [], hung=False) from error
        return _read(partial, entry), reply

    async def ask_surely(self, command: str, payload: dict[str, Any], reply: type[T], *, silence_s: float) -> T:
        """A request with a plain answer that no process should be lost over; asked again if one is. Raises WorkerLost."""
        for last_try in (False, True):
            try:
                return (await self.ask(command, payload, reply, reply, silence_s=silence_s))[1]
            except Lost as error:
                if last_try:
                    raise WorkerLost(f"Lean did not answer {command}: {error}") from error
        raise AssertionError("unreachable")


@contextlib.asynccontextmanager
async def leased(pool: WorkerPool, config: LeanConfig) -> AsyncIterator[LeanAsk]:
    """Lend a process of a pool whose processes run the complete program."""
    async with pool.lease() as session:
        yield LeanAsk(session, pool, config)


async def side_by_side(work: Callable[[], Awaitable[None]], count: int) -> None:
    """Do the same work ``count`` times at once. The first failure ends the others and is raised as it is."""
    tasks = [asyncio.ensure_future(work()) for _ in range(count)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _read(lines: list[msgspec.Raw], entry: type[E]) -> list[E]:
    """The entries that can be read; one that cannot is as if it had not come."""
    found: list[E] = []
    for line in lines:
        with contextlib.suppress(msgspec.DecodeError):
            found.append(decode(line, entry))
    return found
