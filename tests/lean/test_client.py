"""The client on the real server: PyPantograph's results, and what faults do to them (nothing)."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from burnqed.lean import (
    Goal,
    GoalState,
    Message,
    ParseError,
    Position,
    Server,
    ServerError,
    Site,
    Subsumption,
    TacticDraft,
    TacticExpr,
    TacticFailure,
    TacticHave,
    TacticLet,
    TacticMode,
    Variable,
)
from burnqed.lean.embedded.install import EmbeddedLean

pytestmark = pytest.mark.lean
SWAP = "forall (p q: Prop), Or p q -> Or q p"


@pytest.fixture(scope="module")
def shared(lean: EmbeddedLean) -> Iterator[Server]:
    with Server(imports=["Init"], timeout=120) as opened:
        yield opened


@pytest.fixture
def server(shared: Server) -> Server:
    shared.gc()
    return shared


def after(server: Server, expr: str, *tactics: str) -> GoalState:
    state = server.goal_start(expr)
    for tactic in tactics:
        state = server.goal_tactic(state, tactic)
    return state


def targets(state: GoalState) -> list[str]:
    return [g.target for g in state.goals]


def kill(server: Server) -> None:
    os.kill(server.pids[0], signal.SIGKILL)


def test_goals_and_tactics(server: Server) -> None:
    state = server.goal_tactic(server.goal_start(SWAP), "intro a")
    assert str(state.goals[0]) == "a : Prop\n⊢ ∀ (q : Prop), a ∨ q → q ∨ a"
    cases = after(server, SWAP, "intro a b h", "cases h")
    left = Goal(
        cases.goals[0].id, [Variable("Prop", None, x) for x in "ab"] + [Variable("a", None, "h✝")], "b ∨ a", name="inl"
    )
    assert cases.goals[0] == left
    assert cases.goals[1].name == "inr"
    one = server.goal_tactic(cases, "apply Or.inl", site=Site(goal_id=1))
    assert server.goal_tactic(one, "assumption").goals == [left]
    done = server.goal_tactic(cases, "all_goals first | (apply Or.inl; assumption) | (apply Or.inr; assumption)")
    assert done.is_solved
    assert server.goal_verdict(done).accepted
    assert (server.goal_root(done) or "").startswith("fun a b h")
    open_state = server.goal_verdict(cases)
    assert (open_state.accepted, "metavariables" in open_state.reason) == (False, True)


def test_failures(server: Server) -> None:
    state = server.goal_start("∀ p : Prop, p → p")
    with pytest.raises(TacticFailure) as failed:
        server.goal_tactic(state, "exact 1")
    assert isinstance(failed.value.args[0][0], Message)
    with pytest.raises(TacticFailure, match="unknown tactic"):
        server.goal_tactic(state, "foo")
    with pytest.raises(TacticFailure, match="sorry"):
        server.goal_tactic(state, "sorry")
    with pytest.raises(ServerError, match="foo"):
        server.goal_start("foo")


def test_batches_levels_and_keys(server: Server) -> None:
    state = server.goal_start("Sort u → Sort u", levels=["u"])
    good, bad, same = server.goal_tactics(state, ["intro x", "omega", "intro y"])
    assert isinstance(good, GoalState)
    assert isinstance(same, GoalState)
    assert isinstance(bad, TacticFailure)
    assert good.goals[0].key == same.goals[0].key is not None, "a name makes no difference"


def test_every_kind_of_tactic(server: Server) -> None:
    start = server.goal_start("1 + 1 = 2")
    assert targets(server.goal_tactic(start, TacticHave("2 = 1 + 1", "h"))) == ["2 = 1 + 1", "1 + 1 = 2"]
    let = server.goal_tactic(start, TacticLet("2 = 1 + 1", "h"))
    assert let.goals[1].variables[0].name == "h"
    assert server.goal_tactic(start, TacticExpr("rfl")).is_solved
    draft = server.goal_tactic(start, TacticDraft("by\nhave h : 2 = 2 := sorry\nsorry"))
    assert targets(draft) == ["2 = 2", "1 + 1 = 2"]


def test_conv_and_calc(server: Server) -> None:
    server.run("options.set", {"automaticMode": False})
    try:
        intro = after(server, "∀ (a b: Nat), (b = 2) -> 1 + a + 1 = a + b", "intro a b h")
        step = server.goal_tactic(server.goal_tactic(intro, TacticMode.CALC), "1 + a + 1 = a + 1 + 1")
        assert [g.mode for g in step.goals] == [TacticMode.TACTIC, TacticMode.CALC]
        conv = server.goal_tactic(step, TacticMode.CONV)
        conv = server.goal_tactic(server.goal_tactic(conv, "rhs"), "rw [Nat.add_comm]")
        kill(server)
        assert server.goal_tactic(server.goal_tactic(conv, TacticMode.TACTIC), "rfl").is_solved, "rebuilt in between"
    finally:
        server.run("options.set", {"automaticMode": True})


def test_dormant_goals_and_subsumption(server: Server) -> None:
    both = after(server, "∀ p q : Prop, p → q → p ∧ q", "intro p q hp hq", "constructor")
    first = server.goal_tactic(both, "exact hp", site=Site(auto_resume=False))
    assert first.is_solved, "the other goal is out of sight"
    assert targets(server.goal_continue(first, both)) == ["q"]
    assert targets(server.goal_resume(first, [both.goals[1]])) == ["q"]
    one = server.goal_tactic(server.goal_start("forall (p : Prop), p -> p"), "intro p")
    two = server.goal_tactic(one, "intro h")
    three = server.goal_tactic(two, "revert h")
    found = server.goal_subsume(three, three.goals[0], [one.goals[0], two.goals[0]])
    assert found == (Subsumption.CYCLE, None, one.goals[0])


def test_environment(server: Server, tmp_path: Path) -> None:
    server.env_save(tmp_path / "env")
    server.env_add("mystery", [], "forall (n: Nat), Nat", "fun (n: Nat) => n + 1", is_theorem=False)
    assert server.env_inspect("mystery")["type"] == {"pp": "Nat → Nat"}
    server.load_definitions("def foo : Nat → Nat := fun x => x + 123")
    kill(server)
    assert server.expr_type("foo ∘ mystery") == "Nat → Nat"
    assert {"dfoo", "dmystery"} <= set(server.env_catalog(module_prefix="Init", invert_filter=True))
    server.env_load(tmp_path / "env")
    with pytest.raises(ServerError):
        server.env_inspect("mystery")
    assert server.env_parse("intro x; apply a") == ("intro x", "; apply a")
    with pytest.raises(ParseError):
        server.env_parse(")")
    assert "Nat.rec" in server.env_module_read("Init.Prelude")["constNames"]


def test_states_in_files(server: Server, tmp_path: Path) -> None:
    state = after(server, SWAP, "intro p q h")
    server.goal_save(state, tmp_path / "state")
    kill(server)
    again = server.goal_load(tmp_path / "state")
    assert targets(again) == ["q ∨ p"]
    assert server.goal_tactic(again, "exact h.symm").is_solved


def test_files(server: Server, tmp_path: Path) -> None:
    (unit,) = server.check_compile("example (p: Prop) : p -> p := id")
    assert unit.messages == []
    (unit,) = server.check_compile("example (p: Prop) : p -> p := 1")
    assert (unit.messages[0].pos, unit.messages[0].pos_end) == (Position(1, 30), Position(1, 31))
    file = tmp_path / "A.lean"
    file.write_text("example : ∀ (p q: Prop), p → p ∨ q := by\n  intro p q h\n  exact Or.inl h", encoding="utf-8")
    (unit,) = server.tactic_invocations(file)
    assert unit.invocations is not None
    assert [i.tactic for i in unit.invocations] == ["intro p q h", "exact Or.inl h"]
    assert "Or.inl" in unit.invocations[1].used_constants
    assert unit.invocations[0].after == unit.invocations[1].before
    assert server.check_track("def f : Nat -> Nat := sorry", "def f : Nat -> Nat := fun y => y + y").succeeded
    assert not server.check_track("theorem f : 1 = 2 := sorry", "theorem f : 1 = 1 := rfl").succeeded


def test_sorries(server: Server) -> None:
    (target,) = server.load_sorry("theorem mystery (p: Prop) : p → p := sorry")
    kill(server)
    assert server.goal_tactic(server.goal_tactic(target.goal_state, "intro h"), "exact h").is_solved
    (whole,) = server.load_sorry("theorem mystery (p: Prop) : p → p := sorry", ignore_values=True)
    assert targets(whole.goal_state) == ["∀ (p : Prop), p → p"]


def test_a_lean_that_dies_during_a_request(server: Server) -> None:
    start = server.goal_start("∀ n : Nat, n = n")
    plain = server.goal_tactic(start, "intro n; sleep 10")
    pid = server.pids[0]
    timer = threading.Timer(0.6, os.kill, (pid, signal.SIGKILL))
    timer.start()
    slow = server.goal_tactic(start, "intro n; sleep 1500")
    assert slow.goals == plain.goals
    assert server.pids[0] != pid


def test_deaths_change_no_answer(server: Server) -> None:
    tactics = ("intro p q h", "cases h", "case inl x => exact Or.inr x", "case inr x => exact Or.inl x")

    def run(*, deadly: bool) -> list[list[Goal]]:
        state = server.goal_start(SWAP)
        found = [state.goals]
        for i, tactic in enumerate(tactics):
            if deadly and i % 2:
                kill(server)
            state = server.goal_tactic(state, tactic)
            found.append(state.goals)
        return found

    undisturbed = run(deadly=False)
    assert undisturbed[-1] == []
    for _ in range(2):
        assert run(deadly=True) == undisturbed


async def test_two_workers_at_once(lean: EmbeddedLean) -> None:
    async with await Server.create(workers=2, timeout=60) as server:
        starts = await asyncio.gather(*(server.goal_start_async("∀ n : Nat, n = n") for _ in range(2)))
        began = time.monotonic()
        await asyncio.gather(*(server.goal_tactic_async(s, "intro n; sleep 800") for s in starts))
        assert time.monotonic() - began < 1.5


def test_a_pantograph_of_ones_own(lean: EmbeddedLean, tmp_path: Path) -> None:
    """Any executable that speaks the protocol; here our own server in the place of one."""
    script = tmp_path / "pantograph-repl"
    subprocess.run([sys.executable, "-m", "burnqed", "lean", "serve", "--install-as", str(script)], check=True)
    with Server(executable=script, core_options=["pp.funBinderTypes=true"], timeout=60) as server:
        assert server.run("expr.echo", {"expr": "fun x : Nat => x"})["expr"] == {"pp": "fun (x : Nat) => x"}
        state = after(server, SWAP, "intro p q h")
        kill(server)
        good, bad = server.goal_tactics(state, ["exact h.symm", "foo"])
        assert isinstance(good, GoalState)
        assert isinstance(bad, TacticFailure)
        server.goal_save(good, tmp_path / "state")
        assert server.goal_load(tmp_path / "state").is_solved
        assert "dNat.add" in server.env_catalog(module_prefix="Init")
