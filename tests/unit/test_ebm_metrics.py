"""Figures of energies against examples worked out by hand and against a plain loop."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from burnqed.core.errors import ModelError
from burnqed.joint.ebm_metrics import Ranking, baselines, ebm_metrics

HAND = np.array(
    [
        [0.0, 1.0, 2.0, 3.0],  # first, beats 3 of 3
        [2.0, 1.0, 2.0, 3.0],  # second, ties with one: beats 1½ of 3
        [1.0, 1.0, 1.0, 5.0],  # first together with two: a third; beats 2 of 3
        [9.0, 1.0, 2.0, 3.0],  # last
    ]
)
DEPTHS = [0, 3, 4, 17]


def test_an_example_worked_out_by_hand():
    found = ebm_metrics(HAND, depths=DEPTHS)
    assert found is not None
    assert found.groups == 4
    assert found.pairs == 12
    assert found.rank_1 == pytest.approx((1 + 0 + 1 / 3 + 0) / 4)
    assert found.chance == 0.25
    assert found.pairwise == pytest.approx((3 + 1.5 + 2 + 0) / 12)
    assert found.gap == pytest.approx((6 + 0 + 4 - 21) / 12)
    assert found.spread == pytest.approx(HAND.std())
    assert found.inverted_p == pytest.approx(binomtest(2, 3, 0.5, alternative="less").pvalue), "one group is undecided"
    assert found.without_negatives == 0


def test_the_same_by_depth_of_the_positive():
    found = ebm_metrics(HAND, depths=DEPTHS)
    assert found is not None
    assert found.depth_0_1 is not None
    assert found.depth_2_3 is not None
    assert found.depth_4_plus is not None
    assert (found.depth_0_1.groups, found.depth_0_1.rank_1) == (1, 1.0)
    assert (found.depth_2_3.groups, found.depth_2_3.pairwise) == (1, 0.5)
    assert (found.depth_4_plus.groups, found.depth_4_plus.rank_1) == (2, pytest.approx(1 / 6))
    shallow = ebm_metrics(HAND[:1], depths=[1])
    assert shallow is not None
    assert shallow.depth_4_plus is None


def test_masked_columns_and_groups_without_a_negative_are_left_out():
    energies = np.array([[1.0, 2.0, -5.0], [0.0, math.nan, math.inf], [3.0, 3.0, 1.0]])
    mask = np.array([[True, True, False], [True, False, False], [False, True, True]])
    found = ebm_metrics(energies, depths=[0, 0, 0], mask=mask)
    assert found is not None
    assert (found.groups, found.pairs, found.without_negatives) == (2, 3, 1)
    assert found.rank_1 == 0.5
    assert found.chance == pytest.approx((1 / 2 + 1 / 3) / 2)
    assert found.pairwise == pytest.approx((1 + 0.5 + 0) / 3)
    assert found.spread == pytest.approx(np.std([1, 2, 3, 3, 1]))
    assert not mask[2, 0], "what was given stays as it was"


def by_loop(energies: np.ndarray, mask: np.ndarray) -> tuple[float, float, float]:
    ranks, wins, gaps = [], [], []
    for row, there in zip(energies, mask, strict=True):
        others = [e for e, t in zip(row[1:], there[1:], strict=True) if t]
        if not others:
            continue
        best = min([row[0], *others])
        ranks.append(1 / [row[0], *others].count(best) if row[0] == best else 0)
        wins += [1.0 if row[0] < e else 0.5 if row[0] == e else 0.0 for e in others]
        gaps += [e - row[0] for e in others]
    return float(np.mean(ranks)), float(np.mean(wins)), float(np.mean(gaps))


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 5))
@settings(max_examples=100)
def test_any_energies_with_many_ties_agree_with_a_plain_loop(seed, groups, k):
    rng = np.random.default_rng(seed)
    energies = rng.integers(0, 4, (groups, k + 1)).astype(float)
    mask = rng.random((groups, k + 1)) < 0.7
    found = ebm_metrics(energies, depths=np.zeros(groups), mask=mask)
    if found is None:
        assert not mask[:, 1:].any()
    else:
        assert (found.rank_1, found.pairwise, found.gap) == pytest.approx(by_loop(energies, mask))


def test_energies_that_say_nothing_are_at_chance():
    same = ebm_metrics(np.ones((50, 4)), depths=np.zeros(50))
    assert same is not None
    assert (same.rank_1, same.chance, same.pairwise, same.spread, same.inverted_p) == (0.25, 0.25, 0.5, 0.0, 1.0)
    noise = ebm_metrics(np.random.default_rng(0).normal(size=(4000, 4)), depths=np.zeros(4000))
    assert noise is not None
    assert noise.rank_1 == pytest.approx(0.25, abs=0.03)
    assert noise.pairwise == pytest.approx(0.5, abs=0.03)
    assert noise.inverted_p > 0.01


def test_inverted_polarity_is_seen_and_three_groups_are_no_evidence():
    rng = np.random.default_rng(0)
    energies = rng.normal(size=(200, 4))
    energies[:, 0] += 1
    inverted = ebm_metrics(energies, depths=np.zeros(200))
    assert inverted is not None
    assert inverted.pairwise < 0.5
    assert inverted.inverted_p < 1e-6
    right = ebm_metrics(-energies, depths=np.zeros(200))
    assert right is not None
    assert right.inverted_p > 0.99
    few = ebm_metrics(np.array([[5.0, 1.0]] * 3), depths=np.zeros(3))
    assert few is not None
    assert few.inverted_p == 0.125


def test_pairs_of_one_group_are_not_counted_as_independent():
    """One positive above its hundred negatives is one observation."""
    found = ebm_metrics(np.array([[1.0] + [0.0] * 100]), depths=[0])
    assert found is not None
    assert found.inverted_p == 0.5


def test_no_group_with_a_negative_is_no_figure():
    assert ebm_metrics(np.zeros((3, 1)), depths=np.zeros(3)) is None
    assert ebm_metrics(np.zeros((0, 4)), depths=np.zeros(0)) is None
    assert baselines([["⊢ a"]], depths=[[0]]) == {}


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_energies_that_are_not_finite_are_refused(value):
    energies = HAND.copy()
    energies[1, 2] = value
    with pytest.raises(ModelError, match="1 of 16 energies are not finite"):
        ebm_metrics(energies, depths=DEPTHS)


def test_baselines_are_the_figures_of_what_needs_no_learning():
    texts = [
        ["⊢ a", "⊢ abc", "x : Nat\n⊢ a\n\n⊢ b"],  # shortest, ties in goals with one
        ["h : a\n⊢ b", "⊢ b", ""],
    ]
    depths = [[2, 2, 1], [5, 6, 0]]
    logprobs = [[-3.0, -1.0, -2.0], [-1.0, -2.0, math.nan]]
    mask = np.array([[True, True, True], [True, True, False]])
    found = baselines(texts, depths=depths, logprobs_nats=logprobs, mask=mask)
    assert {name: m.rank_1 for name, m in found.items()} == {
        "length": 0.5,
        "goals": (0.5 + 0.5) / 2,
        "depth": 0.5,
        "logprob": 0.5,
    }
    assert found["logprob"].depth_4_plus is not None
    assert found["logprob"].depth_4_plus.rank_1 == 1.0
    assert found["depth"].depth_2_3 is not None
    assert found["depth"].depth_2_3.rank_1 == 0.0, "the negative is nearer to the root"
    assert set(baselines(texts, depths=depths, mask=mask)) == {"length", "goals", "depth"}
    assert isinstance(found["goals"], Ranking)
