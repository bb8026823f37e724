"""A proof state read back from the text that Lean printed, so that training puts it to a model as serving does."""

from __future__ import annotations

import re

from burnqed.core.state import Goal, ProofState, Variable
from burnqed.data.records import NO_GOALS

_CASE = re.compile(r"case (\S.*)\Z")
_ENTRY = re.compile(r"((?:[^\s:()\[\]{}⊢]+ )+): (.*)\Z", re.DOTALL)
_DAGGER = "✝"


def printed_state(text: str) -> ProofState | None:
    """The state whose text this is; None when it cannot be read so that the same text comes out again.

    Of a ``let`` variable the value is what follows the first ``:=``. Keys and groups are not in a text.
    """
    if text == NO_GOALS:
        return ProofState(())
    goals = tuple(_goal(block) for block in text.split("\n\n"))
    found = ProofState(tuple(g for g in goals if g is not None))
    return found if None not in goals and found.text == text else None


def _goal(block: str) -> Goal | None:
    entries = _entries(block)
    case = _CASE.match(entries[0]) if entries else None
    body = entries[1:] if case else entries
    if not body or not body[-1].startswith("⊢ "):
        return None
    variables: list[Variable] = []
    for entry in body[:-1]:
        found = _ENTRY.match(entry)
        if found is None:
            return None
        kind, assigned, value = found[2].partition(" := ")
        variables += [
            Variable(name, kind, value if assigned else None, accessible=_DAGGER not in name)
            for name in found[1].split()
        ]
    return Goal(tuple(variables), body[-1][2:], case=case[1] if case else "")


def _entries(block: str) -> list[str]:
    """The lines of a goal, those that go on with an entry put to it with the indentation of two taken back."""
    entries: list[str] = []
    for line in block.split("\n"):
        if entries and line.startswith("  "):
            entries[-1] += f"\n{line[2:]}"
        else:
            entries.append(line)
    return entries
