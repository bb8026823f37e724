"""Short scripts for a goal, from a list of premises: a fixed tactic, one premise applied, a variable taken apart first.

What is cheap and often right comes first, since the first script that proves the goal is taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from burnqed.core.state import Goal, Variable

_CONTAINER = re.compile(r"@?(?:Std\.)?(Ext)?D?(?:HashMap|TreeMap|HashSet|TreeSet)\b(?!\.(?:Raw|Internal))")
_DATA = re.compile(r"(?:Nat|List|Option|Bool|Sum|Except|Int|Fin|Prod|Ordering|Std\.DTreeMap\.Internal\.Impl)\b|.* × ")
_WELL_FORMED = re.compile(r"\bWF\b")
_STRUCTURES = (
    (re.compile(r"Array\b"), "⟨{v}⟩"),
    (re.compile(r"Vector\b"), "⟨{v}, rfl⟩"),
    (re.compile(r"\{ ?\w+ //"), "⟨{v}, h{v}⟩"),
)
_CLOSERS = 6
"""So many terms, beside `assumption`, are tried for the conditions of a premise."""


def scripts(goal: Goal, premises: Sequence[str]) -> list[str]:
    """The scripts to try, in order, no text twice. ``premises`` are names, the most promising first."""
    return list(dict.fromkeys(_scripts(goal, premises)))


def _scripts(goal: Goal, premises: Sequence[str]) -> Iterator[str]:
    """See :func:`scripts`. How many premises each form gets was set by what it closed in samples of the library."""
    variables = [v for v in goal.variables if v.accessible]
    yield from _fixed(goal)
    for name in premises:
        yield f"apply {name} <;> assumption"
    if extensional := [v.name for v in variables if (m := _CONTAINER.match(v.type)) and m[1]]:
        apart = "".join(f"cases {v}\n" for v in extensional[:3])
        for name in premises[:10]:
            yield f"{apart}apply {name} <;> assumption"
        yield f"{apart}simp_all"
    if terms := _conditions(variables):
        closing = "".join(f" | exact {term}" for term in terms[:_CLOSERS])
        for name in premises[:12]:
            yield f"apply {name} <;> first | assumption{closing} | (apply eq_false_of_ne_true; assumption)"
    if " = " in goal.target or "↔" in goal.target:
        for name in premises[:6]:
            yield f"symm\napply {name} <;> assumption"
    for name in premises[:4]:
        yield f"apply {name} <;> simp_all"
    yield from _opened(variables, premises)
    yield from _split(goal, variables)


def _fixed(goal: Goal) -> Iterator[str]:
    yield from ("rfl", "simp")
    if re.search(r"[≤<≠∣%]|\d", goal.target):
        yield "omega"
    yield from ("simp_all", "grind")
    if re.search(r"\d|true|false", goal.target):
        yield "decide"


def _conditions(variables: Sequence[Variable]) -> list[str]:
    """Terms that the conditions of a premise often are: that a container is well formed, an equation read backwards."""
    found = []
    for v in variables:
        container = _CONTAINER.match(v.type)
        if container and not container[1]:
            found += [f"{v.name}.wf", f"{v.name}.2"]
        elif _WELL_FORMED.search(v.type):
            found += [f"{v.name}.out", f"{v.name}.1"]
        elif re.match(r"[^∀]*( = |↔)", v.type):
            found.append(f"{v.name}.symm")
    return found


def _opened(variables: Sequence[Variable], premises: Sequence[str]) -> Iterator[str]:
    """Arrays, vectors and subtypes as what they hold."""
    patterns = [
        f"rcases {v.name} with {form.format(v=v.name)}"
        for v in variables
        for kind, form in _STRUCTURES
        if kind.match(v.type)
    ]
    if not patterns:
        return
    apart = "\n".join(patterns[:4])
    yield f"{apart}\nsimp"
    yield f"{apart}\nsimp_all"
    if premises:
        yield f"{apart}\nsimp [{', '.join(premises[:6])}]"
    for name in premises[:6]:
        yield f"{apart}\napply {name} <;> assumption"


def _split(goal: Goal, variables: Sequence[Variable]) -> Iterator[str]:
    """By cases, by induction, by parts of the goal."""
    if "↔" in goal.target:
        yield "constructor <;> intro h <;> simp_all"
    elif "∧" in goal.target:
        yield "constructor <;> simp_all"
    elif " = " in goal.target:
        yield "ext\nsimp"
        yield "ext <;> simp_all"
    for v in [v.name for v in variables if _DATA.match(v.type)][-2:]:
        yield f"cases {v} <;> rfl"
        yield f"cases {v} <;> simp_all"
        yield f"induction {v} <;> simp_all"
    if len(bools := [v.name for v in variables if v.type == "Bool"]) > 1:
        yield f"{' <;> '.join(f'cases {b}' for b in bools[:4])} <;> simp_all"
