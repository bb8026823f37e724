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
from burnqed.core.errors import LeanError, ModelError, ModelMismatch
from burnqed.core.files import Target
from burnqed.core.outcome import SearchStatus, Verdict
from burnqed.core.ports import Clock, EventSink, LeanSession, ProofWriter, TacticPolicy, ValueFn
from burnqed.core.tally import Tally
from burnqed.search.claims import Claims, Judge
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
    """How a search ended; ``proof`` and ``verdict`` are set when it found an accepted proof.

    What was spent is what its first proof took; what came after that does not count.
    """

    status: SearchStatus
    proof: tuple[ProofStep, ...] | None
    verdict: Verdict | None
    nodes: int
    expansions: int
    tactics: int
    tokens: int
    seconds: float
    refused_proofs: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Spent:
    """What a search has used."""

    nodes: int
    expansions: int
    tactics: int
    tokens: int
    seconds: float


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
        self._spent_on_proof: _Spent | None = None

    async def run(self) -> SearchResult:
        """Search until proved, exhausted, out of budget or stopped. Raises StatementRejected for a bad statement.

        With ``after_proof`` it goes on for a while; what goes wrong then ends it, and the proof stays.
        """
        self._began_s = self.clock.now_s()
        await self._explorer.open(self.theorem)
        self.strategy.grew(*await self._explorer.score())
        status = SearchStatus.EXHAUSTED
        while nodes := self.strategy.choose(self.config.expand_batch, room=self._room()):
            if (limit := self._limit()) is not None:
                status = limit
                break
            try:
                async with asyncio.timeout(self._remaining_s() + GRACE_S):
                    await self._turn(nodes)
            except TimeoutError:
                status = SearchStatus.OUT_OF_TIME
                break
            except (LeanError, ModelError) as error:
                if self._claims.accepted is None or isinstance(error, ModelMismatch):
                    raise
                self.tally.count("searches that broke off after their proof", str(error))
                break
            if self._over:
                break
        return self._finish(SearchStatus.PROVED if self._claims.accepted else status)

    async def _turn(self, nodes: Sequence[Node]) -> None:
        """Whole proofs if they are due, then the next candidates of each node."""
        await self._whole_proofs(nodes[0])
        self._note_proof()
        if not self._over:
            await self._propose(nodes)
        for node in nodes:
            if not self._over and (size := min(self.config.slice_size, self._tactics_left())):
                await self._explorer.attempt(node, node.take(size))
                self._note_proof()
        for node in nodes:
            if not node.open:
                self._explorer.drop(node)
        self.strategy.grew(*await self._explorer.score())
        self.strategy.tried(nodes)

    @property
    def _over(self) -> bool:
        """Whether there is a proof, and what was to be tried after it has been."""
        return self._spent_on_proof is not None and not self._tactics_left()

    def _note_proof(self) -> None:
        """With the first accepted proof, what it took."""
        if self._claims.accepted is not None and self._spent_on_proof is None:
            self._spent_on_proof = self._spent()

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

    async def _whole_proofs(self, node: Node) -> None:
        if self._scripts is None or not self.config.whole_proofs or self.expansions < self._scripts_at:
            return
        every = self.config.whole_proof_every
        self._scripts_at = self.expansions + every if every else math.inf
        await self._scripts.run(node, self.config.whole_proofs, stop=self._halted)

    def _room(self) -> int:
        return max(1, self.config.max_nodes - self.expansions)

    def _remaining_s(self) -> float:
        return max(0.0, self.config.max_seconds - (self.clock.now_s() - self._began_s))

    def _tactics_left(self) -> int:
        limits = [self.config.max_tactics] if self.config.max_tactics else []
        if self._spent_on_proof is not None:
            limits.append(self._spent_on_proof.tactics + self.config.after_proof)
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

    def _spent(self) -> _Spent:
        seconds = self.clock.now_s() - self._began_s
        return _Spent(len(self.graph.nodes), self.expansions, self._tactics, self.tokens, seconds)

    def _finish(self, status: SearchStatus) -> SearchResult:
        found = self._claims.accepted
        spent = self._spent_on_proof if self._spent_on_proof and self.config.after_proof else self._spent()
        self._recorder.ended(
            status, nodes=spent.nodes, expansions=spent.expansions, tactics=spent.tactics, seconds=spent.seconds
        )
        return SearchResult(
            status=status,
            proof=found.steps if found else None,
            verdict=found.verdict if found else None,
            nodes=spent.nodes,
            expansions=spent.expansions,
            tactics=spent.tactics,
            tokens=spent.tokens,
            seconds=spent.seconds,
            refused_proofs=tuple(self._claims.refused),
        )
