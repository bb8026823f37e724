"""What a finished search says of its states: proved, refuted, exhausted, or nothing.

The unit is a state, known by its text: nodes that print the same are one. All edges count, not only those by which a
state was first reached, so a state has one label however it was come by. Four rules, each over the whole graph:

- *proved*: one of its tactics leads to a proved state or ends an accepted proof; a split state when all parts are proved.
- *refuted*: the theorem is known to be false (its negation is proved), or the state is; then so is everything that its
  tactics lead to, since what follows from a provable state would make it provable. Of a split state it is the part that is
  left when all others are proved.
- *exhausted*: all candidates were tried, each failed or led to an exhausted state, and nothing was cut off by a limit of
  depth, time or memory. A split state when one part is exhausted.
- *unknown*: everything else.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

Label = Literal["proved", "refuted", "exhausted", "unknown"]

PART = "part"
"""The outcome of an edge from a split state to one of its parts; no tactic stands on it."""
STEPPED = "stepped"
_CONCLUSIVE = frozenset({STEPPED, PART, "error", "parse", "sorry", "unsafe"})
"""Outcomes that say something about the tactic; the others say that a limit of the machine was reached."""

MERGED = "nodes of one text made one state"
ZOMBIE = "zombie step: changes nothing"
CONTRADICTION = "state both proved and refuted"
UNJUDGED = "finished state of a theorem without an accepted proof"


@dataclass(frozen=True)
class Node:
    """A node as the record has it; ``spent`` says that every candidate of it was tried.

    ``logprob_nats`` is that of the tactics on the way to it, ``accepted`` says that the gate accepted the proof that ends in it;
    None where the record does not say.
    """

    id: int
    state: str
    depth: int
    finished: bool
    spent: bool
    logprob_nats: float | None = None
    accepted: bool | None = None


@dataclass(frozen=True)
class Edge:
    """A tactic that was tried on a node; ``child`` is None where it led to nothing that was kept."""

    node: int
    tactic: str
    outcome: str
    child: int | None


@dataclass(frozen=True)
class SearchGraph:
    """One search; node 0 is the root. ``proved`` says that the gate accepted a proof of the theorem."""

    theorem: str
    proved: bool
    nodes: Sequence[Node]
    edges: Sequence[Edge]
    source: str = ""


@dataclass(frozen=True)
class Move:
    """A tactic between two states, the second None for the end of an accepted proof."""

    tactic: str
    to: str | None


@dataclass(frozen=True)
class State:
    """A state of a search with what is known of it.

    ``depth`` is the least number of tactics from the root, ``logprob_nats`` that of the likeliest way to it (None: not known);
    ``remaining`` the least number to the end of a proof, for proved states only. ``moves`` lead on from it, zombies left out;
    ``parts`` are set for a split state. ``tries`` counts the tactics that were tried on it.
    """

    text: str
    label: Label
    depth: int
    remaining: int | None
    moves: tuple[Move, ...]
    parts: tuple[str, ...]
    tries: int
    logprob_nats: float | None = None

    @property
    def tried(self) -> bool:
        """Whether any tactic was tried on it."""
        return self.tries > 0


@dataclass(frozen=True)
class Labelled:
    """All open states of a search by their text, in the order of discovery, and what was put right on the way."""

    theorem: str
    root: str
    proved: bool
    states: dict[str, State]
    faults: Counter[str]
    source: str = ""


def label(graph: SearchGraph, *, refuted: bool = False, false_states: Collection[str] = ()) -> Labelled:
    """Label the states of a search. ``refuted``: the theorem is known to be false; ``false_states``: texts of states that are."""
    return _Labeller(graph, refuted, false_states).run()


class _Labeller:
    def __init__(self, graph: SearchGraph, refuted: bool, false_states: Collection[str]) -> None:
        self.graph = graph
        self.faults: Counter[str] = Counter()
        by_id = {node.id: node for node in graph.nodes}
        self.text = {node.id: node.state for node in graph.nodes if not node.finished}
        self.order = list(dict.fromkeys(self.text.values()))
        self.depth: dict[str, int] = {}
        self.logprob: dict[str, float] = {}
        for node in graph.nodes:
            if not node.finished:
                if node.state in self.depth:
                    self.faults[MERGED] += 1
                self.depth[node.state] = min(node.depth, self.depth.get(node.state, node.depth))
                if node.logprob_nats is not None:
                    best = self.logprob.get(node.state, node.logprob_nats)
                    self.logprob[node.state] = max(node.logprob_nats, best)
        self.ends = self._ends()
        self.spent = {self.text[n.id] for n in graph.nodes if n.spent and not n.finished}
        self.tries: Counter[str] = Counter()
        self.cut: set[str] = set()
        self.moves: dict[str, list[Move]] = defaultdict(list)
        self.parts: dict[str, list[str]] = defaultdict(list)
        for edge in graph.edges:
            self._take(edge, by_id)
        root = self.text.get(0, "")
        false = [s for s in self.order if s in false_states or (refuted and s == root)]
        self.root, self.false = root, false

    def _ends(self) -> frozenset[int]:
        """The finished nodes that end an accepted proof.

        The record says so. An earlier version's does not: there a search stopped at its first accepted proof, so of several
        finished states the last one found is its end, and the ones before it were refused. Where states were split a proof has
        several ends, and all are believed.
        """
        finished = [node.id for node in self.graph.nodes if node.finished]
        accepted = {node.id for node in self.graph.nodes if node.accepted}
        if not self.graph.proved:
            self.faults[UNJUDGED] += len(finished) - len(accepted)
            return frozenset(accepted)
        if any(edge.outcome == PART for edge in self.graph.edges):
            below = self._below_parts()
            refused = {n.id for n in self.graph.nodes if n.accepted is False and n.id not in below}
            return frozenset(finished) - refused
        return frozenset(accepted or finished[-1:])

    def _below_parts(self) -> set[int]:
        """The nodes that are parts, and all that was reached from them: their ends are judged with the others, not alone."""
        children: dict[int, list[int]] = defaultdict(list)
        todo = []
        for edge in self.graph.edges:
            if edge.child is not None:
                children[edge.node].append(edge.child)
                if edge.outcome == PART:
                    todo.append(edge.child)
        found: set[int] = set()
        while todo:
            if (node := todo.pop()) not in found:
                found.add(node)
                todo += children[node]
        return found

    def _take(self, edge: Edge, by_id: dict[int, Node]) -> None:
        at = self.text[edge.node]
        if edge.outcome == PART:
            assert edge.child is not None
            self.parts[at].append(self.text[edge.child])
            return
        self.tries[at] += 1
        if edge.outcome not in _CONCLUSIVE or (edge.outcome == STEPPED and edge.child is None):
            self.cut.add(at)
        if edge.child is None:
            return
        if by_id[edge.child].finished:
            if edge.child in self.ends:
                self.moves[at].append(Move(edge.tactic, None))
            else:
                self.cut.add(at)  # refused, or never judged: it says nothing against the state
        elif self.text[edge.child] == at:
            self.faults[ZOMBIE] += 1
        else:
            self.moves[at].append(Move(edge.tactic, self.text[edge.child]))

    def run(self) -> Labelled:
        remaining = self._remaining()
        false = self._refuted(remaining)
        both = false & remaining.keys()
        self.faults[CONTRADICTION] += len(both)
        open_ = self._open()
        states: dict[str, State] = {}
        for text in self.order:
            known: Label = "unknown"
            if text in both:
                pass
            elif text in remaining:
                known = "proved"
            elif text in false:
                known = "refuted"
            elif text not in open_:
                known = "exhausted"
            left = remaining[text] if known == "proved" else None
            moves, parts = tuple(self.moves[text]), tuple(self.parts[text])
            tries, logprob = self.tries[text], self.logprob.get(text)
            states[text] = State(text, known, self.depth[text], left, moves, parts, tries, logprob)
        faults = Counter({kind: count for kind, count in self.faults.items() if count})
        return Labelled(self.graph.theorem, self.root, self.graph.proved, states, faults, self.graph.source)

    def _remaining(self) -> dict[str, int]:
        """For each proved state the least number of tactics to the end: 1 + the child's, or the sum over parts.

        Values only fall from one round to the next, and a proof has at most as many steps as there are states, so this ends.
        """
        found: dict[str, int] = {}
        changed = True
        while changed:
            changed = False
            for text in self.order:
                if self.parts[text]:
                    counts = [found.get(p) for p in self.parts[text]]
                    best = None if None in counts else sum(c for c in counts if c is not None)
                else:
                    steps = [
                        0 if m.to is None else found[m.to] for m in self.moves[text] if m.to is None or m.to in found
                    ]
                    best = 1 + min(steps) if steps else None
                if best is not None and best < found.get(text, best + 1):
                    found[text] = best
                    changed = True
        return found

    def _refuted(self, proved: Collection[str]) -> set[str]:
        found: set[str] = set()
        todo = list(self.false)
        while todo:
            text = todo.pop()
            if text in found:
                continue
            found.add(text)
            todo += [m.to for m in self.moves[text] if m.to is not None]
            if len(left := [p for p in self.parts[text] if p not in proved]) == 1:
                todo += left
        return found

    def _open(self) -> set[str]:
        """States that may still be provable for all that the search knows; the others are exhausted.

        The least set that holds every state which was not tried to the end, and every state with a tactic into the set; of
        split states those with all parts in it. Circles of states that lead nowhere else are outside.
        """
        found: set[str] = set()
        changed = True
        while changed:
            changed = False
            for text in self.order:
                if text not in found and self._may_go_on(text, found):
                    found.add(text)
                    changed = True
        return found

    def _may_go_on(self, text: str, open_: set[str]) -> bool:
        if parts := self.parts[text]:
            return all(p in open_ for p in parts)
        if text not in self.spent or text in self.cut:
            return True
        return any(m.to is None or m.to in open_ for m in self.moves[text])
