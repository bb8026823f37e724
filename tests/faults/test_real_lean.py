"""The real Lean, killed and stopped at random moments of a run: the same proofs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from pathlib import Path

import pytest

from burnqed.core.theorem import Theorem
from burnqed.lean.config import LeanConfig
from burnqed.lean.embedded.install import EmbeddedLean
from burnqed.lean.embedded.server import spawner
from burnqed.lean.pool import WorkerPool
from burnqed.lean.process import LeanProcess
from burnqed.observe.fan_out import FanOut
from burnqed.policy.menu import MenuPolicy
from burnqed.policy.menu_rules import load_menu
from burnqed.run.folder import RunFolder
from burnqed.run.prove import Prover
from burnqed.search.config import SearchConfig
from burnqed.testing.fakes import FakeLean, ManualClock
from burnqed.theorems.read import read_input
from burnqed.value.trivial import TRIVIAL, TrivialValue

pytestmark = pytest.mark.lean
EXAMPLES = Path(__file__).parents[2] / "examples"
COUNT, FAULTS = 15, 3


async def run(pool: WorkerPool, folder: Path) -> list[tuple[object, ...]]:
    """The results of the first examples; the gate is one that agrees, for each of its real ones is a start of Lean."""
    entries = [e for e in read_input(str(EXAMPLES / "core.jsonl")) if isinstance(e, Theorem)][:COUNT]
    out = RunFolder.create(folder, {})
    prover = Prover(
        pool=pool,
        gate=FakeLean({}),
        policy=MenuPolicy(load_menu(None)),
        value=TrivialValue(TRIVIAL["size"]),
        config=SearchConfig(max_nodes=8),
        events=FanOut(out.trajectory),
        clock=ManualClock(),
        folder=out,
    )
    results = await prover.prove_all(entries, lambda result: None)
    return [(r.name, r.status, r.proof, r.nodes, r.tactics) for r in results]


async def test_kill_and_stop_at_random_moments(pool: WorkerPool, lean: EmbeddedLean, tmp_path: Path) -> None:
    well = await run(pool, tmp_path / "well")
    assert sum(status == "proved" for _, status, *_ in well) > COUNT / 2
    config = LeanConfig(workers=1, request_timeout_s=4)
    start, alive, chance = spawner(lean, config), list[LeanProcess](), random.Random(5)

    async def spawn() -> LeanProcess:
        alive.append(await start())
        return alive[-1]

    async def disturb() -> None:
        for number in range(FAULTS):
            before = len(alive)
            await asyncio.sleep(chance.uniform(0.05, 0.6))
            with contextlib.suppress(ProcessLookupError):  # it may have gone by itself, or with the run
                os.kill(alive[-1].pid, signal.SIGSTOP if number % 2 else signal.SIGKILL)
            while len(alive) == before:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.05)

    async with WorkerPool(spawn, config) as other:
        await other.warm_up()
        trouble = asyncio.create_task(disturb())
        ill = await run(other, tmp_path / "ill")
        trouble.cancel()
        assert other.replaced >= 2
    assert ill == well
