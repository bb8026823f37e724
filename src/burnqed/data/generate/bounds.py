"""Numbers in an interval: squares, remainders, minima and maxima, and statements about every number below a bound."""

from __future__ import annotations

import random

from burnqed.data.generate.arithmetic import arithmetic
from burnqed.data.generate.draft import Draft, cases_script, names
from burnqed.data.generate.polynomial import Polynomial

FAMILY = "bounds"


def draft(rng: random.Random, false: bool) -> Draft:
    """One of the templates below."""
    return rng.choice((_interval, _only_one, _below, _extremes, _discrete_root))(rng, false)


def _interval(rng: random.Random, false: bool) -> Draft:
    """The largest or least value of a quadratic on a short interval of whole numbers."""
    domain = rng.choice(("Nat", "Int"))
    (x,) = names(rng, 1)
    low = rng.randint(0 if domain == "Nat" else -5, 6)
    high = low + rng.randint(2, 5)
    form = Polynomial({(2,): rng.randint(1, 3), (1,): rng.randint(0, 5), (0,): rng.randint(0, 9)})
    values = {n: sum(c * n ** m[0] for m, c in form.terms.items()) for n in range(low, high + 1)}
    top = rng.random() < 0.5
    text = form.text([x])
    return arithmetic(
        rng,
        family=FAMILY,
        template="interval",
        domain=domain,
        variables=[([x], domain)],
        hypotheses=[f"{low} ≤ {x}", f"{x} ≤ {high}"],
        goal=f"{text} ≤ {max(values.values())}" if top else f"{min(values.values())} ≤ {text}",
        false=false,
        parameters={"low": low, "high": high},
        scripts=[cases_script(x, [str(n) for n in values], ["simp [hr]", "subst hr; decide", "grind", "omega"])],
        near=[({x: n}, {}) for n in values],
    )


def _only_one(rng: random.Random, false: bool) -> Draft:
    """Which number of an interval solves a congruence or an equation."""
    (x,) = names(rng, 1)
    modulus, root = rng.randint(3, 9), rng.randint(0, 30)
    low = root - rng.randint(0, min(root, modulus - 1))
    high = low + modulus - 1
    factor = next(f for f in rng.sample(range(1, modulus), modulus - 1) if _coprime(f, modulus))
    shift = rng.randint(0, 9)
    residue = (factor * root + shift) % modulus
    left = Polynomial.linear([factor], shift).text([x])
    return arithmetic(
        rng,
        family=FAMILY,
        template="unique solution",
        domain="Nat",
        variables=[([x], "Nat")],
        hypotheses=[f"{low} ≤ {x}", f"{x} ≤ {high}", f"({left}) % {modulus} = {residue}"],
        goal=f"{x} = {root}",
        false=false,
        parameters={"modulus": modulus, "root": root},
        near=[({x: root}, {})],
    )


def _below(rng: random.Random, false: bool) -> Draft:
    """A closed statement about all numbers below a bound, for decision by computing."""
    (n,) = names(rng, 1)
    bound, a, b, modulus = rng.randint(4, 14), rng.randint(1, 5), rng.randint(0, 6), rng.randint(2, 7)
    residues = sorted({(a * i * i + b) % modulus for i in range(bound)})
    missing = [r for r in range(modulus) if r not in residues]
    left = Polynomial({(2,): a, (0,): b}).text([n])
    if missing and rng.random() < 0.6:
        goal = f"({left}) % {modulus} ≠ {rng.choice(missing)}"
    else:
        goal = f"{left} ≤ {a * (bound - 1) ** 2 + b + rng.randint(0, 3)}"
    return arithmetic(
        rng,
        family=FAMILY,
        template="all below",
        domain="Nat",
        variables=[],
        goal=f"∀ {n}, {n} < {bound} → {goal}",
        false=false,
        parameters={"bound": bound},
        scripts=[("decide",)],
    )


def _extremes(rng: random.Random, false: bool) -> Draft:
    """Minimum and maximum: order, sums, and what lies between."""
    domain = rng.choice(("Nat", "Int"))
    x, y, z = names(rng, 3)
    k = rng.randint(1, 9)
    low, high = f"min {x} {y}", f"max {x} {y}"
    hypotheses, goal = rng.choice(
        (
            ([], f"{low} + {high} = {x} + {y}"),
            ([], f"{low} ≤ {high}"),
            ([f"{low} ≤ {z}", f"{z} < {low}"], f"{x} = {k}"),
            ([f"{x} ≤ {z}", f"{y} ≤ {z}"], f"{high} + {k} ≤ {z} + {k}"),
            ([f"{z} + {k} ≤ {low}"], f"{z} < {y}"),
            ([], f"max ({x} + {k}) ({y} + {k}) = {high} + {k}"),
            ([], f"min ({k} * {x}) ({k} * {y}) = {k} * {low}"),
            ([f"{high} ≤ {k}"], f"{x} + {y} ≤ {2 * k}"),
        )
    )
    return arithmetic(
        rng,
        family=FAMILY,
        template="minimum and maximum",
        domain=domain,
        variables=[((x, y, z), domain)],
        hypotheses=hypotheses,
        goal=goal,
        false=false,
        parameters={"k": k},
        scripts=[(f"rcases Nat.le_total {x} {y} with hxy | hxy", ("omega", "grind"), ("omega", "grind"))]
        if domain == "Nat"
        else [],
    )


def _discrete_root(rng: random.Random, false: bool) -> Draft:
    """From a bound on a power to a bound on its base."""
    (x,) = names(rng, 1)
    power, root = rng.choice((2, 2, 3)), rng.randint(2, 9)
    slack = rng.randint(0, (root + 1) ** power - root**power - 1)
    goal = f"{x} ≤ {root}"
    product = " * ".join([x] * power)
    lemma = f"Nat.mul_le_mul hn hn : {root + 1} * {root + 1} ≤ {x} * {x}"
    return arithmetic(
        rng,
        family=FAMILY,
        template="root",
        domain="Nat",
        variables=[([x], "Nat")],
        hypotheses=[f"{product} ≤ {root**power + slack}"],
        goal=goal,
        false=false,
        parameters={"power": power, "root": root},
        scripts=[
            (
                "apply Nat.le_of_not_lt",
                "intro hn",
                f"have hp : {lemma.split(' : ')[1]} := {lemma.split(' : ')[0]}",
                *([f"have hc : {(root + 1) ** 3} ≤ {product} := Nat.mul_le_mul hp hn"] * (power == 3)),
                ("omega", "grind"),
            )
        ],
        near=[({x: root}, {}), ({x: root + 1}, {})],
    )


def _coprime(a: int, b: int) -> bool:
    while b:
        a, b = b, a % b
    return a == 1
