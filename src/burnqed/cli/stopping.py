"""Ending in order when a person or the system asks for it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def stopping() -> Iterator[Callable[[], bool]]:
    """Within it, SIGINT and SIGTERM only raise a flag, which the yielded function reads; a second one ends at once."""
    asked = False

    def ask(number: int, frame: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def cancelled_by_ctrl_c(task: asyncio.Future[Any]) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM cancel the task, so that everything is closed in order."""
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)
    for s in signals:
        loop.add_signal_handler(s, task.cancel)
    try:
        yield
    finally:
        for s in signals:
            loop.remove_signal_handler(s)
