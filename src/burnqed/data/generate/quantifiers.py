"""Monadic predicate logic over an inhabited type, its truth decided by looking at every small domain.

With two predicates and no equality a thing is told apart by which of them it has, so the domains with at most one thing
of each of the four kinds are enough (Löwenheim 1915).
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass

from burnqed.data.generate.draft import Draft

FAMILY = "quantifiers"
_SYMBOLS = {"∧": 35, "∨": 30, "→": 25, "↔": 20}


@dataclass(frozen=True)
class Formula:
    """``∀``/``∃`` with one part, ``¬`` with one, connectives with two, ``p``/``q`` of the bound variable, ``r``."""

    head: str
    parts: tuple[Formula, ...] = ()


@dataclass(frozen=True)
class Model:
    """A domain: ``size`` things, those with p, those with q, and whether r holds."""

    size: int
    p: frozenset[int]
    q: frozenset[int]
    r: bool


def draft(rng: random.Random, false: bool) -> Draft:
    """An implication or equivalence of two closed formulas, drawn until it is as true or as false as wanted."""
    while True:
        left, right = _closed(rng), _closed(rng)
        goal = Formula(rng.choice(("→", "→", "↔")), (left, right))
        if left == right or _decided(left) or _decided(right) or not (_atoms(left) & _atoms(right) & {"p", "q"}):
            continue
        used = _atoms(goal)
        against = counter_model(goal)
        cases = " <;> ".join(f"by_cases h{n} : {n} a" for n in ("p", "q") if n in used) + " <;> grind"
        if (against is not None) == false:
            return Draft(
                family=FAMILY,
                template="equivalence" if goal.head == "↔" else "implication",
                variables=_variables(used),
                hypotheses=(),
                goal=_show(goal, 0),
                scripts=(
                    ("intro h", cases),
                    ("intro h", ("grind", "simp_all", "exact ⟨a, by simp_all⟩")),
                    ("constructor", *[("intro h; grind", f"intro h; {cases}", "intro h; simp_all")] * 2),
                    *([("by_cases hr : r", ("simp_all", "grind"), ("simp_all", "grind"))] if "r" in used else []),
                ),
                counterexample=_terms(against, used) if against else None,
                quantified=rng.random() < 0.2,
            )


def counter_model(f: Formula) -> Model | None:
    """A domain in which a closed formula is false; None when it holds in all."""
    return next((m for m in _ALL if not _holds(f, m, -1)), None)


def _closed(rng: random.Random, depth: int = 1) -> Formula:
    kind = rng.random()
    if kind < 0.15 and depth:
        return Formula("¬", (_closed(rng, 0),))
    if kind < 0.35 and depth:
        return Formula(rng.choice(("∧", "∨", "→")), (_closed(rng, 0), _closed(rng, 0)))
    if kind < 0.42:
        return Formula("r")
    return Formula(rng.choice("∀∃"), (_open(rng, rng.randint(0, 2)),))


def _open(rng: random.Random, connectives: int) -> Formula:
    if connectives == 0:
        return Formula(rng.choice("ppqqr" if rng.random() < 0.3 else "pq"))
    if rng.random() < 0.25:
        return Formula("¬", (_open(rng, connectives - 1),))
    return Formula(rng.choice(("∧", "∨", "→")), (_open(rng, connectives - 1), _open(rng, 0)))


def _models() -> Iterator[Model]:
    for kinds in itertools.product((False, True), repeat=4):
        present = [pair for pair, there in zip(itertools.product((True, False), repeat=2), kinds, strict=True) if there]
        p = frozenset(i for i, (has_p, _) in enumerate(present) if has_p)
        q = frozenset(i for i, (_, has_q) in enumerate(present) if has_q)
        if present:
            yield from (Model(len(present), p, q, r) for r in (False, True))


_ALL = tuple(_models())


def _holds(f: Formula, m: Model, thing: int) -> bool:
    match f.head:
        case "p":
            return thing in m.p
        case "q":
            return thing in m.q
        case "r":
            return m.r
        case "∀":
            return all(_holds(f.parts[0], m, i) for i in range(m.size))
        case "∃":
            return any(_holds(f.parts[0], m, i) for i in range(m.size))
        case "¬":
            return not _holds(f.parts[0], m, thing)
    a, b = (_holds(part, m, thing) for part in f.parts)
    return {"∧": a and b, "∨": a or b, "→": not a or b, "↔": a == b}[f.head]


def _decided(f: Formula) -> bool:
    """Whether it has the same truth everywhere."""
    return len({_holds(f, m, -1) for m in _ALL}) == 1


def _show(f: Formula, at: int) -> str:
    if f.head in ("p", "q"):
        return f"{f.head} x"
    if f.head == "r":
        return "r"
    if f.head in ("∀", "∃"):
        text = f"{f.head} x : α, {_show(f.parts[0], 0)}"
        return f"({text})" if at else text
    if f.head == "¬":
        return f"¬{_show(f.parts[0], 1024)}" if f.parts[0].head == "r" else f"¬({_show(f.parts[0], 0)})"
    level = _SYMBOLS[f.head]
    left, right = (level + 1, level) if f.head != "↔" else (level + 1, level + 1)
    text = f"{_show(f.parts[0], left)} {f.head} {_show(f.parts[1], right)}"
    return f"({text})" if level < at else text


def _atoms(f: Formula) -> set[str]:
    """Which of p, q and r occur."""
    return {f.head} & {"p", "q", "r"} | set().union(*(_atoms(part) for part in f.parts))


def _variables(used: set[str]) -> tuple[tuple[tuple[str, ...], str], ...]:
    predicates = tuple(n for n in ("p", "q") if n in used)
    free = ((("r",), "Prop"),) if "r" in used else ()
    return ((("α",), "Type"), (("a",), "α"), (predicates, "α → Prop"), *free)


def _terms(m: Model, used: set[str]) -> tuple[str, ...]:
    values = {"p": _predicate(m.p), "q": _predicate(m.q), "r": "True" if m.r else "False"}
    return (f"(Fin {m.size})", "0", *(values[n] for n in ("p", "q", "r") if n in used))


def _predicate(things: frozenset[int]) -> str:
    cases = " ∨ ".join(f"x = {i}" for i in sorted(things))
    return f"(fun x => {cases})" if cases else "(fun _ => False)"
