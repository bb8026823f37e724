"""From a state without goals to an accepted proof: the kernel's word in the session, then the gate's on the proof written out.

A whole state without goals is judged where it stands. Below a part of a split state nothing can be: there the other
goals are out of sight, not proved. So once everything the root needs is solved, the proof is put together and *replayed*
from the root on whole states, and only what the replay reaches is judged. A proof that does not replay, or is refused,
is remembered; what it rested on is suspended, so that the search goes on and looks for something else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from burnqed.core.outcome import Refused, StateRef, Verdict
from burnqed.core.ports import LeanSession
from burnqed.search.graph import Edge, Graph, ProofStep
from burnqed.search.line import Line
from burnqed.search.proof import Proof, shortest_proof

Judge = Callable[[tuple[ProofStep, ...]], Awaitable[Verdict]]


@dataclass(frozen=True)
class Accepted:
    """A proof and the word of the gate."""

    steps: tuple[ProofStep, ...]
    verdict: Verdict


@dataclass(frozen=True)
class _Replayed:
    """Where a replay came to an end, and the states on the way. ``failed`` is the tactic that did something else there."""

    refs: list[StateRef]
    steps: tuple[ProofStep, ...]
    failed: Edge | None = None
    reason: str = ""


class Claims:
    """Judges what a search claims to have proved.

    ``refused`` has the reasons of those that were no proofs, ``accepted`` is the first that is one.
    """

    def __init__(self, graph: Graph, session: LeanSession, judge: Judge) -> None:
        self._graph = graph
        self._session = session
        self._judge = judge
        self._tried: set[frozenset[Edge]] = set()
        self.refused: list[str] = []
        self.accepted: Accepted | None = None
        self.tactics = 0

    async def closed(self, edge: Edge) -> Accepted | None:
        """A tactic left no goal: the accepted proof if that makes one."""
        node = edge.child
        if node.whole:
            verdict = await self._verdict(node.ref, self._graph.path(node))
            found = self._accepted(self._graph.path(node), verdict) if verdict.accepted else None
            await self._session.forget([node.ref])
            return found
        self._graph.close(node)
        return await self.put_together(edge)

    async def put_together(self, edge: Edge) -> Accepted | None:
        """After a tactic that led to something claimed: the accepted proof if the root is proved by it."""
        while self._graph.nodes[0].solved or (self._tried and edge.child.claimed):
            proof = shortest_proof(self._graph)
            if proof is None or (edges := frozenset(proof.values())) in self._tried:
                break
            self._tried.add(edges)
            replayed = await self._replay(proof)
            if replayed.failed is None:
                verdict = await self._verdict(replayed.refs[-1], replayed.steps)
                if verdict.accepted:
                    found = self._accepted(replayed.steps, verdict)
                    await self._session.forget(replayed.refs)
                    return found
                self._doubt(edges, [e for e in edges if e.child.state.finished])
            else:
                self.refused.append(replayed.reason)
                self._doubt(edges, [replayed.failed])
            await self._session.forget(replayed.refs)
        return None

    def _accepted(self, steps: tuple[ProofStep, ...], verdict: Verdict) -> Accepted:
        found = Accepted(steps, verdict)
        self.accepted = self.accepted or found
        return found

    async def _verdict(self, ref: StateRef, steps: tuple[ProofStep, ...]) -> Verdict:
        verdict = await self._session.verdict(ref)
        if verdict.accepted:
            verdict = await self._judge(steps)
        if not verdict.accepted:
            self.refused.append(verdict.reason)
        return verdict

    def _doubt(self, edges: Iterable[Edge], culprits: Iterable[Edge]) -> None:
        for edge in edges:
            edge.blame += 1
        self._graph.suspend(culprits)

    async def _replay(self, proof: Proof) -> _Replayed:
        """Run the proof on whole states. What was first reached along it need not be run again."""
        node = self._graph.nodes[0]
        while not node.parts and (edge := proof[node]).child.by is edge and not edge.child.state.finished:
            node = edge.child
        ref, before = node.ref, len(node.state.goals)
        steps = list(self._graph.path(node))
        refs: list[StateRef] = []
        line = Line(node)
        while (at := line.first) is not None:
            edge = proof[at]
            (outcome,) = await self._session.apply(ref, [edge.candidate.text])
            self.tactics += 1
            if isinstance(outcome, Refused):
                return _Replayed(refs, tuple(steps), edge, _does_not_replay(edge, outcome.detail or outcome.kind))
            ref, after = outcome.ref, len(outcome.state.goals)
            refs.append(ref)
            steps.append(ProofStep(edge.candidate.text, before, after, outcome.suggestion))
            before = after
            line.advance(edge)
            if outcome.state.finished:
                break
            if not line.agrees(outcome.state):
                return _Replayed(refs, tuple(steps), edge, _does_not_replay(edge, "it leaves other goals there"))
        return _Replayed(refs, tuple(steps))


def _does_not_replay(edge: Edge, why: str) -> str:
    return f"{edge.candidate.text!r} does not do on the whole state what it did on a part of it: {why}"
