"""The formulas of the search. Pure; everything in nats but probabilities, which say so; higher is better."""

from __future__ import annotations

import math
from collections.abc import Iterable


def step_nats(logprob_nats: float, num_tokens: int, *, exponent: float) -> float:
    """A step's log-probability divided by its tokens to the power ``exponent``; with 0 a long tactic pays for every token."""
    return logprob_nats / max(1, num_tokens) ** exponent if exponent else logprob_nats


def length_normalised(path_nats: float, length: int, *, exponent: float) -> float:
    """Sum of log p over the path divided by length^alpha (BFS-Prover, 2025, eq. 3); 0 for the empty path.

    With alpha = 0 long paths are punished for every step, with alpha = 1 only for improbable ones.
    """
    return path_nats / length**exponent if length else 0.0


def ramped(weight: float, depth: int, *, ramp_depth: int) -> float:
    """The weight at a depth: linear from 0 at the root to ``weight`` at ``ramp_depth``; ``weight`` everywhere without a ramp."""
    return weight * min(1.0, depth / ramp_depth) if ramp_depth else weight


def log_mass(terms_nats: Iterable[float]) -> float:
    """The logarithm of Σ exp(x), which normalises log-probabilities over the candidates at hand; minus infinity of none."""
    terms = list(terms_nats)
    top = max(terms, default=-math.inf)
    return top + math.log(sum(math.exp(x - top) for x in terms)) if math.isfinite(top) else top


def puct(first: float, total: float, visits: int, prior: float, *, exploration: float) -> float:
    """Q + c · P · √N / (1 + n), the rule of AlphaZero (Silver et al., Science 2018; PUCT of Rosin, 2011).

    Q, a probability, is the mean of what was backed up in n visits (``total``), the value's own judgement (``first``)
    counted once; P is ``prior``; ``exploration`` is c · √N, N the visits of the state and n those of the choice.
    """
    return (first + total + exploration * prior) / (1 + visits)


def product(values: Iterable[float]) -> float:
    """The value of a tactic: the product of its goals' probabilities (HTPS, Lample et al., 2022, section 3), by sums of logs."""
    total = 0.0
    for value in values:
        if value <= 0.0:
            return 0.0
        total += math.log(value)
    return math.exp(total)
