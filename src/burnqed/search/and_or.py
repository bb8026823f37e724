"""AND/OR search in the manner of HTPS (Lample et al., HyperTree Proof Search, 2022), over states split into parts.

A tactic that leaves goals which share no metavariable is an AND: all of them are to be proved, and its value is the product
of theirs. A descent follows the best choice at each state and *all* unsolved parts below it, to the leaves of a hypertree,
which are tried together; then its values are backed up along it.

Where this differs from the paper: a state's own value is known when it is added, so it counts as a first visit; a leaf backs up
the best that its slice led to; a tactic is a choice as soon as it worked, slice by slice.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from burnqed.search.graph import Edge, Node
from burnqed.search.scoring import product
from burnqed.search.site import Arm, Site
from burnqed.search.terms import Terms

DESCENTS = 8
"""How many descents may end in circles before any state that is left is taken instead."""


@dataclass(slots=True, eq=False)
class _Visit:
    """A state in a hypertree: from where it is visited, and what was chosen there. ``value`` is filled in from the leaves."""

    site: Site
    parent: _Visit | None
    arm: Arm | None = None
    leaf: bool = False
    value: float = 1.0


class AndOr:
    """Chooses the leaves of hypertrees. States are shared: one that occurs in several places is one node, with one count.

    *Circles.* A choice that leads back to a state above it in the same descent is not taken there. A state with no other
    choice backs up 0.

    *Dead ends.* A state with nothing left to try and no choice that could still lead to a proof is dead, and so is every
    tactic that leaves it. That is told step by step, and for states that only lead to one another by looking at the
    whole graph, when a descent has found nothing.
    """

    splits = True

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._sites: dict[Node, Site] = {}
        self._arms: dict[Edge, Arm] = {}
        self._pending: list[list[_Visit]] = []
        self._stuck = False

    def choose(self, wanted: int, *, room: int) -> list[Node]:
        """The leaves of one hypertree, or of several when it has fewer than wanted."""
        chosen: list[Site] = []
        for _ in range(DESCENTS):
            if self._stuck and not chosen:
                self._look_for_dead_ends()
            tree, leaves = self._descend()
            self._pending.append(tree)
            chosen += leaves
            if len(chosen) >= min(wanted, room) or (chosen and not leaves):
                break
        if not chosen:
            self._look_for_dead_ends()
            chosen = self._any_left()
        for site in chosen[room:]:  # they lose their turn, and are worth what they were
            site.busy, site.found = False, site.value
        return [site.node for site in chosen[:room]]

    def answered(self, node: Node) -> None:
        """Its candidates give the priors."""
        self._sites[node].answered(self._terms, self._terms.config.slice_size)

    def grew(self, nodes: Sequence[Node], edges: Sequence[Edge]) -> None:
        """New states, and new choices, to states that may have been known before."""
        for node in nodes:
            self._sites[node] = Site(node, math.exp(node.value_term))
        for edge in edges:
            if edge.child.state.finished:
                continue
            targets = tuple(dict.fromkeys(part for part, _ in edge.child.parts)) or (edge.child,)
            hopeless = edge.parent in targets or any(self._dead(t) for t in targets)
            first = 0.0 if hopeless else product(1.0 if t.solved else self._sites[t].value for t in targets)
            arm = self._arms[edge] = self._sites[edge.parent].add(edge, targets, first, self._terms)
            arm.closed = hopeless

    def tried(self, nodes: Sequence[Node]) -> None:
        """Back the values up along the hypertrees, and note which states are at their end."""
        for node in nodes:
            site = self._sites[node]
            site.busy = False
            site.weigh(self._terms, self._terms.config.slice_size)
        for tree in self._pending:
            _back_up(tree)
        self._pending.clear()
        for node in nodes:
            self._note_dead_ends(node)

    def _descend(self) -> tuple[list[_Visit], list[Site]]:
        """A hypertree from the root, parents first, and the sites at its ends that are chosen by it."""
        root = next(iter(self._sites))
        tree: list[_Visit] = []
        leaves: list[Site] = []
        todo: list[tuple[Node, set[Node], _Visit | None]] = [(root, set(), None)]
        while todo:
            node, above, parent = todo.pop()
            visit = _Visit(self._sites[node], parent)
            tree.append(visit)
            above.add(node)
            visit.leaf = visit.site.busy
            choice = None if visit.leaf else visit.site.best(self._terms.config.c_puct, above)
            visit.site.visits += 1
            if choice == "slice":
                visit.leaf = visit.site.busy = True
                visit.site.found = 0.0
                leaves.append(visit.site)
            elif choice is not None:
                visit.arm = choice
                choice.visits += 1
                unsolved = [target for target in choice.targets if not target.solved]
                # One may go on with the set itself; the others need their own.
                todo += [(t, set(above) if i else above, visit) for i, t in reversed(list(enumerate(unsolved)))]
            elif not (visit.leaf or node.claimed):
                self._note_dead_ends(node)
                self._stuck = self._stuck or not self._dead(node)
        return tree, leaves

    def _dead(self, node: Node) -> bool:
        """Whether a state has nothing left to try and no choice left, and no proof that might do after all."""
        site = self._sites[node]
        return not (node.claimed or site.open or site.busy) and all(a.closed or a.edge.suspended for a in site.arms)

    def _note_dead_ends(self, node: Node) -> None:
        todo = [node]
        while todo:
            node = todo.pop()
            if not self._dead(node):
                continue
            for edge in _edges_to(node):
                arm = self._arms.get(edge)
                if arm is not None and not arm.closed:
                    arm.closed = True
                    todo.append(edge.parent)

    def _look_for_dead_ends(self) -> None:
        """Close every choice that cannot lead to a proof any more, and open those that can again.

        What can is a least fixed point: a state with a proof, even one that was refused in a larger one; one with something
        left to try; one with a tactic all of whose goals can.
        """
        self._stuck = False
        alive = {node for node, site in self._sites.items() if node.claimed or site.open}
        todo = list(alive)
        while todo:
            for edge in _edges_to(todo.pop()):
                if edge.parent not in alive and edge in self._arms and self._leads_on(edge, alive):
                    alive.add(edge.parent)
                    todo.append(edge.parent)
        for edge, arm in self._arms.items():
            arm.closed = edge.parent in arm.targets or not self._leads_on(edge, alive)

    def _leads_on(self, edge: Edge, alive: set[Node]) -> bool:
        return not edge.suspended and all(target in alive for target in self._arms[edge].targets)

    def _any_left(self) -> list[Site]:
        """The first state with something left to try to which open choices lead, if there is one."""
        nodes = list(self._sites)[:1]
        seen = set(nodes)
        for node in nodes:
            site = self._sites[node]
            if site.open:
                site.busy, site.found = True, 0.0
                site.visits += 1
                return [site]
            below = [t for a in site.arms if not a.closed for t in a.targets if not t.solved and t not in seen]
            seen.update(below)
            nodes += dict.fromkeys(below)
        return []


def _edges_to(node: Node) -> Iterator[Edge]:
    """The tactics that leave this state to be solved, alone or with others."""
    yield from node.incoming
    for whole in node.wholes:
        yield from whole.incoming


def _back_up(tree: list[_Visit]) -> None:
    """Values from the leaves to the root: a tactic is worth the product of what it leaves to be solved."""
    for visit in reversed(tree):
        if visit.leaf:
            visit.value = 1.0 if visit.site.node.solved else visit.site.found
        elif visit.arm is None:  # it leads back to where the descent came from, or nowhere
            visit.value = float(visit.site.node.claimed)
        else:
            visit.arm.total += visit.value
        if visit.parent is not None:
            visit.parent.value *= visit.value
