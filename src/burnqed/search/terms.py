"""The two terms of a priority, as a configuration weighs them: what the policy and what the value says, in nats."""

from __future__ import annotations

from dataclasses import dataclass

from burnqed.core.calibration import UNCALIBRATED, Calibration
from burnqed.core.tactic import Candidate
from burnqed.search.config import SearchConfig
from burnqed.search.scoring import length_normalised, ramped, step_nats


@dataclass(frozen=True)
class Terms:
    """The formulas of :mod:`burnqed.search.scoring` with this configuration's numbers in them.

    The value's term is weight(depth) · ln P(provable), P from the calibration. Without one, best-first takes minus the
    energy as it is, and the other strategies, which need probabilities, take P = sigmoid(−energy).
    """

    config: SearchConfig
    calibration: Calibration | None = None

    def step(self, candidate: Candidate) -> float:
        """What a candidate adds to its path, before the path is weighed."""
        return step_nats(candidate.logprob_nats, candidate.num_tokens, exponent=self.config.token_exponent)

    def policy(self, path_nats: float, length: int) -> float:
        """The policy's term for a path of so many steps."""
        return self.config.policy_weight * length_normalised(path_nats, length, exponent=self.config.length_exponent)

    def prior(self, path_step_nats: float) -> float:
        """The log of a choice's prior, not yet normalised."""
        return self.config.policy_weight * path_step_nats

    def value(self, energy: float, depth: int) -> float:
        """The value's term for a state at that depth."""
        calibration = self.calibration
        if calibration is None and self.config.strategy != "best-first":
            calibration = UNCALIBRATED
        nats = -energy if calibration is None else calibration.log_provable(energy)
        return ramped(self.config.value_weight, depth, ramp_depth=self.config.value_ramp_depth) * nats
