"""A linear run over nodes: which node the next tactic belongs to, when tactics always work on the first open goal.

Nodes below a split state know nothing of each other's goals, and a proof script, or a person, proves one goal after the
other. A line keeps the open goals in their order, each with the node to which it belongs. It supposes that a tactic puts
new goals first and leaves the others where they are; :meth:`Line.agrees` tells whether Lean did so.
"""

from __future__ import annotations

from dataclasses import dataclass

from burnqed.core.state import ProofState
from burnqed.search.graph import Edge, Node


@dataclass(slots=True, eq=False)
class _Task:
    """One occurrence of a node that is to be proved; the same node may occur twice."""

    node: Node


class Line:
    """The open goals, each as a task and the goal's place in the task's node."""

    def __init__(self, node: Node) -> None:
        self._open = _goals_of(node)

    @property
    def first(self) -> Node | None:
        """The node that the next tactic works on; None when nothing is open."""
        return self._open[0][0].node if self._open else None

    def advance(self, edge: Edge) -> None:
        """Take a tactic of the first node; its goals are replaced by those of the edge's end."""
        assert edge.parent is self.first
        after = _goals_of(edge.child)
        stays = {place: entry for place, entry in zip(edge.kept, after, strict=True) if place is not None}
        new = [entry for place, entry in zip(edge.kept, after, strict=True) if place is None]
        task = self._open[0][0]
        rest = [(stays.get(place) if owner is task else (owner, place)) for owner, place in self._open]
        self._open = [*new, *(entry for entry in rest if entry is not None)]

    def agrees(self, state: ProofState) -> bool:
        """Whether Lean's state has these goals; those that metavariables tie to others cannot be compared."""
        if len(state.goals) != len(self._open):
            return False
        expected = (task.node.state.goals[place] for task, place in self._open)
        return all(
            None in (e.key, g.key) or (e.key, e.target) == (g.key, g.target)
            for e, g in zip(expected, state.goals, strict=True)
        )


def _goals_of(node: Node) -> list[tuple[_Task, int]]:
    """The goals of a node in order; those of a split one belong to its parts."""
    if not node.parts:
        task = _Task(node)
        return [(task, place) for place in range(len(node.state.goals))]
    owners: dict[int, tuple[_Task, int]] = {}
    for part, places in node.parts:
        task = _Task(part)
        owners.update({place: (task, number) for number, place in enumerate(places)})
    return [owners[place] for place in range(len(node.state.goals))]
