"""Two policies as one: the candidates of one, such as a model, and those of another, such as a menu, as extra ones."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

from burnqed.core.errors import ServerUnavailable
from burnqed.core.ports import TacticPolicy
from burnqed.core.state import ProofState
from burnqed.core.tactic import Candidate
from burnqed.core.tally import Tally


class MixedPolicy:
    """A mixture: with probability ``share`` a candidate comes from ``extra``, else from ``main``.

    A text that both propose has the sum of its two probabilities. When ``main`` is a server that is gone, the search
    goes on with ``extra`` alone, and that is counted.
    """

    def __init__(self, main: TacticPolicy, extra: TacticPolicy, *, share: float, tally: Tally) -> None:
        assert 0 < share < 1
        self._main = main
        self._extra = extra
        self._share = share
        self.tally = tally

    async def propose(self, states: Sequence[ProofState], n: int) -> list[list[Candidate]]:
        """At most ``n`` for each state, best first."""
        main, extra = await asyncio.gather(self._ask_main(states, n), self._extra.propose(states, n))
        return [self._mixture(a, b)[:n] for a, b in zip(main, extra, strict=True)]

    async def _ask_main(self, states: Sequence[ProofState], n: int) -> list[list[Candidate]]:
        try:
            return await self._main.propose(states, n)
        except ServerUnavailable as error:
            self.tally.count("states for which only the menu was asked", str(error), times=len(states))
            return [[] for _ in states]

    def _mixture(self, main: list[Candidate], extra: list[Candidate]) -> list[Candidate]:
        if not main:
            return extra
        mass: dict[str, float] = {}
        tokens: dict[str, int] = {}
        for share, found in ((1 - self._share, main), (self._share, extra)):
            for c in found:
                mass[c.text] = mass.get(c.text, 0.0) + share * math.exp(c.logprob_nats)
                tokens.setdefault(c.text, c.num_tokens)
        # A log-probability of -800 underflows as a probability; it stays at the end of the list, and finite.
        tiny = 5e-324
        ranked = sorted(mass.items(), key=lambda item: -item[1])
        return [Candidate(text, math.log(max(p, tiny)), tokens[text]) for text, p in ranked]
