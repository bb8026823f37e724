"""The toy server as something that pools and gates can start, and what its processes leave behind."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import psutil

from burnqed.core.outcome import Outcome, Stepped
from burnqed.lean.config import LeanConfig
from burnqed.lean.pool import WorkerPool
from burnqed.lean.process import Launch, LeanProcess

SCRIPT = Path(__file__).with_name("toy_lean.py")
TIMEOUT_S = 0.5
START_FAULTS = ("slow start", "noisy start", "dies", "half ready", "never")


class FaultLab:
    """A folder with a plan. ``start_rate`` of the starts go wrong, but no two in a row of one task, or of the gate."""

    def __init__(self, folder: Path, plan: dict[str, Any], *, start_rate: float = 0.0) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        (folder / "plan.json").write_text(json.dumps(plan))
        self._random = random.Random(plan.get("seed", 0))
        self._start_rate = start_rate
        self._failed: set[str] = set()
        self._well = 0

    async def start(self, mode: str = "normal", *, ready_timeout_s: float = 20) -> LeanProcess:
        argv = (sys.executable, "-S", "-E", str(SCRIPT), str(self.folder), mode)
        launch = Launch(argv, {"PATH": os.environ["PATH"]}, str(self.folder), memory_limit_mb=150)
        return await LeanProcess.start(launch, ready_timeout_s=ready_timeout_s)

    async def spawn(self) -> LeanProcess:
        """Start one as it comes: well, or not."""
        task = asyncio.current_task()
        assert task is not None
        who = task.get_name()
        if who not in self._failed and self._random.random() < self._start_rate:
            self._failed.add(who)
            return await self._start_badly()
        self._failed.discard(who)
        return await self.start()

    async def spawn_for_gate(self) -> LeanProcess:
        """The same for the gate, which starts each process in a task of its own."""
        self._well += 1
        if self._well > 6 and self._random.random() < self._start_rate:
            self._well = 0
            return await self._start_badly()
        return await self.start()

    async def _start_badly(self) -> LeanProcess:
        mode = self._random.choice(START_FAULTS)
        return await self.start(mode, ready_timeout_s=0.4 if mode == "never" else 20)

    def pool(self, **settings: Any) -> WorkerPool:
        limits = {"workers": 1, "request_timeout_s": TIMEOUT_S, "statement_timeout_s": TIMEOUT_S}
        return WorkerPool(self.spawn, LeanConfig(**{**limits, **settings}))

    @property
    def starts(self) -> Counter[str]:
        """How many processes were started in each mode."""
        return Counter(mode for _, mode in self._pids())

    @property
    def faults(self) -> Counter[str]:
        """How often each fault has happened."""
        return Counter(path.name.rpartition("-")[0] for path in self.folder.iterdir() if "-" in path.name)

    def forget_faults(self) -> None:
        """Let every fault happen again."""
        for marker in self.folder.glob("*-*"):
            marker.unlink()

    def alive(self) -> list[int]:
        return [pid for pid, _ in self._pids() if running(pid)]

    def _pids(self) -> list[tuple[int, str]]:
        lines = (self.folder / "pids").read_text().splitlines()
        return [(int(line.split()[0]), line.partition(" ")[2]) for line in lines]


def running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def told(outcomes: list[Outcome]) -> list[str]:
    """Outcomes as text: the state that was reached, or the kind of the refusal."""
    return [o.state.text if isinstance(o, Stepped) else o.kind for o in outcomes]
