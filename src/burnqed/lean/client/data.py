"""What comes back from whole files; the names are PyPantograph's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from burnqed.lean.client.expr import GoalState
from burnqed.lean.client.message import Message, Severity


@dataclass(frozen=True)
class TacticInvocation:
    """One tactic of a file, with the goals before and after it as text. The last four come with ``tree_info`` only."""

    before: str
    after: str
    tactic: str
    used_constants: list[str]
    goal_ids_before: list[str] | None = None
    goal_ids_after: list[str] | None = None
    parent: int | None = None
    parent_via_by: bool | None = None

    @staticmethod
    def parse(payload: dict[str, Any]) -> TacticInvocation:
        """From its JSON."""
        return TacticInvocation(
            payload["goalBefore"],
            payload["goalAfter"],
            payload["tactic"],
            payload.get("usedConstants", []),
            payload.get("goalIdsBefore"),
            payload.get("goalIdsAfter"),
            payload.get("parent"),
            payload.get("parentViaBy"),
        )


@dataclass(frozen=True)
class CompilationUnit:
    """One command of a file: its bytes from ``i_begin`` to before ``i_end``, and what became of it."""

    i_begin: int
    i_end: int
    messages: list[Message] = field(default_factory=list)
    invocations: list[TacticInvocation] | None = None
    new_constants: list[str] | None = None

    @staticmethod
    def parse(payload: dict[str, Any], invocations: Sequence[dict[str, Any]] | None = None) -> CompilationUnit:
        """From its JSON."""
        begin, end = payload["boundary"]
        return CompilationUnit(
            begin,
            end,
            [Message.parse(m) for m in payload["messages"]],
            None if not invocations else [TacticInvocation.parse(i) for i in invocations],
            payload.get("newConstants"),
        )


@dataclass
class CheckTrackResult:
    """Whether one file does what another one promises."""

    src_messages: list[Message]
    dst_messages: list[Message]
    failure: str | None = None

    @property
    def hasSrcError(self) -> bool:  # noqa: N802 - PyPantograph's name
        """Whether the promising file has an error."""
        return any(m.severity is Severity.ERROR for m in self.src_messages)

    @property
    def hasDstError(self) -> bool:  # noqa: N802 - PyPantograph's name
        """Whether the file that should keep the promise has an error."""
        return any(m.severity is Severity.ERROR for m in self.dst_messages)

    @property
    def succeeded(self) -> bool:
        """Whether both compile and the second keeps what the first promises."""
        return not self.hasSrcError and not self.hasDstError and self.failure is None

    @property
    def feedback(self) -> list[str]:
        """What to tell the author of the second."""
        return [*(str(m) for m in self.dst_messages), *([self.failure] if self.failure else [])]


@dataclass(frozen=True)
class SearchTarget:
    """A declaration with ``sorry``s, as a state to work at."""

    goal_state: GoalState
