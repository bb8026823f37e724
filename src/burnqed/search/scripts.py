"""Whole proofs as a second source of tactics: each is run into the graph, step by step, as far as it goes."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence

from burnqed.core.ports import ProofWriter
from burnqed.core.tactic import Candidate, ProofScript, normalise
from burnqed.core.tally import Tally
from burnqed.search.claims import Accepted
from burnqed.search.explorer import Explorer
from burnqed.search.graph import Node
from burnqed.search.line import Line

Inside = Callable[[str], tuple[str, ...]]
"""The steps inside a tactic that holds others, such as a bullet; none for any other."""


class Scripts:
    """Runs whole proofs from a node. Their states are states like any other: scored, and searched from."""

    def __init__(self, explorer: Explorer, writer: ProofWriter, *, inside: Inside, tally: Tally) -> None:
        self._explorer = explorer
        self._writer = writer
        self._inside = inside
        self._tally = tally

    async def run(self, node: Node, count: int, *, stop: Callable[[], bool]) -> Accepted | None:
        """Ask for ``count`` proofs of a node's state and run them; the accepted proof if one makes one."""
        (scripts,) = await self._writer.write([node.state], count)
        for script in scripts:
            if not math.isfinite(script.logprob_nats):
                self._tally.count("whole proofs whose log-probability is not a number")
                continue
            if (found := await self._run(node, script, stop)) is not None:
                return found
        return None

    async def _run(self, node: Node, script: ProofScript, stop: Callable[[], bool]) -> Accepted | None:
        """Each step on the node to which the first open goal belongs; a bullet that fails is opened and tried step by step."""
        line = Line(node)
        steps = deque(shared(script.logprob_nats, script.num_tokens, script.steps))
        while steps and (at := line.first) is not None and not stop():
            step = steps.popleft()
            edge, found = await self._explorer.step(at, step)
            if found is not None:
                return found
            if edge is not None:
                line.advance(edge)
            elif inner := self._inside(step.text):
                steps.extendleft(reversed(shared(step.logprob_nats, step.num_tokens, inner)))
            else:
                break
        return None


def shared(logprob_nats: float, num_tokens: int, steps: Sequence[str]) -> list[Candidate]:
    """Steps as candidates. A model gives one log-probability for all; each has the share of it that it has of the characters.

    So has each of the tokens, at least one.
    """
    texts = [normalise(step) for step in steps]
    total = sum(map(len, texts)) or 1
    return [Candidate(t, logprob_nats * len(t) / total, max(1, round(num_tokens * len(t) / total))) for t in texts]
