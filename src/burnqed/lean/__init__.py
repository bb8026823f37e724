"""The Lean side: processes, the protocol they speak, sessions that outlive them, the embedded Lean, and a client.

``from burnqed.lean import Server, GoalState, …`` gives what :mod:`burnqed.lean.client` has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from burnqed.lean.client import (
        CheckTrackResult,
        CompilationUnit,
        Expr,
        Goal,
        GoalState,
        Message,
        ParseError,
        Position,
        SearchTarget,
        Server,
        ServerError,
        Severity,
        Site,
        Subsumption,
        Tactic,
        TacticDraft,
        TacticExpr,
        TacticFailure,
        TacticHave,
        TacticInvocation,
        TacticLet,
        TacticMode,
        Variable,
        Verdict,
        get_version,
    )

__all__ = [
    "CheckTrackResult",
    "CompilationUnit",
    "Expr",
    "Goal",
    "GoalState",
    "Message",
    "ParseError",
    "Position",
    "SearchTarget",
    "Server",
    "ServerError",
    "Severity",
    "Site",
    "Subsumption",
    "Tactic",
    "TacticDraft",
    "TacticExpr",
    "TacticFailure",
    "TacticHave",
    "TacticInvocation",
    "TacticLet",
    "TacticMode",
    "Variable",
    "Verdict",
    "get_version",
]


def __getattr__(name: str) -> Any:
    """The client's names, loaded at first use: the prover needs none of them."""
    if name in __all__:
        from burnqed.lean import client

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
