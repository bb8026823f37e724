"""Values that need no model. Every learned one has to beat them, and is always reported beside them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from burnqed.core.state import ProofState

SCALE_CHARACTERS = 60.0
GOAL_WEIGHT = 0.5


def size_energy(state: ProofState) -> float:
    """0.5 for every goal after the first, plus ln(1 + characters of targets and hypotheses / 60)."""
    characters = sum(len(g.target) + sum(len(v.type) for v in g.variables) / 4 for g in state.goals)
    return GOAL_WEIGHT * max(0, len(state.goals) - 1) + math.log1p(characters / SCALE_CHARACTERS)


def goals_energy(state: ProofState) -> float:
    """The number of open goals."""
    return float(len(state.goals))


def length_energy(state: ProofState) -> float:
    """The natural logarithm of 1 + the length of the state's text in characters."""
    return math.log1p(len(state.text))


def no_energy(state: ProofState) -> float:
    """Every state alike: the search is guided by the policy alone."""
    return 0.0


TRIVIAL: dict[str, Callable[[ProofState], float]] = {
    "none": no_energy,
    "size": size_energy,
    "goals": goals_energy,
    "length": length_energy,
}


class TrivialValue:
    """The ValueFn port over one of these; the root goal does not matter to it."""

    def __init__(self, energy: Callable[[ProofState], float]) -> None:
        self._energy = energy

    async def energies(self, pairs: Sequence[tuple[ProofState, ProofState]]) -> list[float]:
        """One energy a pair."""
        return [self._energy(state) for state, _ in pairs]
