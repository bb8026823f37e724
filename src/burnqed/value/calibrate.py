"""Fits the two terms of the priority to what became of states, so that both are in nats and on one scale.

Shapes: ``N`` states of finished searches; ``proved`` says of each whether the search found a proof through it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_expit

from burnqed.core.calibration import Calibration
from burnqed.core.errors import BadInput

MIN_EACH = 20
_RIDGE = 1e-4
_MAX_WEIGHT = 10.0

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Fit:
    """A calibration and how good it is on the states that it was fitted on.

    ``log_loss`` is in nats a state, ``base_log_loss`` that of always saying the base rate; ``reliability`` has a row for
    each tenth of the states by probability: mean probability, share proved, number of states.
    """

    calibration: Calibration
    proved: int
    total: int
    log_loss: float
    base_log_loss: float
    reliability: tuple[tuple[float, float, int], ...]


def fit(policy_terms: Sequence[float], energies: Sequence[float], proved: Sequence[bool]) -> Fit:
    """Fit P(proved | energy) by Platt's method (1999), then the weights of both terms by logistic regression.

    The weights are those of ``policy_term`` and ``ln P(proved | energy)`` in the log-odds of being proved, divided by the
    policy's, so that the policy's is 1; at most ten to one, since a search needs both. Raises BadInput when there are too few
    states of either kind, or when high energies go with proofs (the head's polarity is inverted).
    """
    policy, energy, hit = (np.asarray(x, dtype=np.float64) for x in (policy_terms, energies, proved))
    assert policy.shape == energy.shape == hit.shape
    usable = np.isfinite(policy) & np.isfinite(energy)
    policy, energy, hit = policy[usable], energy[usable], hit[usable]
    positive, total = int(hit.sum()), len(hit)
    if min(positive, total - positive) < MIN_EACH:
        raise BadInput(
            f"a calibration needs at least {MIN_EACH} states with a proof and {MIN_EACH} without; "
            f"there are {positive} and {total - positive}; search more theorems, of which some need several steps: the state "
            "that a search begins with does not count"
        )
    intercept, slope = platt(energy, hit)
    if slope <= 0:
        raise BadInput(
            f"states with high energy were proved more often (slope {slope:.3f}): the value's polarity is inverted, or it "
            "knows nothing; a calibration cannot mend that"
        )
    logits = intercept - slope * energy
    weight = _value_weight(policy, np.asarray(log_expit(logits), dtype=np.float64), hit)
    rate = positive / total
    probability = np.asarray(expit(logits), dtype=np.float64)
    return Fit(
        calibration=Calibration(intercept, slope, policy_weight=1.0, value_weight=weight, fitted_on=total),
        proved=positive,
        total=total,
        log_loss=float(-np.mean(hit * log_expit(logits) + (1 - hit) * log_expit(-logits))),
        base_log_loss=float(-(rate * np.log(rate) + (1 - rate) * np.log1p(-rate))),
        reliability=_reliability(probability, hit),
    )


def platt(energy: Numbers, hit: Numbers) -> tuple[float, float]:
    """Intercept and slope by maximum likelihood with Platt's softened targets, (n₊+1)/(n₊+2) and 1/(n₋+2)."""
    positive, negative = hit.sum(), len(hit) - hit.sum()
    target = np.where(hit > 0, (positive + 1) / (positive + 2), 1 / (negative + 2))
    # Energies come on any scale: fit on standardised ones, then undo it.
    mean, spread = float(energy.mean()), float(energy.std()) or 1.0
    a, b = _logistic(np.stack([np.ones_like(energy), -(energy - mean) / spread], axis=1), target)
    return a + b * mean / spread, b / spread


def _value_weight(policy: Numbers, log_provable: Numbers, hit: Numbers) -> float:
    """The value's weight for a policy's weight of one."""
    _, w_policy, w_value = _logistic(np.stack([np.ones_like(policy), policy, log_provable], axis=1), hit)
    if w_value <= 0:
        return 1 / _MAX_WEIGHT
    return float(np.clip(w_value / max(w_policy, 1e-9), 1 / _MAX_WEIGHT, _MAX_WEIGHT))


def _logistic(x: Numbers, target: Numbers) -> list[float]:
    """Weights of a logistic regression with a faint ridge on all but the intercept."""

    def loss(w: Numbers) -> tuple[float, Numbers]:
        logits = x @ w
        ridge = np.concatenate([[0.0], w[1:]]) * _RIDGE
        value = -np.mean(target * log_expit(logits) + (1 - target) * log_expit(-logits)) + 0.5 * float(ridge @ w)
        return float(value), x.T @ (expit(logits) - target) / len(target) + ridge

    return [float(w) for w in minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B").x]


def _reliability(probability: Numbers, hit: Numbers) -> tuple[tuple[float, float, int], ...]:
    order = np.argsort(probability, kind="stable")
    parts = [part for part in np.array_split(order, 10) if len(part)]
    return tuple((float(probability[p].mean()), float(hit[p].mean()), len(p)) for p in parts)
