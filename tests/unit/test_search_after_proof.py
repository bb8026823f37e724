"""A search that goes on after its proof, so that its record tells more of the states beside it."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest
from tests.unit.search_lab import STRATEGIES, make, proposing, run, tactics, tried

from burnqed.core.errors import ModelError, ModelMismatch, WorkerLost
from burnqed.core.events import Event, NodeAdded, ProofAccepted
from burnqed.core.outcome import SearchStatus, Verdict
from burnqed.core.theorem import Theorem
from burnqed.data.labels import PART, Edge, Node, SearchGraph, label
from burnqed.data.labels_reading import search_graphs
from burnqed.data.manifest import Manifest
from burnqed.run.clock import MonotonicClock
from burnqed.run.folder import RunFolder
from burnqed.run.judge import ProofJudge
from burnqed.testing.fakes import DONE, FakeLean, ScriptedPolicy, ScriptedWriter

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
    _, some = await run(FakeLean(endless), POLICY, strategy=strategy, slice_size=2)
    result, more = await run(FakeLean(endless), POLICY, strategy=strategy, slice_size=2, after_proof=extra)
    assert result.status is SearchStatus.PROVED
    assert len(tried(more)) <= len(tried(some)) + extra
    if strategy == "best-first":
        assert len(tried(more)) == len(tried(some)) + extra


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


@pytest.mark.parametrize("broken", [WorkerLost("gone"), ModelError("no memory")], ids=["Lean", "model"])
async def test_what_breaks_after_the_proof_ends_the_search_and_the_proof_stays(broken):
    class Breaking(FakeLean):
        async def apply(self, ref, tactics):
            if any(node == "B" for node, _ in self.applied):
                raise broken
            return await super().apply(ref, tactics)

    search, _ = make(Breaking(FORK), POLICY, slice_size=1, after_proof=50)
    result = await search.run()
    assert result.status is SearchStatus.PROVED
    assert tactics(result) == ["a", "a"]
    assert list(search.tally.counts) == ["searches that broke off after their proof"]
    lost, _ = make(Breaking({("start", "b"): "B"}), POLICY, slice_size=1, after_proof=50)
    with pytest.raises(type(broken)):
        await lost.run()


async def test_a_model_that_does_not_fit_is_told_even_then():
    class Policy(ScriptedPolicy):
        async def propose(self, states, n):
            if states[0].goals[0].target == "B":
                raise ModelMismatch("another model")
            return await super().propose(states, n)

    with pytest.raises(ModelMismatch):
        await run(FakeLean(FORK), Policy(default=[("a", -0.5), ("b", -1.0)]), after_proof=50)


async def test_a_gate_that_takes_too_long_over_a_second_end_does_not_cost_the_first():
    asked = []

    async def gate(steps) -> Verdict:
        asked.append(steps)
        if len(asked) > 1:
            await asyncio.sleep(60)
        return Verdict(True)

    lean = FakeLean({("start", "a"): DONE, ("start", "b"): DONE})
    result, _ = await run(lean, POLICY, judge=gate, after_proof=9, max_seconds=0.2, clock=MonotonicClock())
    assert len(asked) == 2
    assert result.status is SearchStatus.PROVED
    assert tactics(result) == ["a"]


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_what_was_spent_is_what_the_proof_took(strategy):
    at_once, _ = await run(FakeLean(FORK), POLICY, strategy=strategy, slice_size=1)
    result, _ = await run(FakeLean(FORK), POLICY, strategy=strategy, slice_size=1, after_proof=50)
    for what in ("nodes", "expansions", "tactics", "tokens"):
        assert getattr(result, what) == getattr(at_once, what), what


async def test_several_states_chosen_at_once_share_what_is_left():
    wide = {("start", t): t.upper() for t in "abc"} | {("A", "a"): DONE}
    at_once, some = await run(FakeLean(wide), POLICY, expand_batch=3, slice_size=3)
    _, more = await run(FakeLean(wide), POLICY, expand_batch=3, slice_size=3, after_proof=1)
    assert at_once.status is SearchStatus.PROVED
    assert len(tried(more)) == len(tried(some)) + 1


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_a_whole_proof_is_no_end_of_it_either(strategy):
    writer = ScriptedWriter({"start": [(("a", "a"), -1.0)]})
    _, events = await run(
        FakeLean(FORK), POLICY, strategy=strategy, after_proof=50, whole_proofs=1, parts={"writer": writer}
    )
    assert "⊢ A" in ends(events)
    assert (0, "c") in tried(events), "the state that the proof began from has candidates of its own"


async def test_the_source_and_the_verdict_are_those_of_the_first_proof():
    class Gate:
        async def check(self, theorem, source):
            return Verdict(True, axioms=(source.split()[-1],))

    theorem = Theorem("t", "theorem t : True")
    judge = ProofJudge(theorem, Gate())  # type: ignore[arg-type]
    result, _ = await run(FakeLean(FORK), POLICY, judge=judge, after_proof=50)
    assert result.verdict is not None
    assert judge.accepted_source is not None
    assert judge.accepted_source.split()[-1] == result.verdict.axioms[0] == result.proof[-1].tactic == "a"


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


def test_where_states_were_split_a_whole_end_that_was_refused_is_none():
    """W ends refused; the parts of S are not judged alone and are believed."""
    texts = ["root", "W", "S", "P", "Q"]
    nodes = [Node(i, f"⊢ {t}", 1, False, False) for i, t in enumerate(texts)]
    nodes += [Node(5 + i, "no goals", 2, True, False, accepted=False) for i in range(3)]
    edges = [Edge(0, "w", "stepped", 1), Edge(0, "s", "stepped", 2), Edge(1, "x", "stepped", 5)]
    edges += [Edge(2, "", PART, 3), Edge(2, "", PART, 4), Edge(3, "p", "stepped", 6), Edge(4, "q", "stepped", 7)]
    states = label(SearchGraph("t", True, nodes, edges)).states
    assert {t: states[f"⊢ {t}"].label for t in texts} == {
        "root": "proved",
        "W": "unknown",
        "S": "proved",
        "P": "proved",
        "Q": "proved",
    }


def test_an_accepted_end_counts_even_where_the_result_says_no_proof():
    nodes = [Node(0, "⊢ root", 0, False, False), Node(1, "no goals", 1, True, False, accepted=True)]
    found = label(SearchGraph("t", False, nodes, [Edge(0, "a", "stepped", 1)]))
    assert found.states["⊢ root"].label == "proved"
