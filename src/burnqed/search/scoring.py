"""The formulas of the priority. Pure; higher is better; everything in nats."""

from __future__ import annotations


def length_normalised(path_logprob_nats: float, length: int, *, exponent: float) -> float:
    """Sum of log p over the path divided by length^alpha (BFS-Prover, 2025, eq. 3); 0 for the empty path.

    With alpha = 0 long paths are punished for every step, with alpha = 1 only for improbable ones.
    """
    return path_logprob_nats / length**exponent if length else 0.0


def priority(path_logprob_nats: float, length: int, energy: float, *, exponent: float, value_weight: float) -> float:
    """Policy term plus value term; energy counts against, since low energy means provable."""
    return length_normalised(path_logprob_nats, length, exponent=exponent) - value_weight * energy
