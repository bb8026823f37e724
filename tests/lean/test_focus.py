"""Goals of a state taken apart in a real Lean, and searches that prove them apart."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from tests.conftest import stepped, theorem

from burnqed.core.errors import LeanError
from burnqed.core.outcome import SearchStatus, StateRef, Stepped, Verdict
from burnqed.core.theorem import Theorem
from burnqed.lean.config import LeanConfig
from burnqed.lean.embedded.install import EmbeddedLean
from burnqed.lean.embedded.server import spawner
from burnqed.lean.pool import WorkerPool
from burnqed.lean.process import LeanProcess, RequestFailed
from burnqed.lean.session import PooledSession
from burnqed.run.judge import ProofJudge
from burnqed.search.config import SearchConfig
from burnqed.search.engine import Search, SearchResult
from burnqed.testing.fakes import ManualClock, RecordingSink, ScriptedPolicy, ToyValue
from burnqed.verify.gate import FreshProcessGate

pytestmark = pytest.mark.lean

CONJUNCTION = theorem("(a b c : Prop) (ha : a) (hb : b) (hc : c) : (a ∧ b) ∧ c")
BETWEEN = theorem("(r : Prop) (hr : r) : ∃ n : Nat, n < 5 ∧ r ∧ 3 < n")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def doomed(lean: EmbeddedLean) -> AsyncIterator[WorkerPool]:
    """A pool of one other worker, for the test that kills it."""
    config = LeanConfig(workers=1, request_timeout_s=20)
    async with WorkerPool(spawner(lean, config), config) as pool:
        yield pool


async def after(session: PooledSession, ref: StateRef, *tactics: str) -> Stepped:
    """The state after these tactics, each of which must work."""
    for tactic in tactics:
        (outcome,) = await session.apply(ref, [tactic])
        assert isinstance(outcome, Stepped), (tactic, outcome)
        ref = outcome.ref
    return outcome


async def test_the_command(lean_process: LeanProcess) -> None:
    async def ask(command: str, **payload: Any) -> dict[str, Any]:
        try:
            return (await lean_process.request(command, payload, dict[str, Any], timeout_s=60))[1]
        except RequestFailed as error:
            return {"error": error.kind, "desc": error.desc}

    start = (await ask("goal.start", expr="1 = 1 ∧ 2 = 2 ∧ 3 = 3"))["stateId"]
    split = await ask("goal.tactic", stateId=start, tactic="refine ⟨?a, ?b, ?c⟩")
    state, names = split["nextStateId"], [goal["name"] for goal in split["goals"]]
    some = await ask("goal.continue", target=state, goals=[names[2], names[0]])
    assert [goal["userName"] for goal in some["goals"]] == ["c", "a"], "in the order in which they were asked for"
    assert [goal["group"] for goal in some["goals"]] == [0, 1]
    closed = await ask("goal.tactic", stateId=some["nextStateId"], tactic="all_goals rfl")
    assert closed["goals"] == []
    verdict = await ask("goal.verdict", stateId=closed["nextStateId"])
    assert not verdict["accepted"]
    assert "metavariables" in verdict["reason"], "the kernel's side knows as well that b is open"
    whole = await ask("goal.tactic", stateId=state, tactic="all_goals rfl")
    assert (await ask("goal.verdict", stateId=whole["nextStateId"]))["accepted"], "the whole state is as it was"
    strange = await ask("goal.continue", target=state, goals=["_uniq.999999"])
    assert strange == {"error": "structure", "desc": "Goals [_uniq.999999] are not in scope"}
    assert (await ask("goal.continue", target=state))["error"] == "arguments"
    assert (await ask("goal.continue", target=9999, goals=names))["error"] == "index"


async def test_a_goal_apart_is_the_same_goal(session: PooledSession) -> None:
    both = await stepped(session, CONJUNCTION, "constructor")
    assert both.state.components == ((0,), (1,))
    ref, state = await session.focus(both.ref, [1])
    assert [g.target for g in state.goals] == ["c"]
    assert state.goals[0].key == both.state.goals[1].key
    again, same = await session.focus(both.ref, (1,))
    assert (again != ref, same) == (True, state)
    one, alone = await session.focus(ref, [0])
    assert alone == state, "of a single goal as well"
    assert (await after(session, one, "exact hc")).state.finished


async def test_goals_that_hang_together_stay_so(session: PooledSession) -> None:
    all_four = await stepped(session, BETWEEN, "refine ⟨?n, ?a, ?c, ?b⟩")
    assert [g.case for g in all_four.state.goals] == ["n", "a", "c", "b"]
    assert all_four.state.components == ((0, 1, 3), (2,))
    ref, state = await session.focus(all_four.ref, all_four.state.components[0])
    assert [g.case for g in state.goals] == ["n", "a", "b"]
    assert state.components == ((0, 1, 2),)
    solved = await after(session, ref, "exact 4")
    assert [g.target for g in solved.state.goals] == ["4 < 5", "3 < 4"]
    assert solved.state.components == ((0,), (1,))


async def test_nothing_below_a_part_is_a_proof(session: PooledSession) -> None:
    both = await stepped(session, CONJUNCTION, "constructor")
    for places in ([1], [0, 1]):
        ref, _ = await session.focus(both.ref, places)
        end = await after(session, ref, "all_goals simp [*]")
        assert end.state.finished
        verdict = await session.verdict(end.ref)
        assert not verdict.accepted
        assert "out of sight" in verdict.reason
    end = await after(session, both.ref, "all_goals simp [*]")
    assert (await session.verdict(end.ref)).accepted


async def test_parts_survive_the_death_of_the_process(doomed: WorkerPool) -> None:
    async with doomed.lease() as session:
        both = await stepped(session, CONJUNCTION, "constructor")
        ref, state = await session.focus(both.ref, [0])
        inner = await after(session, ref, "constructor")
        os.kill(session.process.pid, signal.SIGKILL)
        second, _ = await session.focus(inner.ref, [1])
        assert (await after(session, second, "exact hb")).state.finished
        os.kill(session.process.pid, signal.SIGKILL)
        again = await after(session, ref, "constructor")
        assert again.state == inner.state
        await session.forget([both.ref, ref])
        _, rebuilt = await session.focus(both.ref, [0])
        assert rebuilt == state


async def test_a_server_that_cannot_is_told_apart_from_a_lost_one(session: PooledSession) -> None:
    both = await stepped(session, CONJUNCTION, "constructor")
    await session.process.request("goal.delete", {"stateIds": [0, 1, 2]}, dict[str, Any], timeout_s=20)
    with pytest.raises(LeanError, match="cannot take the goals of a state apart: Invalid state index"):
        await session.focus(both.ref, [0])


async def search(session: PooledSession, t: Theorem, policy: ScriptedPolicy, judge: Any) -> SearchResult:
    found = Search(
        t,
        session=session,
        policy=policy,
        value=ToyValue(),
        judge=judge,
        config=SearchConfig(strategy="and-or"),
        events=RecordingSink(),
        clock=ManualClock(),
    )
    result = await found.run()
    found.graph.check_invariants()
    return result


async def test_goals_proved_apart_make_a_proof_that_the_gate_accepts(
    session: PooledSession, lean: EmbeddedLean
) -> None:
    """The parts are interleaved: the goal r stands between two that wait for a number."""
    likely = ["refine ⟨?n, ?a, ?c, ?b⟩", "exact hr", "exact 7", "exact 4", "decide"]
    policy = ScriptedPolicy(default=[(t, -0.5 - i / 10) for i, t in enumerate(likely)])
    async with FreshProcessGate(spawner(lean, LeanConfig(workers=1)), keep_spare=False) as gate:
        judge = ProofJudge(BETWEEN, gate)
        result = await search(session, BETWEEN, policy, judge)
    assert result.status is SearchStatus.PROVED, result
    assert result.proof is not None
    assert [s.tactic for s in result.proof] == [likely[0], "exact 4", "decide", "exact hr", "decide"]
    assert judge.accepted_source is not None


async def test_a_step_that_needs_to_be_alone_is_found_out(session: PooledSession) -> None:
    """``done`` and its kind say something of all goals; a part with such a step does not replay, and another is found."""
    sneaky = "(focus exact ha); done"
    policy = ScriptedPolicy(
        {"a": [(sneaky, -0.1), ("exact ha", -3.0)], "b": [("exact hb", -0.1)], "c": [("exact hc", -0.1)]},
        default=[("constructor", -0.1)],
    )

    async def yes(steps: object) -> Verdict:
        return Verdict(True)

    result = await search(session, CONJUNCTION, policy, yes)
    assert result.proof is not None
    assert sneaky not in [s.tactic for s in result.proof]
    assert len(result.refused_proofs) == 1
    assert sneaky in result.refused_proofs[0]
