"""Limits of the Lean side."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import psutil
from pydantic import BaseModel, Field

WORKER_MB = 1300
"""Memory to count on for one embedded worker: 0.5 GB after its start, the rest for what proofs leave behind."""

NATIVE_WORKER_MB = 4000
"""The same for a native worker with Mathlib. Most of it are compiled files that all workers share."""


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
    worker_mb: int = Field(WORKER_MB, ge=1, description="memory to count on for one worker when they are counted")
    sweep_every: int = Field(500, ge=1, description="theorems between two sweeps for processes that nobody owns")

    def worker_count(self) -> int:
        """The number of workers to run, at least one and never more than memory allows."""
        if self.workers:
            return self.workers
        return default_workers(os.cpu_count() or 1, psutil.virtual_memory().available // 2**20, self.worker_mb)


class NativeConfig(BaseModel, frozen=True, extra="forbid"):
    """Where a native Lean is and how it is shut in. What is left empty is looked for, see ``lean.native.find``."""

    pantograph: Path | None = Field(None, description="Pantograph's executable")
    project: Path | None = Field(None, description="the Lake project whose modules are imported")
    lean_path: str = Field("", description="LEAN_PATH, for a project where `lake env` must not or cannot run")
    toolchain: str = Field("", description="the Lean version that the project must have, such as 4.28.0; empty = any")
    options: tuple[str, ...] = Field((), description="Lean options, such as pp.raw=true")
    lake_timeout_s: float = Field(
        120.0, gt=0, description="how long `lake env` may take; elan may fetch a toolchain in it"
    )
    sandbox: Literal["auto", "required", "off"] = Field(
        "auto", description="bubblewrap: where it works, always (an error without it), or never"
    )
    readable: tuple[Path, ...] = Field(
        (), description="what the sandbox shall not hide although it is in a hidden folder"
    )
    address_space_mb: int = Field(
        0, ge=0, description="RLIMIT_AS; 0 = none, since compiled files are mapped and count in full"
    )
    cpu_s: int = Field(14_400, ge=0, description="RLIMIT_CPU of one process, all threads together; 0 = none")
    file_mb: int = Field(1024, ge=0, description="RLIMIT_FSIZE: the largest file that a process may write; 0 = none")


def native_lean_config(workers: int = 0) -> LeanConfig:
    """The limits for native processes: 8 GB each, and more time to start, since Mathlib may come from a cold disk."""
    return LeanConfig(workers=workers, rss_limit_mb=8192, worker_mb=NATIVE_WORKER_MB, ready_timeout_s=300.0)


def default_workers(cpus: int, available_mb: int, worker_mb: int = WORKER_MB) -> int:
    """min(16, ¾ of the cores), at least one, never more than fit into the memory that is free now."""
    return max(1, min(16, int(0.75 * cpus), available_mb // worker_mb))
