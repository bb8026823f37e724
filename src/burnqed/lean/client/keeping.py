"""Who holds a state, so that nobody has to say when it may be forgotten."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from burnqed.lean.client.workers import Worker


class Keeper:
    """Shared by all copies of a state. When the last is gone, the state's number is put where its worker finds it."""

    __slots__ = ("_dropped", "state_id", "worker")

    def __init__(self, state_id: int, worker: Worker, dropped: deque[int]) -> None:
        self.state_id = state_id
        self.worker = worker
        self._dropped = dropped

    def __del__(self) -> None:
        self._dropped.append(self.state_id)  # in whatever thread this happens: appending is atomic

    def __copy__(self) -> Keeper:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Keeper:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a goal state lives in its server; goal_save keeps it in a file")
