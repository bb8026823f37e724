"""What every group of a client's methods stands on: a request and its reply, on the client's own loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from burnqed.lean.client.background import background, blocking
from burnqed.lean.client.expr import GoalState
from burnqed.lean.client.message import Message, ServerError
from burnqed.lean.client.workers import Worker, Workers
from burnqed.lean.conversation import PANTOGRAPH_VERSION
from burnqed.lean.host_files import Reply


class Asking:
    """Requests to the workers."""

    _workers: Workers | None = None

    @property
    def _open_workers(self) -> Workers:
        if self._workers is None:
            raise ServerError("the server is not started; restart() starts it")
        return self._workers

    async def run_async(self, cmd: str, payload: dict[str, Any]) -> Reply:
        """A command as the protocol has it, and its reply, which may be an error reply.

        States in it are numbers; nobody forgets them before ``goal.delete`` names them.
        """
        return await background().do(self._open_workers.ask(cmd, payload))

    run = blocking(run_async)

    async def gc_async(self) -> None:
        """Free the memory of the states that nobody holds now, instead of with one of the next requests."""
        await background().do(self._open_workers.tidy())

    gc = blocking(gc_async)

    @property
    def to_remove_goal_states(self) -> list[int]:
        """Numbers of states that nobody holds and the server has not been told of."""
        return [number for worker in self._open_workers.workers for number in worker.dropped]

    async def _ask(self, cmd: str, payload: dict[str, Any], worker: Worker | None = None) -> Reply:
        """The reply to a command. Raises ServerError with an error reply."""
        reply = await background().do(self._open_workers.ask(cmd, payload, worker))
        if "error" in reply:
            raise ServerError(reply)
        return reply

    def _state(self, state_id: int, goals: list[dict[str, Any]], messages: list[Message]) -> GoalState:
        """A state that a reply told of."""
        worker = self._open_workers.owner(state_id)
        if worker is None:
            raise ServerError(f"the server forgot state {state_id} before it could be used")
        return GoalState.make(state_id, goals, messages, worker.keeper(state_id))


def absolute(path: str | Path) -> str:
    """The path from the root: the server may work elsewhere."""
    return str(Path(path).absolute())


def get_version() -> str:
    """The version of Pantograph whose protocol our server speaks."""
    return PANTOGRAPH_VERSION
