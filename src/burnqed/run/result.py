"""What is reported for one theorem."""

from __future__ import annotations

from typing import Literal

import msgspec

Status = Literal["proved", "not_proved", "error"]


class TheoremResult(msgspec.Struct, frozen=True, kw_only=True):
    """One line of ``results.jsonl`` and of ``--json``.

    ``proof`` is Lean source that the gate accepted; ``nodes`` are states expanded; ``tokens`` those of the tactics that were
    proposed; ``ended`` is the search's :class:`~burnqed.core.outcome.SearchStatus`, empty when there was none; ``axioms`` are
    those that the gate found the proof to reach outside the library's own theorems. ``spent_s`` says where the seconds went:
    waiting for ``lean``, ``gate``, ``policy`` and ``value``; what is left over is our own work.
    """

    name: str
    status: Status
    proof: str | None = None
    nodes: int = 0
    seconds: float = 0.0
    axioms: list[str] = []
    reason: str = ""
    tactics: int = 0
    tokens: int = 0
    ended: str = ""
    spent_s: dict[str, float] = {}
    source: str = ""
    digest: str = ""

    def line(self) -> str:
        """As one line of JSON."""
        return msgspec.json.encode(self).decode()


def exit_status(results: list[TheoremResult]) -> int:
    """0 when all are proved, 2 when some input was bad, else 1."""
    if any(r.status == "error" for r in results):
        return 2
    return 0 if all(r.status == "proved" for r in results) else 1
