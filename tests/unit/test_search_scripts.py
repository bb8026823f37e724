"""Whole proofs in the search: run step by step into the graph, each tactic once on each state."""

from __future__ import annotations

import math

import pytest
from tests.unit.search_lab import STRATEGIES, make, proposing, run, tactics, tree, tried

from burnqed.core.errors import ServerUnavailable
from burnqed.core.events import TacticApplied
from burnqed.core.outcome import SearchStatus
from burnqed.core.tally import Tally
from burnqed.search.scripts import shared
from burnqed.testing.fakes import DONE, FakeLean, ScriptedPolicy, ScriptedWriter, ToyValue

STAIRS = {
    ("start", "split"): ("P", "Q"),
    ("P", "p"): "P1",
    ("P1", "q"): DONE,
    ("Q", "q"): DONE,
    ("Q", "other"): "Q1",
}
NOTHING = ScriptedPolicy()


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_a_script_that_works_needs_no_candidates(strategy):
    """In and-or its steps go to the parts whose turn it is."""
    writer = ScriptedWriter({"start": [(("split", "p", "q", "q"), -3.0)]})
    result, _ = await run(FakeLean(STAIRS), NOTHING, strategy=strategy, whole_proofs=1, parts={"writer": writer})
    assert tactics(result) == ["split", "p", "q", "q"]
    assert result.expansions == 0
    assert NOTHING.asked == []


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_what_a_script_reaches_is_searched_from_and_scored_at_once(strategy):
    writer = ScriptedWriter({"start": [(("split", "p", "wrong", "q"), -4.0)]})
    value = ToyValue()
    result, events = await run(
        FakeLean(STAIRS), proposing("q"), value=value, strategy=strategy, whole_proofs=1, parts={"writer": writer}
    )
    assert tactics(result) == ["split", "p", "q", "q"]
    assert value.batches[1] == (3 if strategy == "and-or" else 2), "all that the script reached, together"
    assert ("wrong", "error") in [(e.tactic, e.outcome) for e in events if isinstance(e, TacticApplied)]


async def test_no_tactic_runs_twice_on_a_state_whoever_proposes_it():
    scripts = [(("split", "p", "no"), -4.0), (("split ", "p", "no", "q"), -5.0), (("split", "no"), -6.0)]
    lean = FakeLean(STAIRS)
    policy = proposing("split", "p", "no", "q")
    result, _ = await run(lean, policy, whole_proofs=3, parts={"writer": ScriptedWriter({"start": scripts})})
    assert result.status is SearchStatus.PROVED
    assert len(lean.asked) == len(set(lean.asked))
    assert lean.applied[:4] == [("start", "split"), ("P", "p"), ("P1", "no"), ("P", "no")]


def inside(step: str) -> tuple[str, ...]:
    """The steps of a bullet in these tests: ``· a; b``."""
    return tuple(step[2:].split("; ")) if step.startswith("· ") else ()


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_a_bullet_that_fails_is_opened(strategy):
    script = ("split", "· p; q", "· · q")
    writer = ScriptedWriter({"start": [(script, -3.0)]})
    lean = FakeLean(STAIRS)
    result, _ = await run(lean, NOTHING, strategy=strategy, whole_proofs=1, parts={"writer": writer, "inside": inside})
    assert tactics(result) == ["split", "p", "q", "q"]
    assert ("P", "· p; q") in lean.applied


async def test_a_bullet_that_works_stays_one_step():
    table = {**STAIRS, ("P", "· p; q"): DONE}
    writer = ScriptedWriter({"start": [(("split", "· p; q", "q"), -3.0)]})
    result, _ = await run(FakeLean(table), NOTHING, whole_proofs=1, parts={"writer": writer, "inside": inside})
    assert tactics(result) == ["split", "· p; q", "q"]


async def test_scripts_are_asked_for_the_best_open_state_again_and_again():
    chain = {(f"n{i}", "a"): f"n{i + 1}" for i in range(20)}
    writer = ScriptedWriter()
    lean = FakeLean(chain, start_target="n0")
    await run(lean, proposing("a"), max_nodes=7, whole_proofs=2, whole_proof_every=3, parts={"writer": writer})
    assert writer.asked == ["⊢ n0", "⊢ n3", "⊢ n6"]
    once = ScriptedWriter()
    await run(lean, proposing("a"), max_nodes=7, whole_proofs=2, parts={"writer": once})
    assert once.asked == ["⊢ n0"]
    never = ScriptedWriter()
    await run(lean, proposing("a"), max_nodes=7, whole_proof_every=1, parts={"writer": never})
    assert never.asked == []


async def test_a_step_has_the_share_of_the_log_probability_that_it_has_of_the_text():
    writer = ScriptedWriter({"start": [(("split", "p", "other"), -11.0)]})
    _, events = await run(FakeLean(STAIRS), NOTHING, whole_proofs=1, parts={"writer": writer})
    steps = [(e.tactic, e.logprob_nats, e.num_tokens) for e in events if isinstance(e, TacticApplied)]
    assert steps == [("split", -5.0, 5), ("p", -1.0, 1), ("other", -5.0, 5)]
    assert [c.num_tokens for c in shared(-1.0, 1, ["a", "b", "c"])] == [1, 1, 1]
    assert shared(-1.0, 1, [""])[0].logprob_nats == 0.0


async def test_a_script_stops_where_the_depth_ends():
    chain = {(f"n{i}", "a"): f"n{i + 1}" for i in range(20)}
    writer = ScriptedWriter({"n0": [(("a",) * 20, -1.0)]})
    _, events = await run(
        FakeLean(chain, start_target="n0"), NOTHING, max_depth=4, whole_proofs=1, parts={"writer": writer}
    )
    assert tree(events)[-1] == (3, 2, "⊢ n3")
    assert len(tried(events)) == 4


async def test_a_script_without_a_log_probability_is_dropped_and_counted():
    tally = Tally()
    writer = ScriptedWriter({"start": [(("split",), math.nan), (("split", "p", "q", "q"), -1.0)]})
    result, _ = await run(FakeLean(STAIRS), NOTHING, whole_proofs=2, parts={"writer": writer, "tally": tally})
    assert len(tactics(result)) == 4
    assert tally.counts == {"whole proofs whose log-probability is not a number": 1}


async def test_a_script_ends_when_the_search_is_asked_to():
    calls = iter([False, False, True, True, True])
    writer = ScriptedWriter({"start": [(("split", "p", "q", "q"), -1.0)]})
    lean = FakeLean(STAIRS)
    result, _ = await run(lean, proposing("p"), whole_proofs=1, parts={"writer": writer, "stop": lambda: next(calls)})
    assert result.status is SearchStatus.STOPPED
    assert lean.applied[0] == ("start", "split")
    assert ("P", "p") not in lean.applied


async def test_a_writer_that_is_gone_ends_the_search_with_its_error():
    class Gone(ScriptedWriter):
        async def write(self, states, n):
            raise ServerUnavailable("nobody answers at http://127.0.0.1:1")

    search, _ = make(FakeLean(STAIRS), NOTHING, whole_proofs=1, parts={"writer": Gone()})
    with pytest.raises(ServerUnavailable):
        await search.run()
