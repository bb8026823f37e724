"""Puts a tactic script where a ``sorry`` stands, and leaves every other character as it is.

Lean's layout decides what belongs to a block, so a script has to be indented for its place. Some places allow several
ways; they come in the order in which a person would prefer them, and Lean decides.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator

from burnqed.core.files import Place

_BULLETS = re.compile(r"\s*(?:(?:[·.•]|\(|<;>)\s+)*")
_STEP = 2


def room(text: str, place: Place) -> tuple[int, int]:
    """The range that a script takes: the ``sorry`` and the blanks before it on its line."""
    line_start = text.rfind("\n", 0, place.start) + 1
    return line_start + len(text[line_start : place.start].rstrip()), place.end


def ways(text: str, place: Place, script: str) -> list[str]:
    """What may stand in :func:`room` instead, so that ``script`` (tactics, each at the left margin) is the proof there."""
    return list(dict.fromkeys(_ways(text, place, textwrap.dedent(script).strip("\n").split("\n"))))


def filled(text: str, replacements: Iterable[tuple[tuple[int, int], str]]) -> str:
    """The text with several ranges replaced at once; they must not overlap."""
    for (start, end), new in sorted(replacements, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def _ways(text: str, place: Place, lines: list[str]) -> Iterator[str]:
    before = text[text.rfind("\n", 0, place.start) + 1 : place.start]
    column = len(before)
    word = before.rstrip()
    gap = before[len(word) :]
    base = len(_BULLETS.match(before)[0])  # type: ignore[index]  # the pattern matches the empty text
    begins_line = base == column
    here = gap + _block(lines, column).lstrip()
    if place.kind == "term":
        if len(lines) == 1:
            yield f"{gap}by {lines[0]}"
        if not word:
            yield f"{gap}by\n{_block(lines, column + _STEP)}"
        elif word.endswith((":=", "=>", "from", "exact", "<|")):
            yield f" by\n{_block(lines, base + _STEP)}"
        yield f"{gap}(by\n{_block(lines, column + _STEP)})"
        yield f"{gap}(by {_one_line(lines)})"
        return
    if len(lines) == 1 or begins_line:
        yield here
    if word.endswith(("by", "=>")):
        yield f"\n{_block(lines, base + _STEP)}"
    yield here
    yield f"{gap}({_block(lines, column + 1).lstrip()})"
    yield f"{gap}({_one_line(lines)})"


def _block(lines: list[str], column: int) -> str:
    return "\n".join(" " * column + line if line.strip() else "" for line in lines)


def _one_line(lines: list[str]) -> str:
    """Tactics that stand on a line each, on one; what is indented deeper does not fit and is left for Lean to refuse."""
    return "; ".join(line.strip() for line in lines if line.strip())
