"""A Lean does not outlive the burnqed that started it, however that ended."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest

from burnqed.lean.embedded.install import EmbeddedLean
from burnqed.lean.process import OWNER_VARIABLE

pytestmark = pytest.mark.lean

PARENT = """
import asyncio
from burnqed.core.theorem import Theorem
from burnqed.lean.config import LeanConfig
from burnqed.lean.embedded.install import install
from burnqed.lean.embedded.server import spawner
from burnqed.lean.pool import WorkerPool

async def main() -> None:
    config = LeanConfig(workers=1)
    async with WorkerPool(spawner(install(), config), config) as pool, pool.lease() as session:
        ref, _ = await session.start(Theorem("t", "theorem t : True"))
        print(session.process.pid, flush=True)
        await session.apply(ref, ["sleep 60000"])

asyncio.run(main())
"""


async def test_killing_the_parent_kills_its_lean(lean: EmbeddedLean) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, stdout=asyncio.subprocess.PIPE, env=dict(os.environ)
    )
    assert parent.stdout is not None
    node = psutil.Process(int(await asyncio.wait_for(parent.stdout.readline(), 200)))
    family = [node, *node.children(recursive=True)]
    assert Path(node.exe()).name == "node"
    assert OWNER_VARIABLE in node.environ(), "the sweep would find it if it stayed"
    parent.send_signal(signal.SIGKILL)
    await parent.wait()
    end = time.monotonic() + 5
    while any(alive(p) for p in family) and time.monotonic() < end:  # noqa: ASYNC110 - nothing tells
        await asyncio.sleep(0.05)  # another process's end can only be looked for
    assert not any(alive(p) for p in family)


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
