"""A proof state's text as statements, one a goal, so that it can be compared with what theorems say."""

from __future__ import annotations

import re
from collections.abc import Iterator

from burnqed.data.lean_terms import binder_of, term_of
from burnqed.data.lean_tokens import Token, tokens
from burnqed.data.lean_tree import Binder
from burnqed.data.statements import Declaration

_GOALS = re.compile(r"\n[ \t]*\n")
_ENTRY = re.compile(r"\n(?=\S)")
_TURNSTILE = "⊢"


def goals_of(state: str) -> Iterator[Declaration]:
    """Every goal of a state as Lean prints it: hypotheses a line each, then ``⊢ target``; what is no goal is left out."""
    for goal in _GOALS.split(state.replace("\r\n", "\n").strip()):
        head, turnstile, target = goal.partition(_TURNSTILE)
        if not turnstile:
            continue
        binders = tuple(b for entry in _ENTRY.split(head.strip()) if (b := _hypothesis(entry)) is not None)
        yield Declaration("example", "", binders, term_of(tokens(target)), 0, len(goal))


def _hypothesis(entry: str) -> Binder | None:
    """``a b : T`` or ``x : T := v``; None for a ``case`` line and for what is no entry."""
    pieces = tokens(entry)
    colon = next((i for i, t in enumerate(pieces) if t.text == ":"), None)
    if colon is None or not colon:
        return None
    named = [t for t in pieces[:colon] if t.text != "✝" and not _mark(t)]
    opener, closer = Token("symbol", "(", 0, 0), Token("symbol", ")", 0, 0)
    if any(t.kind != "name" for t in named):
        return None
    instance = all(t.text.startswith("inst") for t in named) and "✝" in entry[: pieces[colon].start]
    binder = binder_of([opener, *named, *pieces[colon:], closer])
    return Binder(binder.names, binder.type, 0, 0, "[") if instance else binder


def _mark(token: Token) -> bool:
    """Whether it is part of the mark of a name that cannot be written: ``h✝¹``."""
    return token.kind == "symbol" and token.text in "⁰¹²³⁴⁵⁶⁷⁸⁹"
