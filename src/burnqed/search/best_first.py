"""Best-first: the state with the highest priority, policy term plus value term."""

from __future__ import annotations

from collections.abc import Sequence

from burnqed.search.frontier import Frontier
from burnqed.search.graph import Edge, Node
from burnqed.search.terms import Terms


class BestFirst:
    """A state enters the frontier at its priority, and comes back at the priority of its next candidate.

    So it competes for its second slice of candidates with all other states, see decision 0003.
    """

    splits = False

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._frontier: Frontier[Node] = Frontier()

    def choose(self, wanted: int, *, room: int) -> list[Node]:
        """The best of the frontier."""
        return [self._frontier.pop() for _ in range(min(wanted, room, len(self._frontier)))]

    def answered(self, node: Node) -> None:
        """Nothing to note."""

    def grew(self, nodes: Sequence[Node], edges: Sequence[Edge]) -> None:
        """New states enter the frontier."""
        for node in nodes:
            self._frontier.push(node, node.policy_term + node.value_term)

    def tried(self, nodes: Sequence[Node]) -> None:
        """States with candidates left come back."""
        for node in nodes:
            if (following := node.following) is not None:
                path = node.path_nats + self._terms.step(following)
                self._frontier.push(node, self._terms.policy(path, node.depth + 1) + node.value_term)
