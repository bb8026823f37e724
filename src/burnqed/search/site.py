"""A state as a place where one may choose: a tactic that worked, or the next slice of those not tried yet.

PUCT and AND/OR search share it. The statistics are those of AlphaZero's tree: how often each choice was made, and the mean
of what came of it. What is ours are slices: all that is not tried yet is one choice, with the probability of its
next slice as prior. Its value is that of the state times the probability that is left, since what proves the state must
be among what is left. What comes of a slice is the value of the best state that it led to, 0 if it led to none.
"""

from __future__ import annotations

import math
from collections.abc import Set
from dataclasses import dataclass
from typing import Literal

from burnqed.search.graph import Edge, Node
from burnqed.search.scoring import log_mass, puct
from burnqed.search.terms import Terms


@dataclass(slots=True, eq=False)
class Arm:
    """A tactic that led somewhere. ``targets`` are the nodes that it leaves to be solved; ``first`` their value, a probability.

    ``closed`` when nothing more can come of it.
    """

    edge: Edge
    targets: tuple[Node, ...]
    prior: float
    first: float
    visits: int = 0
    total: float = 0.0
    closed: bool = False


@dataclass(slots=True, eq=False)
class Site:
    """A node with its choices. ``value`` is its own P(provable); ``found`` the best that its present turn has led to.

    ``busy`` while it is chosen and was not tried yet. ``log_mass`` is that of all its candidates, ``left`` the share of it
    that was not tried yet, ``slice`` that of the next slice.
    """

    node: Node
    value: float
    arms: tuple[Arm, ...] = ()
    visits: int = 0
    log_mass: float = 0.0
    left: float = 1.0
    slice: float = 1.0
    open: bool = True
    busy: bool = False
    found: float = 0.0

    def answered(self, terms: Terms, slice_size: int) -> None:
        """The policy has spoken: priors are shares of what it gave."""
        self.log_mass = log_mass(terms.prior(terms.step(c)) for c in self.node.waiting or ())
        for arm in self.arms:
            arm.prior = self._share(terms.prior(terms.step(arm.edge.candidate)))
        self.weigh(terms, slice_size)

    def weigh(self, terms: Terms, slice_size: int) -> None:
        """Look again at what is left to try."""
        self.open = self.node.open
        waiting = self.node.waiting
        if waiting is not None:
            shares = [self._share(terms.prior(terms.step(c))) for c in waiting]
            self.left = math.fsum(shares)
            self.slice = math.fsum(shares[:slice_size])

    def add(self, edge: Edge, targets: tuple[Node, ...], first: float, terms: Terms) -> Arm:
        """A new choice."""
        prior = self._share(terms.prior(terms.step(edge.candidate)))
        arm = Arm(edge, targets, prior, first)
        self.arms += (arm,)
        self.found = max(self.found, first)
        return arm

    def best(self, c_puct: float, avoid: Set[Node] = frozenset()) -> Arm | Literal["slice"] | None:
        """The choice with the highest score, the older among equals; None when there is none.

        Tactics that lead to a node in ``avoid`` are left out.
        """
        exploration = c_puct * math.sqrt(self.visits)
        chosen: Arm | Literal["slice"] | None = None
        best = -math.inf
        if self.open and not self.busy:
            chosen, best = "slice", puct(self.value * self.left, 0.0, 0, self.slice, exploration=exploration)
        for arm in self.arms:
            if arm.closed or arm.edge.suspended or not avoid.isdisjoint(arm.targets):
                continue
            score = puct(arm.first, arm.total, arm.visits, arm.prior, exploration=exploration)
            if score > best:
                chosen, best = arm, score
        return chosen

    def _share(self, nats: float) -> float:
        return math.exp(min(0.0, nats - self.log_mass)) if nats > -math.inf else 0.0
