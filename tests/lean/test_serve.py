"""`burnqed lean serve` as a process: Pantograph's arguments, framing and errors; faults; and PyPantograph itself on it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from burnqed.lean.embedded.install import EmbeddedLean
from burnqed.lean.pretty_json import pretty

pytestmark = pytest.mark.lean
SERVE = (sys.executable, "-m", "burnqed", "lean", "serve")
SWAP = "∀ (p q: Prop), p ∨ q → q ∨ p"


class Served:
    """The process, talked to as PyPantograph does: write a line, read a line."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [*SERVE, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.first = self.line()

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().decode()

    def send(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode() + b"\n")
        self.process.stdin.flush()

    def ask(self, command: str, **payload: Any) -> dict[str, Any]:
        self.send(f"{command} {json.dumps(payload, ensure_ascii=False)}")
        reply: dict[str, Any] = json.loads(self.line())
        return reply

    @property
    def lean_pid(self) -> int:
        """The Lean behind it."""
        (child,) = psutil.Process(self.process.pid).children()
        return int(child.pid)

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="module")
def started(lean: EmbeddedLean) -> Iterator[Served]:
    served = Served("Init", "--pp.funBinderTypes=true")
    yield served
    served.close()


@pytest.fixture
def served(started: Served) -> Served:
    assert "error" not in started.ask("reset")
    return started


def gone(pid: int) -> bool:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


def test_the_first_line_and_the_literal_pairs_of_the_protocol(served: Served) -> None:
    assert served.first == "ready.\n", "noise of the embedded Lean stays inside"
    assert served.ask("goal.start", expr=SWAP) == {"root": "_uniq.9", "stateId": 0}
    served.send('goal.tactic {"stateId":0,"tactic":"intro x"}')
    line = served.line()
    reply = json.loads(line)
    assert line == json.dumps(reply, ensure_ascii=False, sort_keys=True, separators=(",", ":")) + "\n"
    (goal,) = reply["goals"]
    assert goal["target"] == {"pp": "∀ (q : Prop), x ∨ q → q ∨ x"}
    assert (goal["name"], goal["fragment"]) == ("_uniq.11", "tactic")
    assert {k: reply[k] for k in ("hasSorry", "hasUnsafe", "messages", "nextStateId")} == {
        "hasSorry": False,
        "hasUnsafe": False,
        "messages": [],
        "nextStateId": 1,
    }
    assert served.ask("goal.tactic", stateId=0, tactic="sorry")["hasSorry"]
    parse = served.ask("goal.tactic", stateId=0, tactic="foo")
    assert parse["parseError"] == "<Pantograph>:1:1: unknown tactic"
    failed = served.ask("goal.tactic", stateId=0, tactic="exact p")
    assert "goals" not in failed
    assert failed["messages"][0]["severity"] == "error"
    echo = served.ask("expr.echo", expr="λ {α : Sort (u + 1)} => List α", levels=["u"])
    assert echo["type"] == {"pp": "{α : Type u} → Type u"}


def test_input_forms_and_errors(served: Served) -> None:
    served.send("stat")
    assert json.loads(served.line()) == {"nGoals": 0}
    served.send('{"cmd":"stat","payload":{}}')
    assert json.loads(served.line()) == {"nGoals": 0}
    assert served.ask("stat", nonce=[1, "x"])["nonce"] == [1, "x"], (
        "ours inside is not seen; the caller's own comes back"
    )
    assert served.ask("invalid") == {"error": "command", "desc": "Unknown command invalid"}
    for bad in ("stat {", '{"cmd":', '{"command":"stat"}', "goal.start [1]", "goal.start 17"):
        served.send(bad)
        reply = json.loads(served.line())
        assert reply["error"] == "command", bad
        assert reply["desc"].startswith("Unable to parse json"), bad
    assert served.ask("goal.print", stateId=7) == {"error": "index", "desc": "Invalid state index 7"}
    assert served.ask("goal.load", path="/none")["error"] == "io"


def test_lean_options_are_arguments(served: Served) -> None:
    assert served.ask("expr.echo", expr="fun x : Nat => x")["expr"] == {"pp": "fun (x : Nat) => x"}


def test_replies_on_several_lines(served: Served) -> None:
    served.ask("goal.start", expr=SWAP)
    served.ask("goal.tactic", stateId=0, tactic="intro p q h")
    plain = served.ask("goal.print", stateId=1, goals=True)
    assert served.ask("options.set", printJsonPretty=True) == {}
    served.send('goal.print {"stateId":1,"goals":true}')
    lines = [served.line()]
    while lines[-1].rstrip() != pretty(plain).splitlines()[-1]:
        lines.append(served.line())
    assert "".join(lines) == pretty(plain) + "\n"
    assert len(lines) > 3
    assert json.loads("".join(lines)) == plain
    served.send('options.set {"printJsonPretty":false}')
    assert served.line() == "{}\n"


def test_long_lines_both_ways(served: Served) -> None:
    text = "𝔸" * 2_600_000  # over 10 MB
    assert served.ask("expr.echo", expr=f'"{text}"')["expr"]["pp"] == f'"{text}"'


def test_a_lean_that_dies_between_requests_is_not_noticed(served: Served) -> None:
    served.ask("goal.start", expr=SWAP)
    before = served.ask("goal.tactic", stateId=0, tactic="intro p q h; cases h")
    os.kill(served.lean_pid, signal.SIGKILL)
    state = before["nextStateId"]
    assert served.ask("goal.print", stateId=state, goals=True)["goals"] == before["goals"]
    assert served.ask("goal.tactic", stateId=0, tactic="intro p q h; cases h")["goals"] == before["goals"]


def test_nor_one_that_dies_during_a_request(served: Served) -> None:
    served.ask("goal.start", expr="∀ n : Nat, n = n")
    served.send('goal.tactic {"stateId":0,"tactic":"intro n; sleep 2000; rfl"}')
    time.sleep(0.5)
    os.kill(served.lean_pid, signal.SIGKILL)
    assert json.loads(served.line())["goals"] == []


def test_its_limit_of_time_holds_for_what_does_not_look_at_it(served: Served) -> None:
    served.ask("goal.start", expr="∀ n : Nat, n = n")
    assert served.ask("options.set", timeout=100) == {}
    reply = served.ask("goal.tactic", stateId=0, tactic="intro n; sleep 20000; rfl")
    assert served.ask("options.set", timeout=0) == {}
    assert (reply.get("error"), reply.get("desc")) == ("io", "interrupt") or "goals" not in reply
    assert served.ask("goal.tactic", stateId=0, tactic="intro n; rfl")["goals"] == []


def test_signals_and_deaths_leave_nothing(lean: EmbeddedLean) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        served = Served()  # nothing imported, not even Init
        assert served.ask("expr.echo", expr="Nat")["error"], "not even Nat is there"
        assert served.ask("expr.echo", expr="Type")["type"] == {"pp": "Type 1"}
        pid = served.lean_pid
        served.send("stat")
        began = time.monotonic()
        served.process.send_signal(number)
        assert served.process.wait(10) == -number
        assert time.monotonic() - began < 5
        assert gone(pid)
        served.close()


def test_it_ends_with_its_input(lean: EmbeddedLean) -> None:
    done = subprocess.run([*SERVE, "Init"], input="stat\n\nstat\n", capture_output=True, text=True, check=True)
    assert done.stdout == 'ready.\n{"nGoals":0}\n', "an empty line ends it"
    done = subprocess.run([*SERVE, "Init"], input="stat\nstat", capture_output=True, text=True, check=True)
    assert done.stdout == 'ready.\n{"nGoals":0}\n{"nGoals":0}\n'


def test_it_ends_with_its_client_even_during_a_request(lean: EmbeddedLean) -> None:
    served = Served("Init")
    pid = served.lean_pid
    served.ask("goal.start", expr="∀ n : Nat, n = n")
    served.send('goal.tactic {"stateId":0,"tactic":"intro n; sleep 60000; rfl"}')
    time.sleep(0.2)
    assert served.process.stdin is not None
    assert served.process.stdout is not None
    served.process.stdin.close()
    served.process.stdout.close()
    served.process.wait(10)
    assert gone(pid)
    assert served.process.stderr is not None
    served.process.stderr.close()


def test_version_and_script(tmp_path: Path) -> None:
    script = tmp_path / "pantograph-repl"
    subprocess.run([*SERVE, "--install-as", str(script)], check=True)
    assert subprocess.run([str(script), "--version"], capture_output=True, text=True, check=True).stdout == "0.3.14\n"
    bad = subprocess.run([*SERVE, "--install-as", str(tmp_path / "no" / "x")], capture_output=True, text=True)
    assert (bad.returncode, bad.stderr.count("\n")) == (2, 1)


def test_pypantograph_runs_on_it_unmodified(lean: EmbeddedLean, tmp_path: Path, monkeypatch: Any) -> None:
    server = pytest.importorskip("pantograph.server", reason="PyPantograph is not installed")
    script = tmp_path / "pantograph-repl"
    subprocess.run([*SERVE, "--install-as", str(script)], check=True)
    monkeypatch.setattr(server, "_get_proc_path", lambda: script)
    assert server.get_version() == "0.3.14"
    talk = server.Server(imports=["Init"], timeout=120)
    pid = talk.proc.pid
    try:
        state = talk.goal_start("forall (p q: Prop), Or p q -> Or q p")
        state = talk.goal_tactic(state, "intro p q h")
        state = talk.goal_tactic(state, "cases h")
        state = talk.goal_tactic(state, "apply Or.inl", site=server.Site(goal_id=1))
        for _ in range(2):
            state = talk.goal_tactic(state, "first | assumption | (apply Or.inr; assumption)")
        assert state.is_solved
        assert talk.goal_root(state).startswith("fun p q h")
        with pytest.raises(server.TacticFailure):
            talk.goal_tactic(talk.goal_start("False"), "trivial")
        assert talk.expr_type("fun n : Nat => n") == "Nat → Nat"
        (target,) = talk.load_sorry("theorem mystery (p: Prop) : p → p := sorry")
        assert talk.goal_tactic(target.goal_state, "exact id").is_solved
        (unit,) = talk.check_compile("example (p: Prop) : p -> p := id")
        assert unit.messages == []
        assert talk.check_track("def f : Nat := sorry", "def f : Nat := 3").succeeded
        talk.gc()
    finally:
        talk._close()
    assert gone(pid)
