"""The event loop behind every client: in a thread of its own, so that both ways of calling work wherever they are.

A notebook and an asynchronous program have a loop running already, and a plain script has none. Requests are always made
on this one; ``await`` waits for it from any loop, and the synchronous methods wait for it from any thread.
"""

from __future__ import annotations

import asyncio
import functools
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar

S = TypeVar("S")
P = ParamSpec("P")
T = TypeVar("T")


class Background:
    """An event loop in a daemon thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._pid = os.getpid()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True, name="burnqed-lean")
        self._thread.start()

    @property
    def usable(self) -> bool:
        """Whether the thread is there; after a fork it is not."""
        return self._pid == os.getpid() and self._thread.is_alive()

    def wait_for(self, work: Coroutine[Any, Any, T], timeout_s: float | None = None) -> T:
        """Do it there, and wait here. Interrupted, it is cancelled."""
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError(
                "a synchronous method cannot be called on the client's own loop; await the one in _async"
            )
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            return future.result(timeout_s)
        except BaseException:
            future.cancel()
            raise

    async def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Do it there, and await it here."""
        if asyncio.get_running_loop() is self.loop:
            return await work
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self.loop))


_shared: list[Background] = []
_lock = threading.Lock()


def background() -> Background:
    """The one that all clients of this process share; started at first use."""
    with _lock:
        if not _shared or not _shared[-1].usable:
            _shared[:] = [Background()]
        return _shared[-1]


def blocking(method: Callable[Concatenate[S, P], Coroutine[Any, Any, T]]) -> Callable[Concatenate[S, P], T]:
    """The synchronous twin of an asynchronous method."""

    @functools.wraps(method)
    def wait(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return background().wait_for(method(self, *args, **kwargs))

    return wait
