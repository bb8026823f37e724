"""An energy head in this process: states are embedded, as few times as possible, and scored together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from burnqed.core.state import ProofState
from burnqed.joint.energy_head import EnergyHead
from burnqed.models.encoder import Encoder


class HeadValue:
    """The ValueFn port over an encoder and a head.

    ``run`` does blocking work in the thread of the encoder's model, which the policy may share. The root goal stands in every
    pair; with a cache in the encoder it is embedded once.
    """

    def __init__(
        self, encoder: Encoder, head: EnergyHead, *, run: Callable[[Callable[[], Any]], Awaitable[Any]]
    ) -> None:
        self._encoder = encoder
        self._head = head
        self._run = run

    async def energies(self, pairs: Sequence[tuple[ProofState, ProofState]]) -> list[float]:
        """One energy a pair. Raises ModelError when a state cannot be embedded."""
        found: list[float] = await self._run(lambda: self._score(pairs))
        return found

    def _score(self, pairs: Sequence[tuple[ProofState, ProofState]]) -> list[float]:
        if not pairs:
            return []
        states = [state for state, _ in pairs]
        goals = [goal for _, goal in pairs]
        z = self._encoder.encode_states([*states, *goals])
        return self._head.energies(z[: len(pairs)], z[len(pairs) :]).tolist()
