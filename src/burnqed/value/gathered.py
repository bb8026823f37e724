"""A value for many searches at once: what they ask meanwhile is judged together."""

from __future__ import annotations

from collections.abc import Sequence

from burnqed.core.gather import Gather
from burnqed.core.ports import ValueFn
from burnqed.core.state import ProofState


class GatheredValue:
    """A ValueFn in front of another; at most ``most`` pairs of several searches are one call of it."""

    def __init__(self, inner: ValueFn, *, most: int) -> None:
        self._gather: Gather[tuple[ProofState, ProofState], float] = Gather(inner.energies, most=most)

    async def energies(self, pairs: Sequence[tuple[ProofState, ProofState]]) -> list[float]:
        """As the other's."""
        return await self._gather.ask(pairs)
