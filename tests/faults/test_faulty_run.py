"""Two hundred theorems under every fault at once: the same results as without, nothing left behind, in bounded time."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.faults.lab import START_FAULTS, FaultLab
from tests.faults.toy_lean import KINDS

from burnqed.core.state import ProofState
from burnqed.core.tactic import Candidate
from burnqed.core.theorem import Theorem
from burnqed.observe.fan_out import FanOut
from burnqed.run.folder import RunFolder
from burnqed.run.prove import Prover
from burnqed.run.result import TheoremResult
from burnqed.search.config import SearchConfig
from burnqed.testing.fakes import ManualClock, ToyValue
from burnqed.verify.gate import FreshProcessGate

CONFIG = SearchConfig(max_nodes=14, slice_size=4)


def theorems(count: int) -> list[Theorem]:
    """Statements of which most have a proof of a few steps; some have none within the budget."""
    chance = random.Random(7)
    pairs = [(chance.randrange(1, 20), chance.randrange(1, 45)) for _ in range(count)]
    return [Theorem(f"t{i}", f"theorem t{i} : reach {a} {b}") for i, (a, b) in enumerate(pairs)]


class Greedy:
    """Proposes all moves of the toy logic, best first by how near they bring the first goal."""

    async def propose(self, states: Sequence[ProofState], n: int) -> list[list[Candidate]]:
        return [self._ranked(state)[:n] for state in states]

    def _ranked(self, state: ProofState) -> list[Candidate]:
        a, b = map(int, state.goals[0].target.split(" → "))
        left = {"close": 0 if a == b else 50, "inc": abs(b - a - 1), "dec": abs(b - a + 1), "double": abs(b - 2 * a)}
        found = [Candidate(tactic, -0.1 * far) for tactic, far in (left | {"split": abs(b - a) // 2 + 2}).items()]
        return sorted(found, key=lambda c: (-c.logprob_nats, c.text))


async def run(
    folder: Path, plan: dict[str, Any], count: int, *, start_rate: float
) -> tuple[list[TheoremResult], FaultLab]:
    lab = FaultLab(folder / "lab", plan, start_rate=start_rate)
    out = RunFolder.create(folder / "run", {})
    async with lab.pool(workers=4, max_requests=60) as pool, FreshProcessGate(lab.spawn_for_gate, timeout_s=1) as gate:
        prover = Prover(
            pool=pool,
            gate=gate,
            policy=Greedy(),
            value=ToyValue(),
            config=CONFIG,
            events=FanOut(out.trajectory),
            clock=ManualClock(),
            folder=out,
        )
        results = await prover.prove_all(theorems(count), lambda result: None)
    assert lab.alive() == []
    return results, lab


def essence(result: TheoremResult) -> tuple[object, ...]:
    return (result.name, result.status, result.proof, result.nodes, result.tactics, result.axioms, result.reason)


@pytest.mark.timeout(180)
async def test_two_hundred_theorems(tmp_path: Path) -> None:
    me, tasks = psutil.Process(), asyncio.all_tasks()
    others = set(me.children(recursive=True))  # the Lean that other tests share, for one
    (tmp_path / "well").mkdir()
    (tmp_path / "ill").mkdir()
    well, _ = await run(tmp_path / "well", {}, 200, start_rate=0)
    statuses = [r.status for r in well]
    assert statuses.count("proved") > 100
    assert statuses.count("not_proved") > 20
    files, began = me.num_fds(), time.monotonic()
    ill, lab = await run(tmp_path / "ill", {"rate": 0.03, "seed": 3}, 200, start_rate=0.1)
    took_s = time.monotonic() - began
    assert [essence(r) for r in ill] == [essence(r) for r in well]
    assert set(lab.faults) == set(KINDS), "every kind has happened"
    assert set(lab.starts) == {"normal", *START_FAULTS}
    assert lab.faults.total() > 100
    print(f"{lab.faults.total()} faults {dict(lab.faults)}, starts {dict(lab.starts)}, {took_s:.1f} s")
    assert took_s < 60
    await asyncio.sleep(0.05)
    assert asyncio.all_tasks() == tasks
    assert me.num_fds() <= files
    assert set(me.children(recursive=True)) <= others
