"""Every way of breaking, alone: a conversation with a server that breaks once goes as with one that does not."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from tests.faults.lab import START_FAULTS, TIMEOUT_S, FaultLab, told
from tests.faults.toy_lean import DEADLY, HARMLESS, KINDS

from burnqed.core.errors import WorkerLost
from burnqed.core.outcome import Refused, Stepped, Verdict
from burnqed.core.theorem import DEFAULT_IMPORTS, Theorem
from burnqed.verify.gate import FreshProcessGate

THEOREM = Theorem("t", "theorem t : reach 3 8")
FIRST = ["inc", "close", "double", "split", "dec"]
SECOND = ["double", "inc", "close"]
PROOF = THEOREM.proved_by("  inc\n  double\n  close")


async def conversation(lab: FaultLab, *, kill: bool = False) -> list[str]:
    """Everything that a search asks of a session, and what it is told."""
    said: list[str] = []
    async with lab.pool() as pool:
        async with pool.lease() as session:
            ref, state = await session.start(THEOREM)
            said.append(state.text)
            first = await session.apply(ref, FIRST)
            said += told(first)
            assert isinstance(first[0], Stepped)
            assert isinstance(first[2], Stepped)
            if kill:
                os.kill(session.process.pid, signal.SIGKILL)
            second = await session.apply(first[0].ref, SECOND)
            said += told(second)
            await session.forget([ref, first[2].ref])
            assert isinstance(second[0], Stepped)
            (last,) = await session.apply(second[0].ref, ["close"])
            assert isinstance(last, Stepped)
            said.append(str(await session.verdict(last.ref)))
            said.append(str(await session.verdict(second[0].ref)))
        async with pool.lease() as session:
            ref, _ = await session.start(THEOREM)
            said += told(await session.apply(ref, ["inc", "split"]))
    assert lab.alive() == []
    return said


@pytest.fixture(scope="module")
async def right(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What a server that never breaks says."""
    said = await conversation(FaultLab(tmp_path_factory.mktemp("right"), {}))
    assert said.count("error") == 2
    assert said[-4:-2] == [str(Verdict(yes, axioms=("propext",))) for yes in (True, False)]
    return said


@pytest.mark.parametrize("kind", KINDS)
async def test_in_the_middle_of_a_batch(tmp_path: Path, right: list[str], kind: str) -> None:
    lab = FaultLab(tmp_path, {"spots": {"tactics double": kind}})
    assert await conversation(lab) == right
    assert lab.faults[kind] >= 2, "in the first batch, and in the second"


@pytest.mark.parametrize("kind", [k for k in (*DEADLY, *HARMLESS) if k not in ("half hang", "wrong nonce")])
async def test_in_every_other_request(tmp_path: Path, right: list[str], kind: str) -> None:
    commands = ("start", "tactic", "verdict", "delete", "reset")
    lab = FaultLab(tmp_path, {"spots": dict.fromkeys(commands, kind)})
    assert await conversation(lab, kill=True) == right
    assert lab.faults[kind] >= len(commands), "replaying meets it too"


@pytest.mark.parametrize("kind", [*DEADLY, *HARMLESS])
async def test_at_the_gate(tmp_path: Path, kind: str) -> None:
    lab = FaultLab(tmp_path, {"spots": {"check close": kind}})
    async with FreshProcessGate(lab.start, timeout_s=TIMEOUT_S) as gate:
        assert (await gate.check(THEOREM, PROOF)).accepted
    assert lab.faults[kind] >= 1
    assert lab.alive() == []


@pytest.mark.parametrize("mode", START_FAULTS)
async def test_at_the_start(tmp_path: Path, right: list[str], mode: str) -> None:
    lab = FaultLab(tmp_path, {})
    spawn, modes = lab.start, [mode]

    async def first_badly():  # type: ignore[no-untyped-def]
        return await spawn(modes.pop() if modes else "normal", ready_timeout_s=0.4 if "never" in modes else 20)

    if mode == "never":
        with pytest.raises(WorkerLost, match="not ready after"):
            await lab.start(mode, ready_timeout_s=0.4)
    else:
        lab.spawn = first_badly  # type: ignore[method-assign]
        assert await conversation(lab) == right
    assert lab.alive() == []
    async with FreshProcessGate(lab.start if mode == "never" else first_badly, timeout_s=5) as gate:
        modes.append("slow start" if mode == "never" else mode)
        assert (await gate.check(THEOREM, PROOF)).accepted


async def test_a_tactic_that_does_it_every_time_is_refused_and_nothing_else(tmp_path: Path) -> None:
    lab = FaultLab(tmp_path, {"spots": {"tactics double": "exit"}})

    async def forgetful():  # type: ignore[no-untyped-def]
        lab.forget_faults()
        return await lab.start()

    lab.spawn = forgetful  # type: ignore[method-assign]
    async with lab.pool() as pool, pool.lease() as session:
        ref, _ = await session.start(THEOREM)
        outcomes = await session.apply(ref, FIRST)
    assert told(outcomes) == ["⊢ 4 → 8", "error", "crash", "⊢ 1 → 4\n\n⊢ 2 → 4", "⊢ 2 → 8"]
    assert isinstance(outcomes[2], Refused)
    assert "the Lean process ended" in outcomes[2].detail


async def test_too_much_memory_ends_the_request_and_says_so(tmp_path: Path) -> None:
    lab = FaultLab(tmp_path, {"spots": {"tactics double": "oom"}})
    process = await lab.start()
    await process.request("goal.start", {"theorem": THEOREM.sorried}, dict, timeout_s=20)
    with pytest.raises(WorkerLost, match=r"took \d+ MB of memory, more than 150 MB"):
        await process.request("goal.tactics", {"stateId": 0, "tactics": ["double"]}, dict, timeout_s=20)
    await process.close()
    assert lab.alive() == []


async def test_a_process_that_is_stopped_is_not_waited_for_longer_than_the_limit(tmp_path: Path) -> None:
    lab = FaultLab(tmp_path, {})
    async with lab.pool() as pool, pool.lease() as session:
        ref, _ = await session.start(THEOREM)
        os.kill(session.process.pid, signal.SIGSTOP)
        assert told(await session.apply(ref, ["inc"])) == ["⊢ 4 → 8"]
        assert pool.replaced == 1


async def test_leaving_the_pool_while_a_process_is_stopped(tmp_path: Path) -> None:
    lab = FaultLab(tmp_path, {})
    async with lab.pool() as pool:
        async with pool.lease() as session:
            await session.start(THEOREM)
            os.kill(session.process.pid, signal.SIGSTOP)
        assert await asyncio.wait_for(pool.close(), 5) is None
    assert lab.alive() == []


async def test_states_know_what_their_theorem_stands_on_also_after_a_death(tmp_path: Path) -> None:
    lab = FaultLab(tmp_path, {})
    async with lab.pool() as pool, pool.lease() as session:
        ref, state = await session.start(replace(THEOREM, imports=("Init", "Std.Data.HashMap")))
        (first,) = await session.apply(ref, ["inc"])
        os.kill(session.process.pid, signal.SIGKILL)
        assert isinstance(first, Stepped)
        (second,) = await session.apply(first.ref, ["split"])
        assert isinstance(second, Stepped)
        assert {s.imports for s in (state, first.state, second.state)} == {("Init", "Std.Data.HashMap")}
        _, other = await session.start(THEOREM)
        assert other.imports == DEFAULT_IMPORTS, "the next theorem's are its own"
