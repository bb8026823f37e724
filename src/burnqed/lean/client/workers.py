"""The processes behind a client: states stay with the worker of their root, roots go to whoever has least to do."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from burnqed.core.errors import LeanError
from burnqed.lean.client.keeping import Keeper
from burnqed.lean.client.message import ServerError
from burnqed.lean.config import LeanConfig
from burnqed.lean.conversation import Conversation
from burnqed.lean.host_files import Reply, ask_with_files
from burnqed.lean.pool import WorkerPool
from burnqed.lean.process import Launch, LeanProcess
from burnqed.lean.requests import Request


@dataclass(eq=False)
class Worker:
    """One conversation, and the states that nobody holds any more."""

    conversation: Conversation
    dropped: deque[int] = field(default_factory=deque)
    waiting: int = 0

    def keeper(self, state_id: int) -> Keeper:
        """For a state of this worker."""
        return Keeper(state_id, self, self.dropped)

    def sweep(self) -> None:
        """Tell the conversation what nobody holds any more."""
        while self.dropped:
            self.conversation.drop([self.dropped.popleft()])


class Workers:
    """Some workers alike. Everything here happens on the client's own loop."""

    def __init__(self, launch: Launch, config: LeanConfig, options: dict[str, Any]) -> None:
        self.ours = launch.echoes_nonce
        self._config = config
        self._options = options
        self._pool = WorkerPool(lambda: LeanProcess.start(launch, ready_timeout_s=config.ready_timeout_s), config)
        self._leases = contextlib.AsyncExitStack()
        self._numbers: Iterator[int] = itertools.count()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._turn = itertools.count()
        self.workers: list[Worker] = []
        self.closed = False

    @property
    def processes(self) -> list[LeanProcess]:
        """The processes now."""
        return [w.conversation.process for w in self.workers]

    @property
    def replaced(self) -> int:
        """How many processes were replaced so far."""
        return self._pool.replaced

    async def open(self) -> None:
        """Start them all. Raises ServerError when one does not start."""
        try:
            await self._pool.warm_up(self._pool.size)
            for _ in range(self._pool.size):
                session = await self._leases.enter_async_context(self._pool.lease())
                conversation = Conversation(session.process, self._pool.replace, self._config, numbers=self._numbers)
                self.workers.append(Worker(conversation))
            if self._options:
                reply = await self.ask("options.set", self._options)
                if "error" in reply:
                    raise ServerError(reply)
        except LeanError as error:
            await self.close()
            raise error if isinstance(error, ServerError) else ServerError(str(error)) from error
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """End what is under way, and the processes. Nothing is left of them."""
        self.closed = True
        for task in self._tasks - {asyncio.current_task()}:
            task.cancel()
        await asyncio.gather(*(self._tasks - {asyncio.current_task()}), return_exceptions=True)
        await self._pool.close()  # first, so that the leases have nothing to give back
        await self._leases.aclose()

    def chosen(self, request: Request) -> Worker:
        """The worker that has the states of a request, else the one with least to do. Raises ServerError."""
        owners = {self.owner(number) for number in request.states} - {None}
        if len(owners) > 1:
            raise ServerError("the states of one request belong to different workers; start both from the same root")
        for owner in owners:
            if owner is not None:
                return owner
        turn = next(self._turn)
        order = self.workers[turn % len(self.workers) :] + self.workers[: turn % len(self.workers)]
        return min(order, key=lambda w: w.waiting)

    def owner(self, number: int) -> Worker | None:
        """The worker that has a state; None if there is none."""
        return next((w for w in self.workers if w.conversation.holds(number)), None)

    async def ask(
        self, command: str, payload: dict[str, Any], worker: Worker | None = None, *, timeout_s: float | None = None
    ) -> Reply:
        """The reply of one worker; of the first when a request changes what all of them must know.

        Raises ServerError when there is no reply.
        """
        if self.closed:
            raise ServerError("the client is closed")
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            request = Request(command, payload)
            if request.changes_environment or command in {"options.set", "reset"}:
                replies = await asyncio.gather(*(self._ask(w, command, payload, timeout_s) for w in self.workers))
                return replies[0]
            return await self._ask(worker or self.chosen(request), command, payload, timeout_s)
        except ServerError:
            raise
        except LeanError as error:
            raise ServerError(str(error)) from error
        finally:
            self._tasks.discard(task)

    async def _ask(self, worker: Worker, command: str, payload: dict[str, Any], timeout_s: float | None) -> Reply:
        async def send(command: str, payload: dict[str, Any]) -> Reply:
            return await worker.conversation.ask(command, payload, timeout_s=timeout_s)

        worker.waiting += 1
        try:
            worker.sweep()
            if self.ours:
                return await ask_with_files(send, command, payload)
            return await send(command, payload)
        finally:
            worker.waiting -= 1

    async def tidy(self) -> None:
        """Free the memory of states that nobody holds."""
        for worker in self.workers:
            worker.sweep()
            await worker.conversation.tidy()
