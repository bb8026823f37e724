"""When a process has served long enough."""

from __future__ import annotations

from burnqed.lean.config import LeanConfig
from burnqed.lean.process import LeanProcess

_RSS_CHECK_EVERY = 25


class Wear:
    """Says of one process after the other whether it is to be replaced. Memory is looked at now and then only."""

    def __init__(self, config: LeanConfig) -> None:
        self._config = config
        self._process: LeanProcess | None = None
        self._next_rss_check = 0

    def is_worn(self, process: LeanProcess) -> bool:
        """Whether it is lost, has answered many requests, is old, or has grown too large."""
        if process is not self._process:
            self._process, self._next_rss_check = process, 0
        config = self._config
        if process.lost or process.requests >= config.max_requests or process.age_s >= config.max_age_s:
            return True
        if process.requests < self._next_rss_check:
            return False
        self._next_rss_check = process.requests + _RSS_CHECK_EVERY
        return process.rss_mb() > config.rss_limit_mb
