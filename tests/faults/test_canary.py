"""A Lean that says yes to everything is found out, and nothing that it said stands."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from burnqed.core.errors import CanaryProved
from burnqed.core.outcome import Verdict
from burnqed.core.theorem import Theorem
from burnqed.lean.config import LeanConfig
from burnqed.lean.pool import WorkerPool
from burnqed.lean.process import Launch, LeanProcess
from burnqed.observe.fan_out import FanOut
from burnqed.run.folder import RunFolder
from burnqed.run.prove import Prover
from burnqed.run.result import TheoremResult
from burnqed.search.config import SearchConfig
from burnqed.testing.fakes import ManualClock, ScriptedPolicy, ToyValue
from burnqed.verify.canary import GATE_CANARIES, SESSION_CANARIES, CanaryRounds, try_on_process, try_on_session
from burnqed.verify.gate import FreshProcessGate

# What it believes: "all", whatever it is told; "own name", that a theorem proves itself; "after", all but only once it
# has accepted a proof, as one that a proof has taken over; "other", any source that is right for some statement.
CREDULOUS = r"""
import json, sys
believes, taken_over = sys.argv[1], False
print("ready.", flush=True)
for line in sys.stdin:
    command, _, text = line.partition(" ")
    p = json.loads(text)
    reply = {"nonce": p["nonce"]}
    if command == "goal.start":
        name = p["theorem"].split()[1]
        reply |= {"stateId": 0, "goals": [{"name": "g", "target": {"pp": p["theorem"]}, "vars": []}]}
    elif command == "goal.tactics":
        yes = lambda t: believes == "all" or (believes == "own name" and name in t) or t == "good"
        reply |= {"outcomes": [{"nextStateId": 1, "goals": []} if yes(t) else {"reason": "error"} for t in p["tactics"]]}
    elif command == "goal.verdict":
        reply |= {"accepted": True}
    elif command == "theorem.check":
        good = "good" in p["source"]
        right_for_another = believes == "other" and "(2 : Nat) = 2" in p["source"]
        reply |= {"accepted": good or taken_over or believes == "all" or right_for_another}
        taken_over = taken_over or (good and believes == "after")
    print(json.dumps(reply), flush=True)
"""
GOOD = Theorem("t", "theorem t : True")


async def credulous(believes: str) -> LeanProcess:
    launch = Launch((sys.executable, "-S", "-E", "-c", CREDULOUS, believes), {}, "/")
    return await LeanProcess.start(launch, ready_timeout_s=20)


def pool_of(believes: str) -> WorkerPool:
    return WorkerPool(lambda: credulous(believes), LeanConfig(workers=2))


@pytest.mark.parametrize("believes", ["all", "own name"])
async def test_a_session_that_believes_too_much(believes: str) -> None:
    async with pool_of(believes) as pool, pool.lease() as session:
        with pytest.raises(CanaryProved, match=r"accepted a proof of .* which is false: .*burnqed lean doctor"):
            await try_on_session(session)


async def test_a_session_that_does_not() -> None:
    async with pool_of("nothing") as pool, pool.lease() as session:
        await try_on_session(session)


@pytest.mark.parametrize("believes", ["all", "after", "other"])
async def test_a_gate_that_believes_too_much(believes: str) -> None:
    async with FreshProcessGate(lambda: credulous(believes), keep_spare=False) as gate:
        with pytest.raises(CanaryProved):
            await gate.check(GOOD, GOOD.proved_by("  good"))


async def test_a_gate_that_does_not() -> None:
    asked: list[LeanProcess] = []

    async def spawn() -> LeanProcess:
        asked.append(await credulous("nothing"))
        return asked[-1]

    async with FreshProcessGate(spawn, keep_spare=False) as gate:
        assert await gate.check(GOOD, GOOD.proved_by("  good")) == Verdict(True)
        assert not (await gate.check(GOOD, GOOD.proved_by("  bad"))).accepted
    assert [p.requests for p in asked] == [1 + len(GATE_CANARIES), 1]


@pytest.mark.parametrize(("search", "gate"), [("all", "nothing"), ("own name", "nothing"), ("nothing", "after")])
async def test_a_run_stops_and_reports_nothing(tmp_path: Path, search: str, gate: str) -> None:
    folder = RunFolder.create(tmp_path, {})
    seen: list[TheoremResult] = []
    tasks = asyncio.all_tasks()
    async with pool_of(search) as pool, FreshProcessGate(lambda: credulous(gate)) as judge:
        prover = Prover(
            pool=pool,
            gate=judge,
            policy=ScriptedPolicy(default=[("bad", -0.1), ("good", -0.5)]),
            value=ToyValue(),
            config=SearchConfig(),
            events=FanOut(folder.trajectory),
            clock=ManualClock(),
            folder=folder,
        )
        entries = [Theorem(f"t{i}", f"theorem t{i} : True") for i in range(6)]
        with pytest.raises(CanaryProved):
            await prover.prove_all(entries, seen.append)
    assert seen == []
    assert folder.finished() == {}
    assert asyncio.all_tasks() == tasks


async def test_a_run_tries_them_before_its_first_theorem_and_then_now_and_then() -> None:
    class Counting:
        started = 0

        async def start(self, theorem: Theorem) -> None:
            self.started += 1
            from burnqed.core.errors import StatementRejected

            raise StatementRejected("no")

    session, rounds, told = Counting(), CanaryRounds(every=3), []
    for _ in range(7):
        await rounds.before_theorem(session)  # type: ignore[arg-type]
        told.append(session.started // len(SESSION_CANARIES))
    assert told == [1, 1, 1, 2, 2, 2, 3]
    assert all(t.header == "" for t, _ in (*SESSION_CANARIES, *GATE_CANARIES))


async def test_a_process_that_dies_of_a_canary_does_not_pass() -> None:
    from burnqed.core.errors import WorkerLost

    process = await credulous("nothing")
    process.kill()
    with pytest.raises(WorkerLost):
        await try_on_process(process, timeout_s=5)
    await process.close()
