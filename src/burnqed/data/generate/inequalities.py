"""Inequalities that hold because a square is not negative, written so that the square must be found."""

from __future__ import annotations

import random
from collections.abc import Sequence

from burnqed.data.generate.arithmetic import arithmetic
from burnqed.data.generate.draft import Draft, Script, names
from burnqed.data.generate.polynomial import Polynomial

FAMILY = "inequalities"
_SQUARE = "Lean.Grind.OrderedRing.sq_nonneg"


def draft(rng: random.Random, false: bool) -> Draft:
    """One of the templates below."""
    return rng.choice((_one_square, _completed, _sum_given, _chain, _product))(rng, false)


def _with_squares(squares: Sequence[str]) -> Script:
    """Each square is at least 0; the rest is linear."""
    return (*(f"have s{i} : 0 ≤ ({q}) ^ 2 := {_SQUARE}" for i, q in enumerate(squares, start=1)), ("grind",))


def _one_square(rng: random.Random, false: bool) -> Draft:
    """(a x + b y + c)² ≥ 0, its terms spread over both sides."""
    domain = rng.choice(("Int", "Rat"))
    vs = names(rng, 2)
    base = Polynomial.linear(
        [rng.randint(1, 5), rng.choice((-1, 1)) * rng.randint(1, 5)], rng.choice((0, rng.randint(-4, 4)))
    )
    terms = list((base**2).terms.items())
    # The mixed terms go to the other side, where their sign turns.
    moved = {m: -c for m, c in terms if len([e for e in m if e]) == 2 or sum(m) == 1}
    left, right = Polynomial(moved).text(vs), Polynomial({m: c for m, c in terms if m not in moved}).text(vs)
    return arithmetic(
        rng,
        family=FAMILY,
        template="one square",
        domain=domain,
        variables=[(vs, domain)],
        goal=f"{left} ≤ {right}",
        false=false,
        scripts=[_with_squares([base.text(vs)])],
    )


def _completed(rng: random.Random, false: bool) -> Draft:
    """The least value of a x² + b x + c at a whole number."""
    domain, a, at, low = rng.choice(("Int", "Rat")), rng.randint(1, 4), rng.randint(-5, 5), rng.randint(-9, 9)
    (x,) = names(rng, 1)
    shifted = Polynomial.linear([1], -at)
    whole = (shifted**2).scaled(a) + Polynomial({(0,): low})
    return arithmetic(
        rng,
        family=FAMILY,
        template="least value",
        domain=domain,
        variables=[([x], domain)],
        goal=f"{low} ≤ {whole.text([x])}",
        false=false,
        parameters={"at": at, "least": low},
        scripts=[_with_squares([shifted.text([x])])],
        near=[({x: at}, {})],
    )


def _sum_given(rng: random.Random, false: bool) -> Draft:
    """Under x + y = 2 m the product is at most m², and the sum of squares at least 2 m²."""
    domain, m = rng.choice(("Int", "Rat")), rng.randint(1, 12)
    x, y = names(rng, 2)
    product = rng.random() < 0.5
    return arithmetic(
        rng,
        family=FAMILY,
        template="product under a sum" if product else "squares under a sum",
        domain=domain,
        variables=[((x, y), domain)],
        hypotheses=[f"{x} + {y} = {2 * m}"],
        goal=f"{x} * {y} ≤ {m * m}" if product else f"{2 * m * m} ≤ {x} ^ 2 + {y} ^ 2",
        false=false,
        parameters={"m": m},
        scripts=[
            (
                f"have hy : {y} = {2 * m} - {x} := by grind",
                f"have s : 0 ≤ ({x} - {m}) ^ 2 := {_SQUARE}",
                "subst hy",
                ("grind",),
            ),
            _with_squares([f"{x} - {y}"]),
        ],
        near=[({x: m, y: m}, {})],
    )


def _chain(rng: random.Random, false: bool) -> Draft:
    """X y + y z + z x ≤ x² + y² + z², scaled."""
    domain, k = rng.choice(("Int", "Rat")), rng.randint(1, 6)
    x, y, z = names(rng, 3)
    scale = "" if k == 1 else f"{k} * "
    return arithmetic(
        rng,
        family=FAMILY,
        template="three squares",
        domain=domain,
        variables=[((x, y, z), domain)],
        goal=f"{scale}{x} * {y} + {scale}{y} * {z} + {scale}{z} * {x} ≤ {scale}{x} ^ 2 + {scale}{y} ^ 2 + {scale}{z} ^ 2",
        false=false,
        parameters={"k": k},
        scripts=[_with_squares([f"{x} - {y}", f"{y} - {z}", f"{z} - {x}"])],
        near=[({x: 1, y: 1, z: 1}, {})],
    )


def _product(rng: random.Random, false: bool) -> Draft:
    """Bounds on two numbers bound their product."""
    domain, a, b = rng.choice(("Nat", "Int")), rng.randint(1, 9), rng.randint(1, 9)
    x, y = names(rng, 2)
    lemma = f"{domain}.mul_le_mul"
    proof = f"{lemma} {{h1}} {{h2}}" if domain == "Nat" else f"{lemma} {{h1}} {{h2}} (by omega) (by omega)"
    return arithmetic(
        rng,
        family=FAMILY,
        template="product of bounds",
        domain=domain,
        variables=[((x, y), domain)],
        hypotheses=[f"{a} ≤ {x}", f"{b} ≤ {y}"],
        goal=f"{a * b} ≤ {x} * {y}",
        false=false,
        parameters={"a": a, "b": b},
        scripts=[(f"have hp := {proof}", ("omega", "simpa using hp", "grind"))],
        near=[({x: a, y: b}, {})],
    )
