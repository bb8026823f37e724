"""Calibration: what it recovers, and what it refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from burnqed.core.calibration import Calibration, log_sigmoid
from burnqed.core.errors import BadInput
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
