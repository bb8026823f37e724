"""Calls of many searches made one: what comes while a batch is at work waits, and is the next batch."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Gather(Generic[Item, Answer]):
    """``work`` on the items of all callers together, at most ``most`` at a time (a call that has more goes alone).

    Nothing waits for company: an idle ``work`` begins at once. A caller that gives up loses its answer alone. An error of
    ``work`` reaches every caller of that batch.
    """

    def __init__(self, work: Callable[[list[Item]], Awaitable[Sequence[Answer]]], *, most: int) -> None:
        self._work = work
        self._most = most
        self._waiting: deque[tuple[list[Item], asyncio.Future[list[Answer]]]] = deque()
        self._runner: asyncio.Task[None] | None = None

    async def ask(self, items: Sequence[Item]) -> list[Answer]:
        """An answer for each item, in order."""
        if not items:
            return []
        answer: asyncio.Future[list[Answer]] = asyncio.get_running_loop().create_future()
        self._waiting.append((list(items), answer))
        if self._runner is None:
            self._runner = asyncio.create_task(self._run())
        return await answer

    async def _run(self) -> None:
        try:
            while self._waiting:
                if not (calls := self._next()):
                    continue
                try:
                    answers = await self._work([item for items, _ in calls for item in items])
                except Exception as error:
                    for _, answer in calls:
                        if not answer.done():
                            answer.set_exception(error)
                    continue
                at = 0
                for items, answer in calls:
                    if not answer.done():
                        answer.set_result(list(answers[at : at + len(items)]))
                    at += len(items)
        finally:
            self._runner = None

    def _next(self) -> list[tuple[list[Item], asyncio.Future[list[Answer]]]]:
        """The calls of the next batch; those whose callers gave up are dropped."""
        calls: list[tuple[list[Item], asyncio.Future[list[Answer]]]] = []
        size = 0
        while self._waiting:
            items, answer = self._waiting[0]
            if calls and size + len(items) > self._most:
                break
            self._waiting.popleft()
            if not answer.cancelled():
                calls.append((items, answer))
                size += len(items)
        return calls
