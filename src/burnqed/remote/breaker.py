"""A circuit breaker: a server that fails again and again is left alone for a while."""

from __future__ import annotations

from collections.abc import Callable


class Breaker:
    """Closed, all calls pass. After ``failures`` failed calls in a row it opens, and no call passes for ``pause_s``. Then
    one is let through: when it succeeds the breaker closes, when it fails the pause begins anew (Nygard, Release It!, 2007).
    """

    def __init__(self, *, failures: int, pause_s: float, now_s: Callable[[], float]) -> None:
        self._limit = failures
        self._pause_s = pause_s
        self._now_s = now_s
        self._failed = 0
        self._opened_s: float | None = None
        self._trying = False

    @property
    def closed(self) -> bool:
        """Whether calls pass freely."""
        return self._opened_s is None

    @property
    def wait_s(self) -> float:
        """Seconds until a call is let through; 0 when it would be now."""
        if self._opened_s is None:
            return 0.0
        return max(0.0, self._opened_s + self._pause_s - self._now_s())

    def admit(self) -> bool:
        """Whether a call may go out now. Who was admitted tells how it went, or that it was :meth:`abandoned`."""
        if self._opened_s is None:
            return True
        if self._trying or self.wait_s > 0:
            return False
        self._trying = True
        return True

    def succeeded(self) -> None:
        """The server answered."""
        self._failed = 0
        self._opened_s = None
        self._trying = False

    def failed(self) -> bool:
        """The call failed for good; true when the breaker opens by it."""
        self._failed += 1
        self._trying = False
        opens = self._failed >= self._limit
        if opens:
            self._opened_s = self._now_s()
        return opens

    def abandoned(self) -> None:
        """The call was cancelled: nothing was learned."""
        self._trying = False
