"""Drafts over Nat, Int and Rat: statements written as text, evaluated on small numbers before Lean ever sees them."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

from burnqed.data.generate.draft import Draft, Parameter, Script, Step, hypothesis_names
from burnqed.data.generate.parse import parse
from burnqed.data.generate.terms import Domain, Environment, Expr, Node, compiled, mutated, names_in, show

Point = tuple[Environment, Mapping[str, str]]
"""Values of the variables, and Lean terms for those that are no numbers."""

_GRID: dict[Domain, Sequence[Any]] = {
    "Nat": range(9),
    "Int": range(-5, 6),
    "Rat": [Fraction(n) for n in range(-3, 4)] + [Fraction(1, 2), Fraction(-1, 2), Fraction(3, 2), Fraction(-5, 3)],
}
_WIDER: dict[Domain, Sequence[Any]] = {
    "Nat": range(60),
    "Int": range(-40, 41),
    "Rat": [Fraction(n, d) for n in range(-12, 13) for d in (1, 2, 3)],
}
_SAMPLES = 160
_QUANTIFIED = 0.3
_MUTATIONS = 6  # a changed number often only makes a statement weaker


def arithmetic(
    rng: random.Random,
    *,
    family: str,
    template: str,
    domain: Domain,
    variables: Sequence[tuple[Sequence[str], str]],
    goal: str,
    hypotheses: Sequence[str] = (),
    false: bool = False,
    parameters: Mapping[str, Parameter] | None = None,
    scripts: Sequence[Script] = (),
    near: Sequence[Point] = (),
    bound_over: Domain = "",
) -> Draft:
    """A draft from texts. With ``false`` a number of it is changed until a counterexample is found.

    In scripts ``{h1}``, ``{h2}``, … stand for the hypotheses' names. ``bound_over`` is what ``∀`` runs
    over, if not the domain. A counterexample is looked for among ``near`` and on small
    numbers in any case, so a statement that was false by mistake is found as well.
    """
    facts, claim = [parse(h) for h in hypotheses], parse(goal)
    kinds = [(n, kind) for names, kind in variables for n in names]
    meant = claim, facts
    counterexample = _counterexample(rng, kinds, facts, claim, domain, near, bound_over)
    for _ in range(_MUTATIONS if false else 0):
        if counterexample is not None:
            break
        claim, facts = _falsified(*meant, rng)
        counterexample = _counterexample(rng, kinds, facts, claim, domain, near, bound_over)
    hs = hypothesis_names(rng, len(facts))
    return Draft(
        family=family,
        template=template,
        variables=tuple((tuple(names), kind) for names, kind in variables),
        hypotheses=tuple(zip(hs, map(show, facts), strict=True)),
        goal=_with_type(claim, domain),
        parameters={"domain": domain, **(parameters or {})},
        scripts=tuple(tuple(_filled(step, hs) for step in script) for script in scripts),
        counterexample=counterexample,
        quantified=bool(kinds) and rng.random() < _QUANTIFIED,
    )


def _falsified(claim: Expr, facts: list[Expr], rng: random.Random) -> tuple[Expr, list[Expr]]:
    """Claim and facts with one number changed: mostly in the claim."""
    if facts and rng.random() < 0.2:
        at = rng.randrange(len(facts))
        return claim, [mutated(f, rng) if i == at else f for i, f in enumerate(facts)]
    return mutated(claim, rng), facts


def _filled(step: Step, hs: Sequence[str]) -> Step:
    if isinstance(step, tuple):
        return tuple(str(_filled(s, hs)) for s in step)
    for number, name in enumerate(hs, start=1):
        step = step.replace(f"{{h{number}}}", name)
    return step


def _with_type(claim: Expr, domain: Domain) -> str:
    """The claim's text; where no variable says what its numbers are, the first side of a comparison does."""
    if not names_in(claim) and isinstance(claim, Node) and len(claim.args) == 2 and domain != "Nat":
        return f"({show(claim.args[0])} : {domain}) {claim.head} {show(claim.args[1], 51)}"
    return show(claim)


def _counterexample(
    rng: random.Random,
    kinds: Sequence[tuple[str, str]],
    facts: Sequence[Expr],
    claim: Expr,
    domain: Domain,
    near: Sequence[Point],
    bound_over: Domain,
) -> tuple[str, ...] | None:
    holds, claimed = (
        [compiled(e, domain, bound_over=bound_over) for e in facts],
        compiled(claim, domain, bound_over=bound_over),
    )
    for env, terms in itertools.chain(near, ((p, {}) for p in _points(rng, kinds))):
        try:
            if all(h(env) for h in holds) and not claimed(env):
                return tuple(terms.get(name) or lean_number(env[name]) for name, _ in kinds)
        except OverflowError:
            continue
    return None


def _points(rng: random.Random, kinds: Sequence[tuple[str, str]]) -> Iterator[Environment]:
    """Small values of all variables, all of them if they are few; none when a variable is no number."""
    if any(kind not in _GRID for _, kind in kinds):
        return
    names = [n for n, _ in kinds]
    if not kinds:
        yield {}
        return
    if len(kinds) <= 2:
        for values in itertools.product(*(_GRID[kind] for _, kind in kinds)):
            yield dict(zip(names, values, strict=True))
    for i in range(_SAMPLES):
        grid = _GRID if i % 2 else _WIDER
        yield {name: rng.choice(grid[kind]) for name, kind in kinds}


def lean_number(value: Any) -> str:
    """A number as an argument in Lean."""
    if isinstance(value, Fraction) and value.denominator != 1:
        return f"({value.numerator} / {value.denominator})"
    return f"({int(value)})" if value < 0 else str(int(value))
