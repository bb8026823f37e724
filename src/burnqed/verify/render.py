"""From the steps of a search to Lean source that a person can paste."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

INDENT = "  "


class Step(Protocol):
    """What rendering needs to know of a proof step."""

    @property
    def tactic(self) -> str:
        """The tactic's text."""
        ...

    @property
    def goals_before(self) -> int:
        """Open goals before it."""
        ...

    @property
    def goals_after(self) -> int:
        """Open goals after it."""
        ...


def flat_script(steps: Sequence[Step]) -> str:
    """The tactics one below the other: exactly what the search ran, each on the first of the open goals."""
    return "\n".join(_indented(step.tactic, 1) for step in steps)


def structured_script(steps: Sequence[Step]) -> str:
    """The same with a bullet for every goal that a step left beside others.

    It assumes that each step works on the first goal alone, which most tactics do; the gate decides whether that held.
    """
    lines: list[str] = []
    open_goals: list[int] = []  # for every open block, how many goals of it are still to come, its first one included
    depth = 1
    bullet = False
    for step in steps:
        text = _indented(step.tactic, depth)
        if bullet:
            text = INDENT * (depth - 1) + "· " + text[len(INDENT) * depth :]
            bullet = False
        lines.append(text)
        made = step.goals_after - step.goals_before + 1
        if made > 1:
            open_goals.append(made)
            depth += 1
            bullet = True
        elif made == 0:
            while open_goals:
                open_goals[-1] -= 1
                if open_goals[-1]:
                    bullet = True
                    break
                open_goals.pop()
                depth -= 1
    return "\n".join(lines)


def _indented(tactic: str, depth: int) -> str:
    return "\n".join(INDENT * depth + line if line.strip() else "" for line in tactic.splitlines())
