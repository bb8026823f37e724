"""A policy for many searches at once: what they ask meanwhile is put to the model together."""

from __future__ import annotations

from collections.abc import Sequence

from burnqed.core.gather import Gather
from burnqed.core.ports import TacticPolicy
from burnqed.core.state import ProofState
from burnqed.core.tactic import Candidate


class GatheredPolicy:
    """A TacticPolicy in front of another; at most ``most`` states of several searches are one call of it.

    A model on a GPU takes hardly longer for thirty states than for one. A model's samples depend on seed and prompt alone, but
    sums are rounded differently in batches of another size, so now and then a search takes another course.
    """

    def __init__(self, inner: TacticPolicy, *, most: int) -> None:
        self._inner = inner
        self._most = most
        self._gathers: dict[int, Gather[ProofState, list[Candidate]]] = {}

    async def propose(self, states: Sequence[ProofState], n: int) -> list[list[Candidate]]:
        """As the other's."""
        if n not in self._gathers:
            self._gathers[n] = Gather(lambda items: self._inner.propose(items, n), most=self._most)
        return await self._gathers[n].ask(states)
