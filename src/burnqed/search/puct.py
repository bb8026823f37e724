"""PUCT over the tree of first edges, as AlphaZero searches (Silver et al., Science 2018), with slices as choices."""

from __future__ import annotations

import math
from collections.abc import Sequence

from burnqed.search.graph import Edge, Node
from burnqed.search.site import Arm, Site
from burnqed.search.terms import Terms


class Puct:
    """From the root the best choice is followed until it is a slice; what that slice finds is backed up along the way.

    A state that is reached again stays where it was first, so the graph is a tree for it. A visit is counted when it is
    chosen and its value added when it is tried; between, it counts as nothing found, so that of several states
    chosen at once each goes another way (virtual loss).
    """

    splits = False

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._sites: dict[Node, Site] = {}
        self._above: dict[Node, tuple[Site, Arm]] = {}

    def choose(self, wanted: int, *, room: int) -> list[Node]:
        """The ends of as many descents."""
        chosen: list[Node] = []
        while len(chosen) < min(wanted, room) and (site := self._descend()) is not None:
            chosen.append(site.node)
        return chosen

    def answered(self, node: Node) -> None:
        """Its candidates give the priors."""
        self._sites[node].answered(self._terms, self._terms.config.slice_size)

    def grew(self, nodes: Sequence[Node], edges: Sequence[Edge]) -> None:
        """New states are choices of the states that they were first reached from."""
        for node in nodes:
            site = self._sites[node] = Site(node, math.exp(node.value_term))
            if node.by is not None:
                parent = self._sites[node.by.parent]
                self._above[node] = parent, parent.add(node.by, (node,), site.value, self._terms)

    def tried(self, nodes: Sequence[Node]) -> None:
        """Back up what was found."""
        for node in nodes:
            site = self._sites[node]
            site.busy = False
            site.weigh(self._terms, self._terms.config.slice_size)
            self._back_up(node, site.found)
            self._close(site)

    def _descend(self) -> Site | None:
        root = next(iter(self._sites.values()))
        path: list[Arm] = []
        sites = [root]
        while (choice := sites[-1].best(self._terms.config.c_puct)) != "slice":
            if choice is None:
                return None  # all that is left there is chosen already
            path.append(choice)
            sites.append(self._sites[choice.targets[0]])
        for arm in path:
            arm.visits += 1
        for site in sites:
            site.visits += 1
        sites[-1].busy, sites[-1].found = True, 0.0
        return sites[-1]

    def _back_up(self, node: Node, value: float) -> None:
        while node in self._above:
            site, arm = self._above[node]
            arm.total += value
            node = site.node

    def _close(self, site: Site) -> None:
        """A state with nothing left to try is no choice any more, nor is one that leads to nothing else."""
        while not (site.open or site.arms) and site.node in self._above:
            site, arm = self._above[site.node]
            site.arms = tuple(other for other in site.arms if other is not arm)
