"""What became of a draft, as a line of ``generated.jsonl``."""

from __future__ import annotations

from typing import Literal

import msgspec

from burnqed.data.generate.draft import Parameter

Status = Literal["proved", "refuted", "unknown"]


class Step(msgspec.Struct, frozen=True):
    """One tactic that was run, with all goals before and after it."""

    before: str
    tactic: str
    after: str


class Generated(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One statement, in the order of ``index``.

    ``statement`` is the signature without ``:=``, ``state`` its root as Lean prints it. ``proof`` and ``steps`` are those
    of the statement when it is proved, and of ``negation`` (a signature as well) when it is refuted. ``one_liners`` are those
    of the fixed tactics that close it by themselves after ``intro``. ``counterexample`` is what the drafting program
    found, Lean terms for the variables; a statement counts as refuted only when Lean has proved the negation.
    """

    index: int
    name: str
    family: str
    template: str
    parameters: dict[str, Parameter]
    statement: str
    status: Status
    state: str = ""
    counterexample: tuple[str, ...] | None = None
    negation: str | None = None
    proof: str | None = None
    steps: tuple[Step, ...] = ()
    one_liners: tuple[str, ...] = ()
    trouble: str = ""
