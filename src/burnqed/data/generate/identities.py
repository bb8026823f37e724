"""Polynomial identities, bare and under equations."""

from __future__ import annotations

import random

from burnqed.data.generate.arithmetic import arithmetic
from burnqed.data.generate.draft import Draft, Script, names
from burnqed.data.generate.polynomial import Polynomial
from burnqed.data.generate.terms import Domain

FAMILY = "identities"
_DOMAINS: tuple[Domain, ...] = ("Nat", "Int", "Rat")
_RULES = {
    "Nat": "[Nat.mul_add, Nat.add_mul, Nat.pow_succ, Nat.mul_comm, Nat.mul_left_comm, Nat.mul_assoc]",
    "Int": "[Int.mul_add, Int.add_mul, Int.mul_sub, Int.sub_mul, Int.pow_succ]",
    "Rat": "[Rat.mul_add, Rat.add_mul, Rat.pow_succ]",
}


def draft(rng: random.Random, false: bool) -> Draft:
    """One of the templates below."""
    return rng.choice((_expansion, _power, _factor, _two_squares, _symmetric, _substitution))(rng, false)


def _coefficient(rng: random.Random, domain: Domain) -> int:
    size = rng.randint(1, 6)
    return size if domain == "Nat" or rng.random() < 0.6 else -size


def _linear(rng: random.Random, domain: Domain, count: int) -> Polynomial:
    constant = rng.choice((0, _coefficient(rng, domain)))
    return Polynomial.linear([_coefficient(rng, domain) for _ in range(count)], constant)


def _scripts(domain: Domain) -> list[Script]:
    return [(f"simp only {_RULES[domain]}", ("omega", "grind"))]


def _expansion(rng: random.Random, false: bool) -> Draft:
    """A product of linear forms, multiplied out."""
    domain, count = rng.choice(_DOMAINS), rng.randint(1, 3)
    vs = names(rng, count)
    factors = [_linear(rng, domain, count) for _ in range(rng.choice((2, 2, 3)))]
    product = factors[0]
    for f in factors[1:]:
        product = product * f
    left = " * ".join(f"({f.text(vs)})" for f in factors)
    return arithmetic(
        rng,
        family=FAMILY,
        template="expansion",
        domain=domain,
        variables=[(vs, domain)],
        goal=f"{left} = {product.text(vs)}",
        false=false,
        parameters={"factors": len(factors), "variables": count},
        scripts=_scripts(domain),
    )


def _power(rng: random.Random, false: bool) -> Draft:
    """A power of a linear form, multiplied out."""
    domain, exponent = rng.choice(_DOMAINS), rng.randint(2, 4)
    count = rng.randint(1, 2)
    vs = names(rng, count)
    base = _linear(rng, domain, count)
    return arithmetic(
        rng,
        family=FAMILY,
        template="power",
        domain=domain,
        variables=[(vs, domain)],
        goal=f"({base.text(vs)}) ^ {exponent} = {(base**exponent).text(vs)}",
        false=false,
        parameters={"exponent": exponent, "variables": count},
        scripts=_scripts(domain),
    )


def _factor(rng: random.Random, false: bool) -> Draft:
    """xⁿ − kⁿ as a product, for given n and k."""
    domain, n, k = rng.choice(("Int", "Rat")), rng.randint(2, 5), rng.randint(1, 4)
    (x,) = names(rng, 1)
    cofactor = Polynomial({(n - 1 - i,): k**i for i in range(n)})
    return arithmetic(
        rng,
        family=FAMILY,
        template="difference of powers",
        domain=domain,
        variables=[([x], domain)],
        goal=f"{x} ^ {n} - {k**n} = ({x} - {k}) * ({cofactor.text([x])})",
        false=false,
        parameters={"n": n, "k": k},
        scripts=_scripts(domain),
    )


def _two_squares(rng: random.Random, false: bool) -> Draft:
    """The product of two norms x² + d y² is a norm (Brahmagupta)."""
    domain, d = rng.choice(("Int", "Rat")), rng.randint(1, 7)
    a, b, c, e = names(rng, 4)
    scale = "" if d == 1 else f"{d} * "
    return arithmetic(
        rng,
        family=FAMILY,
        template="product of norms",
        domain=domain,
        variables=[((a, b, c, e), domain)],
        goal=f"({a} ^ 2 + {scale}{b} ^ 2) * ({c} ^ 2 + {scale}{e} ^ 2) = "
        f"({a} * {c} - {scale}{b} * {e}) ^ 2 + {scale}({a} * {e} + {b} * {c}) ^ 2",
        false=false,
        parameters={"d": d},
    )


def _symmetric(rng: random.Random, false: bool) -> Draft:
    """From sum and product of two numbers to the sum of their n-th powers (Newton's recurrence)."""
    domain, n = rng.choice(("Int", "Rat")), rng.randint(2, 4)
    x, y = names(rng, 2)
    u, v = rng.randint(-4, 6), rng.randint(-4, 6)
    value = u**n + v**n
    return arithmetic(
        rng,
        family=FAMILY,
        template="power sum",
        domain=domain,
        variables=[((x, y), domain)],
        hypotheses=[f"{x} + {y} = {u + v}", f"{x} * {y} = {u * v}"],
        goal=f"{x} ^ {n} + {y} ^ {n} = {value}",
        false=false,
        parameters={"n": n, "sum": u + v, "product": u * v},
        near=[({x: u, y: v}, {})],
    )


def _substitution(rng: random.Random, false: bool) -> Draft:
    """A polynomial at a number, or at a linear form of another variable."""
    domain = rng.choice(("Int", "Rat"))
    x, y = names(rng, 2)
    inner, outer = _linear(rng, domain, 1), Polynomial({(i,): _coefficient(rng, domain) for i in range(3)})
    kinds: list[tuple[tuple[str, ...], str]]
    if rng.random() < 0.5:
        value = rng.randint(-5, 5)
        result = sum(c * value ** m[0] for m, c in outer.terms.items())
        kinds, fact = [((x,), domain)], f"{x} = {value}"
        goal, near = f"{outer.text([x])} = {result}", {x: value}
    else:
        composed = Polynomial({(0,): outer.terms.get((0,), 0)})
        for power in (1, 2):
            composed = composed + (inner**power).scaled(outer.terms.get((power,), 0))
        kinds, fact = [((x, y), domain)], f"{x} = {inner.text([y])}"
        goal = f"{outer.text([x])} = {composed.text([y])}"
        near = {y: 2, x: sum(c * 2 ** m[0] for m, c in inner.terms.items())}
    return arithmetic(
        rng,
        family=FAMILY,
        template="substitution",
        domain=domain,
        variables=kinds,
        hypotheses=[fact],
        goal=goal,
        false=false,
        scripts=[("subst {h1}", ("decide", "grind", "omega")), ("rw [{h1}]", ("grind", "omega"))],
        near=[(near, {})],
    )
