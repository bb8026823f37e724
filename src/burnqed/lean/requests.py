"""Which states a request of Pantograph's protocol is about, and which ones its reply names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from burnqed.lean.host_files import Reply

_ONE_STATE = {
    "goal.continue": ("target", "branch"),
    "goal.save": ("id",),
}
"""Fields that name a state, beside ``stateId`` and ``srcStateId``."""


@dataclass(frozen=True)
class Request:
    """A command and its payload, states by the conversation's numbers."""

    command: str
    payload: dict[str, Any]

    @property
    def state_fields(self) -> tuple[str, ...]:
        """The fields of the payload that name a state."""
        names = ("stateId", "srcStateId", *_ONE_STATE.get(self.command, ()))
        return tuple(name for name in names if isinstance(self.payload.get(name), int))

    @property
    def states(self) -> tuple[int, ...]:
        """The states that it is about."""
        return tuple(self.payload[name] for name in self.state_fields)

    @property
    def changes_environment(self) -> bool:
        """Whether later requests may be answered differently because of it."""
        if self.command == "frontend.process":
            return bool(self.payload.get("inheritEnv"))
        return self.command in {"env.add", "env.load"}


def new_states(command: str, reply: Reply) -> list[tuple[dict[str, Any], str]]:
    """Where a reply names states that it made."""
    found = [(reply, key) for key in ("stateId", "nextStateId") if isinstance(reply.get(key), int)]
    if command == "goal.load" and isinstance(reply.get("id"), int):
        found.append((reply, "id"))
    for entries in reply.values():  # `targets` of frontend.distil, `outcomes` of goal.tactics
        if isinstance(entries, list) and entries and isinstance(entries[0], dict):
            found += [(e, key) for e in entries for key in ("stateId", "nextStateId") if isinstance(e.get(key), int)]
    return found
