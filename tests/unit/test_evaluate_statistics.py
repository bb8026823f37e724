"""Statistics of evaluations, against scipy and statsmodels, against counting, and against a table worked by hand."""

from __future__ import annotations

import itertools
import math
import random
from statistics import fmean

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from burnqed.evaluate.statistics import (
    Interval,
    bonett_price,
    fewest_discordant,
    holm,
    mcnemar_exact,
    mean_pass_at_k,
    paired_bootstrap,
    pass_at_k,
    quantile,
    wilson,
)

counts = st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
confidences = st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.99])

# The table worked by hand. Systems A and B on 16 theorems:
#
#                  B proves   B does not
#     A proves         4           2        A: 6 of 16
#     A does not       8           2        B: 12 of 16
#
# McNemar, exact: 2 + 8 = 10 coins; P(at most 2 heads) = (1 + 10 + 45) / 1024 = 56 / 1024; doubled: 112 / 1024 = 0.109375.
# Mean difference: (8 - 2) / 16 = 0.375.
# Bonett and Price: n = 18, won 9, lost 3; middle 6 / 18 = 0.333333; variance (12/18 - 1/9) / 18 = (10/18) / 18 = 0.0308642,
#   root 0.175682; times 1.959964 = 0.344331; so from -0.010998 to 0.677665.
# Wilson for B, 12 of 16: z² = 3.841459; shrink = 1 + 3.841459 / 16 = 1.240091; middle = (0.75 + 3.841459 / 32) / 1.240091
#   = 0.870046 / 1.240091 = 0.701598; half = 1.959964 / 1.240091 · √(0.75 · 0.25 / 16 + 3.841459 / 1024)
#   = 1.580500 · √(0.01171875 + 0.00375142) = 1.580500 · 0.124379 = 0.196581; so from 0.505017 to 0.898179.
ONLY_A, ONLY_B, BOTH, NEITHER = 2, 8, 4, 2
DIFFERENCES = [-1.0] * ONLY_A + [1.0] * ONLY_B + [0.0] * (BOTH + NEITHER)


def test_the_table_that_was_worked_by_hand():
    assert mcnemar_exact(ONLY_A, ONLY_B) == 0.109375
    adjusted = bonett_price(ONLY_A, ONLY_B, 16)
    assert (adjusted.low, adjusted.high) == pytest.approx((-0.010998, 0.677665), abs=2e-6)
    share = wilson(12, 16)
    assert (share.low, share.high) == pytest.approx((0.505017, 0.898179), abs=2e-6)
    assert fmean(DIFFERENCES) == 0.375


def test_pass_at_k_worked_by_hand():
    # Of 5 attempts 2 succeed; of the 10 pairs of attempts 3 are of failures only: 1 - 3/10. Of 4, 1 succeeds: 1 - 3/6.
    assert pass_at_k(5, 2, 2) == pytest.approx(0.7)
    assert pass_at_k(4, 1, 2) == pytest.approx(0.5)
    assert mean_pass_at_k([(5, 2), (4, 1)], 2) == pytest.approx(0.6)


def test_a_bootstrap_of_two_theorems_is_known_exactly():
    # Means of two draws from {0, 1}: 0, ½, ½, 1, each with a quarter. So the middle 40 % are all ½, and 95 % reach both ends.
    assert paired_bootstrap([0.0, 1.0], seed=1, resamples=4000, confidence=0.4) == Interval(0.5, 0.5)
    assert paired_bootstrap([0.0, 1.0], seed=1, resamples=4000) == Interval(0.0, 1.0)


def test_holm_worked_by_hand():
    # 0.01 · 3, then 0.03 · 2, then 0.04 · 1, which may not fall below the one before it.
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


@given(counts, confidences)
def test_wilson_is_that_of_statsmodels_and_scipy(count, confidence):
    k, n = count
    mine = wilson(k, n, confidence)
    theirs = proportion_confint(k, n, alpha=1 - confidence, method="wilson")
    assert (mine.low, mine.high) == pytest.approx(theirs, abs=1e-12)
    other = scipy.stats.binomtest(k, n).proportion_ci(confidence, method="wilson")
    assert (mine.low, mine.high) == pytest.approx((other.low, other.high), abs=1e-12)


@given(counts)
def test_wilson_holds_the_share_within_0_and_1_and_mirrors(count):
    k, n = count
    mine, mirrored = wilson(k, n), wilson(n - k, n)
    assert 0 <= mine.low <= k / n <= mine.high <= 1
    assert (mirrored.low, mirrored.high) == pytest.approx((1 - mine.high, 1 - mine.low))


@given(counts, st.integers(2, 5))
def test_wilson_narrows_with_more_trials_and_widens_with_confidence(count, times):
    k, n = count
    once, often, sure = wilson(k, n), wilson(times * k, times * n), wilson(k, n, 0.99)
    assert often.high - often.low < once.high - once.low < sure.high - sure.low


def test_no_trials_say_nothing():
    assert wilson(0, 0) == Interval(0.0, 1.0)


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_that_of_statsmodels_and_a_binomial_test(b, c):
    mine = mcnemar_exact(b, c)
    assert mine == mcnemar_exact(c, b)
    assert mine == pytest.approx(mcnemar([[7, b], [c, 9]], exact=True).pvalue, abs=1e-12)
    if b + c:
        assert mine == pytest.approx(scipy.stats.binomtest(b, b + c).pvalue, abs=1e-12)


def test_mcnemar_of_nothing_and_of_very_much():
    assert mcnemar_exact(0, 0) == 1.0
    assert mcnemar_exact(5000, 5000) == pytest.approx(1.0)
    assert mcnemar_exact(0, 3000) == 0.0, "smaller than any number of the machine"


def test_with_fewer_than_six_discordant_pairs_nothing_can_be_shown():
    assert fewest_discordant() == 6
    assert mcnemar_exact(0, 5) > 0.05 > mcnemar_exact(0, 6)


@given(st.integers(1, 8).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_pass_at_k_is_the_share_of_subsets_with_a_success(case):
    n, c, k = case
    attempts = [True] * c + [False] * (n - c)
    assert pass_at_k(n, c, k) == pytest.approx(fmean(any(s) for s in itertools.combinations(attempts, k)))


@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))))
def test_pass_at_k_grows_with_k_from_the_plain_share(case):
    n, c = case
    found = [pass_at_k(n, c, k) for k in range(1, n + 1)]
    assert found[0] == pytest.approx(c / n)
    assert found == sorted(found)
    assert found[-1] == (1.0 if c else 0.0)


def test_pass_at_k_is_unbiased():
    p, k = 0.3, 4
    weights = [math.comb(10, c) * p**c * (1 - p) ** (10 - c) for c in range(11)]
    expected = sum(w * pass_at_k(10, c, k) for c, w in enumerate(weights))
    assert expected == pytest.approx(1 - (1 - p) ** k)


@pytest.mark.parametrize("seed", range(3))
def test_the_bootstrap_is_that_of_scipy(seed):
    rng = random.Random(seed)
    values = [rng.choice([-1, -2 / 3, -1 / 3, 0, 0, 0, 1 / 3, 1]) for _ in range(80)]
    mine = paired_bootstrap(values, seed=seed, resamples=20_000)
    theirs = scipy.stats.bootstrap(
        (np.array(values),), np.mean, method="percentile", n_resamples=20_000, rng=np.random.default_rng(seed)
    ).confidence_interval
    # Both draw at random: equal up to a fraction of the step between neighbouring means.
    assert (mine.low, mine.high) == pytest.approx((theirs.low, theirs.high), abs=0.006)


def test_the_bootstrap_has_the_width_that_the_central_limit_says():
    values = [1.0] * 40 + [0.0] * 120 + [-1.0] * 40
    mine = paired_bootstrap(values, seed=5)
    error = math.sqrt(fmean(v * v for v in values) / len(values))
    assert (mine.low, mine.high) == pytest.approx((-1.96 * error, 1.96 * error), abs=0.006)


@given(st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0]), min_size=1, max_size=30), st.integers(0, 10**12))
def test_the_bootstrap_repeats_and_stays_within_what_was_measured(values, seed):
    mine = paired_bootstrap(values, seed=seed, resamples=200)
    assert mine == paired_bootstrap(values, seed=seed, resamples=200)
    assert min(values) <= mine.low <= mine.high <= max(values)
    mirrored = paired_bootstrap([-v for v in values], seed=seed, resamples=200)
    assert (mirrored.low, mirrored.high) == pytest.approx((-mine.high, -mine.low))


def test_the_bootstrap_narrows_with_more_theorems():
    def width(times: int) -> float:
        mine = paired_bootstrap(DIFFERENCES * times, seed=0, resamples=2000)
        return mine.high - mine.low

    assert width(1) > width(4) > width(16)
    assert width(4) == pytest.approx(width(1) / 2, rel=0.15)


@given(st.integers(0, 20), st.integers(0, 20), st.integers(0, 60))
def test_the_adjusted_interval_is_never_a_point_and_mirrors(b, c, tied):
    mine, mirrored = bonett_price(b, c, b + c + tied), bonett_price(c, b, b + c + tied)
    assert -1 <= mine.low < mine.high <= 1
    assert (mirrored.low, mirrored.high) == pytest.approx((-mine.high, -mine.low))
    assert (c - b) / max(1, b + c + tied) in mine


def test_the_adjusted_interval_covers_where_the_bootstrap_does_not():
    # One theorem in 50 is proved by B alone. A bootstrap of a sample without any has no width at all.
    rng, covered = random.Random(0), 0
    for _ in range(400):
        won = sum(rng.random() < 0.02 for _ in range(50))
        covered += 0.02 in bonett_price(0, won, 50)
    assert covered >= 0.93 * 400
    assert paired_bootstrap([0.0] * 50, seed=0, resamples=10) == Interval(0.0, 0.0)


@settings(max_examples=10)  # statsmodels takes 60 ms for each
@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_is_that_of_statsmodels(values):
    mine = holm(values)
    if values:
        assert mine == pytest.approx(multipletests(values, method="holm")[1].tolist())
    assert all(raw <= adjusted <= 1 for raw, adjusted in zip(values, mine, strict=True))


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20), st.floats(0, 1))
def test_quantiles_are_those_of_numpy(values, share):
    assert quantile(sorted(values), share) == pytest.approx(float(np.quantile(values, share)), rel=1e-9, abs=1e-6)
