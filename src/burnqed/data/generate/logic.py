"""Propositional logic: tautologies, laws, and what follows from hypotheses; true is what the truth table says."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from burnqed.data.generate.boolean import (
    PROP,
    Formula,
    atoms,
    falsifying,
    holds,
    negated,
    random_formula,
    rewritten,
    size,
    tidied,
    valuations,
)
from burnqed.data.generate.draft import Draft, Script, hypothesis_names

FAMILY = "logic"
_NAMES = (("p", "q", "r", "s"), ("P", "Q", "R", "S"), ("A", "B", "C", "D"))


def draft(rng: random.Random, false: bool) -> Draft:
    """One of the templates below."""
    return rng.choice((_law, _tautology, _entailment, _entailment))(rng, false)


def _draft(
    rng: random.Random,
    template: str,
    names: Sequence[str],
    hypotheses: Sequence[Formula],
    goal: Formula,
    scripts: Sequence[Script],
) -> Draft:
    hs = hypothesis_names(rng, len(hypotheses))
    names = [n for n in names if any(n in atoms(f) for f in (*hypotheses, goal))]
    refuting = falsifying(goal, names, hypotheses)
    return Draft(
        family=FAMILY,
        template=template,
        variables=((tuple(names), "Prop"),),
        hypotheses=tuple(zip(hs, map(PROP.show, hypotheses), strict=True)),
        goal=PROP.show(goal),
        parameters={"connectives": size(goal) + sum(map(size, hypotheses))},
        scripts=(*scripts, _by_table(names)),
        counterexample=_terms(refuting, names) if refuting is not None else None,
        quantified=rng.random() < 0.3,
    )


def _terms(values: Mapping[str, bool], names: Sequence[str]) -> tuple[str, ...]:
    return tuple("True" if values[n] else "False" for n in names)


def _by_table(names: Sequence[str]) -> Script:
    """Every case of every atom."""
    return (" <;> ".join(f"by_cases h{n.lower()} : {n}" for n in names) + " <;> simp_all",)


def _law(rng: random.Random, false: bool) -> Draft:
    """A formula is equivalent to what laws make of it; false when one more connective is changed."""
    names = rng.choice(_NAMES)[: rng.randint(2, 3)]
    left = right = Formula("true")
    while left == right:
        left = right = tidied(random_formula(rng, names, rng.randint(2, 4)))
        for _ in range(rng.randint(1, 3)):
            right = tidied(rewritten(right, rng))
        if false:
            right = _damaged(right, rng)
    goal = Formula(rng.choice(("iff", "iff", "imp")), (left, right))
    return _draft(
        rng, "law", names, [], goal, [("constructor", ("intro h; simp_all", "grind"), ("intro h; simp_all", "grind"))]
    )


def _damaged(f: Formula, rng: random.Random) -> Formula:
    """One connective exchanged, or one part negated."""
    if not f.parts or rng.random() < 0.3:
        return negated(f)
    if f.head in ("and", "or", "imp") and rng.random() < 0.5:
        return Formula(rng.choice([h for h in ("and", "or", "imp") if h != f.head]), f.parts)
    at = rng.randrange(len(f.parts))
    return Formula(f.head, tuple(_damaged(p, rng) if i == at else p for i, p in enumerate(f.parts)))


def _tautology(rng: random.Random, false: bool) -> Draft:
    """A random implication, drawn until it is a tautology whose parts are not decided by themselves."""
    names = rng.choice(_NAMES)[: rng.randint(2, 3)]
    while True:
        sides = (rng.randint(2, 4), rng.randint(1, 3))
        goal = Formula("imp", tuple(tidied(random_formula(rng, names, n)) for n in sides))
        decided = any(len({holds(p, v) for v in valuations(names)}) == 1 for p in goal.parts)
        if not decided and (falsifying(goal, names) is not None) == false:
            return _draft(rng, "implication", names, [], goal, [("intro h", ("simp_all", "grind", "omega"))])


def _entailment(rng: random.Random, false: bool) -> Draft:
    """Two or three hypotheses and a goal that needs all of them; false when it does not follow."""
    count = rng.randint(2, 3)
    names = rng.choice(_NAMES)[: rng.randint(3, 4)]
    while True:
        facts = [tidied(random_formula(rng, names, rng.randint(0, 3))) for _ in range(count)]
        goal = tidied(random_formula(rng, names, rng.randint(0, 2)))
        if not any(all(holds(f, v) for f in facts) for v in valuations(names)):
            continue  # hypotheses that contradict each other prove anything
        if (falsifying(goal, names, facts) is not None) != false:
            continue
        needed = all(falsifying(goal, names, facts[:i] + facts[i + 1 :]) is not None for i in range(count))
        if needed or (false and rng.random() < 0.3):
            return _draft(rng, "entailment", names, facts, goal, [(("assumption", "simp_all", "grind"),)])
