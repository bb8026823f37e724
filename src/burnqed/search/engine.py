"""The search loop: choose, propose, apply, score the new states together, tell the strategy.

It knows Lean, policy and value only as ports, and what comes next only from a strategy. Given the same answers and the
same configuration it does the same thing in the same order, however long the answers take; only the limit in
seconds depends on time.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from burnqed.core.calibration import Calibration
from burnqed.core.files import Target
from burnqed.core.outcome import SearchStatus, Verdict
from burnqed.core.ports import Clock, EventSink, LeanSession, ProofWriter, TacticPolicy, ValueFn
from burnqed.core.tally import Tally
from burnqed.search.claims import Accepted, Claims, Judge
from burnqed.search.config import SearchConfig
from burnqed.search.explorer import Explorer
from burnqed.search.graph import Graph, Node, ProofStep
from burnqed.search.recorder import Recorder
from burnqed.search.scripts import Inside, Scripts
from burnqed.search.strategies import make_strategy
from burnqed.search.terms import Terms

GRACE_S = 1.0
"""How far a tactic in flight may run beyond the budget before it is given up together with its process."""


@dataclass(frozen=True)
class SearchResult:
    """How a search ended; ``proof`` and ``verdict`` are set when it found an accepted proof."""

    status: SearchStatus
    proof: tuple[ProofStep, ...] | None
    verdict: Verdict | None
    nodes: int
    expansions: int
    tactics: int
    tokens: int
    seconds: float
    refused_proofs: tuple[str, ...] = ()


class Search:
    """One search for one theorem. Make it, then await :meth:`run` once.

    ``writer`` writes the whole proofs that the configuration may ask for, and ``inside`` opens a bullet of one. ``tally``
    counts what was dropped or repaired. An error of policy, writer or value (ModelError) ends the search.
    """

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
        writer: ProofWriter | None = None,
        inside: Inside = lambda step: (),
        calibration: Calibration | None = None,
        tally: Tally | None = None,
    ) -> None:
        terms = Terms(config, calibration)
        self.theorem = theorem
        self.policy = policy
        self.config = config
        self.clock = clock
        self.stop = stop
        self.tally = tally or Tally()
        self.strategy = make_strategy(terms)
        self.graph = Graph(names_matter=self.strategy.splits)
        self.expansions = 0
        self.tokens = 0
        self._claims = Claims(self.graph, session, judge)
        self._recorder = Recorder(theorem.name, events)
        self._explorer = Explorer(
            session=session,
            value=value,
            graph=self.graph,
            claims=self._claims,
            terms=terms,
            recorder=self._recorder,
            tally=self.tally,
            splits=self.strategy.splits,
            goes_on=config.after_proof > 0,
        )
        self._scripts = Scripts(self._explorer, writer, inside=inside, tally=self.tally) if writer else None
        self._scripts_at: float = 0  # expansions after which whole proofs are asked for again
        self._began_s = 0.0
        self._last_tactic: int | None = None  # so many tactics are tried at most, once there is a proof

    async def run(self) -> SearchResult:
        """Search until proved, exhausted, out of budget or stopped. Raises StatementRejected for a bad statement."""
        self._began_s = self.clock.now_s()
        await self._explorer.open(self.theorem)
        self.strategy.grew(*await self._explorer.score())
        found: Accepted | None = None
        status = SearchStatus.EXHAUSTED
        while nodes := self.strategy.choose(self.config.expand_batch, room=self._room()):
            if (limit := self._limit()) is not None:
                status = limit
                break
            try:
                async with asyncio.timeout(self._remaining_s() + GRACE_S):
                    accepted = await self._turn(nodes)
            except TimeoutError:
                status = SearchStatus.OUT_OF_TIME
                break
            if accepted and found is None:
                found = accepted
                self._last_tactic = self._tactics + self.config.after_proof
            if found and not self._tactics_left():
                break
        return self._finish(SearchStatus.PROVED if found else status, found)

    async def _turn(self, nodes: Sequence[Node]) -> Accepted | None:
        """Whole proofs if they are due, then the next candidates of each node; the accepted proof if one of them makes one."""
        found = await self._whole_proofs(nodes[0])
        if found is None:
            await self._propose(nodes)
            for node in nodes:
                size = min(self.config.slice_size, self._tactics_left())
                accepted = await self._explorer.attempt(node, node.take(size)) if size else None
                found = found or accepted
                if found is not None and not self.config.after_proof:
                    break
        for node in nodes:
            if not node.open:
                self._explorer.drop(node)
        self.strategy.grew(*await self._explorer.score())
        self.strategy.tried(nodes)
        return found

    async def _propose(self, nodes: Sequence[Node]) -> None:
        """Candidates for the nodes that the policy has not seen, in one call."""
        unseen = [node for node in nodes if node.waiting is None]
        if not unseen:
            return
        answers = await self.policy.propose([node.state for node in unseen], self.config.candidates)
        self.expansions += len(unseen)
        self.tokens += sum(c.num_tokens for candidates in answers for c in candidates)
        for node, candidates in zip(unseen, answers, strict=True):
            node.waiting = [c for c in candidates if math.isfinite(c.logprob_nats)]
            if dropped := len(candidates) - len(node.waiting):
                self.tally.count("candidates whose log-probability is not a number", times=dropped)
            self.strategy.answered(node)

    async def _whole_proofs(self, node: Node) -> Accepted | None:
        if self._scripts is None or not self.config.whole_proofs or self.expansions < self._scripts_at:
            return None
        every = self.config.whole_proof_every
        self._scripts_at = self.expansions + every if every else math.inf
        return await self._scripts.run(node, self.config.whole_proofs, stop=self._halted)

    def _room(self) -> int:
        return max(1, self.config.max_nodes - self.expansions)

    def _remaining_s(self) -> float:
        return max(0.0, self.config.max_seconds - (self.clock.now_s() - self._began_s))

    def _tactics_left(self) -> int:
        limits = [most for most in (self.config.max_tactics or None, self._last_tactic) if most is not None]
        return max(0, min(limits) - self._tactics) if limits else self.config.slice_size

    @property
    def _tactics(self) -> int:
        return self._explorer.tactics + self._claims.tactics

    def _halted(self) -> bool:
        return self._limit() in (SearchStatus.STOPPED, SearchStatus.OUT_OF_TIME, SearchStatus.OUT_OF_TACTICS)

    def _limit(self) -> SearchStatus | None:
        """The limit that has been reached, if any."""
        if self.stop():
            return SearchStatus.STOPPED
        if self._remaining_s() <= 0:
            return SearchStatus.OUT_OF_TIME
        if self.expansions >= self.config.max_nodes:
            return SearchStatus.OUT_OF_NODES
        if not self._tactics_left():
            return SearchStatus.OUT_OF_TACTICS
        if self.config.max_tokens and self.tokens >= self.config.max_tokens:
            return SearchStatus.OUT_OF_TOKENS
        return None

    def _finish(self, status: SearchStatus, found: Accepted | None) -> SearchResult:
        seconds = self.clock.now_s() - self._began_s
        nodes, tactics = len(self.graph.nodes), self._tactics
        self._recorder.ended(status, nodes=nodes, expansions=self.expansions, tactics=tactics, seconds=seconds)
        return SearchResult(
            status=status,
            proof=found.steps if found else None,
            verdict=found.verdict if found else None,
            nodes=nodes,
            expansions=self.expansions,
            tactics=tactics,
            tokens=self.tokens,
            seconds=seconds,
            refused_proofs=tuple(self._claims.refused),
        )
