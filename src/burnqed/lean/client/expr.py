"""Goals, states and tactics as a user sees them; the names are PyPantograph's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeAlias

from burnqed.lean.client.keeping import Keeper
from burnqed.lean.client.message import Message

Expr: TypeAlias = str
"""An expression as Lean prints it."""


class TacticMode(Enum):
    """A goal is worked at by tactics, by ``conv`` or by ``calc``; as a tactic, it switches to that."""

    TACTIC = 1
    CONV = 2
    CALC = 3

    def serial(self) -> str:
        """As the protocol writes it."""
        return self.name.lower()


@dataclass(frozen=True)
class Variable:
    """A hypothesis or variable: its type, its value if it is a ``let``, its name."""

    t: Expr
    v: Expr | None = None
    name: str | None = None

    @staticmethod
    def parse(payload: dict[str, Any]) -> Variable:
        """From its JSON."""
        value = payload.get("value")
        return Variable(parse_expr(payload["type"]), parse_expr(value) if value else None, payload.get("userName"))

    def __str__(self) -> str:
        value = f" := {self.v}" if self.v else ""
        return f"{self.name or '_'} : {self.t}{value}"


@dataclass(frozen=True)
class Goal:
    """A goal. ``name`` is its case, ``sibling_dep`` the places of the goals in its state that it depends on.

    ``key`` is ours: goals with the same key are the same statement. None when the server has none for it.
    """

    id: str
    variables: list[Variable]
    target: Expr
    sibling_dep: set[int] | None = None
    name: str | None = None
    mode: TacticMode = TacticMode.TACTIC
    key: str | None = field(default=None, compare=False)

    @staticmethod
    def sentence(id: str, target: Expr) -> Goal:  # noqa: A002 - PyPantograph's name
        """A goal without variables."""
        return Goal(id, [], target)

    @staticmethod
    def parse(payload: dict[str, Any], siblings: dict[str, int]) -> Goal:
        """From its JSON, and the places of its siblings by their names."""
        expressions = [payload["target"]]
        for v in payload["vars"]:
            expressions += [v[part] for part in ("type", "value") if part in v]
        told = [e["dependentMVars"] for e in expressions if e.get("dependentMVars") is not None]
        return Goal(
            id=payload["name"],
            variables=[Variable.parse(v) for v in payload["vars"]],
            target=parse_expr(payload["target"]),
            sibling_dep={siblings[name] for names in told for name in names if name in siblings} if told else None,
            name=payload.get("userName"),
            mode=TacticMode[payload.get("fragment", "tactic").upper()],
            key=payload.get("key"),
        )

    def __str__(self) -> str:
        case = f"case {self.name}\n" if self.name else ""
        front = "|" if self.mode is TacticMode.CONV else "⊢"
        return case + "\n".join(str(v) for v in self.variables) + f"\n{front} {self.target}"


@dataclass(frozen=True)
class GoalState:
    """A state of a proof. It can be used as long as it is held, whatever becomes of the process that made it.

    When the last reference to it goes, the server is told to forget it with one of the next requests.
    """

    state_id: int
    goals: list[Goal]
    messages: list[Message]
    _keeper: Keeper = field(repr=False, compare=False)

    @property
    def is_solved(self) -> bool:
        """Whether no goal is left in sight. Dormant goals are out of sight: ``goal_verdict`` tells whether it is a proof."""
        return not self.goals

    @staticmethod
    def make(state_id: int, goals: Sequence[dict[str, Any]], messages: Sequence[Message], keeper: Keeper) -> GoalState:
        """From the JSON of its goals."""
        siblings = {g["name"]: i for i, g in enumerate(goals)}
        return GoalState(state_id, [Goal.parse(g, siblings) for g in goals], list(messages), keeper)

    def __str__(self) -> str:
        return "\n".join(str(g) for g in self.goals)


@dataclass(frozen=True)
class Site:
    """Where a tactic acts: which goal, and whether the others stay in sight."""

    goal_id: int | str | None = None
    auto_resume: bool | None = None

    def serial(self) -> dict[str, Any]:
        """As fields of a request."""
        fields = {"goalId": self.goal_id, "autoResume": self.auto_resume}
        return {name: value for name, value in fields.items() if value is not None}


class Subsumption(Enum):
    """Whether a goal follows from another one, or would from itself."""

    NONE = 1
    SUBSUMED = 2
    CYCLE = 3


@dataclass(frozen=True)
class TacticHave:
    """``have binder_name : branch``; the goal ``branch`` comes first."""

    branch: Expr
    binder_name: str | None = None


@dataclass(frozen=True)
class TacticLet:
    """``let binder_name : branch``; the goal ``branch`` comes first."""

    branch: Expr
    binder_name: str | None = None


@dataclass(frozen=True)
class TacticExpr:
    """An expression for the goal."""

    expr: Expr


@dataclass(frozen=True)
class TacticDraft:
    """An expression for the goal, whose ``sorry``s become goals."""

    expr: Expr


Tactic: TypeAlias = str | TacticHave | TacticLet | TacticExpr | TacticDraft | TacticMode
"""What ``goal_tactic`` takes."""


def parse_expr(payload: dict[str, Any]) -> Expr:
    """An expression from its JSON; its structure when it comes without a text."""
    return str(payload["pp"] if "pp" in payload else payload.get("sexp", ""))


def tactic_fields(tactic: Tactic) -> dict[str, Any]:
    """A tactic as fields of ``goal.tactic``."""
    match tactic:
        case str():
            return {"tactic": tactic}
        case TacticHave(branch, name):
            return {"have": branch, **({"binderName": name} if name else {})}
        case TacticLet(branch, name):
            return {"let": branch, **({"binderName": name} if name else {})}
        case TacticExpr(expr):
            return {"expr": expr}
        case TacticDraft(expr):
            return {"draft": expr}
        case TacticMode():
            return {"mode": tactic.serial()}
    raise TypeError(f"a tactic is a text or one of the Tactic classes, not {type(tactic).__name__}")
