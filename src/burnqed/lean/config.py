"""Limits of the Lean side."""

from __future__ import annotations

import os

import psutil
from pydantic import BaseModel, Field

WORKER_MB = 1300
"""Memory to count on for one embedded worker: 0.9 GB after its start, the rest for what proofs leave behind."""


class LeanConfig(BaseModel, frozen=True, extra="forbid"):
    """How Lean processes are run. The defaults are the settled ones (30 s, 1000 requests, 30 minutes)."""

    request_timeout_s: float = Field(
        30.0, gt=0, description="a request without any sign of life for so long is given up"
    )
    statement_timeout_s: float = Field(
        120.0, gt=0, description="how long elaborating a statement may take; some take a minute"
    )
    ready_timeout_s: float = Field(180.0, gt=0, description="how long a process may take to start")
    max_requests: int = Field(1000, ge=1, description="a process is replaced after so many requests")
    max_age_s: float = Field(1800.0, gt=0, description="or after so long")
    rss_limit_mb: int = Field(2000, ge=256, description="or when it holds more memory than this")
    max_heartbeats: int = Field(
        200_000, ge=1, description="Lean's own limit for one tactic, in thousands of small allocations"
    )
    workers: int = Field(0, ge=0, description="processes at once; 0 = as many as cores and memory allow")
    sweep_every: int = Field(500, ge=1, description="theorems between two sweeps for processes that nobody owns")

    def worker_count(self) -> int:
        """The number of workers to run, at least one and never more than memory allows."""
        if self.workers:
            return self.workers
        return default_workers(os.cpu_count() or 1, psutil.virtual_memory().available // 2**20)


def default_workers(cpus: int, available_mb: int) -> int:
    """min(16, ¾ of the cores), at least one, never more than fit into the memory that is free now."""
    return max(1, min(16, int(0.75 * cpus), available_mb // WORKER_MB))
