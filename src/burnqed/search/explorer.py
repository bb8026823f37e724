"""Runs tactics on nodes and takes what comes of them into the graph; scores what is new, all of it together."""

from __future__ import annotations

import math
from collections.abc import Sequence

from burnqed.core.errors import LeanError, WorkerLost
from burnqed.core.files import Target
from burnqed.core.outcome import Outcome, Refused, StateRef, Stepped
from burnqed.core.ports import LeanSession, ValueFn
from burnqed.core.state import ProofState
from burnqed.core.tactic import Candidate
from burnqed.core.tally import Tally
from burnqed.search.claims import Accepted, Claims
from burnqed.search.graph import Edge, Graph, Node, text_of
from burnqed.search.recorder import Recorder
from burnqed.search.terms import Terms


class Explorer:
    """What a strategy's choices and whole proofs have in common.

    No tactic is run twice on a node. New states wait until :meth:`score` (deferred collect-then-score): that is the only
    way to a score. Finished states and split ones are never scored.
    """

    def __init__(
        self,
        *,
        session: LeanSession,
        value: ValueFn,
        graph: Graph,
        claims: Claims,
        terms: Terms,
        recorder: Recorder,
        tally: Tally,
        splits: bool,
        goes_on: bool = False,
    ) -> None:
        self.tactics = 0
        self._session = session
        self._value = value
        self._graph = graph
        self._claims = claims
        self._terms = terms
        self._recorder = recorder
        self._tally = tally
        self._splits = splits
        self._goes_on = goes_on
        self._new: list[Node] = []
        self._edges: list[Edge] = []
        self._unwanted: list[StateRef] = []

    async def open(self, target: Target) -> Node:
        """The root. Raises StatementRejected for a bad statement."""
        ref, state = await self._session.start(target)
        self._recorder.started(state.text)
        root = self._graph.root(ref, state)
        self._new.append(root)
        return root

    async def attempt(self, node: Node, candidates: Sequence[Candidate]) -> Accepted | None:
        """Try candidates on a node, in one request; the first accepted proof if one of them makes one.

        What comes after it in the request is for the record only, unless the search goes on after a proof.
        """
        found: Accepted | None = None
        outcomes = await self._session.apply(node.ref, [c.text for c in candidates]) if candidates else []
        self.tactics += len(candidates)
        for candidate, outcome in zip(candidates, outcomes, strict=True):
            if found is not None and not self._goes_on:
                self._recorder.applied(node, candidate, outcome, None)
                continue
            if (edge := await self._take_in(node, candidate, outcome)) is None:
                continue
            accepted: Accepted | None = None
            if edge.child.state.finished:
                accepted = await self._claims.closed(edge)
                if accepted is not None and edge.child.whole:
                    self._recorder.accepted(edge.child)
            elif edge.child.claimed:
                accepted = await self._claims.put_together(edge)
            found = found or accepted
        if not (node.open or node.spent):
            node.spent = True
            self._recorder.spent(node)
        return found

    async def step(self, node: Node, candidate: Candidate) -> tuple[Edge | None, Accepted | None]:
        """One tactic, run only if it was not tried here before: where it leads, and the accepted proof if it makes one."""
        text = text_of(candidate)
        if text in node.tried:
            return node.tried[text], None
        node.tried[text] = None
        found = await self.attempt(node, [candidate])
        return node.tried[text], found

    async def score(self) -> tuple[list[Node], list[Edge]]:
        """Energies of all new states in one call; then what is new is handed over, and Lean forgets what is not wanted."""
        nodes, self._new = self._new, []
        edges, self._edges = self._edges, []
        unwanted, self._unwanted = self._unwanted, []
        if nodes:
            root = self._graph.nodes[0].state
            energies = self._finite(await self._value.energies([(node.state, root) for node in nodes]))
            for node, energy in zip(nodes, energies, strict=True):
                node.energy = energy
                node.policy_term = self._terms.policy(node.path_nats, node.depth)
                node.value_term = self._terms.value(energy, node.depth)
                self._recorder.added(node)
        if unwanted:
            await self._session.forget(unwanted)
        return nodes, edges

    def drop(self, node: Node) -> None:
        """Nothing is left to try on a node."""
        self._unwanted.append(node.ref)

    async def _take_in(self, node: Node, candidate: Candidate, outcome: Outcome) -> Edge | None:
        """Record what a tactic did; the edge if it led to a state that is kept."""
        if isinstance(outcome, Refused):
            self._recorder.applied(node, candidate, outcome, None)
            return None
        known = self._graph.known(outcome.state)
        if known is not None:
            edge = self._graph.link(node, candidate, known, outcome.state, suggestion=outcome.suggestion)
            self._unwanted.append(outcome.ref)
        elif node.depth + 1 >= self._terms.config.max_depth and not outcome.state.finished:
            self._recorder.applied(node, candidate, outcome, None)
            self._unwanted.append(outcome.ref)
            return None
        else:
            edge = self._graph.grow(
                node,
                candidate,
                outcome.ref,
                outcome.state,
                nats=self._terms.step(candidate),
                suggestion=outcome.suggestion,
            )
        self._edges.append(edge)
        self._recorder.applied(node, candidate, outcome, edge.child)
        if known is None:
            await self._settle(edge.child, outcome)
        return edge

    async def _settle(self, node: Node, outcome: Stepped) -> None:
        """A new node is finished, or split, or waits for its score."""
        if node.state.finished:
            self._recorder.added(node)
        elif self._splits and len(node.state.components) > 1 and await self._split(node):
            self._recorder.added(node)
            self._recorder.split(node)
            self._unwanted.append(outcome.ref)
        else:
            self._new.append(node)

    async def _split(self, node: Node) -> bool:
        """Make a node the conjunction of its components; false when Lean cannot take its goals apart."""
        wanted = [ProofState(tuple(node.state.goals[p] for p in places)) for places in node.state.components]
        taken: list[tuple[StateRef, ProofState] | None] = []
        for places, part in zip(node.state.components, wanted, strict=True):
            try:
                known = self._graph.known(part) is not None
                taken.append(None if known else await self._session.focus(node.ref, places))
            except WorkerLost:
                raise
            except LeanError as error:
                self._tally.count("states whose goals could not be taken apart", str(error))
                return False
        parts: list[tuple[Node, tuple[int, ...]]] = []
        for places, part, new in zip(node.state.components, wanted, taken, strict=True):
            known_part = self._graph.known(part if new is None else new[1])
            if known_part is None:
                assert new is not None
                known_part = self._graph.part(node, *new)
                self._new.append(known_part)
            elif new is not None:
                self._unwanted.append(new[0])
            parts.append((known_part, places))
        self._graph.split(node, parts)
        return True

    def _finite(self, energies: Sequence[float]) -> list[float]:
        """Energies that are no numbers become the worst of the others, 0 if there are none."""
        worst = max((e for e in energies if math.isfinite(e)), default=0.0)
        if wrong := sum(not math.isfinite(e) for e in energies):
            self._tally.count("energies that are not finite", times=wrong)
        return [e if math.isfinite(e) else worst for e in energies]
