"""What a process does while an answer is waited for: how much memory it takes, and whether it works at all."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

import psutil

PERIOD_S = 0.5
"""Between two looks; at most a quarter of the time limit."""

BUSY_SHARE = 0.5
"""So much of a processor in the time looked at, and the process was busy."""


class Watch:
    """Looks at a process now and then during one request. Costs nothing before the first look."""

    def __init__(self, pid: int, *, timeout_s: float, limit_mb: int | None, too_large: Callable[[float], None]) -> None:
        self._pid = pid
        self._period_s = min(PERIOD_S, timeout_s / 4)
        self._limit_mb = limit_mb
        self._too_large = too_large
        self._since: tuple[float, float] | None = None
        self._next = asyncio.get_running_loop().call_later(self._period_s, self._look)

    def sign_of_life(self) -> None:
        """The process has said something: what it did before that is of no interest."""
        self._since = None

    def busy(self) -> bool:
        """Whether the process has worked since its last sign of life."""
        if self._since is None:
            return False
        passed_s, worked_s = time.monotonic() - self._since[0], _cpu_s(self._pid) - self._since[1]
        return worked_s > BUSY_SHARE * passed_s

    def stop(self) -> None:
        """End it."""
        self._next.cancel()

    def _look(self) -> None:
        if not psutil.pid_exists(self._pid):
            return
        if self._since is None:
            self._since = (time.monotonic(), _cpu_s(self._pid))
        rss_mb = resident_mb(self._pid) if self._limit_mb is not None else 0.0
        if self._limit_mb is not None and rss_mb > self._limit_mb:
            self._too_large(rss_mb)
        else:
            self._next = asyncio.get_running_loop().call_later(self._period_s, self._look)


def resident_mb(pid: int) -> float:
    """Resident memory of a process and of those it started (a sandbox's own process holds next to nothing); 0 if gone."""
    return _total(pid, lambda p: float(p.memory_info().rss)) / 2**20


def _cpu_s(pid: int) -> float:
    """Processor time of a process and of those it started, so far."""
    return _total(pid, lambda p: float(p.cpu_times().user + p.cpu_times().system))


def _total(pid: int, measure: Callable[[psutil.Process], float]) -> float:
    """A measure summed over a process and its descendants, as far as they are still there when it is their turn."""
    total = 0.0
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for member in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                total += measure(member)
    return total
