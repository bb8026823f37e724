"""Requests of many clients, put together into batches of like lengths for one model thread."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from burnqed.core.errors import ServerUnavailable

_CLOSING = "the server is shutting down"

Result = TypeVar("Result")


@dataclass
class _Waiting(Generic[Result]):
    """A row of tokens, since when it waits, and where its result goes."""

    ids: Sequence[int]
    since_s: float
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Result]


class Batcher(Generic[Result]):
    """One thread that takes batches from what waits and runs ``run`` on them.

    While a batch runs, rows of further requests gather, and the thread itself takes the next batch the moment it is free, so
    that a busy event loop cannot leave the model idle. A batch holds the row that has waited longest and others of about its
    length, up to ``max_batch_tokens()`` tokens with padding; ``cost_tokens`` says what a batch costs however small it is (see
    :func:`closest`). A row that finds the thread idle waits at most ``linger_s`` for company. ``run`` gives one result for each
    row, in order; whatever it raises is raised by the futures of all of them.
    """

    def __init__(
        self,
        run: Callable[[list[Sequence[int]]], Sequence[Result]],
        *,
        max_batch_tokens: Callable[[], int],
        linger_s: float,
        cost_tokens: int = 0,
    ) -> None:
        self._run = run
        self._max_batch_tokens = max_batch_tokens
        self._linger_s = linger_s
        self._cost_tokens = cost_tokens
        self._changed = threading.Condition()
        self._waiting: list[_Waiting[Result]] = []
        self._thread: threading.Thread | None = None
        self._closing = False
        self.batches = 0
        self.rows = 0

    def submit(self, rows: Sequence[Sequence[int]]) -> list[asyncio.Future[Result]]:
        """A future for each row of tokens; call it on the event loop. Raises ServerUnavailable once it is closed."""
        loop = asyncio.get_running_loop()
        now_s = time.monotonic()
        added = [_Waiting[Result](ids, now_s, loop, loop.create_future()) for ids in rows]
        with self._changed:
            if self._closing:
                raise ServerUnavailable(_CLOSING)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="model", daemon=True)
                self._thread.start()
            self._waiting += added
            self._changed.notify()
        return [one.future for one in added]

    def close(self) -> None:
        """Take no more rows, give up those that wait, finish the batch that runs, end the thread. Blocking."""
        with self._changed:
            self._closing = True
            given_up, self._waiting = self._waiting, []
            self._changed.notify()
        _deliver(given_up, ServerUnavailable(_CLOSING))
        if self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        while batch := self._next():
            self.batches += 1
            self.rows += len(batch)
            try:
                results = self._run([one.ids for one in batch])
                assert len(results) == len(batch), "one result for each row"
            except Exception as error:
                _deliver(batch, error)
            else:
                _deliver(batch, results)

    def _next(self) -> list[_Waiting[Result]]:
        """The next batch; empty when there will be none any more."""
        with self._changed:
            while not self._waiting and not self._closing:
                self._changed.wait()
            while self._waiting and not self._closing and not self._full():
                left_s = self._waiting[0].since_s + self._linger_s - time.monotonic()
                if left_s <= 0:
                    break
                self._changed.wait(left_s)
            if not self._waiting:
                return []
            lengths = [len(one.ids) for one in self._waiting]
            chosen = set(closest(lengths, self._max_batch_tokens(), cost_tokens=self._cost_tokens))
            batch = [one for i, one in enumerate(self._waiting) if i in chosen]
            self._waiting = [one for i, one in enumerate(self._waiting) if i not in chosen]
            return batch

    def _full(self) -> bool:
        return sum(len(one.ids) for one in self._waiting) >= self._max_batch_tokens()


def closest(lengths: Sequence[int], max_tokens: int, *, cost_tokens: int = 0) -> list[int]:
    """Which rows go together: row 0, which has waited longest, and those closest to it in length.

    Rows times the longest of them, which is what the model computes, is at most ``max_tokens``, but row 0 goes in any case. Of
    the batches that grow around row 0 in this way, the one that wastes least: the largest share of tokens that are not padding,
    where a batch costs ``cost_tokens`` by itself. Indices in order of length.
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    low = high = order.index(0)
    width = content = lengths[0]
    best, best_share = (low, high), 0.0
    while True:
        share = content / (width * (high - low + 1) + cost_tokens)
        if share >= best_share:
            best, best_share = (low, high), share
        room = max_tokens // (high - low + 2)
        shorter = width - lengths[order[low - 1]] if low > 0 and width <= room else None
        following = lengths[order[high + 1]] if high + 1 < len(order) else None
        longer = following - width if following is not None and following <= room else None
        if shorter is None and longer is None:
            return order[best[0] : best[1] + 1]
        if longer is None or (shorter is not None and shorter <= longer):
            low -= 1
            content += lengths[order[low]]
        else:
            high += 1
            width = lengths[order[high]]
            content += width


def _deliver(batch: Sequence[_Waiting[Result]], outcome: Sequence[Result] | Exception) -> None:
    """Hand results, or what went wrong, to the event loops that wait, each woken once."""

    def tell(loop: asyncio.AbstractEventLoop) -> None:
        for number, one in enumerate(batch):
            if one.loop is not loop or one.future.done():
                continue
            if isinstance(outcome, Exception):
                one.future.set_exception(outcome)
            else:
                one.future.set_result(outcome[number])

    for loop in {one.loop for one in batch}:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(tell, loop)
