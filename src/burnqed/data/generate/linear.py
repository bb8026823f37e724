"""Linear arithmetic: systems with one solution, consequences of inequalities, remainders of differences."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence
from fractions import Fraction

from burnqed.data.generate.arithmetic import arithmetic
from burnqed.data.generate.draft import Draft, names
from burnqed.data.generate.polynomial import Polynomial
from burnqed.data.generate.terms import Domain

FAMILY = "linear"


def draft(rng: random.Random, false: bool) -> Draft:
    """One of the templates below."""
    return rng.choice((_system, _consequence, _story, _truncated))(rng, false)


def _system(rng: random.Random, false: bool) -> Draft:
    """As many equations as unknowns, with a solution that was chosen first."""
    domain, size = rng.choice(("Nat", "Int", "Rat")), rng.choice((2, 2, 3))
    vs = names(rng, size)
    low = 0 if domain == "Nat" else -9
    point = [rng.randint(low, 12) for _ in vs]
    rows = [[rng.randint(1 if domain == "Nat" else -5, 6) for _ in vs] for _ in vs]
    equations = [
        f"{Polynomial.linear(row).text(vs)} = {sum(c * p for c, p in zip(row, point, strict=True))}" for row in rows
    ]
    wanted = rng.randrange(size)
    goals = [f"{v} = {p}" for v, p in zip(vs, point, strict=True)]
    combined = [rng.randint(1, 4) for _ in vs]
    goal = rng.choice(
        (
            goals[wanted],
            " ∧ ".join(goals),
            f"{Polynomial.linear(combined).text(vs)} = {sum(c * p for c, p in zip(combined, point, strict=True))}",
        )
    )
    return arithmetic(
        rng,
        family=FAMILY,
        template="system",
        domain=domain,
        variables=[(vs, domain)],
        hypotheses=equations,
        goal=goal,
        false=false,
        parameters={"unknowns": size},
        scripts=[
            (f"have hx : {goals[0]} := by omega", "subst hx", ("omega",)),
            (f"have hx : {goals[0]} := by grind", "subst hx", ("grind",)),
            ("constructor", ("omega", "grind"), ("omega", "grind")),
        ],
        near=[(dict(zip(vs, point, strict=True)), {})],
    )


def _consequence(rng: random.Random, false: bool) -> Draft:
    """A positive combination of inequalities, perhaps weakened."""
    domain, count = rng.choice(("Nat", "Int", "Rat")), rng.randint(2, 3)
    vs = names(rng, 2)
    low = 0 if domain == "Nat" else -4
    facts = [([rng.randint(low, 5) for _ in vs], rng.randint(0, 20)) for _ in range(count)]
    weights = [rng.randint(1, 3) for _ in facts]
    row = [sum(w * f[0][i] for w, f in zip(weights, facts, strict=True)) for i in range(2)]
    bound = sum(w * f[1] for w, f in zip(weights, facts, strict=True)) + rng.choice((0, 0, 1, 5))
    return arithmetic(
        rng,
        family=FAMILY,
        template="consequence",
        domain=domain,
        variables=[(vs, domain)],
        hypotheses=[f"{Polynomial.linear(c).text(vs)} ≤ {b}" for c, b in facts],
        goal=f"{Polynomial.linear(row).text(vs)} ≤ {bound}",
        false=false,
        parameters={"facts": count},
        near=[(dict(zip(vs, corner, strict=True)), {}) for corner in _corners(facts, domain)],
    )


def _corners(facts: Sequence[tuple[Sequence[int], int]], domain: Domain) -> list[tuple[Fraction | int, Fraction | int]]:
    """Where two of the lines meet: if a linear bound fails at all, it fails at or near such a point."""
    out: list[tuple[Fraction | int, Fraction | int]] = []
    for ((a, b), e), ((c, d), f) in itertools.combinations([(tuple(row), bound) for row, bound in facts], 2):
        if determinant := a * d - b * c:
            x, y = Fraction(e * d - b * f, determinant), Fraction(a * f - e * c, determinant)
            if domain == "Rat":
                out.append((x, y))
            else:
                near = [(math.floor(x) + i, math.floor(y) + j) for i in (0, 1) for j in (0, 1)]
                out += [p for p in near if domain == "Int" or min(p) >= 0]
    return out


def _story(rng: random.Random, false: bool) -> Draft:
    """Sum and difference, or a multiple and a sum: the classic puzzle, asked for a further quantity."""
    domain = rng.choice(("Nat", "Int"))
    x, y = names(rng, 2)
    b, k = rng.randint(1, 15), rng.randint(2, 5)
    a = k * b
    e, f = rng.randint(1, 4), rng.randint(1, 4)
    return arithmetic(
        rng,
        family=FAMILY,
        template="multiple and sum",
        domain=domain,
        variables=[((x, y), domain)],
        hypotheses=[f"{x} = {k} * {y}", f"{x} + {y} = {a + b}"],
        goal=f"{_times(e, x)} - {_times(f, y)} = {max(0, e * a - f * b) if domain == 'Nat' else e * a - f * b}",
        false=false,
        parameters={"k": k},
        scripts=[("subst {h1}", f"have hy : {y} = {b} := by omega", "subst hy", ("rfl", "omega", "decide"))],
        near=[({x: a, y: b}, {})],
    )


def _truncated(rng: random.Random, false: bool) -> Draft:
    """Natural subtraction: what is taken away and put back, with and without the condition that makes it true."""
    x, y, z = names(rng, 3)
    k = rng.randint(1, 9)
    hypotheses, goal = rng.choice(
        (
            ([f"{y} ≤ {x}"], f"{x} - {y} + {y} + {k} = {x} + {k}"),
            ([f"{x} + {k} ≤ {y}"], f"{y} - {x} ≥ {k}"),
            ([f"{x} ≤ {y}", f"{y} ≤ {z}"], f"{z} - {x} = {z} - {y} + ({y} - {x})"),
            ([f"{y} ≤ {x}", f"{z} ≤ {y}"], f"{x} - ({y} - {z}) = {x} - {y} + {z}"),
            ([], f"{x} - {y} - {z} - {k} = {x} - ({y} + {z} + {k})"),
            ([f"{x} - {y} = {k}"], f"{x} = {y} + {k}"),
        )
    )
    if false and hypotheses and rng.random() < 0.5:
        hypotheses, false = hypotheses[:-1], False  # the same without its condition
    return arithmetic(
        rng,
        family=FAMILY,
        template="natural subtraction",
        domain="Nat",
        variables=[((x, y, z), "Nat")],
        hypotheses=hypotheses,
        goal=goal,
        false=false,
        parameters={"k": k},
    )


def _times(factor: int, name: str) -> str:
    return name if factor == 1 else f"{factor} * {name}"
