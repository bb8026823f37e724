"""The client with PyPantograph's names: both ways of calling, the pool, what failures look like, what is left behind."""

from __future__ import annotations

import asyncio
import copy
import gc
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from burnqed.core.errors import BadInput
from burnqed.lean import (
    Goal,
    GoalState,
    Message,
    ParseError,
    Position,
    Server,
    ServerError,
    Severity,
    Site,
    TacticFailure,
    TacticHave,
    TacticMode,
    Variable,
    get_version,
)
from burnqed.lean.client.background import background
from burnqed.lean.client.expr import tactic_fields
from burnqed.lean.config import LeanConfig
from burnqed.lean.process import Launch

TALKING = Path(__file__).with_name("talking_lean.py")
LAUNCH = Launch((sys.executable, str(TALKING), "Init"), {}, str(TALKING.parent))


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(executable=LAUNCH, timeout=5) as opened:
        yield opened


def text(state: GoalState) -> str:
    return " | ".join(g.target for g in state.goals)


def test_a_session_without_a_loop(server: Server) -> None:
    start = server.goal_start("a")
    assert start == GoalState(0, [Goal.sentence("_m0", "a")], [], start._keeper)
    one = server.goal_tactic(start, "x")
    assert (one.state_id, text(one), one.is_solved) == (1, "a in Init ; x", False)
    done = server.goal_tactic(one, "done")
    assert done.is_solved
    assert server.goal_root(done) == "a proof"
    assert server.goal_root(one) is None
    assert server.goal_verdict(done).accepted
    assert server.expr_type("1") == "Init"
    assert server.is_automatic()
    assert get_version() == "0.3.14"


async def test_and_within_one(server: Server) -> None:
    """As in a notebook: both ways, although a loop is running here."""
    start = await server.goal_start_async("a")
    assert text(server.goal_tactic(start, "x")) == "a in Init ; x"
    assert text(await server.goal_tactic_async(start, "y")) == "a in Init ; y"

    async def on_the_clients_own_loop() -> str:
        with pytest.raises(RuntimeError, match="await"):
            server.goal_tactic(start, "z")
        return text(await server.goal_tactic_async(start, "z"))

    assert await background().do(on_the_clients_own_loop()) == "a in Init ; z"


def test_failures_are_pypantographs(server: Server) -> None:
    start = server.goal_start("a")
    with pytest.raises(TacticFailure) as failed:
        server.goal_tactic(start, "fail")
    expected = Message("it fails", Position(1, 0), None, Severity.ERROR, None)
    assert failed.value.args == ([expected],)
    assert (failed.value.reason, str(failed.value)) == ("error", "1:0: error: it fails")
    with pytest.raises(TacticFailure, match="unknown tactic") as failed:
        server.goal_tactic(start, "parse")
    assert failed.value.args[0]["parseError"] == "<Pantograph>:1:1: unknown tactic"
    with pytest.raises(TacticFailure, match="Tactic generated sorry"):
        server.goal_tactic(start, "sorry")


def test_errors_of_the_server(server: Server) -> None:
    with pytest.raises(ServerError) as refused:
        server.env_module_read("Init")
    assert refused.value.args[0] == {"error": "command", "desc": "Unknown command env.module_read"}
    assert (refused.value.kind, str(refused.value)) == ("command", "command: Unknown command env.module_read")
    with pytest.raises(ParseError, match="no tactic"):
        server.env_parse(")")
    assert server.env_parse("∀ x") == ("∀", " x")
    assert server.run("nonsense", {})["error"] == "command", "a raw command gives the reply as it is"


def test_batches(server: Server, tmp_path: Path) -> None:
    start = server.goal_start("a")
    die = f"die-once {tmp_path / 'died'}"
    worked, failed, sorry, again = server.goal_tactics(start, ["x", "fail", "sorry", die])
    assert isinstance(worked, GoalState)
    assert isinstance(again, GoalState)
    assert (text(worked), text(again)) == ("a in Init ; x", "a in Init ; die-once")
    assert isinstance(failed, TacticFailure)
    assert isinstance(sorry, TacticFailure)
    assert (failed.reason, sorry.reason) == ("error", "sorry")
    mixed = server.goal_tactics(start, ["x", TacticHave("y"), "fail"])
    assert [type(o) for o in mixed] == [GoalState, GoalState, TacticFailure]


def test_a_process_that_dies_is_not_noticed(server: Server) -> None:
    start = server.goal_start("a")
    state = server.goal_tactic(start, "x")
    for _ in range(2):
        os.kill(server.pids[0], signal.SIGKILL)
        state = server.goal_tactic(state, "y")
    assert text(state) == "a in Init ; x ; y ; y"
    assert server.replaced == 2
    with pytest.raises(ServerError, match="ended"):
        server.goal_tactic(state, "die")
    assert text(server.goal_tactic(state, "z")) == "a in Init ; x ; y ; y ; z"


def test_one_that_hangs_is_given_up_in_time() -> None:
    with Server(executable=LAUNCH, timeout=0.5) as server:
        start = server.goal_start("a")
        began = time.monotonic()
        with pytest.raises(ServerError, match="no answer to goal"):
            server.goal_tactic(start, "hang")
        assert time.monotonic() - began < 8
        assert text(server.goal_tactic(start, "x")) == "a in Init ; x"


def test_states_that_nobody_holds_are_forgotten(server: Server) -> None:
    start = server.goal_start("a")
    state = server.goal_tactic(start, "x")
    twin = copy.deepcopy(state)
    del state
    gc.collect()
    assert server.to_remove_goal_states == []
    assert text(server.goal_tactic(twin, "y")) == "a in Init ; x ; y", "a copy holds it"
    del twin
    gc.collect()
    assert sorted(server.to_remove_goal_states) == [1, 2]
    server.gc()
    assert server.to_remove_goal_states == []
    assert server.run("stat", {}) == {"nGoals": 1}
    for _ in range(200):
        server.goal_tactic(start, "x")
    told = background().wait_for(server._open_workers.processes[0].request("stat", {}, dict, timeout_s=5))[1]
    assert told["nGoals"] < 100, "with the requests, and nobody called gc()"
    with pytest.raises(TypeError, match="goal_save"):
        pickle.dumps(start)


async def test_a_pool_serves_roots_at_the_same_time_and_keeps_states_together() -> None:
    config = LeanConfig(request_timeout_s=1.0)
    async with await Server.create(executable=LAUNCH, workers=2, config=config) as server:
        assert len(set(server.pids)) == 2
        starts = await asyncio.gather(*(server.goal_start_async(f"a{i}") for i in range(8)))
        assert sorted(s.state_id for s in starts) == list(range(8)), "numbers are the server's, not the worker's"
        assert {len([s for s in starts if s._keeper.worker is w]) for w in server._open_workers.workers} == {4}
        slow = asyncio.create_task(server.run_async("goal.start", {"expr": "silent"}))
        await asyncio.sleep(0.1)
        quick = [s for s in starts if s._keeper.worker.waiting == 0]
        began = time.monotonic()
        steps = await asyncio.gather(*(server.goal_tactic_async(s, "x") for s in quick))
        assert time.monotonic() - began < 0.9, "the other worker did not wait"
        assert all(text(s).endswith("; x") for s in steps)
        with pytest.raises(ServerError):
            await slow
        await server.env_add_async("f", [], "t", "v")
        types = await asyncio.gather(*(server.expr_type_async("1") for _ in range(6)))
        assert types == ["Init+f"] * 6, "every worker was told"
        for pid in server.pids:
            os.kill(pid, signal.SIGKILL)
        assert [text(s) for s in await asyncio.gather(*(server.goal_tactic_async(s, "y") for s in starts))] == [
            f"a{i} in Init ; y" for i in range(8)
        ]
        apart = next(s for s in starts if s._keeper.worker is not starts[0]._keeper.worker)
        with pytest.raises(ServerError, match="different workers"):
            await server.goal_continue_async(starts[0], apart)


def test_from_many_threads(server: Server) -> None:
    start = server.goal_start("a")
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda i=i: found.append(text(server.goal_tactic(start, f"t{i}")))) for i in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [f"a in Init ; t{i}" for i in range(8)]


async def test_a_request_that_is_cancelled_harms_no_other(server: Server) -> None:
    start = await server.goal_start_async("a")
    task = asyncio.create_task(server.goal_tactic_async(start, "hang"))
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert text(await server.goal_tactic_async(start, "x")) == "a in Init ; x"


def test_options_and_restart() -> None:
    with Server(executable=LAUNCH, options={"automaticMode": False, "printJsonPretty": True}) as server:
        assert not server.is_automatic()
        state = server.goal_tactic(server.goal_start("a"), "x", site=Site(goal_id=0))
        assert text(state) == "a in Init ; x by hand"
        server.env_add("f", [], "t", "v")
        server.restart()
        assert server.expr_type("1") == "Init", "afresh"
        assert server.run("options.print", {})["automaticMode"] is False
        with pytest.raises(ServerError, match="Invalid state index"):
            server.goal_tactic(state, "y")


def test_nothing_is_left_behind() -> None:
    closed = Server(executable=LAUNCH)
    dropped = Server(executable=LAUNCH)
    pids = closed.pids + dropped.pids
    closed.close()
    closed.close()
    with pytest.raises(ServerError, match="not started"):
        closed.goal_start("a")
    del dropped
    gc.collect()
    until = time.monotonic() + 5
    while any(psutil.pid_exists(pid) for pid in pids) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    broken = Launch((sys.executable, "-c", "raise SystemExit('no such module')"), {}, str(tmp_path))
    with pytest.raises(ServerError, match="no such module"):
        Server(executable=broken, config=LeanConfig(ready_timeout_s=5))
    with pytest.raises(BadInput):
        Server(project_path=tmp_path)
    with pytest.raises(BadInput):
        Server(executable=tmp_path / "none")
    late = Server(executable=LAUNCH, start=False)
    assert late.pids == []
    with pytest.raises(ServerError, match="restart"):
        late.expr_type("1")


def test_files(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "a.lean"
    file.write_text("by simp", encoding="utf-8")
    (unit,) = server.tactic_invocations(file)
    assert unit.invocations is not None
    assert [(i.before, i.after, i.tactic, i.used_constants) for i in unit.invocations] == [
        ("⊢ a", "", "by simp", ["c"])
    ] * 2
    (unit,) = server.check_compile("def a := 1")
    assert (unit.i_begin, unit.i_end, unit.messages, unit.invocations) == (0, 10, [], None)
    one, two = server.load_sorry("f")
    assert [text(t.goal_state) for t in (one, two)] == ["f 0 in Init", "f 1 in Init"]
    assert text(server.goal_continue(one.goal_state, two.goal_state)) == "f 0 in Init and f 1 in Init"
    server.goal_save(two.goal_state, tmp_path / "state")
    assert text(server.goal_load(tmp_path / "state")) == "f 1 in Init"
    server.load_definitions("f")
    assert server.env_catalog() == ["dInit", "df"]
    server.env_save(tmp_path / "env")
    server.load_header("g")
    server.env_load(tmp_path / "env")
    assert server.expr_type("1") == "Init+f"
    assert server.check_track("a", "a").succeeded
    bad = server.check_track("a", "b")
    assert (bad.succeeded, bad.feedback) == (False, ["they differ"])


def test_what_is_sent_and_shown() -> None:
    assert tactic_fields(TacticHave("p", "h")) == {"have": "p", "binderName": "h"}
    assert tactic_fields(TacticMode.CONV) == {"mode": "conv"}
    with pytest.raises(TypeError, match="not int"):
        tactic_fields(3)  # type: ignore[arg-type]
    goal = {
        "name": "_m1",
        "userName": "inl",
        "fragment": "conv",
        "target": {"pp": "?x = 1", "dependentMVars": ["_m2", "_m9"]},
        "vars": [{"userName": "n", "type": {"pp": "Nat"}, "value": {"pp": "2"}}],
    }
    parsed = Goal.parse(goal, {"_m1": 0, "_m2": 1})
    assert parsed.sibling_dep == {1}
    assert str(parsed) == "case inl\nn : Nat := 2\n| ?x = 1"
    assert parsed.variables == [Variable("Nat", "2", "n")]
    kind = {"data": "d", "severity": "warning", "kind": "hasSorry", "pos": {"line": 1, "column": 2}}
    message = Message.parse({**kind, "endPos": {"line": 1, "column": 4}})
    assert (str(message), message.kind) == ("1:2-1:4: warning: d", "hasSorry")
