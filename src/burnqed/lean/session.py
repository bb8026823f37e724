"""A theorem open in Lean: typed operations, and states that outlive the process behind them.

A session remembers for every state from which state and by which tactic it came. When a process is lost or recycled,
a state that is needed again is rebuilt by replaying its path in a new process. Lean's answers depend on nothing
else, so the rebuilt state is the same, down to the names of its metavariables.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from burnqed.core.errors import LeanError, ProtocolError, StatementRejected, WorkerLost
from burnqed.core.files import FileVerdict, Place, Target
from burnqed.core.outcome import Outcome, Refused, StateRef, Stepped, Verdict
from burnqed.core.state import ProofState
from burnqed.core.theorem import Theorem
from burnqed.lean.config import LeanConfig
from burnqed.lean.dialect import OWN, Dialect, entries
from burnqed.lean.process import BatchLost, LeanProcess, RequestFailed
from burnqed.lean.protocol import (
    FileVerdictReply,
    HolesReply,
    TacticReply,
    Wire,
    WireGoal,
    proof_state,
    refusal,
    suggestion,
)
from burnqed.lean.wear import Wear

T = TypeVar("T")
_REBUILD_TRIES = 5
_PLACE = re.compile(r"^<Pantograph>:(\d+):(\d+): ")
_STATEMENT_ERRORS = frozenset({"expr", "parse", "arguments", "frontend"})


class Empty(Wire, frozen=True):
    """The reply of commands that only say that they are done."""


@dataclass(frozen=True)
class _Origin:
    """How a state came to be: from which state, by which tactic, or as that state with only some of its goals.

    The start has no parent. ``goals`` are the names that Lean has for the state's own goals, ``only`` those to which the
    parent's were cut down.
    """

    parent: StateRef | None
    tactic: str
    goals: tuple[str, ...] = ()
    only: tuple[str, ...] = ()


class PooledSession:
    """The LeanSession port over one process at a time. ``replace`` closes a process and hands out a fresh one."""

    def __init__(
        self,
        process: LeanProcess,
        replace: Callable[[LeanProcess], Awaitable[LeanProcess]],
        config: LeanConfig,
        dialect: Dialect = OWN,
    ) -> None:
        self.process = process
        self._replace = replace
        self._config = config
        self._dialect = dialect
        self._target: Target | None = None
        self._origins: list[_Origin] = []
        self._server_ids: dict[int, int] = {}
        self._wear = Wear(config)

    async def start(self, target: Target) -> tuple[StateRef, ProofState]:
        """Open a theorem or a hole of a file; whatever the session held before is let go."""
        self._target = target
        self._origins = []
        self._server_ids = {}
        await self._refresh()
        for last_try in (False, True):
            try:
                state = await self._open()
                self._origins = [_Origin(None, "", _names(state))]
                return StateRef(0), state
            except (BatchLost, ProtocolError) as error:
                if last_try or _is_busy(error):
                    raise StatementRejected(
                        f"Lean could not elaborate the statement of {target.name}: {error}"
                    ) from error
                await self._renew()
        raise AssertionError("unreachable")

    async def apply(self, ref: StateRef, tactics: Sequence[str]) -> list[Outcome]:
        """Try every tactic on one state; an outcome each, in order.

        A tactic that keeps its process busy until the request's time limit is given up and comes back as refused
        (``timeout``). So does one whose process twice fell silent without working, and one whose process twice died
        or answered nonsense (``crash``): once may have been bad luck. The others' outcomes are as without them.
        """
        tried = iter(await self._try(ref, [t for t in tactics if _is_text(t)]))
        return [next(tried) if _is_text(t) else Refused("parse", "half of a surrogate pair", 0.0) for t in tactics]

    async def _try(self, ref: StateRef, tactics: Sequence[str]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        one_by_one = False
        strikes = 0
        while len(outcomes) < len(tactics):
            rest = tactics[len(outcomes) :]
            chunk = rest[:1] if one_by_one or self._dialect.one_at_a_time else rest
            server_id = await self._rebuilt(ref, alive=one_by_one)
            try:
                outcomes += await self._ask(ref, server_id, chunk)
                strikes = 0
            except LeanError as error:
                # States of the lost process are gone, but the answers stand; replaying will find the states again.
                answered = _answered(error)
                await self._renew()
                outcomes += [self._outcome(ref, t, r, live=False) for t, r in zip(chunk, answered, strict=False)]
                strikes = 0 if answered else strikes
                alone = len(chunk) - len(answered) == 1
                strikes += alone and one_by_one
                if strikes < 2 and not (alone and _is_busy(error)):
                    one_by_one = True  # find the one that does it; a process lost by bad luck is simply made good
                else:
                    outcomes.append(self._given_up(error))
                    one_by_one, strikes = False, 0
        return outcomes

    def _given_up(self, error: LeanError) -> Refused:
        if isinstance(error, BatchLost) and error.timed_out:
            return Refused("timeout", str(error), self._config.request_timeout_s * 1000)
        return Refused("crash", str(error), 0.0)

    async def _ask(self, ref: StateRef, server_id: int, tactics: Sequence[str]) -> list[Outcome]:
        """One request for these tactics. Raises LeanError when the process is lost or talks nonsense."""
        done = await self._dialect.tactics(self.process, server_id, tactics, self._config)
        if len(done) != len(tactics):
            raise ProtocolError(f"Lean answered {len(done)} tactics of {len(tactics)}")
        return [self._outcome(ref, tactic, r) for tactic, r in zip(tactics, done, strict=True)]

    async def _rebuilt(self, ref: StateRef, *, alive: bool = False) -> int:
        """The state's number in the process. Raises WorkerLost when every process is lost before it is there.

        With ``alive`` the process has shown that it still answers after that, so that what comes next is to blame.
        """
        for attempt in range(_REBUILD_TRIES):
            try:
                await self._refresh()
                server_id = await self._server_id(ref)
                if alive:
                    await self._delete([])
                return server_id
            except (BatchLost, ProtocolError, RequestFailed) as error:
                await self._renew()
                if attempt == _REBUILD_TRIES - 1:
                    raise WorkerLost(f"a state could not be rebuilt in {_REBUILD_TRIES} tries: {error}") from error
        raise AssertionError("unreachable")

    async def focus(self, ref: StateRef, goals: Sequence[int]) -> tuple[StateRef, ProofState]:
        """The state with only these of its goals, by place. Raises LeanError when the server cannot do it."""
        assert goals, "a state without goals would look finished"
        names = self._origins[ref.index].goals
        only = tuple(names[place] for place in goals)
        failure = ""
        for attempt in range(_REBUILD_TRIES):
            server_id = await self._rebuilt(ref, alive=attempt > 0)
            try:
                reply = await self._dialect.focus(self.process, server_id, only, self._config)
            except RequestFailed as error:
                raise LeanError(f"this Lean cannot take the goals of a state apart: {error.desc}") from error
            except (BatchLost, ProtocolError) as error:
                failure = str(error)
                await self._renew()
            else:
                state = self._state(reply.goals)
                return self._remember(_Origin(ref, "", _names(state), only), reply.next_state_id), state
        raise WorkerLost(f"the goals of a state could not be taken apart in {_REBUILD_TRIES} tries: {failure}")

    async def verdict(self, ref: StateRef) -> Verdict:
        """The kernel's word on a finished state. Trouble of the process, again and again, is a refusal that says so."""
        if self._is_part(ref):
            return Verdict(False, "only some of the goals were proved, the others were put out of sight")
        failure = ""
        for attempt in range(3):
            server_id = await self._rebuilt(ref, alive=attempt > 0)
            try:
                return await self._dialect.verdict(self.process, server_id, self._config)
            except RequestFailed as error:
                return Verdict(False, f"the kernel check failed: {error.desc}")
            except (BatchLost, ProtocolError) as error:
                failure = str(error)
                await self._renew()
                if _is_busy(error):
                    break
        return Verdict(False, f"the kernel check did not end: {failure}")

    async def forget(self, refs: Sequence[StateRef]) -> None:
        """Free states in the process. They could still be rebuilt from their paths."""
        ids = [server_id for ref in refs if (server_id := self._server_ids.pop(ref.index, None)) is not None]
        if ids and not self.process.lost:
            try:
                await self._delete(ids)
            except LeanError:
                await self._renew()

    async def places(self, text: str) -> list[Place]:
        """Where the sorries of a file stand. Raises StatementRejected when Lean does not accept the file."""
        try:
            reply = await self._ask_twice("file.holes", {"file": text}, HolesReply)
        except RequestFailed as error:
            raise StatementRejected(f"Lean does not accept the file: {_one_line(error.desc)}") from error
        if errors := [m for m in reply.messages if m.severity == "error"]:
            line = f"line {errors[0].pos.line}: " if errors[0].pos else ""
            raise StatementRejected(f"Lean does not accept the file: {line}{_one_line(errors[0].data)}")
        return reply.places(text)

    async def try_file(self, original: str, filled: str) -> FileVerdict:
        """What this process says of a file whose sorries were replaced; it has run tactics, so its word does not count."""
        try:
            reply = await self._ask_twice("file.check", {"src": original, "dst": filled}, FileVerdictReply)
            return reply.verdict()
        except LeanError as error:
            return FileVerdict(False, str(error))

    async def _ask_twice(self, command: str, payload: dict[str, Any], reply_type: type[T]) -> T:
        """A request that needs no state. Raises RequestFailed, or WorkerLost when a second process is lost as well."""
        for last_try in (False, True):
            await self._refresh()
            try:
                _, reply = await self.process.request(
                    command, payload, reply_type, timeout_s=self._config.statement_timeout_s
                )
                return reply
            except (BatchLost, ProtocolError) as error:
                if last_try or _is_busy(error):
                    raise WorkerLost(f"Lean did not answer {command}: {error}") from error
                await self._renew()
        raise AssertionError("unreachable")

    async def _delete(self, ids: list[int]) -> None:
        await self.process.request("goal.delete", {"stateIds": ids}, Empty, timeout_s=self._config.request_timeout_s)

    async def _open(self) -> ProofState:
        """Open the target in the present process."""
        target = self._target
        assert target is not None
        try:
            reply = await self._dialect.open(self.process, target, self._config)
        except RequestFailed as error:
            if error.kind in _STATEMENT_ERRORS:
                where = f"{target.source}: " if target.source else ""
                raise StatementRejected(
                    f"{where}Lean does not accept the statement of {target.name}: {_one_line(error.desc)}"
                ) from error
            raise
        self._server_ids[0] = reply.state_id
        return self._state(reply.goals)

    def _state(self, goals: list[WireGoal]) -> ProofState:
        """The goals of a reply, on what the target imports; what a file imports only Lean knows."""
        imports = self._target.imports if isinstance(self._target, Theorem) else ()
        return replace(proof_state(goals), imports=imports)

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
            parent_id = self._server_ids[origin.parent.index]
            if origin.only:
                continued = await self._dialect.focus(self.process, parent_id, origin.only, self._config)
                self._server_ids[step.index] = continued.next_state_id
                continue
            reply = await self._dialect.tactic(self.process, parent_id, origin.tactic, self._config)
            if reply.next_state_id is None:
                raise WorkerLost(f"a state could not be rebuilt: {origin.tactic!r} worked before and does not now")
            self._server_ids[step.index] = reply.next_state_id
        return self._server_ids[ref.index]

    def _outcome(self, ref: StateRef, tactic: str, reply: TacticReply, *, live: bool = True) -> Outcome:
        lean_ms = reply.micros / 1000
        if reply.next_state_id is None or reply.goals is None or reply.has_sorry or reply.has_unsafe:
            kind, detail = refusal(reply)
            return Refused(kind, detail, lean_ms)
        state = self._state(reply.goals)
        new = self._remember(_Origin(ref, tactic, _names(state)), reply.next_state_id if live else None)
        return Stepped(new, state, lean_ms, suggestion(reply.messages))

    def _remember(self, origin: _Origin, server_id: int | None) -> StateRef:
        """A new state, and its number in the process if it lives there."""
        new = StateRef(len(self._origins))
        self._origins.append(origin)
        if server_id is not None:
            self._server_ids[new.index] = server_id
        return new

    def _is_part(self, ref: StateRef) -> bool:
        """Whether goals were put out of sight on the way to a state."""
        at: StateRef | None = ref
        while at is not None:
            if self._origins[at.index].only:
                return True
            at = self._origins[at.index].parent
        return False

    async def _refresh(self) -> None:
        """Replace a process that has served long enough, has grown too large, or holds what does not fit the target."""
        misfit = self._target is not None and not self._dialect.fits(self.process, self._target)
        if misfit or self._wear.is_worn(self.process):
            await self._renew()

    async def _renew(self) -> None:
        self._server_ids = {}
        self.process = await self._replace(self.process)


def _names(state: ProofState) -> tuple[str, ...]:
    """Lean's own names of the goals."""
    return tuple(goal.id for goal in state.goals)


def _answered(error: LeanError) -> list[TacticReply]:
    """What a lost process had answered, as far as it can be read."""
    try:
        return entries(error.partial) if isinstance(error, BatchLost) else []
    except ProtocolError:
        return []


def _is_text(tactic: str) -> bool:
    """Whether it can be written down at all: a model's bytes, cut in the wrong place, may come as lone surrogates."""
    return not any("\ud800" <= c <= "\udfff" for c in tactic)


def _is_busy(error: LeanError) -> bool:
    """Whether a process worked until its time was over, so that another try would go the same way."""
    return isinstance(error, BatchLost) and error.busy


def _one_line(text: str) -> str:
    """Lean's message with its line breaks taken out, for a one-sentence error."""
    return _PLACE.sub(r"line \1, column \2: ", " ".join(text.split()))
