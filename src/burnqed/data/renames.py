"""Names and notation of older Lean and Mathlib versions: finding them in a text, and writing the new form where that is sure.

The names are a table, ``renames.tsv``; the notation is in :data:`SYNTAX`. Comments and strings are never looked at.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import resources
from typing import Literal

from burnqed.theorems.lean_text import masked

Kind = Literal["alias", "reused", "gone", "syntax"]

_TABLE = "renames.tsv"
_KINDS: dict[str, Kind] = {"alias": "alias", "reused": "reused", "gone": "gone"}
_OPEN = re.compile(r"^open\b([^\n]*)", re.MULTILINE)
_BRACKETS = re.compile(r"[(\[{⟨)\]}⟩]|,")
_BIG_IN = re.compile(r"([∑∏])([ \t]*)([^\s∑∏,:()∈]+)([ \t]*:[ \t]*[^∑∏,()∈\n]+?)?[ \t]+in\b[ \t]*")


@dataclass(frozen=True)
class Change:
    """What became of a name or a notation; ``since`` is a day (``2024-11-12``), empty when not known.

    ``clash`` is a namespace of core with a name of the same ending: where it is open, the old name may mean that one.
    """

    old: str
    new: str
    since: str
    kind: Kind
    clash: str = ""


@dataclass(frozen=True)
class Use:
    """An old form in a text, from ``start`` to ``end``; ``instead`` is what to write there, None when that is not sure."""

    change: Change
    start: int
    end: int
    instead: str | None


@dataclass(frozen=True)
class Syntax:
    """A notation that changed: how it is found in a masked text, and how it is written now, if that is sure."""

    change: Change
    pattern: re.Pattern[str]
    rewrite: Callable[[str, re.Match[str]], tuple[int, str] | None]
    """From the whole text and the match: the end of what is replaced, and the text in its place."""


def find(text: str, *, opened: frozenset[str] = frozenset()) -> Iterator[Use]:
    """The old forms in a text, in order. ``opened`` are the namespaces that its header opens."""
    blank = masked(text)
    uses = [*_names(blank, opened), *_notation(text, blank)]
    yield from sorted(uses, key=lambda use: use.start)


def rewritten(text: str, *, opened: frozenset[str] = frozenset()) -> tuple[str, list[Change]]:
    """The text with every old form that has a sure new one put right, and what was put right, in order."""
    done: list[Change] = []
    # One at a time, the last first: a sum may stand inside what another one's new form takes along.
    while uses := [use for use in find(text, opened=opened) if use.instead is not None]:
        use = uses[-1]
        text = f"{text[: use.start]}{use.instead}{text[use.end :]}"
        done.append(use.change)
    return text, done[::-1]


def opened_by(header: str) -> frozenset[str]:
    """The namespaces that a header opens, by name."""
    return frozenset(word for names in _OPEN.findall(masked(header)) for word in names.split())


@functools.cache
def table() -> dict[str, Change]:
    """The names that changed, by the old name."""
    changes: dict[str, Change] = {}
    for row in resources.files("burnqed.data").joinpath(_TABLE).read_text(encoding="utf-8").splitlines():
        if row and not row.startswith("#"):
            old, new, since, kind, *clash = row.split("\t")
            assert old not in changes, row
            changes[old] = Change(old, new, "" if since == "-" else since, _KINDS[kind], *clash)
    return changes


@functools.cache
def _pattern() -> re.Pattern[str]:
    names = "|".join(re.escape(name) for name in sorted(table(), key=len, reverse=True))
    return re.compile(rf"(?<![\w.'!?])(?:_root_\.)?({names})(?![\w'!?])")


def _names(blank: str, opened: frozenset[str]) -> Iterator[Use]:
    for m in _pattern().finditer(blank):
        change = table()[m[1]]
        sure = change.kind == "alias" and change.clash not in opened
        yield Use(change, m.start(1), m.end(1), change.new if sure else None)


def _notation(text: str, blank: str) -> Iterator[Use]:
    for syntax in SYNTAX:
        for m in syntax.pattern.finditer(blank):
            new = syntax.rewrite(text, m)
            end, instead = new if new is not None else (m.end(), None)
            yield Use(syntax.change, m.start(), end, instead)


def _membership(text: str, m: re.Match[str]) -> tuple[int, str] | None:
    """``∑ x in s`` with ∈; a binder's type moves to the set, which may stand where a binder's type may not."""
    sign, blank, name, typed = m[1], m[2], m[3], m[4]
    if typed is None:
        return m.end(), f"{sign}{blank}{name} ∈ "
    depth = 0
    for bracket in _BRACKETS.finditer(masked(text), m.end()):
        if bracket[0] == "," and depth == 0:
            inside = text[m.end() : bracket.start()].strip()
            kind = typed.strip().removeprefix(":").strip()
            return bracket.start(), f"{sign}{blank}{name} ∈ ({inside} : Finset {_argument(kind)})"
        depth += {",": 0}.get(bracket[0], 1 if bracket[0] in "([{⟨" else -1)
    return None


def _argument(kind: str) -> str:
    return kind if re.fullmatch(r"[^\s→×]+", kind) else f"({kind})"


SYNTAX: tuple[Syntax, ...] = (
    Syntax(Change("∑ x in s", "∑ x ∈ s", "2024-01-30", "syntax"), _BIG_IN, _membership),
    Syntax(
        Change("λ x, e", "fun x => e, as in all of Lean 4", "", "syntax"),
        re.compile(r"λ[ \t]*[^\s,=↦>()]+(?:[ \t]+[^\s,=↦>()]+)*[ \t]*,"),
        lambda text, m: None,
    ),
    Syntax(
        Change("begin … end", "by, as in all of Lean 4", "", "syntax"),
        re.compile(r":=\s*begin\b"),
        lambda text, m: None,
    ),
)
