"""What makes two goals of plain Pantograph the same, told from its S-expressions.

Ours sends a hash with each goal. Pantograph sends none, but with ``printExprAST`` it prints types in full, and not as a
person would write them: ``2`` of Nat and ``2`` of Int differ. Free variables carry numbers that say nothing; they are
renamed by their place.
"""

from __future__ import annotations

import hashlib
import re

import msgspec

from burnqed.lean.protocol import Expression, WireGoal

_FREE = re.compile(r"\(:fv ([^()\s]+)\)")
_META = re.compile(r"\(:(?:mv|mvd|subst)\b")


def with_key(goal: WireGoal) -> WireGoal:
    """The goal with a key, if it has none and one can be told."""
    return goal if goal.key is not None else msgspec.structs.replace(goal, key=goal_key(goal))


def goal_key(goal: WireGoal) -> str | None:
    """A hash of the goal up to its variables' names; None without S-expressions, or when a metavariable is in it."""
    places = {variable.name: str(place) for place, variable in enumerate(goal.vars)}
    parts: list[str] = []
    for expression in [e for v in goal.vars for e in (v.type, v.value)] + [goal.target]:
        text = _closed(expression, places)
        if text is None:
            return None
        parts.append(text)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _closed(expression: Expression | None, places: dict[str, str]) -> str | None:
    """An S-expression that no name of a variable is in; empty for an absent one, None if it cannot be told."""
    if expression is None:
        return ""
    if expression.sexp is None or _META.search(expression.sexp):
        return None
    if any(name not in places for name in _FREE.findall(expression.sexp)):
        return None
    return _FREE.sub(lambda m: f"(:fv {places[m[1]]})", expression.sexp)
