"""A client with PyPantograph's names, over a pool that recovers: ``from burnqed.lean.client import Server``."""

from burnqed.core.outcome import Verdict
from burnqed.lean.client.asking import get_version
from burnqed.lean.client.data import CheckTrackResult, CompilationUnit, SearchTarget, TacticInvocation
from burnqed.lean.client.expr import (
    Expr,
    Goal,
    GoalState,
    Site,
    Subsumption,
    Tactic,
    TacticDraft,
    TacticExpr,
    TacticHave,
    TacticLet,
    TacticMode,
    Variable,
)
from burnqed.lean.client.message import Message, ParseError, Position, ServerError, Severity, TacticFailure
from burnqed.lean.client.server import Server

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
