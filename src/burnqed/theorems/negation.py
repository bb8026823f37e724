"""The negation of a theorem, as a theorem: whoever proves it knows that the theorem itself has no proof.

AlphaProof (Hubert et al., Nature 2025) searches both; what is disproved is searched no more, and its states are true negatives.
"""

from __future__ import annotations

import dataclasses
import re

from burnqed.core.theorem import Theorem
from burnqed.theorems.lean_text import body_start, masked
from burnqed.theorems.unbound import unbound_letters

_HEAD = re.compile(
    r"\s*theorem\s+(?P<name>(?:«[^»\n]+»|[^\s:({\[⦃.«»]+)(?:\.(?:«[^»\n]+»|[^\s:({\[⦃.«»]+))*)(?P<levels>\.\{[^}]*\})?"
)
_HARD = re.compile(r"""'\\?"'|\br#*"|[«»]""")
"""What the masking of strings does not understand: a quotation mark as a character, a raw string; and quoted names."""
_CHARACTER = re.compile(r"(?<![\w'])'(?:\\[^']+|[^\\'])'")
_BINDER_NAME = re.compile(r"[^\W\d][\w'!?]*")
_CLOSERS = {"(": ")", "[": "]", "{": "}", "⦃": "⦄"}
_OPENERS = {close: open_ for open_, close in _CLOSERS.items()} | {"⟩": "⟨"}
_SUFFIX = "_negated"
_STRICT = "set_option autoImplicit false"
"""A name that nobody binds would be bound outside of the negation: Lean then proves another statement. So it has to refuse it."""


def negated(theorem: Theorem) -> Theorem | None:
    """``theorem NAME_negated : ¬ (∀ BINDERS, GOAL)``; None where that is not surely the negation.

    Binders stay as they are written, implicit and instance ones too, and so do comments. What takes several lines keeps its
    columns, since Lean's layout may depend on them. None for a signature that cannot be cut, for a header with ``variable``
    (a variable would stand outside of the negation), and for a single letter that nobody binds, which Lean would bind outside
    of it. Greek ones pass where the header opens a namespace, since they may be notation (``π``). What passes by mistake,
    and longer words of that kind, Lean refuses, since the header gets ``autoImplicit false``.
    """
    text, header = theorem.signature, masked(theorem.header)
    head = _HEAD.match(text)
    if head is None or re.search(r"\bvariables?\b", header) or re.search(r"\bin\s*\Z", header):
        return None
    begin = head.end()
    if _HARD.search(text[begin:]) or re.search(r'"|--|/-', head["name"]):
        return None
    plain = _CHARACTER.sub(lambda m: " " * len(m[0]), masked(text))
    colon = _top_colon(plain, begin)
    if colon is None or not plain[colon + 1 :].strip() or not _balanced(plain[begin:]) or body_start(text) is not None:
        return None
    has_binders = bool(plain[begin:colon].strip())
    claim = f"∀ {plain[begin:colon]}, {plain[colon + 1 :]}" if has_binders else plain[colon + 1 :]
    levels = re.findall(r"[^\s.,{}]+", head["levels"] or "")
    free = unbound_letters(claim, {*levels, *re.findall(r"[^\W\d][\w']*", header)})
    if any(letter.isascii() for letter in free) or (free and not re.search(r"\bopen\b", header)):
        return None
    before = f"theorem {_renamed(head['name'])}{head['levels'] or ''} : ¬ ("
    goal = _placed(text, colon + 1, len(text), then=")")
    if has_binders:
        before += "∀" + _placed(text, begin, colon, then=",")
    return dataclasses.replace(
        theorem,
        name=theorem.name + _SUFFIX,
        signature=before + (goal if has_binders else goal.removeprefix(" ")),
        header=f"{theorem.header}\n{_STRICT}" if theorem.header.strip() else _STRICT,
    )


def _renamed(name: str) -> str:
    """The identifier with the suffix on its last part, so that its namespace stays the same."""
    return f"{name[:-1]}{_SUFFIX}»" if name.endswith("»") else name + _SUFFIX


def _top_colon(plain: str, begin: int) -> int | None:
    """The colon between binders and goal; None when something else than binders stands before it."""
    at = begin
    while at < len(plain):
        name = _BINDER_NAME.match(plain, at)
        if plain[at].isspace():
            at += 1
        elif plain[at] == ":":
            return None if plain.startswith(":=", at) else at
        elif plain[at] in _CLOSERS and (end := _closer(plain, at)) is not None:
            at = end + 1
        elif name is not None:
            at = name.end()
        else:
            return None
    return None


def _closer(plain: str, opened: int) -> int | None:
    """The bracket that closes the one at ``opened``."""
    depth = 0
    for at in range(opened, len(plain)):
        depth += (plain[at] in _OPENERS.values()) - (plain[at] in _OPENERS)
        if depth == 0:
            return at if plain[at] == _CLOSERS[plain[opened]] else None
    return None


def _balanced(plain: str) -> bool:
    """Whether every bracket is closed by its own kind, in order: else the negation would be cut in the wrong place."""
    open_: list[str] = []
    for character in plain:
        if character in _OPENERS.values():
            open_.append(character)
        elif character in _OPENERS and (not open_ or open_.pop() != _OPENERS[character]):
            return False
    return not open_


def _placed(text: str, begin: int, end: int, *, then: str) -> str:
    """A piece of the text with one blank before it and ``then`` after it, where no comment can hide that.

    One of several lines stands on a line of its own, every character in its column.
    """
    piece = text[begin:end].strip()
    after = "\n" + then if "--" in piece else then
    if "\n" not in piece:
        return f" {piece}{after}"
    start = begin + len(text[begin:end]) - len(text[begin:end].lstrip())
    return "\n" + " " * (start - (text.rfind("\n", 0, start) + 1)) + piece + after
