"""The search loop and best-first over a Lean that is a table."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.search_lab import make, run

from burnqed.core.errors import StatementRejected
from burnqed.core.events import NodeAdded, SearchEnded, TacticApplied
from burnqed.core.outcome import SearchStatus, Verdict
from burnqed.search.frontier import Frontier
from burnqed.testing.fakes import DONE, FakeLean, ManualClock, ScriptedPolicy, ToyValue

MAZE = {
    ("start", "a"): "A",
    ("start", "b"): "B",
    ("A", "a"): "A1",
    ("A", "b"): "B",  # a second way to B
    ("B", "a"): "start",  # a cycle
    ("B", "c"): ("L", "R"),
    ("L", "a"): DONE,
    ("R", "b"): DONE,
}
MAZE_POLICY = ScriptedPolicy(default=[("a", -0.5), ("b", -1.0), ("c", -1.5)])


async def test_finds_a_proof_through_several_goals_and_says_how():
    result, _ = await run(FakeLean(MAZE), MAZE_POLICY)
    assert result.status is SearchStatus.PROVED
    assert result.proof is not None
    assert [s.tactic for s in result.proof] == ["b", "c", "a", "b"]
    assert [(s.goals_before, s.goals_after) for s in result.proof] == [(1, 1), (1, 2), (2, 1), (1, 0)]


async def test_the_whole_search_is_as_it_always_was():
    """A golden tree: which state, reached how, at what priority, in which order."""
    _, events = await run(FakeLean(MAZE), MAZE_POLICY, value=ToyValue({"A": 0.25, "B": 0.5}))
    seen = [(e.node, e.parent, e.depth, e.state, round(e.priority, 3)) for e in events if isinstance(e, NodeAdded)]
    assert seen == [
        (0, None, 0, "⊢ start", 0.0),
        (1, 0, 1, "⊢ A", -0.75),
        (2, 0, 1, "⊢ B", -1.5),
        (3, 1, 2, "⊢ A1", -0.707),
        (4, 2, 2, "⊢ L\n\n⊢ R", -1.768),
        (5, 4, 3, "⊢ R", -1.732),
        (6, 5, 4, "no goals", 0.0),
    ]
    tried = [(e.node, e.tactic, e.outcome, e.child) for e in events if isinstance(e, TacticApplied)]
    assert tried[:6] == [
        (0, "a", "stepped", 1),
        (0, "b", "stepped", 2),
        (0, "c", "error", None),
        (1, "a", "stepped", 3),
        (1, "b", "stepped", 2),
        (1, "c", "error", None),
    ]


async def test_a_state_reached_again_is_not_searched_again():
    policy = ScriptedPolicy(default=[("a", -0.5), ("b", -1.0), ("c", -1.5)])
    result, events = await run(FakeLean(MAZE), policy)
    assert len(policy.asked) == len(set(policy.asked)), "each state is shown to the policy once"
    states = [e.state for e in events if isinstance(e, NodeAdded)]
    assert len(states) == len(set(states))
    assert result.nodes == len(states)


async def test_new_states_of_a_slice_are_scored_in_one_batch_and_finished_ones_never():
    value = ToyValue()
    await run(FakeLean({("start", "a"): "A", ("start", "b"): "B", ("start", "c"): DONE}), MAZE_POLICY, value=value)
    assert value.batches == [1, 2]


async def test_value_decides_between_equals():
    lean = FakeLean({("start", "x"): "X", ("start", "y"): "Y", ("X", "go"): DONE, ("Y", "go"): DONE})
    policy = ScriptedPolicy({"start": [("x", -1.0), ("y", -1.0)]}, default=[("go", -1.0)])
    towards_y, _ = await run(lean, policy, value=ToyValue({"X": 1.0, "Y": 0.0}))
    towards_x, _ = await run(lean, policy, value=ToyValue({"X": 0.0, "Y": 1.0}))
    assert towards_y.proof
    assert towards_x.proof
    assert (towards_y.proof[0].tactic, towards_x.proof[0].tactic) == ("y", "x")


async def test_a_state_comes_back_for_the_candidates_it_has_left():
    many = [(f"t{i}", -1.0 - i / 10) for i in range(10)]
    lean = FakeLean({("start", "t9"): DONE})
    result, _ = await run(lean, ScriptedPolicy(default=many), slice_size=3)
    assert result.status is SearchStatus.PROVED
    assert [t for _, t in lean.applied] == [t for t, _ in many]
    assert result.expansions == 1


async def test_exhausted_when_nothing_is_left():
    result, events = await run(FakeLean({("start", "a"): "A"}), MAZE_POLICY)
    assert result.status is SearchStatus.EXHAUSTED
    assert result.proof is None
    assert isinstance(events[-1], SearchEnded)


async def test_stops_at_the_limit_of_nodes():
    endless = FakeLean({(f"n{i}", "a"): f"n{i + 1}" for i in range(100)}, start_target="n0")
    result, _ = await run(endless, MAZE_POLICY, max_nodes=5)
    assert (result.status, result.expansions) == (SearchStatus.OUT_OF_NODES, 5)


async def test_stops_at_the_limit_of_depth():
    endless = FakeLean({(f"n{i}", "a"): f"n{i + 1}" for i in range(100)}, start_target="n0")
    result, events = await run(endless, MAZE_POLICY, max_depth=3)
    assert result.status is SearchStatus.EXHAUSTED
    assert max(e.depth for e in events if isinstance(e, NodeAdded)) == 2


async def test_stops_at_the_limit_of_seconds():
    endless = FakeLean({(f"n{i}", "a"): f"n{i + 1}" for i in range(1000)}, start_target="n0")
    result, _ = await run(endless, MAZE_POLICY, clock=ManualClock(step_s=1.0), max_seconds=20)
    assert result.status is SearchStatus.OUT_OF_TIME
    assert result.seconds >= 20


async def test_a_tactic_that_does_not_return_ends_with_the_budget():
    class Sleepy(FakeLean):
        async def apply(self, ref, tactics):
            await asyncio.sleep(60)

    result, _ = await run(Sleepy({}), MAZE_POLICY, max_seconds=0.1)
    assert result.status is SearchStatus.OUT_OF_TIME


async def test_stops_when_asked():
    calls = iter([False, True])
    result, _ = await run(FakeLean(MAZE), MAZE_POLICY, parts={"stop": lambda: next(calls)})
    assert result.status is SearchStatus.STOPPED


async def test_a_finished_state_without_a_verdict_is_no_proof():
    lean = FakeLean({("start", "a"): DONE, ("start", "b"): DONE}, refused_tactics=frozenset({"a"}))
    result, _ = await run(lean, MAZE_POLICY)
    assert result.proof
    assert result.proof[0].tactic == "b"
    assert result.refused_proofs == ("metavariables left",)


async def test_the_search_goes_on_when_the_gate_refuses():
    async def gate(steps) -> Verdict:
        return Verdict(False, "no") if steps[0].tactic == "a" else Verdict(True)

    result, _ = await run(FakeLean({("start", "a"): DONE, ("start", "b"): DONE}), MAZE_POLICY, judge=gate)
    assert result.proof
    assert result.proof[0].tactic == "b"


async def test_a_bad_statement_is_raised():
    search, _ = make(FakeLean({}, rejects=True), MAZE_POLICY)
    with pytest.raises(StatementRejected, match="unknown identifier"):
        await search.run()


@given(st.lists(st.integers(-3, 3)))
def test_the_frontier_gives_the_best_first_and_the_older_among_equals(priorities):
    frontier = Frontier()
    for i, p in enumerate(priorities):
        frontier.push(i, p)
    popped = [frontier.pop() for _ in priorities]
    assert popped == sorted(range(len(priorities)), key=lambda i: (-priorities[i], i))
