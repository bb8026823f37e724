"""Letters that a Lean term uses and nobody binds. Lean would bind them by itself, where the term begins."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field

_NAME = r"[^\W\d][\w'!?]*"
_TOKEN = re.compile(
    rf"(?P<skip>\s+|«[^»]*»(?:\.{_NAME})*|\.{_NAME}|\d\w*(?:#{_NAME}|#\d+)?)|(?P<name>{_NAME}(?:\.{_NAME})*)"
    r"|(?P<sign>:=|=>|->|//|∃!|\|\||.)",
    re.DOTALL,
)
_LETTER = re.compile(r"(?![λΠΣ])[a-zα-ωΑ-Ω][\d₀-₉_']*")
"""What Lean binds by itself in a statement even where it is strict about it (``relaxedAutoImplicit false``)."""
_BINDERS = frozenset({"∀", "∃", "∃!", "λ", "fun", "Σ", "Π", "∑", "∏", "⨆", "⨅", "⋃", "⋂", "∫", "let", "have"})
_CLOSERS = {"(": ")", "[": "]", "{": "}", "⟨": "⟩", "⦃": "⦄"}
_HEAD_ENDS = frozenset({",", "=>", "↦", ":=", ";"})
_TYPED = re.compile(r"[({⦃\[]\s*[\w'\s]+:(?!=)")
_SET = re.compile(r"\{\s*[\w'\s]+(?::(?!=)|∈|\|(?!\|)|//)")


@dataclass
class _Frame:
    """What is bound between two brackets. ``naming``: the names that come now are bound; ``head``: up to a comma or arrow."""

    bound: set[str] = field(default_factory=set)
    naming: bool = False
    head: bool = False
    group: bool = False
    named: set[str] = field(default_factory=set)


def unbound_letters(term: str, known: Collection[str] = ()) -> list[str]:
    """Single letters (with digits, subscripts, primes) that stand free in a term, in order; ``known`` have a meaning outside.

    The term must have no comment, string or character in it. This follows the usual ways to bind a name, from where it is
    bound to the end of the bracket around it. A name that is bound in another way (by a pattern) is taken for free.
    Single letters only: of longer words nobody can say by the text whether the library has them.
    """
    frames = [_Frame(set(known))]
    free: list[str] = []
    for found in _TOKEN.finditer(term):
        if found["name"]:
            _name(found, term, frames, free)
        elif found["sign"]:
            _sign(found["sign"], found, term, frames)
    return list(dict.fromkeys(free))


def _name(found: re.Match[str], term: str, frames: list[_Frame], free: list[str]) -> None:
    word, now = found[0], frames[-1]
    if word in _BINDERS:
        now.head = now.naming = True
    elif word == "in" and now.head:
        now.naming = False
    elif now.naming:
        now.bound.add(word)
        now.named.add(word)
    else:
        first = word.split(".")[0]
        is_argument = re.match(r"\s*:=", term[found.end() :])  # `f (n := 3)`, `{ a := 1 }`
        if _LETTER.fullmatch(first) and not is_argument and not any(first in frame.bound for frame in frames):
            free.append(first)


def _sign(sign: str, found: re.Match[str], term: str, frames: list[_Frame]) -> None:
    now = frames[-1]
    if sign in _BINDERS:
        now.head = now.naming = True
    elif sign in _CLOSERS:
        # A group of a binder, `(x : T) → P`, `{x : T // P}`, `{x | P}`: names come first.
        group = now.naming or (_TYPED.match(term, found.start()) is not None and _arrow_follows(term, found.start()))
        is_set = sign == "{" and _SET.match(term, found.start()) is not None
        instance = sign == "[" and group and _TYPED.match(term, found.start()) is None
        frames.append(_Frame(naming=(group or is_set) and not instance, group=group))
    elif sign in _CLOSERS.values():
        if len(frames) > 1:
            closed = frames.pop()
            if closed.group:
                frames[-1].bound |= closed.named
                frames[-1].named |= closed.named
    elif sign in _HEAD_ENDS and now.head:
        now.head = now.naming = False
    elif sign == "," and len(frames) > 1 and not now.naming:
        now.bound = set()  # `⟨fun x => x, x⟩`
    elif sign != "," or not now.group:
        now.naming = False


def _arrow_follows(term: str, opened: int) -> bool:
    """Whether an arrow stands after the bracket that closes the one at ``opened``."""
    depth = 0
    for at in range(opened, len(term)):
        depth += (term[at] in _CLOSERS) - (term[at] in _CLOSERS.values())
        if depth == 0:
            return re.match(r"\s*(?:→|->)", term[at + 1 :]) is not None
    return False
