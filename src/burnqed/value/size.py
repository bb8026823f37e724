"""The trivial value: the size of a state. Every learned value has to beat it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from burnqed.core.state import ProofState

SCALE_CHARACTERS = 60.0
GOAL_WEIGHT = 0.5


def size_energy(state: ProofState) -> float:
    """0.5 for every goal after the first, plus ln(1 + characters of targets and hypotheses / 60)."""
    characters = sum(len(g.target) + sum(len(v.type) for v in g.variables) / 4 for g in state.goals)
    return GOAL_WEIGHT * max(0, len(state.goals) - 1) + math.log1p(characters / SCALE_CHARACTERS)


class SizeValue:
    """The ValueFn port over :func:`size_energy`; the root goal does not matter to it."""

    async def energies(self, pairs: Sequence[tuple[ProofState, ProofState]]) -> list[float]:
        """One energy a pair."""
        return [size_energy(state) for state, _ in pairs]


class NoValue:
    """Every state alike: the search is guided by the policy alone."""

    async def energies(self, pairs: Sequence[tuple[ProofState, ProofState]]) -> list[float]:
        """Zeros."""
        return [0.0] * len(pairs)
