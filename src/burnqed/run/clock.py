"""The machine's own clock."""

from __future__ import annotations

import time


class MonotonicClock:
    """The Clock port over the machine's own clock."""

    def now_s(self) -> float:
        """Seconds; never goes back."""
        return time.monotonic()
