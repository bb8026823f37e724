"""What differs between our own server and plain Pantograph, so that one session drives both.

Our own opens a theorem, tries a batch and gives the kernel's verdict in one request each. Plain Pantograph knows none of
these: a theorem is opened by ``frontend.distil``, tactics go one by one, and there is no verdict but the flags of
``goal.print``. Its word is then only a first filter; the gate decides.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import msgspec

from burnqed.core.errors import LeanError, ProtocolError
from burnqed.core.files import Hole, Target
from burnqed.core.outcome import Verdict
from burnqed.core.theorem import DEFAULT_IMPORTS
from burnqed.lean.config import LeanConfig
from burnqed.lean.native.keys import with_key
from burnqed.lean.native.scope import scope_commands
from burnqed.lean.process import BatchLost, LeanProcess, RequestFailed
from burnqed.lean.protocol import (
    BatchReply,
    ContinueReply,
    Message,
    StartReply,
    TacticReply,
    VerdictReply,
    Wire,
    WireGoal,
    decode,
)


class Dialect(Protocol):
    """How a session talks to its process. States are numbers from 0; a reply without ``nextStateId`` is a failure.

    Every method raises BatchLost when the process is lost, and ProtocolError for nonsense (it is lost as well).
    """

    @property
    def one_at_a_time(self) -> bool:
        """Whether tactics are better asked one by one, since a batch is no single request."""
        ...

    def fits(self, process: LeanProcess, target: Target) -> bool:
        """Whether the process, after all that it was asked before, can open this target as a fresh one would."""
        ...

    async def open(self, process: LeanProcess, target: Target, config: LeanConfig) -> StartReply:
        """The target's first state. Raises RequestFailed (``expr``, ``parse``, ``arguments``, ``frontend``) when refused."""
        ...

    async def tactics(
        self, process: LeanProcess, state_id: int, tactics: Sequence[str], config: LeanConfig
    ) -> list[TacticReply]:
        """A reply for each tactic, each tried on that state. A BatchLost carries the entries that were answered."""
        ...

    async def tactic(self, process: LeanProcess, state_id: int, tactic: str, config: LeanConfig) -> TacticReply:
        """The reply to one tactic, for rebuilding a state."""
        ...

    async def focus(
        self, process: LeanProcess, state_id: int, names: Sequence[str], config: LeanConfig
    ) -> ContinueReply:
        """The state with only the goals of these names."""
        ...

    async def verdict(self, process: LeanProcess, state_id: int, config: LeanConfig) -> Verdict:
        """What the process itself says of a finished state."""
        ...


class OwnDialect:
    """The server that burnqed brings along."""

    one_at_a_time = False

    def fits(self, process: LeanProcess, target: Target) -> bool:
        """Always: the server keeps headers apart."""
        return True

    async def open(self, process: LeanProcess, target: Target, config: LeanConfig) -> StartReply:
        """``goal.start`` with header and statement, or with a file and the number of its sorry."""
        payload: dict[str, Any]
        if isinstance(target, Hole):
            payload = {"file": target.text, "hole": target.place.index}
        else:
            payload = {"theorem": target.sorried, "header": target.header}
            if target.imports != DEFAULT_IMPORTS:  # what the process was started with
                payload["imports"] = list(target.imports)
        _, reply = await process.request("goal.start", payload, StartReply, timeout_s=config.statement_timeout_s)
        return reply

    async def tactics(
        self, process: LeanProcess, state_id: int, tactics: Sequence[str], config: LeanConfig
    ) -> list[TacticReply]:
        """``goal.tactics``: one request, its first entries perhaps ahead of the others."""
        payload = {"stateId": state_id, "tactics": list(tactics), "maxHeartbeats": config.max_heartbeats}
        partial, reply = await process.request("goal.tactics", payload, BatchReply, timeout_s=config.request_timeout_s)
        return [*entries(partial), *reply.outcomes]

    async def tactic(self, process: LeanProcess, state_id: int, tactic: str, config: LeanConfig) -> TacticReply:
        """``goal.tactic``."""
        payload = {"stateId": state_id, "tactic": tactic, "maxHeartbeats": config.max_heartbeats}
        _, reply = await process.request("goal.tactic", payload, TacticReply, timeout_s=config.request_timeout_s)
        return reply

    async def focus(
        self, process: LeanProcess, state_id: int, names: Sequence[str], config: LeanConfig
    ) -> ContinueReply:
        """``goal.continue`` with ``goals``."""
        return await _continued(process, state_id, names, config)

    async def verdict(self, process: LeanProcess, state_id: int, config: LeanConfig) -> Verdict:
        """``goal.verdict``: the kernel and the axioms."""
        _, reply = await process.request(
            "goal.verdict", {"stateId": state_id}, VerdictReply, timeout_s=config.request_timeout_s
        )
        return reply.verdict()


class _Unit(Wire, frozen=True):
    """One command of a processed text; ``boundary`` in bytes."""

    boundary: tuple[int, int]
    messages: tuple[Message, ...] = ()


class _ProcessReply(Wire, frozen=True):
    """The reply to ``frontend.process``."""

    units: list[_Unit]


class _SearchTarget(Wire, frozen=True):
    """One sorry-ed declaration as a state."""

    state_id: int
    goals: list[WireGoal]


class _DistilReply(Wire, frozen=True):
    """The reply to ``frontend.distil``."""

    targets: list[_SearchTarget]


class _RootReply(Wire, frozen=True):
    """What ``goal.print`` says of the whole proof. None of it may be missing."""

    has_mvar: bool = msgspec.field(name="rootHasMVar")
    has_sorry: bool = msgspec.field(name="rootHasSorry")
    has_unsafe: bool = msgspec.field(name="rootHasUnsafe")
    root: dict[str, Any]


class _Done(Wire, frozen=True):
    """A reply that says nothing."""


@dataclass(frozen=True)
class _Header:
    """The header whose commands a process has run, and those of them that make its scope; broken ones fit no theorem."""

    text: str
    scope: str = ""
    broken: bool = False


_KEPT = "burnqed_kept"
"""A universe that is declared with a header and again before a statement: a server whose ``frontend.distil`` stands in the
scope that ``frontend.process`` left says that it is there already, and then needs no scope commands."""

_COOPERATIVE_SHARE = 0.8
"""Of the time limit: then Pantograph is asked to stop a tactic, which spares the process; later it is killed."""

_NOT_THERE = frozenset({"command"})
_NO_STATE = frozenset({"index"})


class PlainDialect:
    """Any Pantograph from 0.3.8 on.

    Its environment and scope are those of the process. So the commands of a header are run once in a process
    (``frontend.process`` with ``inheritEnv``), and the process then serves theorems with that header only. The statement
    is opened by ``frontend.distil`` after the header's scope commands (``open``, ``variable``, …): its variables are then
    introduced, and the theorem itself is in no environment that a tactic sees.
    """

    one_at_a_time = True

    def __init__(self) -> None:
        self._headers: WeakKeyDictionary[LeanProcess, _Header] = WeakKeyDictionary()

    def fits(self, process: LeanProcess, target: Target) -> bool:
        """Whether the process has run no header, or this one."""
        header = self._headers.get(process)
        return header is None or (not header.broken and header.text == _header_of(target))

    async def open(self, process: LeanProcess, target: Target, config: LeanConfig) -> StartReply:
        """Header, then statement."""
        if isinstance(target, Hole):
            raise RequestFailed(
                "arguments", "this Pantograph cannot open one sorry of a file; give the statement alone"
            )
        assert self.fits(process, target), "the session replaces a process that holds another header"
        await self._options(process, config, timeout_ms=0)  # a header or statement may take longer than a tactic
        scope = await self._scope(process, _header_of(target), config)
        try:
            reply = await self._distil(process, scope + target.sorried, config)
        except RequestFailed as error:
            if _KEPT not in error.desc:
                raise
            self._headers[process] = _Header(_header_of(target))
            reply = await self._distil(process, target.sorried, config)
        if len(reply.targets) != 1 or len(reply.targets[0].goals) != 1:
            raise RequestFailed("arguments", "Pantograph does not see one goal in it")
        await self._options(process, config, timeout_ms=int(config.request_timeout_s * 1000 * _COOPERATIVE_SHARE))
        found = reply.targets[0]
        return StartReply(state_id=found.state_id, goals=_told_apart(found.goals))

    async def tactics(
        self, process: LeanProcess, state_id: int, tactics: Sequence[str], config: LeanConfig
    ) -> list[TacticReply]:
        """One ``goal.tactic`` after the other, the time of each taken here."""
        replies: list[TacticReply] = []
        for tactic in tactics:
            try:
                replies.append(await self.tactic(process, state_id, tactic, config))
            except BatchLost as lost:
                answered = [msgspec.Raw(msgspec.json.encode(r)) for r in replies]
                raise BatchLost(str(lost), partial=answered, timed_out=lost.timed_out, busy=lost.busy) from lost
        return replies

    async def tactic(self, process: LeanProcess, state_id: int, tactic: str, config: LeanConfig) -> TacticReply:
        """``goal.tactic``. Its errors are the tactic's, but for a state that is not there."""
        began = time.monotonic()
        payload = {"stateId": state_id, "tactic": tactic}
        try:
            _, reply = await process.request("goal.tactic", payload, TacticReply, timeout_s=config.request_timeout_s)
        except RequestFailed as error:
            if error.kind in _NO_STATE | _NOT_THERE:
                raise
            reply = TacticReply(messages=[Message(error.desc)], reason=_reason(error.desc))
        micros = int((time.monotonic() - began) * 1e6)
        if reply.goals is None:  # whatever else it says, that is how a failure looks
            return msgspec.structs.replace(reply, next_state_id=None, micros=micros)
        return msgspec.structs.replace(reply, goals=_told_apart(reply.goals), micros=micros)

    async def focus(
        self, process: LeanProcess, state_id: int, names: Sequence[str], config: LeanConfig
    ) -> ContinueReply:
        """``goal.continue`` with ``goals``, which takes any goals that are not assigned, not only dormant ones."""
        reply = await _continued(process, state_id, names, config)
        return msgspec.structs.replace(reply, goals=_told_apart(reply.goals))

    async def verdict(self, process: LeanProcess, state_id: int, config: LeanConfig) -> Verdict:
        """A first filter from the root's flags. No kernel has seen the proof yet, and no axiom is known."""
        _, root = await process.request(
            "goal.print", {"stateId": state_id, "rootExpr": True}, _RootReply, timeout_s=config.request_timeout_s
        )
        if root.has_mvar:
            return Verdict(False, "the proof term has metavariables: some goal is still open")
        if root.has_sorry:
            return Verdict(False, "the proof uses sorry")
        if root.has_unsafe:
            return Verdict(False, "the proof uses an unsafe constant")
        return Verdict(True)

    async def _distil(self, process: LeanProcess, text: str, config: LeanConfig) -> _DistilReply:
        payload = {"file": text, "ignoreValues": False}
        try:
            _, reply = await process.request(
                "frontend.distil", payload, _DistilReply, timeout_s=config.statement_timeout_s
            )
        except RequestFailed as error:
            raise _too_old("frontend.distil", error) if error.kind in _NOT_THERE else _rejected(error) from error
        return reply

    async def _scope(self, process: LeanProcess, header: str, config: LeanConfig) -> str:
        """The header's scope commands, after the process has run the whole header."""
        known = self._headers.get(process)
        if known is not None or not header:
            return known.scope if known else ""
        self._headers[process] = _Header(header, broken=True)
        text = f"{header}\nuniverse {_KEPT}"
        payload = {"file": text, "readHeader": False, "inheritEnv": True, "newConstants": False}
        try:
            _, reply = await process.request(
                "frontend.process", payload, _ProcessReply, timeout_s=config.statement_timeout_s
            )
        except RequestFailed as error:
            raise _too_old("frontend.process", error) if error.kind in _NOT_THERE else _rejected(error) from error
        for message in (m for unit in reply.units for m in unit.messages if m.severity == "error"):
            where = f"header, line {message.pos.line}: " if message.pos else "header: "
            raise RequestFailed("frontend", where + message.data)
        scope = f"universe {_KEPT}\n{scope_commands(text, [unit.boundary for unit in reply.units[:-1]])}"
        self._headers[process] = _Header(header, scope)
        return scope

    async def _options(self, process: LeanProcess, config: LeanConfig, *, timeout_ms: int) -> None:
        options = {"automaticMode": True, "printJsonPretty": False, "printExprAST": True, "timeout": timeout_ms}
        await process.request("options.set", options, _Done, timeout_s=config.request_timeout_s)


OWN = OwnDialect()
"""The dialect of our own server; it keeps nothing."""


def entries(partial: Sequence[msgspec.Raw]) -> list[TacticReply]:
    """The entries of ``partial`` lines, typed."""
    try:
        return [decode(entry, TacticReply) for entry in partial]
    except msgspec.DecodeError as error:
        raise ProtocolError(f"an entry of Lean's partial reply cannot be read: {error}") from error


async def _continued(process: LeanProcess, state_id: int, names: Sequence[str], config: LeanConfig) -> ContinueReply:
    payload = {"target": state_id, "goals": list(names)}
    _, reply = await process.request("goal.continue", payload, ContinueReply, timeout_s=config.request_timeout_s)
    return reply


def _told_apart(goals: Sequence[WireGoal]) -> list[WireGoal]:
    """Goals with keys and groups, which Pantograph does not give: apart when no goal of the state has a metavariable in it.

    With one in any of them it cannot be told here which goals it ties together, so then all are one group.
    """
    keyed = [with_key(goal) for goal in goals]
    if any(goal.key is None for goal in keyed):
        return keyed
    return [msgspec.structs.replace(goal, group=place) for place, goal in enumerate(keyed)]


def _header_of(target: Target) -> str:
    return "" if isinstance(target, Hole) else target.header.strip()


def _rejected(error: RequestFailed) -> RequestFailed:
    """What Pantograph reports as a failure of its own (``io``) is Lean's message on the text."""
    return RequestFailed("frontend", error.desc)


def _too_old(command: str, error: RequestFailed) -> LeanError:
    return LeanError(
        f"this Pantograph does not do {command} as 0.3.8 and newer do ({error.desc}): take a newer release"
    )


def _reason(desc: str) -> str:
    """Why a tactic ended in an error instead of messages. Only for telling; every such end is a refusal."""
    if desc == "interrupt":
        return "timeout"
    if "maximum recursion depth" in desc:
        return "recursion"
    return "heartbeats" if "maxHeartbeats" in desc or "(deterministic) timeout" in desc else "error"
