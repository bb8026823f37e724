"""PUCT and AND/OR: which state comes next, and what makes them different from best-first."""

from __future__ import annotations

import math

import pytest
from tests.unit.search_lab import STRATEGIES, proposing, replayed, run, tactics, tree, tried

from burnqed.core.events import NodeAdded, StateSplit
from burnqed.core.outcome import SearchStatus, StateRef, Verdict
from burnqed.core.state import Goal, ProofState, Variable
from burnqed.core.tally import Tally
from burnqed.search.graph import Graph
from burnqed.search.scoring import product, puct
from burnqed.testing.fakes import DONE, FakeLean, ScriptedPolicy, ToyValue

MAZE = {
    ("start", "a"): "A",
    ("start", "b"): "B",
    ("A", "a"): "A1",
    ("A", "b"): "B",  # a second way to B
    ("B", "a"): "start",  # a circle
    ("B", "c"): ("L", "R"),
    ("L", "a"): "R",  # so R is needed twice
    ("R", "b"): DONE,
}
ENERGIES = {"A": 0.25, "B": 0.5}


class Batches(ScriptedPolicy):
    """Notes what it is asked together."""

    def __init__(self, **table):
        super().__init__(table, default=[("a", -0.5), ("b", -1.0), ("c", -1.5)])
        self.together = []

    async def propose(self, states, n):
        self.together.append([state.goals[0].target for state in states])
        return await super().propose(states, n)


async def test_the_whole_puct_search_is_as_it_always_was():
    """A golden tree: A looks best, then its slice has led to less than B."""
    result, events = await run(FakeLean(MAZE), proposing("a", "b", "c"), value=ToyValue(ENERGIES), strategy="puct")
    assert tree(events) == [
        (0, None, "⊢ start"),
        (1, 0, "⊢ A"),
        (2, 0, "⊢ B"),
        (3, 1, "⊢ A1"),
        (4, 2, "⊢ L ⊢ R"),
        (5, 4, "⊢ R ⊢ R"),
        (6, 5, "⊢ R"),
        (7, 6, "no goals"),
    ]
    assert [node for node, _ in tried(events)[::3]] == [0, 1, 2, 3, 4, 5, 6]
    assert tactics(result) == ["b", "c", "a", "b", "b"]


async def test_the_whole_and_or_search_is_as_it_always_was():
    """A golden tree: the two goals are proved apart, and R only once although it is needed twice."""
    result, events = await run(FakeLean(MAZE), proposing("a", "b", "c"), value=ToyValue(ENERGIES), strategy="and-or")
    assert tree(events) == [
        (0, None, "⊢ start"),
        (1, 0, "⊢ A"),
        (2, 0, "⊢ B"),
        (3, 1, "⊢ A1"),
        (4, 2, "⊢ L ⊢ R"),
        (5, 4, "⊢ L"),
        (6, 4, "⊢ R"),
        (7, 6, "no goals"),
    ]
    assert [e.parts for e in events if isinstance(e, StateSplit)] == [((5, (0,)), (6, (1,)))]
    assert [node for node, _ in tried(events)[::3]] == [0, 1, 2, 3, 5, 6]
    assert tactics(result) == ["b", "c", "a", "b", "b"]
    assert [(s.goals_before, s.goals_after) for s in result.proof or ()] == [(1, 1), (1, 2), (2, 2), (2, 1), (1, 0)]


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_a_state_comes_back_for_the_candidates_it_has_left(strategy):
    many = [(f"t{i}", -1.0 - i / 10) for i in range(10)]
    lean = FakeLean({("start", "t9"): DONE})
    result, _ = await run(lean, ScriptedPolicy(default=many), slice_size=3, strategy=strategy)
    assert result.status is SearchStatus.PROVED
    assert [t for _, t in lean.applied] == [t for t, _ in many]
    assert result.expansions == 1


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_stops_at_the_limit_of_nodes_however_many_are_chosen_at_once(strategy):
    table = {(f"n{i}", t): f"n{2 * i + k}" for i in range(1, 200) for k, t in enumerate("ab")}
    lean = FakeLean(table, start_target="n1")
    result, _ = await run(lean, proposing("a", "b"), max_nodes=6, expand_batch=4, strategy=strategy)
    assert (result.status, result.expansions) == (SearchStatus.OUT_OF_NODES, 6)


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_states_chosen_at_once_go_to_the_policy_together(strategy):
    lean = FakeLean({("start", "a"): "A", ("start", "b"): "B", ("start", "c"): "C", ("C", "b"): DONE})
    policy = Batches()
    result, _ = await run(lean, policy, expand_batch=2, strategy=strategy)
    assert result.status is SearchStatus.PROVED
    assert policy.together == [["start"], ["A", "B"], ["C"]]


@pytest.mark.parametrize(("c_puct", "first"), [(0.0, "Y"), (50.0, "X")])
async def test_c_puct_sets_probability_against_value(c_puct, first):
    lean = FakeLean({("start", "x"): "X", ("start", "y"): "Y"})
    policy = ScriptedPolicy({"start": [("x", -0.1), ("y", -2.0)]}, default=[("go", -1.0)])
    await run(lean, policy, value=ToyValue({"X": 1.0, "Y": -1.0}), strategy="puct", c_puct=c_puct)
    assert policy.asked[1] == first


async def test_a_slice_that_leads_nowhere_counts_against_its_state():
    """The other one is worse by itself, but nothing came of six tactics here."""
    lean = FakeLean({("start", "x"): "X", ("start", "y"): "Y", ("Y", "t0"): "Y0"})
    policy = ScriptedPolicy(
        {"start": [("x", -1.0), ("y", -1.0)]}, default=[(f"t{i}", -2.0 - i / 10) for i in range(12)]
    )
    _, events = await run(
        lean, policy, value=ToyValue({"X": -1.0, "Y": 0.0}), strategy="puct", c_puct=0.0, slice_size=6
    )
    order = [node for node, _ in tried(events)]
    assert order[2] == 1, "X looks better"
    assert order.index(2) < max(i for i, node in enumerate(order) if node == 1), "Y has a turn before X's second slice"


def provable(p: float) -> float:
    """The energy of a state that is proved with this probability, without a calibration."""
    return math.log(1 / p - 1)


def values(**probabilities: float) -> ToyValue:
    return ToyValue({target: provable(p) for target, p in probabilities.items()})


async def test_what_was_found_below_a_state_counts_for_it():
    """X leads to something so good that its own state is looked at before Y, which was nearly as good as X."""
    lean = FakeLean({("start", "x"): "X", ("start", "y"): "Y", ("X", "x"): "X1"})
    policy = proposing("x", "y")
    await run(lean, policy, value=values(X=0.62, Y=0.6, X1=0.9), strategy="puct", c_puct=0.0)
    assert policy.asked == ["start", "X", "X1", "Y"]


async def test_each_slice_counts_for_what_it_found_itself():
    """X's first slice leads to something, its second to nothing; then Z is better, and X's third comes last."""
    table = {("start", t): t.upper() for t in "xyz"} | {("X", "t0"): "X1"}
    policy = ScriptedPolicy(
        {"start": [(t, -1.0) for t in "xyz"], "X": [(f"t{i}", -2.0) for i in range(9)]}, default=[("no", -1.0)]
    )
    value = values(X=0.62, Y=0.55, Z=0.4, X1=0.65)
    _, events = await run(FakeLean(table), policy, value=value, strategy="puct", c_puct=0.0, slice_size=3)
    turns = [(node, tactic) for node, tactic in tried(events) if tactic in ("t0", "t3", "t6", "no")]
    assert turns == [(1, "t0"), (4, "no"), (2, "no"), (1, "t3"), (3, "no"), (1, "t6")]


async def test_a_slice_is_worth_what_probability_is_left():
    """Nine tenths of what was likely here is tried; the one state it led to is better than the rest."""
    lean = FakeLean({("start", "x"): "X"})
    policy = ScriptedPolicy({"start": [("x", math.log(0.9)), ("y", math.log(0.1))]}, default=[("no", -1.0)])
    _, events = await run(lean, policy, value=values(start=0.9, X=0.3), strategy="puct", c_puct=0.0, slice_size=1)
    assert tried(events) == [(0, "x"), (1, "no"), (0, "y")]


async def test_puct_never_goes_back_to_where_nothing_is_left():
    """Both of A's states come to nothing; what is left is B, however unlikely."""
    table = {("start", "a"): "A", ("A", "a"): "A1", ("A", "b"): "A2", ("start", "c"): "B", ("B", "c"): DONE}
    result, _ = await run(FakeLean(table), proposing("a", "b", "c"), strategy="puct", c_puct=0.0)
    assert tactics(result) == ["c", "c"]


async def test_the_leaves_of_a_hypertree_are_expanded_together():
    table = {("start", "a"): ("P", "Q"), ("P", "a"): ("X", "Y")} | {(t, "b"): DONE for t in "QXY"}
    policy = Batches()
    result, events = await run(FakeLean(table), policy, strategy="and-or")
    assert policy.together == [["start"], ["P", "Q"], ["X", "Y"]]
    assert tactics(result) == ["a", "a", "b", "b", "b"]
    assert not any(e.energy is not None for e in events if isinstance(e, NodeAdded) and e.num_goals > 1)


@pytest.mark.parametrize(("energy", "first"), [(-2.0, "P"), (-0.2, "R")])
async def test_several_goals_are_worth_the_product_of_each(energy, first):
    """0.88² is more than 0.65, and 0.55² is less, though 0.55 for one of them would nearly do."""
    table = {("start", "a"): ("P", "Q"), ("start", "b"): "R"}
    policy = proposing("a", "b")
    value = ToyValue({"P": energy, "Q": energy, "R": -0.62})
    await run(FakeLean(table), policy, value=value, strategy="and-or", c_puct=0.0)
    assert policy.asked[1] == first


async def test_goals_that_share_a_metavariable_stay_together_and_others_come_between():
    """The first and the third goal are one part; in the proof the second comes between them."""
    table = {("start", "a"): ("L ?m", "M", "R ?m"), ("L ?m", "b"): DONE, ("M", "c"): DONE, ("R ?m", "a"): DONE}
    result, events = await run(FakeLean(table), proposing("a", "b", "c"), strategy="and-or")
    assert [e.parts for e in events if isinstance(e, StateSplit)] == [((2, (0, 2)), (3, (1,)))]
    assert tactics(result) == ["a", "b", "c", "a"]


async def test_a_goal_that_is_left_keeps_its_place():
    """A step on a part makes new goals first, and leaves the part's other goal behind the goals of the others."""
    table = {
        ("start", "a"): ("L ?m", "M", "R ?m"),
        ("L ?m", "b"): ("U", "V"),
        ("U", "c"): DONE,
        ("V", "c"): DONE,
        ("M", "c"): DONE,
        ("R ?m", "a"): DONE,
    }
    result, _ = await run(FakeLean(table), proposing("a", "b", "c"), strategy="and-or")
    assert tactics(result) == ["a", "b", "c", "c", "c", "a"]
    assert replayed(table, "start", tactics(result)) == []


async def test_a_proof_that_does_not_replay_is_none_and_the_search_goes_on():
    table = {("start", "a"): ("P", "Q"), ("P", "a"): DONE, ("P", "c"): DONE, ("Q", "b"): DONE}
    lean = FakeLean(table, alone=frozenset({"a"}))
    result, _ = await run(lean, proposing("a", "b", "c"), strategy="and-or", slice_size=1)
    assert tactics(result) == ["a", "c", "b"]
    assert result.refused_proofs == (
        "'a' does not do on the whole state what it did on a part of it: there are others",
    )


async def test_a_step_that_leaves_other_goals_on_the_whole_state_is_noticed():
    class Swapping(FakeLean):
        """Where there are other goals, ``a`` moves the first behind them."""

        async def apply(self, ref, tactics):
            outcomes = await super().apply(ref, tactics)
            state = self._states[ref.index].state
            if tactics == ["a"] and len(state.goals) > 1:
                _, moved = await super().focus(outcomes[0].ref, [1, 0])
                return [type(outcomes[0])(outcomes[0].ref, moved, 1.0)]
            return outcomes

    table = {("start", "b"): ("P", "Q"), ("P", "a"): "P1", ("P1", "b"): DONE, ("Q", "b"): DONE}
    result, _ = await run(Swapping(table), proposing("a", "b"), strategy="and-or")
    assert result.status is SearchStatus.EXHAUSTED
    assert result.refused_proofs == (
        "'a' does not do on the whole state what it did on a part of it: it leaves other goals there",
    )


async def test_when_the_gate_refuses_a_proof_each_of_its_parts_is_doubted():
    """Nobody knows which part was wrong: Q has only this one proof, and P gets another."""

    async def gate(steps) -> Verdict:
        return Verdict(False, "no such luck") if steps[1].tactic == "a" else Verdict(True)

    table = {("start", "a"): ("P", "Q"), ("P", "a"): DONE, ("P", "c"): DONE, ("Q", "b"): DONE}
    result, _ = await run(FakeLean(table), proposing("a", "b", "c"), strategy="and-or", slice_size=1, judge=gate)
    assert tactics(result) == ["a", "c", "b"]
    assert result.refused_proofs == ("no such luck",)


async def test_a_proof_that_is_always_refused_ends_in_exhaustion():
    async def gate(steps) -> Verdict:
        return Verdict(False, "no")

    table = {("start", "a"): ("P", "Q"), ("P", "a"): DONE, ("P", "c"): DONE, ("Q", "b"): DONE, ("Q", "c"): DONE}
    result, _ = await run(FakeLean(table), proposing("a", "b", "c"), strategy="and-or", judge=gate)
    assert result.status is SearchStatus.EXHAUSTED
    assert set(result.refused_proofs) == {"no"}


async def test_a_state_that_needs_itself_is_no_way_to_go():
    """``a`` would need the start again: its other goal is not even looked at."""
    policy = proposing("a", "b", "c")
    table = {("start", "a"): ("start", "X"), ("start", "c"): DONE, ("X", "a"): "X1"}
    result, _ = await run(FakeLean(table), policy, strategy="and-or", slice_size=1)
    assert tactics(result) == ["c"]
    assert policy.asked == ["start"]


async def test_a_longer_circle_comes_to_an_end():
    table = {("start", "a"): "A", ("A", "a"): ("B", "X"), ("B", "a"): "A", ("X", "b"): DONE}
    result, _ = await run(FakeLean(table), proposing("a", "b"), strategy="and-or")
    assert result.status is SearchStatus.EXHAUSTED


async def test_a_part_without_a_way_out_ends_the_work_on_the_others():
    endless = {(f"n{i}", "a"): f"n{i + 1}" for i in range(100)}
    table = {("start", "a"): ("n0", "Dead"), **endless}
    result, _ = await run(FakeLean(table), proposing("a", "b"), strategy="and-or")
    assert result.status is SearchStatus.EXHAUSTED
    assert result.expansions == 3, "the start and both parts, once"


async def test_a_part_that_only_leads_to_itself_ends_the_work_on_the_others():
    endless = {(f"n{i}", "a"): f"n{i + 1}" for i in range(100)}
    table = {("start", "a"): ("n0", "P"), ("P", "a"): ("P", "n50"), **endless}
    result, _ = await run(FakeLean(table), proposing("a", "b"), strategy="and-or")
    assert (result.status, result.expansions) == (SearchStatus.EXHAUSTED, 3)


async def test_a_part_that_only_goes_in_a_circle_ends_the_work_on_the_others():
    endless = {(f"n{i}", "a"): f"n{i + 1}" for i in range(100)}
    table = {("start", "a"): ("n0", "P"), ("P", "a"): "Q", ("Q", "a"): "P", **endless}
    result, _ = await run(FakeLean(table), proposing("a", "b"), strategy="and-or")
    assert result.status is SearchStatus.EXHAUSTED
    assert result.expansions <= 6


async def test_what_is_solved_is_not_tried_again():
    table = {("start", "a"): ("P", "Q"), ("P", "a"): DONE, ("Q", "c"): DONE}
    _, events = await run(FakeLean(table), proposing("a", "b", "c"), strategy="and-or", slice_size=1)
    assert [tactic for node, tactic in tried(events) if node == 2] == ["a"]
    assert [tactic for node, tactic in tried(events) if node == 3] == ["a", "b", "c"]


async def test_a_known_proof_is_found_again_by_another_way():
    """P was proved as a part, and its neighbour cannot be; then the start turns out to be P itself by another tactic."""
    table = {("start", "a"): ("P", "Dead"), ("P", "a"): "P1", ("P1", "a"): DONE, ("start", "b"): "P"}
    lean = FakeLean(table)
    result, _ = await run(lean, proposing("a", "b"), strategy="and-or", slice_size=1)
    assert tactics(result) == ["b", "a", "a"]


async def test_a_part_that_is_proved_already_costs_nothing():
    """P looked even and is proved. So the second tactic, which leaves P and Q, is worth Q alone, more than S."""
    table = {
        ("start", "a"): ("P", "R"),
        ("P", "a"): DONE,
        ("R", "a"): "R1",
        ("start", "b"): ("P", "Q"),
        ("start", "c"): "S",
    }
    root = [("a", math.log(0.3)), ("b", math.log(0.3)), ("c", math.log(0.4))]
    policy = ScriptedPolicy({"start": root}, default=[("a", -1.0)])
    value = values(start=0.7, P=0.5, R=0.99, R1=0.1, Q=0.55, S=0.4)
    await run(FakeLean(table), policy, value=value, strategy="and-or", slice_size=1, c_puct=0.0)
    assert policy.asked.index("Q") < policy.asked.index("S")


async def test_a_lean_that_cannot_take_goals_apart_is_counted_and_searched_as_one():
    tally = Tally()
    table = {("start", "a"): ("P", "Q"), ("P", "b"): DONE, ("Q", "b"): DONE}
    result, events = await run(
        FakeLean(table, focuses=False), proposing("a", "b"), strategy="and-or", parts={"tally": tally}
    )
    assert tactics(result) == ["a", "b", "b"]
    assert tally.counts == {"states whose goals could not be taken apart": 1}
    assert not any(isinstance(e, StateSplit) for e in events)


async def test_a_part_that_is_proved_is_no_proof():
    table = {("start", "a"): ("P", "Q"), ("P", "b"): DONE}
    result, events = await run(FakeLean(table), proposing("a", "b"), strategy="and-or")
    assert result.status is SearchStatus.EXHAUSTED
    assert any(e.finished for e in events if isinstance(e, NodeAdded))


def test_puct_is_the_mean_and_a_bonus_that_fades():
    assert puct(0.5, 0.0, 0, 0.25, exploration=2.0) == 1.0
    assert puct(0.5, 2.5, 3, 0.4, exploration=2.5) == (0.5 + 2.5) / 4 + 2.5 * 0.4 / 4


def test_product():
    assert product([]) == 1.0
    assert product([0.5, 0.5]) == pytest.approx(0.25)
    assert product([0.9, 0.0]) == 0.0


def same(target: str, *hypotheses: str) -> ProofState:
    """A state whose only goal is the same up to the names and the order of its hypotheses."""
    return ProofState((Goal(tuple(Variable(name, "Prop") for name in hypotheses), target, key="k"),))


@pytest.mark.parametrize("other", [same("a", "a", "c"), same("b", "a", "b"), same("a", "b", "a")])
def test_states_that_read_differently_are_shared_only_along_first_edges(other):
    """A tactic may write the names of hypotheses; what proves one of them need not prove the other."""
    for matter in (False, True):
        graph = Graph(names_matter=matter)
        root = graph.root(StateRef(0), same("a", "a", "b"))
        assert graph.known(same("a", "a", "b")) is root
        assert (graph.known(other) is root) == (not matter)
