"""Calibration: what it recovers, what it refuses, and how reliable it is on theorems that it was not fitted to."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from burnqed.core.calibration import Calibration, log_sigmoid
from burnqed.core.errors import BadInput
from burnqed.data.scored_states import ScoredStates
from burnqed.evaluate.calibration_report import page
from burnqed.evaluate.held_out import BASE, TERMS, shown
from burnqed.evaluate.reliability import limit_of, reliability, reliability_chart
from burnqed.value.calibrate import fit


def states(n: int = 20_000, *, intercept: float = -1.0, slope: float = 0.7, policy: float = 0.0, seed: int = 0):
    """States whose outcome was drawn from known odds."""
    rng = np.random.default_rng(seed)
    energy = rng.normal(2.0, 3.0, n)
    terms = -rng.exponential(1.0, n)
    odds = intercept - slope * energy + policy * terms
    return terms.tolist(), energy.tolist(), (rng.random(n) < 1 / (1 + np.exp(-odds))).tolist()


def test_recovers_the_odds_that_the_outcomes_were_drawn_from():
    found = fit(*states()).calibration
    assert (found.intercept, found.slope) == pytest.approx((-1.0, 0.7), rel=0.05)
    assert found.fitted_on == 20_000


def test_probabilities_agree_with_what_happened():
    result = fit(*states())
    assert sum(n for _, _, n in result.reliability) == result.total
    assert all(abs(said - was) < 0.03 for said, was, _ in result.reliability)
    assert result.log_loss < result.base_log_loss


def test_the_scale_of_the_energies_does_not_matter():
    terms, energy, proved = states(4000)
    scaled = fit(terms, [1000 * e - 5 for e in energy], proved).calibration
    plain = fit(terms, energy, proved).calibration
    for e in (-2.0, 0.0, 5.0):
        assert scaled.log_provable(1000 * e - 5) == pytest.approx(plain.log_provable(e), abs=1e-2)
    assert scaled.value_weight == pytest.approx(plain.value_weight, rel=0.05)


def test_a_policy_that_tells_more_makes_the_value_weigh_less():
    weak = fit(*states(policy=0.2)).calibration
    strong = fit(*states(policy=3.0)).calibration
    assert weak.policy_weight == strong.policy_weight == 1.0
    assert 0.1 <= strong.value_weight < weak.value_weight <= 10.0


def test_too_few_states_of_a_kind_are_refused():
    terms, energy, _ = states(100)
    with pytest.raises(BadInput, match=r"at least 20 states with a proof and 20 without; there are 5 and 95"):
        fit(terms, energy, [True] * 5 + [False] * 95)


def test_inverted_polarity_is_refused():
    terms, energy, proved = states(2000)
    with pytest.raises(BadInput, match="polarity is inverted"):
        fit(terms, [-e for e in energy], proved)


def test_energies_that_are_not_finite_do_not_count():
    terms, energy, proved = states(2000)
    spoiled = fit([*terms, -1.0, math.nan], [*energy, math.nan, 0.0], [*proved, True, True])
    assert spoiled == fit(terms, energy, proved)


@given(st.floats(-1e6, 1e6), st.floats(-50, 50), st.floats(0.01, 50))
def test_log_provable_is_finite_falls_with_energy_and_never_exceeds_zero(energy, intercept, slope):
    calibration = Calibration(intercept, slope)
    assert -math.inf < calibration.log_provable(energy + 1) <= calibration.log_provable(energy) <= 0


@pytest.mark.parametrize("x", [-700.0, -5.0, 0.0, 5.0, 700.0])
def test_log_sigmoid_equals_its_definition(x):
    assert log_sigmoid(x) == pytest.approx(x - math.log1p(math.exp(x)) if x < 30 else 0.0, abs=1e-9)


# -- reliability --------------------------------------------------------------------------------------------


def test_the_figures_are_those_of_a_hand_count():
    found = reliability([0.2, 0.2, 0.9, 0.9], [True, False, True, True])
    assert [(b.said, b.was, b.states) for b in found.bins] == [
        (pytest.approx(0.2), 0.5, 2),
        (pytest.approx(0.9), 1.0, 2),
    ]
    assert found.ece == pytest.approx(0.5 * 0.3 + 0.5 * 0.1)
    assert found.brier == pytest.approx((0.64 + 0.04 + 0.01 + 0.01) / 4)
    assert found.log_loss == pytest.approx(-math.log(0.2 * 0.8 * 0.9 * 0.9) / 4)


def test_a_certain_mistake_costs_much_but_not_everything():
    assert 20 < reliability([0.0, 1.0], [True, True]).log_loss * 2 < 30


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0]), st.booleans()), min_size=1, max_size=60),
    st.randoms(),
)
def test_each_state_is_in_one_bin_equal_ones_in_the_same_and_order_does_not_matter(pairs, rng):
    found = reliability(*zip(*pairs, strict=True))
    assert sum(b.states for b in found.bins) == len(pairs)
    assert len(found.bins) <= min(10, len({said for said, _ in pairs}))
    assert all(b.low <= b.was <= b.high for b in found.bins)
    rng.shuffle(pairs)
    assert reliability(*zip(*pairs, strict=True)) == found


def scored(n: int = 6000, theorems: int = 60, *, seed: int = 0, prefix: str = "t", **odds: float) -> ScoredStates:
    terms, energy, proved = states(n, seed=seed, **odds)
    names = [f"{prefix}{i % theorems}" for i in range(n)]
    return ScoredStates(terms, energy, proved, names, theorems)


def test_both_terms_together_foretell_better_than_each_and_each_better_than_none():
    found = shown(scored(policy=1.0))
    assert (found.fair, found.theorems, found.left_out) == (True, 60, 0)
    assert set(found.by) == {*TERMS, BASE}
    loss = {name: r.log_loss for name, r in found.by.items()}
    assert loss["both"] < loss["value"] < loss["policy"] < loss[BASE]
    assert all(found.by[name].states == 6000 and found.by[name].ece < 0.03 for name in TERMS)


def turned_in_some() -> ScoredStates:
    """States whose energies say the contrary in a third of the theorems."""
    made = scored()
    odd = [int(name[1:]) % 3 == 0 for name in made.names]
    made.energies = [4.0 - e if turned else e for e, turned in zip(made.energies, odd, strict=True)]
    return made


def test_other_theorems_tell_what_the_fit_does_not_know_of_them():
    fitted, other = scored(prefix="a"), turned_in_some()
    assert shown(fitted).by["value"].ece < 0.02
    found = shown(fitted, check=other)
    assert (found.fair, found.theorems) == (True, 60)
    assert found.by["value"].ece > 0.1


def test_theorems_that_were_fitted_on_are_left_out_of_the_check():
    fitted, other = scored(), scored(3000, 100, seed=1)
    found = shown(fitted, check=other)
    assert (found.theorems, found.left_out, found.by["both"].states) == (40, 1800, 1200)
    with pytest.raises(BadInput, match="give a run on other theorems"):
        shown(fitted, check=scored(100, 30))


def test_one_theorem_cannot_be_held_out_and_it_says_so():
    found = shown(scored(2000, 1))
    assert (found.fair, found.left_out, found.by["value"].states) == (False, 0, 2000)
    assert "the fit itself" in found.how


def test_a_fold_that_the_others_cannot_foretell_is_left_out():
    few = scored(2000, 40)
    lucky = few.names[0]
    few.proved = [name == lucky and i % 2 == 0 for i, name in enumerate(few.names)]
    few.energies = [e - 3 * p for e, p in zip(few.energies, few.proved, strict=True)]
    found = shown(few)
    assert found.fair
    assert 0 < found.left_out < 2000
    assert found.by["value"].states == 2000 - found.left_out
    assert found.by["value"].proved == 0, "the only theorem with proofs is in the fold that is left out"


def test_the_page_shows_three_diagrams_and_needs_nothing_else():
    made = scored(policy=1.0)
    text = page(
        fit(made.policy_terms, made.energies, made.proved), shown(made), runs=["runs/<valid>"], theorems=made.theorems
    )
    assert text.count("<svg") == 3
    assert text.count("<circle") == 30
    assert "runs/&lt;valid&gt;" in text
    assert not re.search(r"<script|https?://|src=", text)


def test_points_lie_inside_the_diagram_and_where_both_agree_on_the_diagonal():
    found = reliability([0.01] * 100 + [0.02] * 100, [True] + [False] * 99 + [True] * 2 + [False] * 98)
    limit = limit_of([found])
    assert limit == 0.1
    drawn = reliability_chart(found, limit=limit)
    points = re.findall(r'<circle class="c4" cx="([\d.]+)" cy="([\d.]+)"', drawn)
    assert [(float(x) - 44) / (330 - 44) for x, _ in points] == pytest.approx([0.1, 0.2], abs=1e-3)
    assert [(274 - float(y)) / (274 - 20) for _, y in points] == pytest.approx([0.1, 0.2], abs=1e-3)
