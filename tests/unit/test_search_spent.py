"""Which states are told to be spent: those of which every candidate was tried, and no other."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

import pytest
from tests.unit.search_lab import STRATEGIES, proposing, run, tried

from burnqed.core.events import Event, NodeAdded, NodeSpent
from burnqed.core.outcome import Outcome, SearchStatus, StateRef
from burnqed.testing.fakes import DONE, FakeLean, ScriptedWriter, ToyValue

MAZE = {
    ("start", "a"): "A",
    ("start", "b"): "B",
    ("A", "a"): "start",  # a circle
    ("A", "b"): "A1",
    ("B", "c"): "B1",
    ("B1", "c"): DONE,
}
VALUE = ToyValue({"A": 0.1, "A1": 0.2, "B": 0.3, "B1": 3.0})


def spent(events: list[Event]) -> list[str]:
    """The states that are told to be spent, in that order."""
    names = {e.node: e.state.removeprefix("⊢ ") for e in events if isinstance(e, NodeAdded)}
    found = [names[e.node] for e in events if isinstance(e, NodeSpent)]
    assert len(found) == len(set(found)), "once each"
    return found


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("slice_size", [1, 2, 8])
async def test_where_nothing_is_left_every_state_is(strategy: str, slice_size: int) -> None:
    table = {key: to for key, to in MAZE.items() if to != DONE}
    result, events = await run(
        FakeLean(table), proposing("a", "b", "c"), value=VALUE, strategy=strategy, slice_size=slice_size
    )
    assert result.status is SearchStatus.EXHAUSTED
    assert sorted(spent(events)) == ["A", "A1", "B", "B1", "start"]


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_states_with_candidates_left_are_not(strategy: str) -> None:
    result, events = await run(
        FakeLean(MAZE), proposing("a", "b", "c"), value=VALUE, strategy=strategy, slice_size=2, max_nodes=2
    )
    assert result.status is SearchStatus.OUT_OF_NODES
    tries = Counter(node for node, _ in tried(events))
    assert sorted(tries.values()) == [2, 2], "a slice of each, and one candidate is left"
    assert spent(events) == []


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_a_proof_in_a_last_slice_leaves_its_state_spent(strategy: str) -> None:
    result, events = await run(FakeLean({("start", "a"): DONE}), proposing("a", "b"), strategy=strategy)
    assert result.status is SearchStatus.PROVED
    assert spent(events) == ["start"]
    result, events = await run(FakeLean({("start", "a"): DONE}), proposing("a", "b"), strategy=strategy, slice_size=1)
    assert result.status is SearchStatus.PROVED
    assert spent(events) == []


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_a_state_for_which_the_policy_has_nothing_is(strategy: str) -> None:
    policy = proposing("a", A=[])
    _, events = await run(FakeLean({("start", "a"): "A"}), policy, strategy=strategy)
    assert spent(events) == ["start", "A"]


async def test_a_part_that_could_not_help_any_more_is_not() -> None:
    """`dead` has no proof, so nobody goes on with what stands beside it, and the search ends with nothing left to do."""
    table = {("start", "a"): ("dead", "other"), ("other", "a"): "promising", ("promising", "b"): DONE}
    result, events = await run(FakeLean(table), proposing("a", "b"), strategy="and-or")
    assert result.status is SearchStatus.EXHAUSTED
    assert sorted(spent(events)) == ["dead", "other", "start"]


class Hanging(FakeLean):
    """Never answers when it is asked for one of these tactics."""

    async def apply(self, ref: StateRef, tactics: Sequence[str]) -> list[Outcome]:
        outcomes = await super().apply(ref, tactics)
        if "hang" in tactics:
            await asyncio.sleep(60)
        return outcomes


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_a_state_whose_last_slice_was_interrupted_is_not(strategy: str) -> None:
    table = {("start", "a"): "A", ("start", "b"): "B"}
    # A and B have their turn together, A first; `hang` is all that there is for B.
    policy = proposing("a", "b", A=[("x", -0.1)], B=[("hang", -3.0)])
    result, events = await run(
        Hanging(table),
        policy,
        value=ToyValue({"A": 0.0, "B": 1.0}),
        strategy=strategy,
        expand_batch=2,
        max_seconds=0.05,
    )
    assert result.status is SearchStatus.OUT_OF_TIME
    assert spent(events) == ["start", "A"], "A had its turn before, in the same batch"


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_what_whole_proofs_tried_counts(strategy: str) -> None:
    table = {("start", "a"): "A", ("A", "b"): "start"}
    result, events = await run(
        FakeLean(table),
        proposing("a", A=[("b", -1.0), ("c", -2.0)]),
        strategy=strategy,
        whole_proofs=1,
        whole_proof_every=1,
        slice_size=1,
        parts={"writer": ScriptedWriter({"start": [(("a", "b"), -1.0)], "A": [(("c",), -1.0)]})},
    )
    assert result.status is SearchStatus.EXHAUSTED
    assert sorted(spent(events)) == ["A", "start"]
