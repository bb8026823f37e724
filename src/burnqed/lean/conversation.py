"""A conversation in Pantograph's commands that outlives the Lean process it is held with.

Numbers of states are the conversation's own. It remembers for every state which request made it, from which other
states, and in which environment and with which options, so that a state which is needed after its process was lost or
replaced can be made again by the same requests. Lean's answers depend on nothing else, so it is the same state, down to
the names of its metavariables. What a caller has dropped, and what nothing alive was made from, is forgotten.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from burnqed.core.errors import ProtocolError, WorkerLost
from burnqed.lean.config import LeanConfig
from burnqed.lean.host_files import Reply
from burnqed.lean.process import BatchLost, LeanProcess, RequestFailed
from burnqed.lean.requests import Request, new_states
from burnqed.lean.wear import Wear

PANTOGRAPH_VERSION = "0.3.14"
"""The Pantograph whose protocol our server speaks: the one for Lean 4.28."""

_DROPPED_AT_ONCE = 32


@dataclass(eq=False)
class _Step:
    """A request that made states: in which order, after how many changes of the environment, with which options."""

    request: Request
    epoch: int
    options: Mapping[str, Any]
    produced: list[int] = field(default_factory=list)


@dataclass
class _State:
    """A state: what made it, whether the caller still wants it, and how many known states were made from it."""

    step: _Step
    wanted: bool = True
    children: int = 0


class Conversation:
    """Requests and replies, one at a time, over one process at a time; ``replace`` ends a process and starts another."""

    def __init__(
        self,
        process: LeanProcess,
        replace: Callable[[LeanProcess], Awaitable[LeanProcess]],
        config: LeanConfig,
        *,
        numbers: Iterator[int] | None = None,
    ) -> None:
        self.process = process
        self._replace = replace
        self._config = config
        self._wear = Wear(config)
        self._shared_numbers = numbers
        self._numbers = numbers or itertools.count()
        self._lock = asyncio.Lock()
        self._states: dict[int, _State] = {}
        self._changes: list[_Step] = []
        self._options: dict[str, Any] = {}
        self._defaults: dict[str, Any] = {}
        # About the present process only:
        self._known: LeanProcess | None = None
        self._server_ids: dict[int, int] = {}
        self._dropped: list[int] = []
        self._applied: Mapping[str, Any] = {}

    @property
    def n_states(self) -> int:
        """How many states the caller has not dropped."""
        return sum(state.wanted for state in self._states.values())

    def holds(self, number: int) -> bool:
        """Whether a state is one of this conversation, and not dropped."""
        return number in self._states and self._states[number].wanted

    async def ask(self, command: str, payload: dict[str, Any], *, timeout_s: float | None = None) -> Reply:
        """The reply to a command, an error reply included.

        A process that dies meanwhile, or is silent and idle for too long, is replaced and asked again, once. Raises
        BatchLost when that is in vain, or when a process worked until its time was over; WorkerLost when Lean cannot
        be started, or a state cannot be made again. Afterwards the conversation goes on.
        """
        async with self._lock:
            request = Request(command, payload)
            for number in request.states:
                if not self.holds(number):
                    return {"error": "index", "desc": f"Invalid state index {number}"}
            limit_s = timeout_s if timeout_s is not None else self._config.request_timeout_s
            if command == "goal.delete":
                return await self._delete(payload)
            if command == "goal.tactics" and isinstance(payload.get("tactics"), list):
                return await self._batch(request, limit_s)
            if command == "options.set":
                await self._learn_defaults()
                request = Request(command, _tellable(payload))
            reply = await self._once_more(lambda: self._exchange(request, limit_s))
            return self._record(request, reply)

    def drop(self, numbers: Iterable[int]) -> None:
        """Let states go; their memory is freed with one of the next requests. Unknown numbers are ignored."""
        for number in numbers:
            state = self._states.get(number)
            if state is None or not state.wanted:
                continue
            state.wanted = False
            server_id = self._server_ids.pop(number, None)
            if server_id is not None:
                self._dropped.append(server_id)
            self._forget_if_unused(number)

    async def tidy(self) -> None:
        """Free the memory of dropped states now."""
        async with self._lock:
            if not self.process.lost:
                await self._free()

    def _forget_if_unused(self, number: int) -> None:
        todo = [number]
        while todo:
            number = todo.pop()
            state = self._states.get(number)
            if state is None or state.wanted or state.children:
                continue
            del self._states[number]
            server_id = self._server_ids.pop(number, None)
            if server_id is not None:
                self._dropped.append(server_id)
            for parent in state.step.request.states:
                if parent in self._states:
                    self._states[parent].children -= 1
                    todo.append(parent)

    async def _delete(self, payload: dict[str, Any]) -> Reply:
        ids = payload.get("stateIds")
        if not isinstance(ids, list) or not all(isinstance(n, int) for n in ids):
            return {"error": "command", "desc": "Unable to parse json: stateIds: Array of natural numbers expected"}
        self.drop(ids)
        if not self.process.lost:
            await self._free()
        return {}

    async def _free(self) -> None:
        ids, self._dropped = self._dropped, []
        if ids and self._known is self.process:
            with contextlib.suppress(BatchLost, ProtocolError):  # with the process, its states are gone
                await self._request("goal.delete", {"stateIds": ids}, self._config.request_timeout_s)

    # Exchanges ------------------------------------------------------------------------------------------

    async def _once_more(self, attempt: Callable[[], Awaitable[Reply]]) -> Reply:
        """Try; and once more if the process died over it, which may have been bad luck."""
        for last in (False, True):
            try:
                return await attempt()
            except (BatchLost, ProtocolError) as lost:
                if last or (isinstance(lost, BatchLost) and lost.busy):
                    raise
        raise AssertionError("unreachable")

    async def _exchange(self, request: Request, limit_s: float) -> Reply:
        await self._make_ready()
        payload = await self._outgoing(request)
        return await self._request(request.command, payload, limit_s)

    async def _outgoing(self, request: Request) -> dict[str, Any]:
        """The payload in the numbers of the present process; states that it does not have are made again."""
        ids = {name: await self._server_id(request.payload[name]) for name in request.state_fields}
        await self._apply(self._options)
        return {**request.payload, **ids}

    async def _request(self, command: str, payload: dict[str, Any], limit_s: float) -> Reply:
        try:
            partial, reply = await self.process.request(command, payload, dict[str, Any], timeout_s=limit_s)
        except RequestFailed as failed:
            return {"error": failed.kind, "desc": failed.desc}
        reply.pop("nonce", None)
        if partial:
            reply["outcomes"] = [*(msgspec.json.decode(entry) for entry in partial), *reply.get("outcomes", ())]
        return reply

    async def _batch(self, request: Request, limit_s: float) -> Reply:
        """``goal.tactics``: one that hangs, or twice kills its process, is refused; the others are as without it."""
        tactics = request.payload["tactics"]
        outcomes: list[dict[str, Any]] = []
        alone = False
        strikes = 0
        while True:
            chunk = tactics[len(outcomes) :][: 1 if alone else None]
            try:
                await self._make_ready()
                payload = {**await self._outgoing(request), "tactics": chunk}
                reply = await self._request("goal.tactics", payload, limit_s)
                if "error" in reply:
                    return reply
                if len(reply["outcomes"]) != len(chunk):
                    self.process.kill()
                    raise ProtocolError(f"Lean answered {len(reply['outcomes'])} tactics of {len(chunk)}")
                outcomes += self._record_batch(request, chunk, reply["outcomes"], live=True)
                strikes = 0
            except (BatchLost, ProtocolError) as error:
                partial = error.partial if isinstance(error, BatchLost) else []
                answered = [msgspec.json.decode(entry) for entry in partial]
                outcomes += self._record_batch(request, chunk, answered, live=False)
                strikes = 0 if answered else strikes
                if len(chunk) - len(answered) != 1:
                    alone = True  # to find the one that does it
                else:
                    strikes += 1
                    if strikes == 2 or (isinstance(error, BatchLost) and error.busy):
                        timed_out = isinstance(error, BatchLost) and error.timed_out
                        outcomes.append(_given_up("timeout" if timed_out else "crash", str(error)))
                        alone, strikes = False, 0
            if len(outcomes) >= len(tactics):
                return {"outcomes": outcomes}

    def _record_batch(
        self, request: Request, tactics: list[str], outcomes: list[dict[str, Any]], *, live: bool
    ) -> list[dict[str, Any]]:
        common = {k: v for k, v in request.payload.items() if k in {"stateId", "maxHeartbeats"}}
        for tactic, outcome in zip(tactics, outcomes, strict=False):
            self._register(Request("goal.tactic", {**common, "tactic": tactic}), outcome, live=live)
        return outcomes

    # What is remembered ---------------------------------------------------------------------------------

    def _record(self, request: Request, reply: Reply) -> Reply:
        """Take note of what a reply changed; the reply with the conversation's own numbers."""
        if "error" in reply:
            return reply
        if request.command == "options.set":
            self._options = {**self._options, **request.payload}
            self._applied = self._options
        elif request.command == "reset":
            reply = {**reply, "nGoals": self.n_states}
            self._states, self._server_ids, self._dropped = {}, {}, []
            self._numbers = self._shared_numbers or itertools.count()
        elif request.command == "stat":
            reply = {**reply, "nGoals": self.n_states}
        else:
            self._register(request, reply, live=True)
        if request.changes_environment:
            self._changes.append(_Step(request, len(self._changes), self._options))
        return reply

    def _register(self, request: Request, reply: Reply, *, live: bool) -> None:
        """Give the states in a reply numbers of their own, and remember how they were made."""
        step = _Step(request, len(self._changes), self._options)
        for holder, key in new_states(request.command, reply):
            number = next(self._numbers)
            if live:
                self._server_ids[number] = holder[key]
            holder[key] = number
            step.produced.append(number)
            self._states[number] = _State(step)
            for parent in request.states:
                self._states[parent].children += 1

    async def _learn_defaults(self) -> None:
        """The options as they are before the first change, so that the change can be undone."""
        if not self._options:
            reply = await self._once_more(lambda: self._exchange(Request("options.print", {}), 30.0))
            if "error" not in reply:
                self._defaults = self._options = self._applied = _tellable(reply)

    # Making the process what the conversation needs -----------------------------------------------------

    async def _make_ready(self) -> None:
        """Replace a process that is lost, has served long enough or has grown too large; make it fit to go on with."""
        if self._wear.is_worn(self.process):
            self.process = await self._replace(self.process)
        if self._known is not self.process:
            self._server_ids, self._dropped, self._applied = {}, [], {}
            await self._restore_environment()
            self._known = self.process
        elif len(self._dropped) >= _DROPPED_AT_ONCE:
            await self._free()
            if self.process.lost:
                await self._make_ready()

    async def _restore_environment(self) -> None:
        """Change the environment as before. States from before a change are made again while it is as it was then."""
        for epoch, change in enumerate(self._changes):
            for step in {id(s.step): s.step for s in self._states.values() if s.step.epoch == epoch}.values():
                if not step.request.states:
                    await self._replay(step)
            await self._apply(change.options)
            reply = await self._request(
                change.request.command, change.request.payload, self._config.statement_timeout_s
            )
            if "error" in reply:
                raise WorkerLost(f"the environment could not be restored: {reply['desc']}")

    async def _apply(self, options: Mapping[str, Any]) -> None:
        if options is self._applied or options == self._applied:
            return
        wanted = options or self._defaults  # a state older than the first change of an option
        reply = await self._request("options.set", dict(wanted), self._config.request_timeout_s)
        if "error" in reply:
            raise WorkerLost(f"the options could not be restored: {reply['desc']}")
        self._applied = options

    async def _server_id(self, number: int) -> int:
        """The state's number in the present process; made again there, with all it was made from, if need be."""
        todo = [number]
        while todo:
            at = todo[-1]
            if at in self._server_ids:
                todo.pop()
                continue
            step = self._states[at].step
            missing = [parent for parent in step.request.states if parent not in self._server_ids]
            if missing:
                todo += missing
            else:
                await self._replay(step)
        return self._server_ids[number]

    async def _replay(self, step: _Step) -> None:
        await self._apply(step.options)
        request = step.request
        ids = {name: self._server_ids[request.payload[name]] for name in request.state_fields}
        reply = await self._request(request.command, {**request.payload, **ids}, self._config.statement_timeout_s)
        found = [holder[key] for holder, key in new_states(request.command, reply)]
        if "error" in reply or len(found) != len(step.produced):
            self.process.kill()
            raise WorkerLost(f"a state could not be made again: {request.command} worked before and does not now")
        for number, server_id in zip(step.produced, found, strict=True):
            if number in self._states:
                self._server_ids[number] = server_id
            else:
                self._dropped.append(server_id)


def _tellable(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options without the one that makes replies several lines long, which nobody could frame."""
    return {k: v for k, v in options.items() if k != "printJsonPretty"}


def _given_up(reason: str, text: str) -> dict[str, Any]:
    """An outcome for a tactic that hung or killed its process."""
    message = {
        "severity": "error",
        "data": text,
        "pos": {"line": 1, "column": 0},
        "endPos": None,
        "kind": "[anonymous]",
    }
    return {"messages": [message], "hasSorry": False, "hasUnsafe": False, "reason": reason}
