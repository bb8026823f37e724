"""Proof states as a policy and a value see them, and what "the same state" means."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Variable:
    """A hypothesis or a local variable; ``value`` is set for ``let`` variables only."""

    name: str
    type: str
    value: str | None = None
    accessible: bool = True


@dataclass(frozen=True)
class Goal:
    """One goal: its variables in order and its target.

    ``key`` is Lean's hash of the goal as a closed statement, its hypotheses in a canonical order: equal for goals that
    differ in the names and the order of their hypotheses only. ``None`` when a metavariable ties the goal to another
    one, so that it does not stand for itself. Goals of one state that share a metavariable have the same ``group``.
    """

    variables: tuple[Variable, ...]
    target: str
    case: str = ""
    id: str = ""
    key: str | None = None
    group: int = 0

    @cached_property
    def text(self) -> str:
        """The goal as Lean prints it: ``case`` line, hypotheses (neighbours of one type on one line), ``⊢ target``."""
        lines = [f"case {self.case}"] if self.case else []
        group: list[str] = []
        for index, v in enumerate(self.variables):
            group.append(v.name)
            following = self.variables[index + 1] if index + 1 < len(self.variables) else None
            if following and v.value is None and following.value is None and following.type == v.type:
                continue
            value = "" if v.value is None else f" := {v.value}"
            lines.append(_indented(f"{' '.join(group)} : ", f"{v.type}{value}"))
            group = []
        lines.append(_indented("⊢ ", self.target))
        return "\n".join(lines)


@dataclass(frozen=True)
class ProofState:
    """The open goals, in order; none when the state is finished.

    ``imports`` are the modules that its theorem stands on, where they are known.
    """

    goals: tuple[Goal, ...]
    imports: tuple[str, ...] = ()

    @property
    def finished(self) -> bool:
        """Whether no goal is open. Not yet a proof: that is the kernel's word."""
        return not self.goals

    @cached_property
    def text(self) -> str:
        """All goals as Lean prints them."""
        return "\n\n".join(goal.text for goal in self.goals) or "no goals"

    @cached_property
    def key(self) -> StateKey | None:
        """What makes two states the same for search; ``None`` when they cannot be told by it.

        The goals' keys, in order: a tactic works on the first goal.
        """
        keys = tuple(goal.key for goal in self.goals)
        return None if None in keys else keys  # type: ignore[return-value]  # mypy does not see that no None is left

    @cached_property
    def components(self) -> tuple[tuple[int, ...], ...]:
        """The goals by number, those that share a metavariable together; two components can be proved apart."""
        groups: dict[int, list[int]] = {}
        for number, goal in enumerate(self.goals):
            groups.setdefault(goal.group, []).append(number)
        return tuple(tuple(numbers) for numbers in groups.values())


StateKey = tuple[str, ...]


def _indented(head: str, text: str) -> str:
    """Continuation lines are indented as Lean's printer does, so that they cannot be read as new entries."""
    return head + text.replace("\n", "\n  ")
