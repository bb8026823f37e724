"""A search that goes on after its proof, so that its record tells more of the states beside it."""

from __future__ import annotations

import dataclasses

import pytest
from tests.unit.search_lab import STRATEGIES, proposing, run, tactics, tried

from burnqed.core.events import Event, NodeAdded, ProofAccepted
from burnqed.core.outcome import SearchStatus, Verdict
from burnqed.data.labels import label
from burnqed.data.labels_reading import search_graphs
from burnqed.data.manifest import Manifest
from burnqed.run.folder import RunFolder
from burnqed.testing.fakes import DONE, FakeLean, ScriptedPolicy

FORK = {("start", "a"): "A", ("start", "b"): "B", ("start", "c"): "C", ("A", "a"): DONE, ("B", "b"): DONE}
"""A and B can be proved, C cannot; A comes first."""
POLICY = proposing("a", "b", "c")


def ends(events: list[Event]) -> list[str]:
    """The states from which a tactic made an accepted proof."""
    nodes = {e.node: e for e in events if isinstance(e, NodeAdded)}
    return [nodes[nodes[e.node].parent or 0].state for e in events if isinstance(e, ProofAccepted)]


@pytest.mark.parametrize("strategy", ["best-first", "puct"])
async def test_what_else_can_be_proved_is_found_and_the_first_proof_counts(strategy):
    at_once, some = await run(FakeLean(FORK), POLICY, strategy=strategy)
    result, more = await run(FakeLean(FORK), POLICY, strategy=strategy, after_proof=50)
    assert at_once.status is result.status is SearchStatus.PROVED
    assert tactics(result) == tactics(at_once)
    assert tried(more)[: len(tried(some))] == tried(some)
    assert sorted(ends(more)) == ["⊢ A", "⊢ B"]
    assert len(ends(some)) == 1


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("extra", [1, 4])
async def test_so_many_tactics_are_tried_after_it_and_no_more(strategy, extra):
    endless = {("start", "a"): DONE} | {("start", "b"): "n0"} | {(f"n{i}", "a"): f"n{i + 1}" for i in range(99)}
    at_once, _ = await run(FakeLean(endless), POLICY, strategy=strategy, slice_size=2)
    result, _ = await run(FakeLean(endless), POLICY, strategy=strategy, slice_size=2, after_proof=extra)
    assert result.status is SearchStatus.PROVED
    assert result.tactics <= at_once.tactics + extra
    if strategy == "best-first":
        assert result.tactics == at_once.tactics + extra


@pytest.mark.parametrize("limit", [{"max_nodes": 1}, {"max_tactics": 3}])
async def test_the_budget_holds_and_the_proof_stays(limit):
    result, _ = await run(FakeLean({("start", "a"): DONE, ("start", "b"): "B"}), POLICY, after_proof=50, **limit)
    assert result.status is SearchStatus.PROVED
    assert tactics(result) == ["a"]
    assert result.tactics <= 3


async def test_a_later_end_that_the_gate_refuses_is_none():
    async def gate(steps) -> Verdict:
        return Verdict(steps[-1].tactic != "b", "no")

    result, events = await run(FakeLean(FORK), POLICY, judge=gate, after_proof=50)
    assert result.status is SearchStatus.PROVED
    assert ends(events) == ["⊢ A"]


async def test_labels_know_all_ends_from_the_record(tmp_path):
    """Read back: B is proved as well, though the search had its proof already; C is exhausted."""
    lean = FakeLean(FORK)
    result, events = await run(lean, POLICY, after_proof=50)
    folder = RunFolder.create(tmp_path / "run", {"config": {"search": {}}})
    for event in events:
        folder.trajectory.emit(event)
    folder.trajectory.write("t")
    assert result.status is SearchStatus.PROVED
    (folder.path / "results.jsonl").write_text('{"name": "t", "status": "proved", "proof": "x"}\n')
    (graph,) = search_graphs(folder.path, Manifest(step="x"))
    labels = {text: state.label for text, state in label(graph).states.items()}
    assert labels == {"⊢ start": "proved", "⊢ A": "proved", "⊢ B": "proved", "⊢ C": "exhausted"}
    old = dataclasses.replace(graph, nodes=[dataclasses.replace(n, accepted=None) for n in graph.nodes])
    known = {text: state.label for text, state in label(old).states.items()}
    assert sorted(known[s] for s in ("⊢ A", "⊢ B")) == ["proved", "unknown"], "an earlier record has one end"


async def test_what_comes_in_the_same_request_is_taken_in_as_well():
    lean = {("start", "a"): DONE, ("start", "b"): "B", ("B", "a"): DONE}
    _, events = await run(FakeLean(lean), ScriptedPolicy(default=[("a", -0.5), ("b", -1.0)]), after_proof=9)
    assert sorted(ends(events)) == ["⊢ B", "⊢ start"]
