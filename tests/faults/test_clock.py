"""The wall clock may jump: nothing on the Lean side looks at it."""

from __future__ import annotations

import ast
import itertools
import os
import time
from pathlib import Path

import psutil
import pytest
from tests.faults.lab import FaultLab, told

import burnqed
from burnqed.core.theorem import Theorem
from burnqed.lean.pool import sweep_orphans
from burnqed.lean.process import owner_is_dead, owner_tag

ROOT = Path(burnqed.__file__).parent
TIMED = [p for part in ("core", "lean", "verify", "search", "run") for p in sorted((ROOT / part).rglob("*.py"))]
WALL_CLOCKS = {"time", "time_ns", "ctime", "localtime", "gmtime", "now", "utcnow", "today", "create_time", "boot_time"}
WALL_MODULES = {"time", "datetime", "date", "psutil"}
ALLOWED = {("lean/process.py", "create_time")}  # where there is no /proc


def wall_clocks(source: str) -> set[str]:
    """The wall clocks that a source reads."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in WALL_CLOCKS:
            root = ast.unparse(node.value).split("(")[0].split(".")
            if WALL_MODULES & set(root):
                found.add(node.attr)
        if isinstance(node, ast.ImportFrom) and node.module in ("time", "datetime"):
            found |= {alias.name for alias in node.names} - {"monotonic", "perf_counter", "sleep"}
    return found


@pytest.mark.parametrize("path", TIMED, ids=lambda p: str(p.relative_to(ROOT)))
def test_limits_are_measured_with_the_monotonic_clock(path: Path) -> None:
    inside = path.relative_to(ROOT).as_posix()
    assert {w for w in wall_clocks(path.read_text(encoding="utf-8")) if (inside, w) not in ALLOWED} == set()


def test_the_scan_sees_a_wall_clock() -> None:
    assert wall_clocks("import time\nx = time.time()") == {"time"}
    assert wall_clocks("import datetime\nx = datetime.datetime.now()") == {"now"}
    assert wall_clocks("from time import time") == {"time"}
    assert wall_clocks("x = psutil.Process(3).create_time()") == {"create_time"}
    assert wall_clocks("import time\nx = time.monotonic()\ny = loop.time()") == set()


@pytest.fixture
def jumping(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wall clock that is set at each look, and a time of boot that moves with it."""
    jumps = itertools.cycle([0.0, 1e9, -1e9, 4e9, 3600.0, -1.0])
    monkeypatch.setattr(time, "time", lambda: next(jumps))
    monkeypatch.setattr(time, "time_ns", lambda: int(next(jumps) * 1e9))
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: next(jumps))
    monkeypatch.setattr(psutil, "boot_time", lambda: next(jumps))


async def test_a_session_while_the_wall_clock_jumps(tmp_path: Path, jumping: None) -> None:
    lab = FaultLab(tmp_path, {"spots": {"tactics double": "hang"}})
    async with lab.pool(max_age_s=100) as pool, pool.lease() as session:
        ref, _ = await session.start(Theorem("t", "theorem t : reach 3 8"))
        assert told(await session.apply(ref, ["inc", "double"])) == ["⊢ 4 → 8", "⊢ 6 → 8"]
        assert 0 <= session.process.age_s < 100
        assert pool.replaced == 1, "by the hang, not by age"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
async def test_nobody_is_taken_for_an_orphan_when_the_wall_clock_was_set(tmp_path: Path, jumping: None) -> None:
    """The time of a process's start in seconds since 1970 moves with the clock: a sweep would kill everybody's workers."""
    assert not owner_is_dead(owner_tag())
    lab = FaultLab(tmp_path, {})
    process = await lab.start()
    try:
        sweep_orphans()
        os.kill(process.pid, 0)
        assert len(lab.alive()) == 1
    finally:
        await process.close()
