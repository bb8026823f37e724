"""How long processes worked on an evaluation: a line in ``sessions.jsonl`` for each time one was at an arm and seed."""

from __future__ import annotations

from pathlib import Path

import msgspec

from burnqed.core.errors import RunError
from burnqed.trajectory.files import append_line, whole_lines

SESSIONS = "sessions.jsonl"


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """``wall_s`` is the time from the first search's begin to the last one's end; ``searched_s`` adds up ``searches`` of them.

    With ``workers`` Lean processes at most ``workers`` × ``wall_s`` can be searched. ``troubles`` counts what was survived.
    """

    arm: str
    seed: int
    workers: int
    searches: int
    searched_s: float
    wall_s: float
    troubles: dict[str, int] = {}
    shard: str = ""


def note(folder: Path, session: Session) -> None:
    """Append it. Raises RunError when the disk does not take it."""
    append_line(folder / SESSIONS, msgspec.json.encode(session).decode())


def read_sessions(folder: Path) -> list[Session]:
    """All of an evaluation. Raises RunError for a damaged line."""
    found = []
    for number, line in enumerate(whole_lines(folder / SESSIONS), start=1):
        try:
            found.append(msgspec.json.decode(line, type=Session))
        except msgspec.DecodeError as error:
            raise RunError(f"{folder / SESSIONS}:{number} is damaged: {error}") from error
    return found
