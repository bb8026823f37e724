"""Process, session and pool against a fake Lean that misbehaves on request; no real Lean."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from burnqed.core.errors import ProtocolError, WorkerLost
from burnqed.core.outcome import Outcome, Refused, Stepped
from burnqed.core.theorem import Theorem
from burnqed.lean import pool as pool_module
from burnqed.lean.config import LeanConfig, default_workers
from burnqed.lean.pool import WorkerPool, sweep_orphans
from burnqed.lean.process import (
    OWNER_VARIABLE,
    BatchLost,
    Launch,
    LeanProcess,
    RequestFailed,
    owner_is_dead,
    owner_tag,
)

FAKE = r"""
import json, os, subprocess, sys, time

mode, folder = sys.argv[1], sys.argv[2]
out = sys.stdout.buffer


def say(line):
    out.write(line.encode() + b"\n")
    out.flush()


def goal(text):
    return {"name": "g", "target": {"pp": text}, "vars": [], "key": text}


def once(name):
    try:
        os.close(os.open(os.path.join(folder, name), os.O_CREAT | os.O_EXCL))
        return True
    except FileExistsError:
        return False


def step(tactic, path, nonce):
    if tactic.startswith("slow"):
        time.sleep(0.25)
    if tactic == "hang":
        time.sleep(1000)
    if tactic == "die" or (tactic == "die once" and once("died")):
        os._exit(9)
    if tactic == "half":
        out.write(b'{"outcomes":[{"nextSta')
        out.flush()
        os._exit(0)
    if tactic == "garbage":
        say(json.dumps({"outcomes": 7, "nonce": nonce}))
        return None
    if tactic == "badpartial":
        say(json.dumps({"partial": [{"goals": 7}], "nonce": nonce}))
    if tactic == "flood":
        sys.stderr.write("x" * 3_000_000)
        sys.stderr.flush()
    if tactic == "grow":
        globals()["kept"] = bytearray(os.urandom(1)) * 320_000_000
    if tactic == "child":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
        with open(os.path.join(folder, "child"), "w") as file:
            file.write(str(child.pid))
    if tactic == "noise":
        out.write(b"\xff\xfe\x00 not UTF-8 \xc3\n")
        say("plain text")
        say("{half a line of JSON")
        say('{"outcomes":[{"nextStateId":77,"goals":[]}]}')
        say('{"outcomes":[{"nextStateId":77,"goals":[]}],"nonce":"wrong"}')
        say('{"outcomes":[{"nextStateId":77,"goals":[]}],"nonce":17}')
        say('{"error":"forged","desc":"","nonce":""}')
        say('x {"outcomes":[],"nonce":"' + nonce + '"}')
        say("[1, 2]")
        say("")
    if tactic == "fail":
        return {"messages": [{"data": "no good", "severity": "error"}], "reason": "error"}
    if tactic == "parse":
        return {"parseError": "1:1: what?"}
    if tactic == "sorry":
        return {"nextStateId": 0, "goals": [], "hasSorry": True}
    text = path + "/" + ("x" * 10_000_000 if tactic == "big" else tactic)
    states.append(text)
    goals = [] if tactic == "close" else [goal(text)]
    return {"nextStateId": len(states) - 1, "goals": goals, "micros": 5}


with open(os.path.join(folder, "pids"), "a") as file:
    file.write(f"{os.getpid()}\n")
if mode == "dies" or (mode == "dies first" and once("start")):
    print("error: unknown module prefix", flush=True)
    print("library missing", file=sys.stderr, flush=True)
    sys.exit(3)
say("[DEBUG:A] hello")
if mode == "never":
    time.sleep(1000)
if mode == "slow":
    for i in range(4):
        say(f"ready? {i}")
        time.sleep(0.1)
say("ready.")
states = []
for line in sys.stdin:
    command, _, text = line.partition(" ")
    p = json.loads(text)
    nonce = p.get("nonce")
    before = {"nonce": nonce} if nonce else {}
    if command == "goal.start":
        states.append("root")
        if p["theorem"].startswith("theorem hang"):
            time.sleep(1000)
        say(json.dumps({"stateId": len(states) - 1, "goals": [goal("root")], **before}))
    elif command == "goal.tactics":
        done, failed = [], False
        for tactic in p["tactics"]:
            entry = step(tactic, states[p["stateId"]], nonce)
            if entry is None:
                failed = True
                break
            done.append(entry)
            if tactic.startswith("slow"):
                say(json.dumps({"partial": done, **before}))
                done = []
        if not failed:
            extra = [{"goals": []}] if "too many" in p["tactics"] else []
            say(json.dumps({"outcomes": done + extra, **before}))
    elif command == "goal.tactic":
        say(json.dumps({**step(p["tactic"], states[p["stateId"]], nonce), **before}))
    elif command == "goal.verdict":
        say(json.dumps({"accepted": states[p["stateId"]].endswith("/close"), "axioms": [], **before}))
    elif command == "reset":
        states = []
        say(json.dumps({"nGoals": 0, **before}))
    elif command == "goal.delete":
        say(json.dumps(before))
    else:
        say(json.dumps({"error": "command", "desc": "Unknown command " + command, **before}))
"""

THEOREM = Theorem("t", "theorem t : True")
Spawn = Callable[[], Any]


class Lab:
    """A folder with the fake, and what its processes leave there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.script = folder / "fake.py"
        self.script.write_text(FAKE)

    def launch(self, mode: str = "normal", **more: Any) -> Launch:
        argv = (sys.executable, "-S", "-E", str(self.script), mode, str(self.folder))
        return Launch(argv=argv, env={"PATH": os.environ["PATH"]}, cwd=str(self.folder), **more)

    async def start(self, mode: str = "normal", ready_timeout_s: float = 20, **more: Any) -> LeanProcess:
        return await LeanProcess.start(self.launch(mode, **more), ready_timeout_s=ready_timeout_s)

    def pool(self, mode: str = "normal", **settings: Any) -> WorkerPool:
        config = LeanConfig(**{"workers": 1, "request_timeout_s": 1.0, **settings})
        return WorkerPool(lambda: self.start(mode), config)

    @property
    def pids(self) -> list[int]:
        file = self.folder / "pids"
        return [int(line) for line in file.read_text().splitlines()] if file.exists() else []

    def alive(self) -> list[int]:
        return [pid for pid in self.pids if running(pid)]


def running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def gone(pid: int, within_s: float = 5.0) -> bool:
    """Whether a process disappears in time."""
    end = time.monotonic() + within_s
    while running(pid) and time.monotonic() < end:  # noqa: ASYNC110 - nothing tells
        await asyncio.sleep(0.02)
    return not running(pid)


def kinds(outcomes: list[Outcome]) -> list[str]:
    return ["ok" if isinstance(o, Stepped) else o.kind for o in outcomes]


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


@contextlib.asynccontextmanager
async def started(lab: Lab, mode: str = "normal", **more: Any) -> AsyncIterator[LeanProcess]:
    process = await lab.start(mode, **more)
    try:
        yield process
    finally:
        await process.close()


async def ask(process: LeanProcess, *tactics: str, timeout_s: float = 10) -> dict[str, Any]:
    await process.request("goal.start", {"theorem": ""}, dict, timeout_s=timeout_s)
    _, reply = await process.request("goal.tactics", {"stateId": 0, "tactics": tactics}, dict, timeout_s=timeout_s)
    return reply


async def test_start_request_close(lab: Lab) -> None:
    async with started(lab, "slow") as process:
        assert 0.3 < process.ready_after_s < 15
        assert (await ask(process, "ok"))["outcomes"][0]["goals"][0]["target"]["pp"] == "root/ok"
        assert process.requests == 2
        assert process.rss_mb() > 3
        assert running(process.pid)
    assert process.lost
    assert not running(process.pid)
    assert process.rss_mb() == 0
    await process.close()
    with pytest.raises(BatchLost, match="gone"):
        await process.request("stat", {}, dict, timeout_s=1)


async def test_a_process_that_is_never_ready(lab: Lab) -> None:
    with pytest.raises(WorkerLost, match="not ready after 1 s"):
        await lab.start("never", ready_timeout_s=0.6)
    assert lab.alive() == []


async def test_the_last_words_of_a_process_that_does_not_come_up(lab: Lab) -> None:
    with pytest.raises(WorkerLost, match=r"last words: .*unknown module prefix") as caught:
        await lab.start("dies")
    assert "library missing" in str(caught.value)
    with pytest.raises(WorkerLost, match=r"could not be started .*nowhere"):
        await LeanProcess.start(Launch(("/nowhere/lean",), {}, "/"), ready_timeout_s=5)


async def test_noise_is_not_an_answer(lab: Lab) -> None:
    async with started(lab) as process:
        reply = await ask(process, "noise", "fail")
        assert [entry.get("nextStateId") for entry in reply["outcomes"]] == [1, None]
        assert "nonce" in reply


async def test_a_server_that_does_not_echo_nonces(lab: Lab) -> None:
    async with started(lab, echoes_nonce=False) as process:
        reply = await ask(process, "ok")
        assert "nonce" not in reply
        assert reply["outcomes"][0]["nextStateId"] == 1


async def test_error_replies_leave_the_process_well(lab: Lab) -> None:
    async with started(lab) as process:
        with pytest.raises(RequestFailed, match="command: Unknown command foo") as caught:
            await process.request("foo", {}, dict, timeout_s=5)
        assert caught.value.kind == "command"
        assert not process.lost
        assert await ask(process, "ok")


async def test_a_reply_of_another_shape(lab: Lab) -> None:
    from burnqed.lean.protocol import BatchReply

    async with started(lab) as process:
        await process.request("goal.start", {"theorem": ""}, dict, timeout_s=5)
        with pytest.raises(ProtocolError, match=r"goal\.tactics cannot be read"):
            await process.request("goal.tactics", {"stateId": 0, "tactics": ["garbage"]}, BatchReply, timeout_s=5)
        assert process.lost


async def test_half_a_line_and_the_end(lab: Lab) -> None:
    async with started(lab) as process:
        with pytest.raises(BatchLost, match="ended") as caught:
            await ask(process, "slow ok", "half")
        assert not caught.value.timed_out
        assert len(caught.value.partial) == 1


async def test_ten_megabytes_in_one_line(lab: Lab) -> None:
    async with started(lab) as process:
        reply = await ask(process, "big")
        assert len(reply["outcomes"][0]["goals"][0]["target"]["pp"]) > 10_000_000
        echo = await process.request("goal.start", {"theorem": "y" * 10_000_000}, dict, timeout_s=20)
        assert echo[1]["stateId"] == 2


async def test_a_flood_on_standard_error_does_not_block(lab: Lab) -> None:
    async with started(lab) as process:
        reply = await ask(process, "flood", "flood", "ok")
        assert len(reply["outcomes"]) == 3
        assert sum(map(len, process.stderr_tail)) <= 40 * 2000


async def test_silence_is_given_up_and_partial_lines_are_signs_of_life(lab: Lab) -> None:
    async with started(lab) as process:
        began = time.monotonic()
        with pytest.raises(BatchLost, match=r"no answer to goal\.tactics") as caught:
            await ask(process, *["slow"] * 6, "hang", timeout_s=0.8)
        assert caught.value.timed_out
        assert len(caught.value.partial) == 6, "1.5 s of work under a limit of 0.8 s"
        assert time.monotonic() - began < 6
        assert await gone(process.pid)


async def test_the_whole_process_group_is_killed(lab: Lab) -> None:
    async with started(lab) as process:
        await ask(process, "child")
        child = int((lab.folder / "child").read_text())
        assert running(child)
    assert await gone(child)


async def test_a_tactic_that_hangs(lab: Lab) -> None:
    async with lab.pool(request_timeout_s=0.6) as pool, pool.lease() as session:
        ref, _ = await session.start(THEOREM)
        began = time.monotonic()
        outcomes = await session.apply(ref, ["ok", "fail", "hang", "parse", "slow ok"])
        assert kinds(outcomes) == ["ok", "error", "timeout", "parse", "ok"]
        assert time.monotonic() - began < 8, "the limit twice, and the starts"
        assert isinstance(outcomes[0], Stepped)
        (further,) = await session.apply(outcomes[0].ref, ["close"])
        assert isinstance(further, Stepped)
        assert (await session.verdict(further.ref)).accepted
        assert kinds(await session.apply(ref, ["hang"])) == ["timeout"]
        assert kinds(await session.apply(ref, ["ok"])) == ["ok"]


@pytest.mark.parametrize("before", [[], ["ok", "fail"], ["slow ok", "slow fail"]])
@pytest.mark.parametrize("after", [[], ["ok", "sorry"]])
async def test_a_tactic_that_kills_its_process_every_time(lab: Lab, before: list[str], after: list[str]) -> None:
    async with lab.pool() as pool, pool.lease() as session:
        ref, _ = await session.start(THEOREM)
        outcomes = await session.apply(ref, [*before, "die", *after])
        expected = [{"fail": "error", "slow fail": "ok", "sorry": "sorry"}.get(t, "ok") for t in [*before, *after]]
        assert kinds(outcomes) == [*expected[: len(before)], "crash", *expected[len(before) :]]
        assert len(lab.alive()) == 1


async def test_a_death_that_does_not_come_again(lab: Lab) -> None:
    async with lab.pool() as pool, pool.lease() as session:
        ref, _ = await session.start(THEOREM)
        assert kinds(await session.apply(ref, ["ok", "die once", "fail"])) == ["ok", "ok", "error"]
        assert pool.replaced == 1


async def test_half_a_reply_is_a_crash(lab: Lab) -> None:
    async with lab.pool() as pool, pool.lease() as session:
        ref, _ = await session.start(THEOREM)
        assert kinds(await session.apply(ref, ["ok", "half", "ok"])) == ["ok", "crash", "ok"]


@pytest.mark.parametrize("tactic", ["garbage", "badpartial", "too many"])
async def test_nonsense_is_a_crash_and_the_session_goes_on(lab: Lab, tactic: str) -> None:
    async with lab.pool() as pool, pool.lease() as session:
        ref, _ = await session.start(THEOREM)
        assert kinds(await session.apply(ref, ["ok", tactic, "fail"])) == ["ok", "crash", "error"]
        assert kinds(await session.apply(ref, ["ok"])) == ["ok"]


async def test_states_are_rebuilt_along_their_path(lab: Lab) -> None:
    async with lab.pool() as pool, pool.lease() as session:
        ref, _ = await session.start(THEOREM)
        for name in ("a", "b", "c"):
            (outcome,) = await session.apply(ref, [name])
            assert isinstance(outcome, Stepped)
            ref = outcome.ref
            os.kill(session.process.pid, signal.SIGKILL)
        assert outcome.state.goals[0].target == "root/a/b/c"
        (last,) = await session.apply(ref, ["close"])
        assert isinstance(last, Stepped)
        await session.forget([ref, last.ref])
        assert (await session.verdict(last.ref)).accepted


async def test_processes_are_replaced_by_requests_age_and_memory(lab: Lab) -> None:
    async with lab.pool(max_requests=3) as pool, pool.lease() as session:
        ref, _ = await session.start(THEOREM)
        for _ in range(6):
            assert kinds(await session.apply(ref, ["ok"])) == ["ok"]
        assert pool.replaced >= 2
    async with lab.pool(max_age_s=0.3) as pool, pool.lease() as session:
        ref, _ = await session.start(THEOREM)
        first = session.process.pid
        await asyncio.sleep(0.35)
        assert kinds(await session.apply(ref, ["ok"])) == ["ok"]
        assert session.process.pid != first
    async with lab.pool(rss_limit_mb=256, request_timeout_s=20) as pool, pool.lease() as session:
        ref, _ = await session.start(THEOREM)
        first = session.process.pid
        assert kinds(await session.apply(ref, ["grow"])) == ["ok"]
        for _ in range(30):
            assert kinds(await session.apply(ref, ["ok"])) == ["ok"]
        assert session.process.pid != first
        assert pool.replaced == 1
    assert lab.alive() == []


def test_pool_sizes() -> None:
    table = [
        ((1, 64_000), 1),
        ((2, 64_000), 1),
        ((4, 64_000), 3),
        ((16, 64_000), 12),
        ((64, 64_000), 16),
        ((64, 10_000), 7),
        ((64, 1_000), 1),
        ((0, 0), 1),
    ]
    for (cpus, free_mb), size in table:
        assert default_workers(cpus, free_mb) == size, (cpus, free_mb)
    assert LeanConfig(workers=5).worker_count() == 5
    assert 1 <= LeanConfig().worker_count() <= 16


async def test_warm_up_and_leases(lab: Lab) -> None:
    async with lab.pool(workers=2) as pool:
        await pool.warm_up(5)
        assert len(lab.pids) == 2, "no more than the pool may have"
        order: list[str] = []
        first_done = asyncio.Event()

        async def use(name: str, wait: asyncio.Event | None = None) -> None:
            async with pool.lease() as session:
                order.append(name)
                ref, _ = await session.start(THEOREM)
                assert kinds(await session.apply(ref, ["ok"])) == ["ok"]
                if wait:
                    await wait.wait()

        held = [asyncio.create_task(use("a", first_done)), asyncio.create_task(use("b", first_done))]
        third = asyncio.create_task(use("c"))
        await asyncio.sleep(0.3)
        assert order == ["a", "b"], "the third waits"
        first_done.set()
        await asyncio.gather(*held, third)
        assert order == ["a", "b", "c"]
        assert len(lab.pids) == 2, "processes are used again"
    assert lab.alive() == []


async def test_a_start_that_fails_is_tried_again(lab: Lab) -> None:
    async with lab.pool("dies first") as pool, pool.lease() as session:
        assert (await session.start(THEOREM))[1].goals[0].target == "root"
    assert len(lab.pids) == 2
    async with lab.pool("dies") as pool:
        with pytest.raises(WorkerLost, match="unknown module prefix"):
            await pool.warm_up()
    assert lab.alive() == []


async def test_closing_leaves_no_process(lab: Lab) -> None:
    pool = lab.pool(workers=3)
    await pool.warm_up(3)
    assert len(lab.alive()) == 3
    await pool.close()
    assert lab.alive() == []
    await pool.close()


async def test_cancelling_a_request_leaves_a_pool_that_works(lab: Lab) -> None:
    async with lab.pool(request_timeout_s=20) as pool:
        started_one = asyncio.Event()

        async def hang() -> None:
            async with pool.lease() as session:
                ref, _ = await session.start(THEOREM)
                started_one.set()
                await session.apply(ref, ["hang"])

        task = asyncio.create_task(hang())
        await started_one.wait()
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert lab.alive() == [], "a process in the middle of a request is of no use to anybody"
        async with pool.lease() as session:
            ref, _ = await session.start(THEOREM)
            assert kinds(await session.apply(ref, ["ok"])) == ["ok"]
        assert len(lab.alive()) == 1


async def test_cancelling_a_start_leaves_no_process(lab: Lab) -> None:
    task = asyncio.create_task(lab.start("never"))
    while not lab.pids:  # noqa: ASYNC110 - nothing tells
        await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await gone(lab.pids[0])
    await asyncio.sleep(0.05)


@pytest.mark.parametrize("after_s", [0, 0.001, 0.005, 0.02])
async def test_cancelling_while_the_process_is_made_does_not_hang(lab: Lab, after_s: float) -> None:
    """Python 3.11 waits for ever for a process that was cancelled before its pipes were connected."""
    task = asyncio.create_task(lab.start("never"))
    await asyncio.sleep(after_s)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 10)


async def test_a_statement_that_hangs_is_rejected(lab: Lab) -> None:
    from burnqed.core.errors import StatementRejected

    async with lab.pool(request_timeout_s=0.5, statement_timeout_s=0.5) as pool, pool.lease() as session:
        with pytest.raises(StatementRejected, match="could not elaborate the statement of h"):
            await session.start(Theorem("h", "theorem hang : True"))
        assert (await session.start(THEOREM))[1].goals


def test_orphans_are_swept_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    assert owner_is_dead(f"{dead.pid}:1.00")
    assert owner_is_dead(f"{os.getpid()}:1.00"), "the number was used again"
    assert owner_is_dead("nonsense")
    assert not owner_is_dead(owner_tag())

    def idle(tag: str | None) -> subprocess.Popen[bytes]:
        env = {**os.environ, **({OWNER_VARIABLE: tag} if tag else {})}
        code = "import time; print(1, flush=True); time.sleep(99)"
        process = subprocess.Popen(
            [sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, start_new_session=True
        )
        assert process.stdout is not None
        process.stdout.readline()
        return process

    ours, foreign, orphan = idle(owner_tag()), idle(None), idle(f"{dead.pid}:1.00")
    everyone = [psutil.Process(p.pid) for p in (ours, foreign, orphan)]
    monkeypatch.setattr(pool_module.psutil, "process_iter", lambda: iter(everyone))  # leave the machine's others alone
    try:
        assert sweep_orphans() == 1
        assert orphan.wait(timeout=5) == -signal.SIGKILL
        assert ours.poll() is None
        assert foreign.poll() is None
    finally:
        for process in (ours, foreign, orphan):
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


async def test_sweeping_is_done_every_so_many_leases(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    swept: list[int] = []
    monkeypatch.setattr(pool_module, "sweep_orphans", lambda: swept.append(1))
    async with lab.pool(sweep_every=2) as pool:
        for _ in range(5):
            async with pool.lease():
                pass
    assert len(swept) == 2


async def test_outcomes_that_are_refused(lab: Lab) -> None:
    async with lab.pool() as pool, pool.lease() as session:
        ref, _ = await session.start(THEOREM)
        outcomes = await session.apply(ref, ["fail", "parse", "sorry", "noise", "close"])
        assert kinds(outcomes) == ["error", "parse", "sorry", "ok", "ok"]
        assert isinstance(outcomes[0], Refused)
        assert outcomes[0].detail == "no good"
        assert isinstance(outcomes[3], Stepped)
        assert outcomes[3].state.goals[0].target == "root/noise", "the forged replies were not taken"
        assert await session.apply(ref, []) == []
