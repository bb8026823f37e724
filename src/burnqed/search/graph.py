"""The graph of one search: a node for each distinct proof state.

A state that is reached again is not searched again. A node keeps the edge by which it was first reached, and only
these edges make proofs: along them every tactic was run in exactly the state that the next one saw.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from burnqed.core.outcome import StateRef
from burnqed.core.state import ProofState, StateKey
from burnqed.core.tactic import Candidate


@dataclass(frozen=True)
class ProofStep:
    """One tactic of a found proof: the number of goals before and after it, and Lean's own suggestion for it if it made one."""

    tactic: str
    goals_before: int
    goals_after: int
    suggestion: str | None = None


@dataclass
class Node:
    """A state in the graph. ``waiting`` are its candidates not tried yet, best first; None before the policy was asked."""

    id: int
    ref: StateRef
    state: ProofState
    parent: Node | None
    step: ProofStep | None
    depth: int
    path_logprob_nats: float
    energy: float | None = None
    waiting: list[Candidate] | None = None

    def take(self, count: int) -> list[Candidate]:
        """Remove and return the next candidates."""
        assert self.waiting is not None
        taken, self.waiting = self.waiting[:count], self.waiting[count:]
        return taken


@dataclass
class Graph:
    """All nodes of a search, and the states they stand for."""

    nodes: list[Node] = field(default_factory=list)
    _by_key: dict[StateKey, Node] = field(default_factory=dict)

    def known(self, state: ProofState) -> Node | None:
        """The node of this very state, if it was reached before. Finished states are never merged."""
        return self._by_key.get(state.key) if state.goals and state.key is not None else None

    def add(
        self,
        ref: StateRef,
        state: ProofState,
        *,
        parent: Node | None = None,
        by: Candidate | None = None,
        suggestion: str | None = None,
    ) -> Node:
        """A new node, reached from ``parent`` by a candidate; the root has neither."""
        step = None
        if parent is not None and by is not None:
            step = ProofStep(by.text, len(parent.state.goals), len(state.goals), suggestion)
        node = Node(
            id=len(self.nodes),
            ref=ref,
            state=state,
            parent=parent,
            step=step,
            depth=parent.depth + 1 if parent else 0,
            path_logprob_nats=(parent.path_logprob_nats if parent else 0.0) + (by.logprob_nats if by else 0.0),
        )
        self.nodes.append(node)
        if state.goals and state.key is not None:
            self._by_key.setdefault(state.key, node)
        return node

    def proof(self, node: Node) -> tuple[ProofStep, ...]:
        """The steps from the root to a node."""
        steps: list[ProofStep] = []
        at: Node | None = node
        while at is not None and at.step is not None:
            steps.append(at.step)
            at = at.parent
        return tuple(reversed(steps))

    def check_invariants(self) -> None:
        """Assert what every step of a search must keep."""
        for index, node in enumerate(self.nodes):
            assert node.id == index, "a node's number is its place"
            assert (node.parent is None) == (index == 0), "only the root has no parent"
            if node.parent is not None:
                assert node.parent.id < node.id, "a parent is older than its child"
                assert node.depth == node.parent.depth + 1, "depth counts tactics"
                assert node.path_logprob_nats <= node.parent.path_logprob_nats + 1e-9, (
                    "log-probabilities are not positive"
                )
        keys = [n.state.key for n in self.nodes if n.state.goals and n.state.key is not None]
        assert len(keys) == len(set(keys)), "one node for one state"
