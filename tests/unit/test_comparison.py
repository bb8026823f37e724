"""Evaluations in pairs: what is counted, and what is refused."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
from compare_lab import changed, read, spec, write

from burnqed.core.errors import BadInput
from burnqed.evaluate.comparison import OneSeed, Side, compare, steps
from burnqed.evaluate.record import NO_VALUE, OWN, Budget, Evaluation, read_evaluation
from burnqed.evaluate.statistics import Interval, bonett_price, holm, mcnemar_exact

# The table worked by hand in test_evaluate_statistics.py: 4 both, 2 only A, 8 only B, 2 neither.
A_PROVES, B_PROVES = range(6), [0, 1, 2, 3, *range(6, 14)]


def two(tmp_path: Path, **changes: Any) -> dict[str, Evaluation]:
    """A and B as above; ``changes`` are of B's specification."""
    return {
        "A": read(tmp_path / "a", spec("A"), {OWN: [A_PROVES], NO_VALUE: [[0]]}),
        "B": read(tmp_path / "b", changed(spec("B"), **changes), {OWN: [B_PROVES], NO_VALUE: [[0]]}, cost=20),
    }


def test_the_table_that_was_worked_by_hand(tmp_path):
    pair = compare(two(tmp_path)).pairs[0]
    assert (str(pair.first), str(pair.second)) == ("A with its own value", "B with its own value")
    assert (pair.first_share.proved, pair.second_share.proved, pair.theorems) == (6, 12, 16)
    assert (pair.both, pair.neither) == (4, 2)
    assert pair.lost == ("t4", "t5")
    assert pair.gained == tuple(f"t{i}" for i in range(6, 14))
    assert pair.p == 0.109375
    assert pair.difference == 0.375
    assert pair.adjusted == bonett_price(2, 8, 16)
    # Of 16 differences 8 are +1 and 2 are -1: the mean's standard error is sqrt((10/16 - 0.375²) / 16) = 0.174.
    assert (pair.interval.low, pair.interval.high) == pytest.approx((0.375 - 0.341, 0.375 + 0.341), abs=0.04)
    assert pair.by_seed == (OneSeed(0, 2, 8, 0.109375),)


def test_costs_are_medians_over_what_both_prove(tmp_path):
    # Theorems 0 to 3: A's proofs took 2 · (10 + i) tactics, B's 2 · (20 + i); the medians are at 1.5.
    costs = {cost.what: (cost.first, cost.second) for cost in compare(two(tmp_path)).pairs[0].costs}
    assert costs == {"tactics": (23.0, 43.0), "nodes": (11.5, 21.5), "seconds": pytest.approx((1.15, 2.15))}


def test_every_question_is_asked_in_order(tmp_path):
    arms = (OWN, "size", NO_VALUE)
    named = {x: read(tmp_path / x, spec(x, arms=arms), {OWN: [[1]], "size": [[2]], NO_VALUE: [[]]}) for x in "ABC"}
    comparison = compare(named, resamples=100)
    asked = [(p.question, p.first.label + p.second.label, p.first.arm, p.second.arm) for p in comparison.pairs]
    assert asked[:3] == [("systems", ends, OWN, OWN) for ends in ("AB", "BC", "AC")]
    assert asked[3:9] == [
        ("systems, other value", ends, arm, arm) for arm in (NO_VALUE, "size") for ends in ("AB", "BC", "AC")
    ]
    assert asked[9:] == [
        ("worth of the value", x + x, arm, OWN) for x in "ABC" for arm in (NO_VALUE, "size")
    ]  # fmt: skip
    assert [(c.first, c.second, c.over) for c in comparison.changes[:2]] == [("A", "B", NO_VALUE), ("A", "B", "size")]
    assert comparison.pair(Side("A", OWN), Side("C", OWN)) is comparison.pairs[2]
    assert comparison.pair(Side("C", OWN), Side("A", OWN)) is None


def test_steps_are_neighbours_and_the_whole():
    assert steps(["A", "B"]) == [("A", "B")]
    assert steps(["A", "B", "C", "D"]) == [("A", "B"), ("B", "C"), ("C", "D"), ("A", "D")]


def test_a_system_without_a_value_is_not_asked_what_it_is_worth(tmp_path):
    named = {
        x: read(tmp_path / x, changed(spec(x), system_value=NO_VALUE), {OWN: [[1]], NO_VALUE: [[1]]}) for x in "AB"
    }
    comparison = compare(named, resamples=100)
    assert {p.question for p in comparison.pairs} == {"systems", "systems, other value"}
    assert comparison.changes == ()


def test_p_values_are_corrected_among_pairs_of_one_question(tmp_path):
    sets = {"A": range(4), "B": range(14), "C": range(1, 16)}
    named = {x: read(tmp_path / x, spec(x), {OWN: [hit], NO_VALUE: [[0]]}) for x, hit in sets.items()}
    pairs = [p for p in compare(named, resamples=100).pairs if p.question == "systems"]
    # A and B: 10 gained; B and C: 1 lost, 2 gained; A and C: 1 lost, 12 gained.
    assert [p.p for p in pairs] == [mcnemar_exact(0, 10), mcnemar_exact(1, 2), mcnemar_exact(1, 12)]
    assert [p.p_holm for p in pairs] == holm([p.p for p in pairs])


def test_several_seeds_of_a_theorem_are_one_cluster(tmp_path):
    seeds = (3, 1, 2)
    one = spec("A", theorems=4, seeds=seeds, arms=(OWN,))
    named = {
        "A": read(tmp_path / "a", one, {OWN: [[0, 1], [0], []]}),
        "B": read(tmp_path / "b", changed(one, seeds=(1, 2, 3)), {OWN: [[0, 2], [0, 2], [2, 3]]}),
    }
    comparison = compare(named)
    pair = comparison.pairs[0]
    # By seeds 1, 2, 3. A: t0 +--+, that is seeds 3 and 1; t1 seed 3 alone. B: t0 seeds 1, 2; t2 all; t3 seed 3 alone.
    assert [(s.seed, s.only_first, s.only_second) for s in pair.by_seed] == [(1, 0, 1), (2, 0, 2), (3, 2, 2)]
    assert (pair.gained, pair.lost, pair.both) == (("t2",), (), 1)
    assert pair.first_share.mean == pytest.approx(3 / 12)
    assert pair.second_share.mean == pytest.approx(6 / 12)
    assert pair.difference == pytest.approx(3 / 12)
    assert pair.interval.low <= pair.difference <= pair.interval.high


def test_thirds_that_cancel_are_exactly_nothing(tmp_path):
    # Three theorems gain all three seeds, one loses one. Drawing one of the gains and the loss thrice sums to 0: 3 - 1 - 1 - 1.
    # In fractions it would be 5e-17, and an interval that starts there would exclude 0.
    about = spec("A", theorems=4, seeds=(0, 1, 2), arms=(OWN,))
    named = {
        "A": read(tmp_path / "a", about, {OWN: [[3], [], []]}),
        "B": read(tmp_path / "b", about, {OWN: [[0, 1, 2]] * 3}),
    }
    pair = compare(named, resamples=1000).pairs[0]
    assert pair.difference == pytest.approx(8 / 12)
    assert pair.interval == Interval(0.0, 1.0)


def test_one_of_two_seeds_is_half(tmp_path):
    about = spec("A", seeds=(0, 1), arms=(OWN,))
    named = {x: read(tmp_path / x, about, {OWN: [[0], []] if x == "A" else [[], []]}) for x in "AB"}
    assert compare(named).pairs[0].lost == ("t0",)


def test_the_change_of_what_the_value_adds_worked_by_hand(tmp_path):
    # A's value gains t0, t1 and loses t2. B's gains t0, t1, t3, t4. So the gain is larger on t2, t3, t4: 3 of 16.
    named = {
        "A": read(tmp_path / "a", spec("A"), {OWN: [[0, 1]], NO_VALUE: [[2]]}),
        "B": read(tmp_path / "b", spec("B"), {OWN: [[0, 1, 3, 4]], NO_VALUE: [[]]}),
    }
    (change,) = compare(named).changes
    assert (change.less, change.more, change.over) == (0, 3, NO_VALUE)
    assert change.difference == pytest.approx(3 / 16)
    assert change.p == 0.25


def test_the_same_seed_gives_the_same_numbers_and_another_one_others(tmp_path):
    rng = random.Random(0)
    about = spec("A", theorems=60, arms=(OWN,))
    named = {x: read(tmp_path / x, about, {OWN: [rng.sample(range(60), 30)]}) for x in "AB"}
    assert compare(named, resamples=300) == compare(named, resamples=300)
    intervals: set[Interval] = {compare(named, resamples=300, seed=s).pairs[0].interval for s in range(6)}
    assert len(intervals) > 1


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "budget": ({"budget": Budget(nodes=800, seconds=60.0, tactics=500)}, "budgets are 100 nodes, .* and 800 nodes"),
    "seeds": ({"seeds": (7,)}, "seeds are 0 and 7"),
    "arms": ({"arms": (OWN, NO_VALUE, "size")}, "arms are own, none and own, none, size"),
    "lean": ({"lean": "4.9.0"}, "Lean is 4.28.0, embedded and 4.9.0"),
    "prompt": ({"system_prompt_format": "proof-text"}, "prompt formats are markers and proof-text"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_other_conditions_are_refused_with_the_reason(tmp_path, what):
    changes, reason = REFUSED[what]
    named = {"A": read(tmp_path / "a", spec("A"), {}), "B": read(tmp_path / "b", changed(spec("B"), **changes), {})}
    with pytest.raises(BadInput, match=reason) as error:
        compare(named)
    assert str(tmp_path / "a") in str(error.value)
    assert str(tmp_path / "b") in str(error.value)


def test_other_theorems_are_refused(tmp_path):
    named = {"A": read(tmp_path / "a", spec("A"), {}), "B": read(tmp_path / "b", spec("B", theorems=12), {})}
    with pytest.raises(BadInput, match="4 theorems are in the first alone \\(t12, t13, t14 and 1 more\\)"):
        compare(named)


def test_a_benchmark_that_changed_under_the_same_names_is_refused(tmp_path):
    other = spec("B", digests={"t3": "another statement"})
    named = {"A": read(tmp_path / "a", spec("A"), {}), "B": read(tmp_path / "b", other, {})}
    with pytest.raises(BadInput, match=r"toy changed between them, 1 theorems .* \(t3\)"):
        compare(named)


def test_the_same_benchmark_from_another_file_is_accepted(tmp_path):
    about = spec("B")
    moved = msgspec.structs.replace(about.benchmark, path="elsewhere.jsonl", theorems=about.benchmark.theorems[::-1])
    assert compare(two(tmp_path, benchmark=moved)).theorems == 16


def test_an_evaluation_that_is_not_complete_is_refused(tmp_path):
    folder = write(tmp_path / "b", spec("B"), leave_out=2)
    named = {"A": read(tmp_path / "a", spec("A"), {}), "B": read_evaluation(folder, complete=False)}
    with pytest.raises(BadInput, match="b is not complete, 4 searches are missing"):
        compare(named)


def test_one_evaluation_or_one_twice_is_refused(tmp_path):
    one = read(tmp_path / "a", spec("A"), {})
    with pytest.raises(BadInput, match="two evaluations at least"):
        compare({"A": one})
    with pytest.raises(BadInput, match="A and B are one folder"):
        compare({"A": one, "B": one})


def test_a_benchmark_without_theorems_is_refused(tmp_path):
    named = {x: read(tmp_path / x, spec(x, theorems=0), {}) for x in "AB"}
    with pytest.raises(BadInput, match="about no theorem"):
        compare(named)


def test_what_forbids_nothing_is_told(tmp_path):
    config = {
        "search": {"strategy": "puct"},
        "policy": {"kind": "model", "model": "models/other"},
        "lean": {"workers": 3},
    }
    named = two(tmp_path, machine="another machine", commit="", system_config=config)
    commit, machine, strategy = compare(named, resamples=100).notes
    assert commit == "Not the same is the commit of burnqed (A: abc123; B: not known)."
    assert "A: a machine; B: another machine" in machine
    assert "faster machine" in machine
    assert strategy == "Not the same is the setting search.strategy (A: best-first; B: puct)."
