"""From the steps of a search to Lean source that a person can paste."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

INDENT = "  "
_HOLE = " ?_"


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


@dataclass
class _Block:
    """The goals that one step left: how many are still to come, and the ``| pattern =>`` heads they stand under, if any."""

    goals: int
    heads: list[str]


def structured_script(steps: Sequence[Step]) -> str:
    """The same with a bullet for every goal that a step left beside others.

    The holes of ``induction … with | zero => ?_ | …`` are filled in place. It is assumed that each step works on the first goal
    alone, which most tactics do; the gate decides whether that held.
    """
    lines: list[str] = []
    blocks: list[_Block] = []
    begins_goal = False
    for step in steps:
        made = step.goals_after - step.goals_before + 1
        first, *rest = step.tactic.splitlines()
        heads = [line.removesuffix(_HOLE) for line in rest if line.startswith("| ") and line.endswith(_HOLE)]
        filled = made > 1 and len(heads) == len(rest) == made
        depth = 1 + len(blocks)
        text = _indented(first if filled else step.tactic, depth)
        if begins_goal and blocks[-1].heads:
            lines.append(INDENT * (depth - 1) + blocks[-1].heads.pop(0))
        elif begins_goal:
            text = INDENT * (depth - 1) + "· " + text[len(INDENT) * depth :]
        lines.append(text)
        begins_goal = made != 1
        if made > 1:
            blocks.append(_Block(made, heads if filled else []))
        elif made == 0:
            while blocks:
                blocks[-1].goals -= 1
                if blocks[-1].goals:
                    break
                blocks.pop()
    return "\n".join(lines)


def _indented(tactic: str, depth: int) -> str:
    return "\n".join(INDENT * depth + line if line.strip() else "" for line in tactic.splitlines())
