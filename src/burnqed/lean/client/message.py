"""What Lean and the server say, and the exceptions that say it; the names are PyPantograph's."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from burnqed.core.errors import LeanError


class Severity(Enum):
    """How grave a message is."""

    INFORMATION = 1
    WARNING = 2
    ERROR = 3

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True)
class Position:
    """A place in a text: lines from 1, columns in characters from 0."""

    line: int
    column: int

    @staticmethod
    def parse(payload: dict[str, int]) -> Position:
        """From its JSON."""
        return Position(payload["line"], payload["column"])


@dataclass(frozen=True)
class Message:
    """A message of Lean. ``kind`` is structured where Lean has one, such as ``hasSorry``."""

    data: str
    pos: Position
    pos_end: Position | None = None
    severity: Severity = Severity.ERROR
    kind: str | None = None

    @staticmethod
    def parse(payload: dict[str, Any]) -> Message:
        """From its JSON."""
        end, kind = payload.get("endPos"), payload.get("kind")
        return Message(
            data=payload["data"],
            pos=Position.parse(payload["pos"]),
            pos_end=None if end is None else Position.parse(end),
            severity=Severity[payload["severity"].upper()],
            kind=None if kind in {None, "", "[anonymous]"} else kind,
        )

    def __str__(self) -> str:
        end = f"-{self.pos_end.line}:{self.pos_end.column}" if self.pos_end else ""
        prefix = "" if self.severity is Severity.INFORMATION else f"{self.severity}: "
        return f"{self.pos.line}:{self.pos.column}{end}: {prefix}{self.data}"


class TacticFailure(LeanError):
    """A tactic did not work. The first argument is what PyPantograph gives: messages, a reply that tells of a parse
    error, or a text followed by messages.

    ``reason`` is ours: ``error``, ``parse``, ``heartbeats``, ``recursion``, ``unsafe``, ``sorry``, ``timeout`` or ``crash``.
    """

    def __init__(self, *args: Any, reason: str = "error") -> None:
        super().__init__(*args)
        self.reason = reason

    @property
    def messages(self) -> list[Message]:
        """What Lean said."""
        return [m for arg in self.args if isinstance(arg, list) for m in arg if isinstance(m, Message)]

    def __str__(self) -> str:
        first = self.args[0] if self.args else self.reason
        if isinstance(first, dict):
            return str(first.get("parseError", first))
        if isinstance(first, str):
            return first
        return "\n".join(str(m) for m in self.messages) or f"the tactic failed ({self.reason})"


class ParseError(LeanError):
    """A text does not parse."""


class ServerError(LeanError):
    """A request failed, other than by a tactic: the first argument is the reply, or what it says."""

    @property
    def kind(self) -> str:
        """The kind of the server's error reply; empty when there was no reply."""
        first = self.args[0] if self.args else None
        return str(first.get("error", "")) if isinstance(first, dict) else ""

    def __str__(self) -> str:
        first = self.args[0] if self.args else ""
        if isinstance(first, dict):
            return f"{first.get('error')}: {first.get('desc')}"
        return str(first)
