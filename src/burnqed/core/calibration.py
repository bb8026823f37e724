"""From an energy to the log-probability that a state is proved, so that value and policy speak in the same unit, nats."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Calibration:
    """P(provable | energy) = sigmoid(intercept − slope · energy), Platt (1999); fitted on the outcomes of finished searches.

    ``policy_weight`` and ``value_weight`` are what the same fit found for the two terms of the priority; ``fitted_on`` says on
    how many states.
    """

    intercept: float
    slope: float
    policy_weight: float = 1.0
    value_weight: float = 1.0
    fitted_on: int = 0

    def logit(self, energy: float) -> float:
        """Log-odds of being provable."""
        return self.intercept - self.slope * energy

    def log_provable(self, energy: float) -> float:
        """Natural logarithm of P(provable | energy): never positive, close to linear where the odds are bad."""
        return log_sigmoid(self.logit(energy))

    def provable(self, energy: float) -> float:
        """P(provable | energy)."""
        return math.exp(self.log_provable(energy))


def log_sigmoid(x: float) -> float:
    """ln(1 / (1 + e^−x)), without overflow."""
    return min(0.0, x) - math.log1p(math.exp(-abs(x)))


UNCALIBRATED = Calibration(intercept=0.0, slope=1.0)
"""What stands in where a probability is needed and nothing was fitted: sigmoid(−energy)."""
