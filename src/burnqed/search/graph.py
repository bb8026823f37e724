"""The graph of one search: a node for each distinct proof state, an edge for each tactic that led from one to another.

A state that is reached again is not searched again. A node keeps the edge by which it was first reached, and along
first edges every tactic was run in exactly the state that the next one saw, so such a path is a proof as it stands.

When a strategy splits states, a state whose goals fall into several components is a node without tactics of its own;
its *parts* are nodes, each the state with the goals of one component only. It is solved when all of them are. A node
below a part is not *whole*: whatever is reached there proves nothing by itself, see :mod:`burnqed.search.claims`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from burnqed.core.outcome import StateRef
from burnqed.core.state import ProofState
from burnqed.core.tactic import Candidate, normalise


@dataclass(frozen=True)
class ProofStep:
    """One tactic of a found proof: the number of goals before and after it, and Lean's own suggestion for it if it made one."""

    tactic: str
    goals_before: int
    goals_after: int
    suggestion: str | None = None


@dataclass(slots=True, eq=False)
class Edge:
    """A tactic that led from one state to another.

    ``kept`` says for each goal after it which goal of the parent it is, by place, or None for a new one. ``suspended``
    is set when a proof that rests on it was refused: it then solves nothing, but may still be part of another proof.
    ``blame`` counts the refused proofs that it was part of.
    """

    parent: Node
    child: Node
    candidate: Candidate
    kept: tuple[int | None, ...]
    suggestion: str | None = None
    blame: int = 0
    suspended: bool = False

    @property
    def step(self) -> ProofStep:
        """As a step of a proof."""
        return ProofStep(self.candidate.text, len(self.parent.state.goals), len(self.kept), self.suggestion)


@dataclass(slots=True, eq=False)
class Node:
    """A state in the graph.

    ``waiting`` are its candidates not tried yet, best first; None before the policy was asked. ``spent`` says that all of them
    were tried and what they did was taken in. ``tried`` has what every tactic did that was tried here, by its normalised
    text: an edge, or None when it led to nothing that was kept.
    ``path_logprob_nats`` is the plain sum of log-probabilities on the way, ``path_nats`` that of the weighed steps. ``by`` is
    the edge by which it was first reached, ``also_by`` are later ones; a part was first reached from ``part_of``.
    ``solved`` says that a proof of it was found and not refused, ``claimed`` that one was found.
    """

    id: int
    ref: StateRef
    state: ProofState
    depth: int
    path_logprob_nats: float
    path_nats: float
    by: Edge | None = None
    part_of: Node | None = None
    whole: bool = True
    energy: float | None = None
    policy_term: float = 0.0
    value_term: float = 0.0
    waiting: list[Candidate] | None = None
    spent: bool = False
    tried: dict[str, Edge | None] = field(default_factory=dict)
    also_by: tuple[Edge, ...] = ()
    parts: tuple[tuple[Node, tuple[int, ...]], ...] = ()
    wholes: tuple[Node, ...] = ()
    solved: bool = False
    claimed: bool = False

    @property
    def parent(self) -> Node | None:
        """From where it was first reached; None for the root."""
        return self.by.parent if self.by else self.part_of

    @property
    def incoming(self) -> tuple[Edge, ...]:
        """All edges to it."""
        return (self.by, *self.also_by) if self.by else self.also_by

    @property
    def following(self) -> Candidate | None:
        """The next candidate that was not tried yet."""
        waiting = self.waiting or []
        while waiting and text_of(waiting[0]) in self.tried:
            del waiting[0]
        return waiting[0] if waiting else None

    @property
    def open(self) -> bool:
        """Whether there is something left to try."""
        return self.waiting is None or self.following is not None

    def take(self, count: int) -> list[Candidate]:
        """Remove and return the next candidates, those left out that were tried before; note that they are tried now."""
        assert self.waiting is not None
        taken: list[Candidate] = []
        used = 0
        for candidate in self.waiting:
            if len(taken) == count:
                break
            used += 1
            text = text_of(candidate)
            if text not in self.tried:
                self.tried[text] = None
                taken.append(candidate)
        del self.waiting[:used]
        return taken


class Graph:
    """All nodes of a search.

    States are the same when their goals have the same keys. With ``names_matter`` they must also read the same: ``h : p ⊢ p``
    and ``k : p ⊢ p`` have one key, so have ``⊢ p`` and ``⊢ q`` where the same is known of both. Then what proves a state
    proves it wherever it occurs, and not only along the path on which it was found.
    """

    def __init__(self, *, names_matter: bool = False) -> None:
        self.nodes: list[Node] = []
        self._names_matter = names_matter
        self._known: dict[object, Node] = {}

    def known(self, state: ProofState) -> Node | None:
        """The node of this very state, if it was reached before. Finished states are never merged."""
        identity = self._identity(state)
        return None if identity is None else self._known.get(identity)

    def root(self, ref: StateRef, state: ProofState) -> Node:
        """The first node."""
        assert not self.nodes
        return self._add(Node(0, ref, state, 0, 0.0, 0.0))

    def grow(
        self,
        parent: Node,
        candidate: Candidate,
        ref: StateRef,
        state: ProofState,
        *,
        nats: float,
        suggestion: str | None = None,
    ) -> Edge:
        """A new node, reached from ``parent`` by a candidate that weighs ``nats``."""
        child = Node(
            len(self.nodes),
            ref,
            state,
            parent.depth + 1,
            parent.path_logprob_nats + candidate.logprob_nats,
            parent.path_nats + nats,
            whole=parent.whole,
        )
        child.by = Edge(parent, child, candidate, kept_goals(parent.state, state), suggestion)
        parent.tried[text_of(candidate)] = child.by
        self._add(child)
        return child.by

    def link(
        self, parent: Node, candidate: Candidate, child: Node, state: ProofState, *, suggestion: str | None = None
    ) -> Edge:
        """An edge to a known node; ``state`` is what the tactic left, goals with the names that they had there."""
        edge = Edge(parent, child, candidate, kept_goals(parent.state, state), suggestion)
        parent.tried[text_of(candidate)] = edge
        child.also_by += (edge,)
        if child.claimed:
            self._spread([child])
        return edge

    def part(self, whole: Node, ref: StateRef, state: ProofState) -> Node:
        """A new node for some goals of a state; it becomes a part of it with :meth:`split`."""
        node = Node(len(self.nodes), ref, state, whole.depth, whole.path_logprob_nats, whole.path_nats, whole=False)
        node.part_of = whole
        return self._add(node)

    def split(self, whole: Node, parts: Sequence[tuple[Node, tuple[int, ...]]]) -> None:
        """Make ``whole`` the conjunction of nodes, each with the places of its goals there."""
        whole.parts = tuple(parts)
        for part in dict.fromkeys(node for node, _ in parts):
            part.wholes += (whole,)
        self._spread([node for node, _ in parts if node.claimed])

    def close(self, node: Node) -> None:
        """A finished state may be believed, as far as it goes: it is solved, and so is what follows from that."""
        assert node.state.finished
        node.solved = node.claimed = True
        self._spread([node])

    def suspend(self, edges: Iterable[Edge]) -> None:
        """These edges no longer solve anything; what is solved is found anew."""
        for edge in edges:
            edge.suspended = True
        for node in self.nodes:
            node.solved = node.solved and node.state.finished
        self._spread([node for node in self.nodes if node.solved])

    def path(self, node: Node) -> tuple[ProofStep, ...]:
        """The steps along first edges from the root to a node that is whole."""
        assert node.whole
        steps: list[ProofStep] = []
        while node.by is not None:
            steps.append(node.by.step)
            node = node.by.parent
        return tuple(reversed(steps))

    def check_invariants(self) -> None:
        """Assert what every step of a search must keep."""
        for index, node in enumerate(self.nodes):
            assert node.id == index, "a node's number is its place"
            parent = node.parent
            assert (parent is None) == (index == 0), "only the root has no parent"
            assert node.by is None or node.part_of is None, "a node is reached by a tactic or is a part"
            if parent is not None:
                assert parent.id < node.id, "a parent is older than its child"
                assert node.depth == parent.depth + (node.by is not None), "depth counts tactics"
                assert node.path_logprob_nats <= parent.path_logprob_nats + 1e-9, "log-probabilities are not positive"
                assert node.whole == (parent.whole and node.part_of is None), "nothing below a part is whole"
            assert not (node.spent and node.open), "of a spent state nothing is left to try"
            assert not (node.parts and (node.tried or node.waiting)), "a split state has no tactics of its own"
            assert not (node.state.finished and node.energy is not None), "a finished state is not scored"
            assert all(e.parent is node for e in node.tried.values() if e), "an edge is its parent's"
            if not node.state.finished:
                assert (node.solved, node.claimed) == _follows(node), "solved is what follows from finished states"
        identities = [i for n in self.nodes if (i := self._identity(n.state)) is not None]
        assert len(identities) == len(set(identities)), "one node for one state"

    def _add(self, node: Node) -> Node:
        self.nodes.append(node)
        identity = self._identity(node.state)
        if identity is not None:
            self._known.setdefault(identity, node)
        return node

    def _identity(self, state: ProofState) -> object:
        key = state.key
        if not key:
            return None
        if not self._names_matter:
            return key
        return key, tuple((goal.variables, goal.target) for goal in state.goals)

    def _spread(self, nodes: list[Node]) -> None:
        """Carry that these nodes are claimed, and perhaps solved, to all that follows from it."""
        while nodes:
            node = nodes.pop()
            for above in (*(edge.parent for edge in node.incoming), *node.wholes):
                solved, claimed = _follows(above)
                if (solved, claimed) != (above.solved, above.claimed):
                    above.solved, above.claimed = solved, claimed
                    nodes.append(above)


def _follows(node: Node) -> tuple[bool, bool]:
    """Whether a node that is not finished is solved, and whether it is claimed, by what is below it."""
    if node.parts:
        return all(part.solved for part, _ in node.parts), all(part.claimed for part, _ in node.parts)
    edges = [edge for edge in node.tried.values() if edge and edge.child.claimed]
    return any(edge.child.solved and not edge.suspended for edge in edges), bool(edges)


def kept_goals(before: ProofState, after: ProofState) -> tuple[int | None, ...]:
    """For each goal after a tactic its place before it, told by Lean's own names of goals; None for a new goal."""
    if len(before.goals) == 1:
        return _ALL_NEW[len(after.goals)] if len(after.goals) < len(_ALL_NEW) else (None,) * len(after.goals)
    places = {goal.id: place for place, goal in enumerate(before.goals) if goal.id}
    return tuple(places.get(goal.id) for goal in after.goals)


def text_of(candidate: Candidate) -> str:
    """The text by which two candidates for a state are the same."""
    return _normalised(candidate.text)


_ALL_NEW: tuple[tuple[None, ...], ...] = tuple((None,) * n for n in range(8))
_normalised = functools.lru_cache(maxsize=4096)(normalise)
