"""A theorem open in Lean: typed operations, and states that outlive the process behind them.

A session remembers for every state from which state and by which tactic it came. When a process is lost or recycled,
a state that is needed again is rebuilt by replaying its path in a new process. Lean's answers depend on nothing
else, so the rebuilt state is the same, down to the names of its metavariables.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import msgspec

from burnqed.core.errors import ProtocolError, StatementRejected, WorkerLost
from burnqed.core.outcome import Outcome, Refused, StateRef, Stepped, Verdict
from burnqed.core.state import ProofState
from burnqed.core.theorem import Theorem
from burnqed.lean.config import LeanConfig
from burnqed.lean.process import BatchLost, LeanProcess, RequestFailed
from burnqed.lean.protocol import (
    BatchReply,
    StartReply,
    TacticReply,
    VerdictReply,
    Wire,
    decode,
    proof_state,
    refusal,
    suggestion,
)

_RSS_CHECK_EVERY = 25
_PLACE = re.compile(r"^<Pantograph>:(\d+):(\d+): ")
_STATEMENT_ERRORS = frozenset({"expr", "parse", "arguments", "frontend"})


class Empty(Wire, frozen=True):
    """The reply of commands that only say that they are done."""


@dataclass(frozen=True)
class _Origin:
    """How a state came to be: from which state, by which tactic; the start has neither."""

    parent: StateRef | None
    tactic: str


class PooledSession:
    """The LeanSession port over one process at a time. ``replace`` closes a process and hands out a fresh one."""

    def __init__(
        self, process: LeanProcess, replace: Callable[[LeanProcess], Awaitable[LeanProcess]], config: LeanConfig
    ) -> None:
        self.process = process
        self._replace = replace
        self._config = config
        self._theorem: Theorem | None = None
        self._origins: list[_Origin] = []
        self._server_ids: dict[int, int] = {}
        self._next_rss_check = 0

    async def start(self, theorem: Theorem) -> tuple[StateRef, ProofState]:
        """Open a theorem; whatever the session held before is let go."""
        self._theorem = theorem
        self._origins = [_Origin(None, "")]
        self._server_ids = {}
        await self._refresh()
        for last_try in (False, True):
            try:
                return StateRef(0), await self._open()
            except BatchLost as error:
                if error.timed_out or last_try:
                    raise StatementRejected(
                        f"Lean could not elaborate the statement of {theorem.name}: {error}"
                    ) from error
                await self._renew()
        raise AssertionError("unreachable")

    async def apply(self, ref: StateRef, tactics: Sequence[str]) -> list[Outcome]:
        """Try every tactic on one state; an outcome each, in order.

        A tactic that hangs is given up after the request's time limit and comes back as refused (``timeout``); one
        that kills the process twice in a row as refused (``crash``). The others' outcomes are as without them.
        """
        outcomes: list[Outcome] = []
        one_by_one = False
        died_before = False
        while len(outcomes) < len(tactics):
            rest = tactics[len(outcomes) :]
            chunk = rest[:1] if one_by_one else rest
            try:
                await self._refresh()
                server_id = await self._server_id(ref)
                payload = {"stateId": server_id, "tactics": list(chunk), "maxHeartbeats": self._config.max_heartbeats}
                partial, reply = await self.process.request(
                    "goal.tactics", payload, BatchReply, timeout_s=self._config.request_timeout_s
                )
                done = [*_entries(partial), *reply.outcomes]
                if len(done) != len(chunk):
                    self.process.kill()
                    raise ProtocolError(f"Lean answered {len(done)} tactics of {len(chunk)}")
                outcomes += [self._outcome(ref, tactic, r) for tactic, r in zip(chunk, done, strict=True)]
                died_before = False
            except BatchLost as lost:
                # States of the lost process are gone, but the answers stand; replaying will find the states again.
                answered = _entries(lost.partial)
                await self._renew()
                outcomes += [self._outcome(ref, t, r, live=False) for t, r in zip(chunk, answered, strict=False)]
                if one_by_one and not answered:
                    if lost.timed_out:
                        outcomes.append(Refused("timeout", str(lost), self._config.request_timeout_s * 1000))
                        one_by_one = False
                    elif died_before:
                        outcomes.append(Refused("crash", str(lost), 0.0))
                        one_by_one = died_before = False
                    else:
                        died_before = True
                elif len(chunk) - len(answered) == 1 and lost.timed_out:
                    outcomes.append(Refused("timeout", str(lost), self._config.request_timeout_s * 1000))
                else:
                    one_by_one = (
                        True  # find the one that does it; a process killed from outside is then simply made good
                    )
        return outcomes

    async def verdict(self, ref: StateRef) -> Verdict:
        """The kernel's word on a finished state."""
        for last_try in (False, True):
            try:
                await self._refresh()
                payload = {"stateId": await self._server_id(ref)}
                _, reply = await self.process.request(
                    "goal.verdict", payload, VerdictReply, timeout_s=self._config.request_timeout_s
                )
                return reply.verdict()
            except BatchLost as error:
                await self._renew()
                if last_try or error.timed_out:
                    return Verdict(False, f"the kernel check did not end: {error}")
            except RequestFailed as error:
                return Verdict(False, f"the kernel check failed: {error.desc}")
        raise AssertionError("unreachable")

    async def forget(self, refs: Sequence[StateRef]) -> None:
        """Free states in the process. They could still be rebuilt from their paths."""
        ids = [server_id for ref in refs if (server_id := self._server_ids.pop(ref.index, None)) is not None]
        if ids and not self.process.lost:
            try:
                await self.process.request(
                    "goal.delete", {"stateIds": ids}, Empty, timeout_s=self._config.request_timeout_s
                )
            except BatchLost:
                await self._renew()

    async def _open(self) -> ProofState:
        """``goal.start`` in the present process."""
        assert self._theorem is not None
        payload = {"theorem": self._theorem.sorried, "header": self._theorem.header}
        try:
            _, reply = await self.process.request(
                "goal.start", payload, StartReply, timeout_s=self._config.statement_timeout_s
            )
        except RequestFailed as error:
            if error.kind in _STATEMENT_ERRORS:
                where = f"{self._theorem.source}: " if self._theorem.source else ""
                raise StatementRejected(
                    f"{where}Lean does not accept the statement of {self._theorem.name}: {_one_line(error.desc)}"
                ) from error
            raise
        self._server_ids[0] = reply.state_id
        return proof_state(reply.goals)

    async def _server_id(self, ref: StateRef) -> int:
        """The state's number in the present process, rebuilt by replay if need be."""
        path: list[StateRef] = []
        at: StateRef | None = ref
        while at is not None and at.index not in self._server_ids:
            path.append(at)
            at = self._origins[at.index].parent
        for step in reversed(path):
            origin = self._origins[step.index]
            if origin.parent is None:
                await self._open()
                continue
            payload = {
                "stateId": self._server_ids[origin.parent.index],
                "tactic": origin.tactic,
                "maxHeartbeats": self._config.max_heartbeats,
            }
            _, reply = await self.process.request(
                "goal.tactic", payload, TacticReply, timeout_s=self._config.request_timeout_s
            )
            if reply.next_state_id is None:
                raise WorkerLost(f"a state could not be rebuilt: {origin.tactic!r} worked before and does not now")
            self._server_ids[step.index] = reply.next_state_id
        return self._server_ids[ref.index]

    def _outcome(self, ref: StateRef, tactic: str, reply: TacticReply, *, live: bool = True) -> Outcome:
        lean_ms = reply.micros / 1000
        if reply.next_state_id is None or reply.goals is None or reply.has_sorry or reply.has_unsafe:
            kind, detail = refusal(reply)
            return Refused(kind, detail, lean_ms)
        new = StateRef(len(self._origins))
        self._origins.append(_Origin(ref, tactic))
        if live:
            self._server_ids[new.index] = reply.next_state_id
        return Stepped(new, proof_state(reply.goals), lean_ms, suggestion(reply.messages))

    async def _refresh(self) -> None:
        """Replace a process that has served long enough, or has grown too large."""
        p = self.process
        worn = p.lost or p.requests >= self._config.max_requests or p.age_s >= self._config.max_age_s
        if not worn and p.requests >= self._next_rss_check:
            self._next_rss_check = p.requests + _RSS_CHECK_EVERY
            worn = p.rss_mb() > self._config.rss_limit_mb
        if worn:
            await self._renew()

    async def _renew(self) -> None:
        self._server_ids = {}
        self._next_rss_check = 0
        self.process = await self._replace(self.process)


def _entries(partial: Sequence[msgspec.Raw]) -> list[TacticReply]:
    """The entries of ``partial`` lines, typed."""
    try:
        return [decode(entry, TacticReply) for entry in partial]
    except msgspec.DecodeError as error:
        raise ProtocolError(f"an entry of Lean's partial reply cannot be read: {error}") from error


def _one_line(text: str) -> str:
    """Lean's message with its line breaks taken out, for a one-sentence error."""
    return _PLACE.sub(r"line \1, column \2: ", " ".join(text.split()))
