"""Tells the world what a search does, as events."""

from __future__ import annotations

from burnqed.core.events import (
    NodeAdded,
    NodeSpent,
    ProofAccepted,
    SearchEnded,
    SearchStarted,
    StateSplit,
    TacticApplied,
)
from burnqed.core.outcome import Outcome, Refused, SearchStatus
from burnqed.core.ports import EventSink
from burnqed.core.tactic import Candidate
from burnqed.search.graph import Node


class Recorder:
    """Emits the events of one search."""

    def __init__(self, theorem: str, events: EventSink) -> None:
        self._theorem = theorem
        self._events = events

    def started(self, statement: str) -> None:
        """The search has its first state."""
        self._events.emit(SearchStarted(self._theorem, statement))

    def applied(self, node: Node, by: Candidate, outcome: Outcome, child: Node | None) -> None:
        """A tactic was tried; ``child`` is where it led, if that was kept."""
        what, detail = (outcome.kind, outcome.detail) if isinstance(outcome, Refused) else ("stepped", "")
        self._events.emit(
            TacticApplied(
                theorem=self._theorem,
                node=node.id,
                tactic=by.text,
                logprob_nats=by.logprob_nats,
                num_tokens=by.num_tokens,
                outcome=what,
                detail=detail,
                child=None if child is None else child.id,
                lean_ms=outcome.lean_ms,
            )
        )

    def added(self, node: Node) -> None:
        """A state is in the graph, with its terms if it is one to be searched."""
        scored = node.energy is not None
        self._events.emit(
            NodeAdded(
                theorem=self._theorem,
                node=node.id,
                parent=node.parent.id if node.parent else None,
                depth=node.depth,
                state=node.state.text,
                num_goals=len(node.state.goals),
                path_logprob_nats=node.path_logprob_nats,
                energy=node.energy,
                priority=node.policy_term + node.value_term if scored else 0.0,
                finished=node.state.finished,
                policy_term=node.policy_term if scored else None,
                value_term=node.value_term if scored else None,
            )
        )

    def split(self, whole: Node) -> None:
        """A state was split into its parts."""
        parts = tuple((part.id, places) for part, places in whole.parts)
        self._events.emit(StateSplit(self._theorem, whole.id, parts))

    def spent(self, node: Node) -> None:
        """Every candidate of a state was tried."""
        self._events.emit(NodeSpent(self._theorem, node.id))

    def accepted(self, node: Node) -> None:
        """The proof that ends in a finished state was accepted."""
        self._events.emit(ProofAccepted(self._theorem, node.id))

    def ended(self, status: SearchStatus, *, nodes: int, expansions: int, tactics: int, seconds: float) -> None:
        """The search is over."""
        self._events.emit(SearchEnded(self._theorem, status, nodes, expansions, tactics, seconds))
