"""Divisibility and remainders: congruences, residues of powers, products of neighbours, greatest common divisors."""

from __future__ import annotations

import math
import random

from burnqed.data.generate.arithmetic import arithmetic
from burnqed.data.generate.draft import Draft, cases_script, names
from burnqed.data.generate.polynomial import Monomial, Polynomial

FAMILY = "divisibility"
_RULES = {"Nat": "Nat.pow_succ, Nat.mul_mod, Nat.add_mod", "Int": "Int.pow_succ, Int.mul_emod, Int.add_emod"}


def draft(rng: random.Random, false: bool) -> Draft:
    """One of the templates below."""
    return rng.choice((_congruence, _congruence, _non_residue, _neighbours, _combination, _gcd, _transfer))(rng, false)


def _closers(domain: str) -> list[str]:
    return [f"simp [{_RULES[domain]}, hr]", "omega", "grind"]


def _value(form: Polynomial, n: int) -> int:
    return sum(c * n ** m[0] for m, c in form.terms.items())


def _congruence(rng: random.Random, false: bool) -> Draft:
    """From the remainder of n to the remainder of a polynomial in n."""
    domain, modulus = rng.choice(("Nat", "Int")), rng.randint(2, 11)
    (n,) = names(rng, 1)
    degree, r = rng.choice((1, 1, 2, 2, 3)), rng.randrange(modulus)
    coefficients: dict[Monomial, int] = {(d,): rng.randint(1, 6) for d in range(1, degree + 1)}
    form = Polynomial({**coefficients, (0,): rng.randint(0, 9)})
    return arithmetic(
        rng,
        family=FAMILY,
        template="congruence",
        domain=domain,
        variables=[([n], domain)],
        hypotheses=[f"{n} % {modulus} = {r}"],
        goal=f"({form.text([n])}) % {modulus} = {_value(form, r) % modulus}",
        false=false,
        parameters={"modulus": modulus, "degree": degree},
        scripts=[
            (f"simp [{_RULES[domain]}, {{h1}}]",),
            (f"have hq : {n} = {modulus} * ({n} / {modulus}) + {r} := by omega", ("grind", "omega")),
        ],
        near=[({n: r}, {}), ({n: r + modulus}, {})],
    )


def _non_residue(rng: random.Random, false: bool) -> Draft:
    """A remainder that a power never leaves, or a pair of which one is always left."""
    domain, (modulus, power) = (
        rng.choice(("Nat", "Int")),
        rng.choice(((3, 2), (4, 2), (5, 2), (6, 2), (7, 3), (8, 2), (5, 4), (9, 3))),
    )
    (n,) = names(rng, 1)
    residues = sorted({i**power % modulus for i in range(modulus)})
    missing = [r for r in range(modulus) if r not in residues]
    some = " ∨ ".join(f"{n} ^ {power} % {modulus} = {r}" for r in residues)
    goal = f"{n} ^ {power} % {modulus} ≠ {rng.choice(missing)}" if rng.random() < 0.6 else some
    return arithmetic(
        rng,
        family=FAMILY,
        template="residues of a power",
        domain=domain,
        variables=[([n], domain)],
        goal=goal,
        false=false,
        parameters={"modulus": modulus, "power": power},
        scripts=[cases_script(f"{n} % {modulus}", [str(i) for i in range(modulus)], _closers(domain))],
    )


def _neighbours(rng: random.Random, false: bool) -> Draft:
    """A product of consecutive numbers, or n^p − n, is divisible."""
    domain = rng.choice(("Nat", "Int"))
    (n,) = names(rng, 1)
    if domain == "Int" and rng.random() < 0.5:
        p = rng.choice((2, 3, 5))
        divisor, text = (p if p != 3 else 6), f"{n} ^ {p} - {n}"
        text, divisor = (f"{n} ^ 2 + {n}", 2) if p == 2 else (text, divisor)
    else:
        count = rng.choice((2, 2, 3))
        divisor = math.factorial(count)
        start = rng.randint(0, 4)
        text = " * ".join(f"({n} + {start + i})" if start + i else n for i in range(count))
    closer = f"simp [Nat.dvd_iff_mod_eq_zero, {_RULES['Nat']}, hr]"
    if domain == "Int":
        closer = f"apply Int.dvd_of_emod_eq_zero; simp [Int.sub_emod, {_RULES['Int']}, hr]"
    return arithmetic(
        rng,
        family=FAMILY,
        template="neighbours",
        domain=domain,
        variables=[([n], domain)],
        goal=f"{divisor} ∣ {text}",
        false=false,
        parameters={"divisor": divisor},
        scripts=[cases_script(f"{n} % {divisor}", [str(i) for i in range(divisor)], [closer, "grind"])],
    )


def _combination(rng: random.Random, false: bool) -> Draft:
    """A common divisor divides every combination."""
    domain = rng.choice(("Nat", "Int"))
    d, a, b = names(rng, 3)
    s, t = rng.randint(2, 7), rng.randint(2, 7)
    sign = "-" if domain == "Int" and rng.random() < 0.5 else "+"
    goal = f"{d} ∣ {s} * {a} {sign} {t} * {b}"
    lemma = {"+": "dvd_add", "-": "dvd_sub"}[sign]
    side = f"({domain}.dvd_mul_left_of_dvd {{h1}} _) ({domain}.dvd_mul_left_of_dvd {{h2}} _)"
    return arithmetic(
        rng,
        family=FAMILY,
        template="combination",
        domain=domain,
        variables=[((d, a, b), domain)],
        hypotheses=[f"{d} ∣ {a}", f"{d} ∣ {b}"],
        goal=goal,
        false=false,
        parameters={"s": s, "t": t},
        scripts=[
            (f"exact {domain}.{lemma} {side}",),
            (
                "obtain ⟨i, hi⟩ := {h1}",
                "obtain ⟨j, hj⟩ := {h2}",
                f"exact ⟨{s} * i {sign} {t} * j, by subst hi hj; grind⟩",
            ),
        ],
    )


def _gcd(rng: random.Random, false: bool) -> Draft:
    """Laws of gcd and lcm at numbers, and with a common factor."""
    a, b = names(rng, 2)
    k, m = rng.randint(2, 9), rng.randint(2, 40)
    u, v = rng.randint(4, 60), rng.randint(4, 60)
    goal = rng.choice(
        (
            f"Nat.gcd ({k} * {a}) ({k} * {b}) = {k} * Nat.gcd {a} {b}",
            f"Nat.gcd {a} ({a} + {b}) = Nat.gcd {a} {b}",
            f"Nat.gcd {a} ({k} * {a} + {b}) = Nat.gcd {a} {b}",
            f"Nat.gcd {u} {v} = {math.gcd(u, v)}",
            f"Nat.lcm {u} {v} = {math.lcm(u, v)}",
            f"Nat.gcd {a} {m} ∣ {m * k}",
            f"Nat.gcd {a} {b} * Nat.lcm {a} {b} = {a} * {b}",
        )
    )
    return arithmetic(
        rng,
        family=FAMILY,
        template="gcd and lcm",
        domain="Nat",
        variables=[((a, b), "Nat")] if {a, b} & set(goal.split()) or f"{a})" in goal or f"{b})" in goal else [],
        goal=goal,
        false=false,
        parameters={"k": k},
        scripts=[
            (f"exact Nat.gcd_mul_left {k} {a} {b}",),
            (f"rw [Nat.add_comm {a} {b}]", ("simp",)),
            (f"exact Nat.gcd_mul_lcm {a} {b}",),
            (f"exact Nat.dvd_trans (Nat.gcd_dvd_right {a} {m}) (by decide)",),
            ("rw [Nat.add_comm, Nat.gcd_add_mul_left_right]",),
        ],
    )


def _transfer(rng: random.Random, false: bool) -> Draft:
    """Two congruences together: sum, difference and product of remainders."""
    domain, modulus = rng.choice(("Nat", "Int")), rng.randint(2, 9)
    a, b = names(rng, 2)
    r, s = rng.randrange(modulus), rng.randrange(modulus)
    operation = rng.choice(("+", "*"))
    value = (r + s if operation == "+" else r * s) % modulus
    tail = rng.randint(0, 5)
    text = f"{a} {operation} {b}" + (f" + {tail}" if tail else "")
    mod = "mod" if domain == "Nat" else "emod"
    return arithmetic(
        rng,
        family=FAMILY,
        template="two remainders",
        domain=domain,
        variables=[((a, b), domain)],
        hypotheses=[f"{a} % {modulus} = {r}", f"{b} % {modulus} = {s}"],
        goal=f"({text}) % {modulus} = {(value + tail) % modulus}",
        false=false,
        parameters={"modulus": modulus},
        scripts=[
            (f"simp [{domain}.add_{mod}, {domain}.mul_{mod}, {{h1}}, {{h2}}]",),
            (f"rw [{domain}.add_{mod}, {{h1}}, {{h2}}]",),
        ],
        near=[({a: r, b: s}, {})],
    )
