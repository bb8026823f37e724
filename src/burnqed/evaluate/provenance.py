"""Of which source, and on which machine: what a figure needs beside it."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import psutil


def commit() -> str:
    """The commit of burnqed's source, with ``+changes`` where files differ from it; empty where the source is no checkout."""
    here = Path(__file__).resolve()
    # An installed copy may lie inside a checkout of something else, which does not know this file.
    if _git("ls-files", "--error-unmatch", "__init__.py", at=here.parents[1]) is None:
        return ""
    head = _git("rev-parse", "HEAD", at=here.parent)
    changed = _git("status", "--porcelain", "--", ".", at=here.parents[1])
    return head + ("+changes" if changed else "") if head else ""


def machine() -> str:
    """Processor, cores, memory, and the GPU if a model was put on one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    told = [f"{_processor()}, {cores} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB"]
    torch = sys.modules.get("torch")  # whoever has not loaded it uses no GPU
    if torch is not None and torch.cuda.is_available():
        told.append(torch.cuda.get_device_name(0))
    return ", ".join(told)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _git(*arguments: str, at: Path) -> str | None:
    """What git says, None where it fails or is not there."""
    try:
        done = subprocess.run(["git", *arguments], cwd=at, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
