"""Names of the library's theorems before a prompt, and pointers to them in the answer.

A small model that has to write a long name out of its prompt writes the one that it knows by heart instead. So each name has a
mark, and where an answer means one of the names it has the mark: ``#premises §a Nat.add_comm §b Nat.mul_comm`` before the prompt,
``rw [§b]`` as the answer. A mark is two tokens at most, which also makes drawing faster.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

MOST = 26
"""So many names can have a mark."""
_MARK = "§"
_POINTER = re.compile(rf"{_MARK}([a-z])")
_PART_OF_NAME = r"[\w.!?'₀-₉]"


def premise_line(names: Sequence[str]) -> str:
    """The line that stands before the prompt; empty without names. At most :data:`MOST` of them."""
    assert len(names) <= MOST
    return f"#premises {' '.join(f'{_mark(i)} {name}' for i, name in enumerate(names))}\n" if names else ""


def pointed(tactic: str, names: Sequence[str]) -> str:
    """The tactic with marks in place of the names that have one, as a model learns it."""
    if not names:
        return tactic
    marks = {name: _mark(i) for i, name in enumerate(names)}
    any_name = "|".join(map(re.escape, names))
    return re.sub(rf"(?<!{_PART_OF_NAME})(?:{any_name})(?!{_PART_OF_NAME})", lambda m: marks[m[0]], tactic)


def resolved(written: str, names: Sequence[str]) -> str | None:
    """What a model wrote, with the names that its marks stand for; None when a mark stands for nothing."""
    marks = [ord(letter) - ord("a") for letter in _POINTER.findall(written)]
    if any(mark >= len(names) for mark in marks):
        return None
    return _POINTER.sub(lambda m: names[ord(m[1]) - ord("a")], written)


def _mark(number: int) -> str:
    return f"{_MARK}{chr(ord('a') + number)}"
