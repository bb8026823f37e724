"""The search loop: pop the best state, propose, apply, score the new states together, push.

It knows Lean, policy and value only as ports. Given the same answers from them and the same configuration it
does the same thing in the same order, however long the answers take; only the limit in seconds depends on time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from burnqed.core.events import NodeAdded, SearchEnded, SearchStarted, TacticApplied
from burnqed.core.files import Target
from burnqed.core.outcome import Outcome, Refused, SearchStatus, Verdict
from burnqed.core.ports import Clock, EventSink, LeanSession, TacticPolicy, ValueFn
from burnqed.core.tactic import Candidate
from burnqed.search.config import SearchConfig
from burnqed.search.frontier import Frontier
from burnqed.search.graph import Graph, Node, ProofStep
from burnqed.search.scoring import priority

GRACE_S = 1.0
"""How far a tactic in flight may run beyond the budget before it is given up together with its process."""

Judge = Callable[[tuple[ProofStep, ...]], Awaitable[Verdict]]


@dataclass(frozen=True)
class SearchResult:
    """How a search ended; ``proof`` and ``verdict`` are set when it found an accepted proof."""

    status: SearchStatus
    proof: tuple[ProofStep, ...] | None
    verdict: Verdict | None
    nodes: int
    expansions: int
    tactics: int
    seconds: float
    refused_proofs: tuple[str, ...] = ()


class Search:
    """One search for one theorem. Make it, then await :meth:`run` once."""

    def __init__(
        self,
        theorem: Target,
        *,
        session: LeanSession,
        policy: TacticPolicy,
        value: ValueFn,
        judge: Judge,
        config: SearchConfig,
        events: EventSink,
        clock: Clock,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.theorem = theorem
        self.session = session
        self.policy = policy
        self.value = value
        self.judge = judge
        self.config = config
        self.events = events
        self.clock = clock
        self.stop = stop
        self.graph = Graph()
        self.frontier = Frontier()
        self.expansions = 0
        self.tactics = 0
        self.refused_proofs: list[str] = []
        self._began_s = 0.0

    async def run(self) -> SearchResult:
        """Search until proved, exhausted, out of budget or stopped. Raises StatementRejected for a bad statement."""
        self._began_s = self.clock.now_s()
        ref, state = await self.session.start(self.theorem)
        self.events.emit(SearchStarted(self.theorem.name, state.text))
        root = self.graph.add(ref, state)
        await self._score([root])
        found: tuple[Node, Verdict] | None = None
        status = SearchStatus.EXHAUSTED
        while len(self.frontier):
            if (limit := self._limit()) is not None:
                status = limit
                break
            node = self.graph.nodes[self.frontier.pop()]
            try:
                async with asyncio.timeout(self._remaining_s() + GRACE_S):
                    found = await self._expand(node)
            except TimeoutError:
                status = SearchStatus.OUT_OF_TIME
                break
            if found:
                status = SearchStatus.PROVED
                break
        return self._finish(status, found)

    async def _expand(self, node: Node) -> tuple[Node, Verdict] | None:
        """Try the next candidates of a state; the accepted proof if one of them closes it."""
        if node.waiting is None:
            (node.waiting,) = await self.policy.propose([node.state], self.config.candidates)
            self.expansions += 1
        tried = node.take(self.config.slice_size)
        outcomes = await self.session.apply(node.ref, [c.text for c in tried])
        self.tactics += len(tried)
        new: list[Node] = []
        found: tuple[Node, Verdict] | None = None
        for candidate, outcome in zip(tried, outcomes, strict=True):
            if found is not None:  # for the record only
                what = outcome.kind if isinstance(outcome, Refused) else "stepped"
                self._applied(
                    node, candidate, outcome, what, outcome.detail if isinstance(outcome, Refused) else "", None
                )
                continue
            child = await self._take_in(node, candidate, outcome, new)
            if child is not None and child.state.finished:
                verdict = await self._judge(child)
                if verdict.accepted:
                    found = (child, verdict)
        await self._score(new)
        if node.waiting:
            self.frontier.push(node.id, self._priority(node, node.waiting[0]))
        else:
            await self.session.forget([node.ref])
        return found

    async def _take_in(self, node: Node, candidate: Candidate, outcome: Outcome, new: list[Node]) -> Node | None:
        """Record what a tactic did. A new open state is appended to ``new``; a new or finished state is returned."""
        if isinstance(outcome, Refused):
            self._applied(node, candidate, outcome, outcome.kind, outcome.detail, None)
            return None
        known = self.graph.known(outcome.state)
        too_deep = node.depth + 1 >= self.config.max_depth and not outcome.state.finished
        if known is not None or too_deep:
            self._applied(node, candidate, outcome, "stepped", "", known)
            await self.session.forget([outcome.ref])
            return None
        child = self.graph.add(outcome.ref, outcome.state, parent=node, by=candidate, suggestion=outcome.suggestion)
        self._applied(node, candidate, outcome, "stepped", "", child)
        if child.state.finished:
            self._added(child, priority=0.0)
        else:
            new.append(child)
        return child

    async def _judge(self, node: Node) -> Verdict:
        """The kernel's word on a finished state, then the gate's on the proof written out."""
        verdict = await self.session.verdict(node.ref)
        if verdict.accepted:
            verdict = await self.judge(self.graph.proof(node))
        if not verdict.accepted:
            self.refused_proofs.append(verdict.reason)
            await self.session.forget([node.ref])
        return verdict

    async def _score(self, new: list[Node]) -> None:
        """Energies of all new states in one call, then into the frontier (deferred collect-then-score)."""
        if not new:
            return
        root = self.graph.nodes[0].state
        energies = await self.value.energies([(n.state, root) for n in new])
        for node, energy in zip(new, energies, strict=True):
            node.energy = energy
            value = self._priority(node)
            self._added(node, priority=value)
            self.frontier.push(node.id, value)

    def _priority(self, node: Node, following: Candidate | None = None) -> float:
        """A node's priority; with its next candidate, the priority of coming back for that one."""
        assert node.energy is not None
        return priority(
            node.path_logprob_nats + (following.logprob_nats if following else 0.0),
            node.depth + (1 if following else 0),
            node.energy,
            exponent=self.config.length_exponent,
            value_weight=self.config.value_weight,
        )

    def _remaining_s(self) -> float:
        return max(0.0, self.config.max_seconds - (self.clock.now_s() - self._began_s))

    def _limit(self) -> SearchStatus | None:
        """The limit that has been reached, if any."""
        if self.stop():
            return SearchStatus.STOPPED
        if self._remaining_s() <= 0:
            return SearchStatus.OUT_OF_TIME
        if self.expansions >= self.config.max_nodes:
            return SearchStatus.OUT_OF_NODES
        return None

    def _applied(self, node: Node, by: Candidate, outcome: Outcome, what: str, detail: str, child: Node | None) -> None:
        self.events.emit(
            TacticApplied(
                theorem=self.theorem.name,
                node=node.id,
                tactic=by.text,
                logprob_nats=by.logprob_nats,
                num_tokens=by.num_tokens,
                outcome=what,
                detail=detail,
                child=child.id if child else None,
                lean_ms=outcome.lean_ms,
            )
        )

    def _added(self, node: Node, *, priority: float) -> None:
        self.events.emit(
            NodeAdded(
                theorem=self.theorem.name,
                node=node.id,
                parent=node.parent.id if node.parent else None,
                depth=node.depth,
                state=node.state.text,
                num_goals=len(node.state.goals),
                path_logprob_nats=node.path_logprob_nats,
                energy=node.energy,
                priority=priority,
                finished=node.state.finished,
            )
        )

    def _finish(self, status: SearchStatus, found: tuple[Node, Verdict] | None) -> SearchResult:
        seconds = self.clock.now_s() - self._began_s
        self.events.emit(
            SearchEnded(self.theorem.name, status, len(self.graph.nodes), self.expansions, self.tactics, seconds)
        )
        return SearchResult(
            status=status,
            proof=self.graph.proof(found[0]) if found else None,
            verdict=found[1] if found else None,
            nodes=len(self.graph.nodes),
            expansions=self.expansions,
            tactics=self.tactics,
            seconds=seconds,
            refused_proofs=tuple(self.refused_proofs),
        )
