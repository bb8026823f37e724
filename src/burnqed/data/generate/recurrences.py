"""Sequences given by their first values and a rule: later values, closed forms, invariants, growth."""

from __future__ import annotations

import random
from collections.abc import Callable

from burnqed.data.generate.arithmetic import Point, arithmetic
from burnqed.data.generate.draft import Draft, Script
from burnqed.data.generate.terms import Domain

FAMILY = "recurrences"
_ROUNDS = 13


def draft(rng: random.Random, false: bool) -> Draft:
    """One of the templates below."""
    return rng.choice((_value, _arithmetic, _geometric, _affine, _sums, _invariant, _growth, _two_terms))(rng, false)


def _sequence(first: int, following: Callable[[int, int], int]) -> Callable[[int], int]:
    """The sequence as a function; ``following`` takes n and the n-th value."""
    values = [first]
    for n in range(3 * _ROUNDS):
        values.append(following(n, values[-1]))
    return lambda n: values[n]


def _induction(variable: str, *successors: str) -> Script:
    """By induction; the first case is a computation."""
    return (
        f"induction {variable} with\n| zero => ?_\n| succ {variable} ih => ?_",
        ("simp [{h1}]", "simpa using {h1}", "grind", "omega"),
        (*successors, "simp [{h2}]; omega", "grind"),
    )


def _draft(
    rng: random.Random,
    false: bool,
    *,
    template: str,
    first: int,
    rule: str,
    following: Callable[[int, int], int],
    claim: str,
    domain: Domain = "Nat",
    scripts: list[Script],
    closed: bool = True,
) -> Draft:
    """``rule`` is the right side of ``s (n + 1)`` in ``n`` and ``t``, which is ``s n``; ``closed`` claims are about every n."""
    s, n = rng.choice((("s", "n"), ("a", "n"), ("u", "k"), ("f", "m")))
    sequence = _sequence(first, following)
    term = f"fun {n} => Nat.rec ({first} : {domain}) (fun {n} t => {rule.format(t='t', n=n)}) {n}"
    near: list[Point] = [({s: sequence, n: i}, {s: f"({term})"}) for i in range(_ROUNDS)]
    return arithmetic(
        rng,
        family=FAMILY,
        template=template,
        domain=domain,
        variables=[([s], f"Nat → {domain}"), *([([n], "Nat")] if closed else [])],
        hypotheses=[f"{s} 0 = {first}", f"∀ {n}, {s} ({n} + 1) = {rule.format(t=f'{s} {n}', n=n)}"],
        goal=claim.format(s=s, n=n),
        false=false,
        scripts=[tuple(_named(step, s, n) for step in script) for script in scripts],
        near=near,
        bound_over="Nat",
    )


def _named(step: str | tuple[str, ...], s: str, n: str) -> str | tuple[str, ...]:
    if isinstance(step, tuple):
        return tuple(str(_named(t, s, n)) for t in step)
    return step.replace("{s}", s).replace("{n}", n)


def _value(rng: random.Random, false: bool) -> Draft:
    """The value at a given place."""
    first, c, d, at = rng.randint(0, 5), rng.randint(1, 3), rng.randint(0, 5), rng.randint(2, 6)
    with_n = rng.random() < 0.4

    def following(n: int, t: int) -> int:
        return c * t + d + (n if with_n else 0)

    rule = ("{t}" if c == 1 else f"{c} * {{t}}") + (" + {n}" if with_n else "") + (f" + {d}" if d else "")
    return _draft(
        rng,
        false,
        template="value",
        first=first,
        rule=rule,
        following=following,
        claim=f"{{s}} {at} = {_sequence(first, following)(at)}",
        scripts=[
            ("simp [{h1}, {h2}]",),
            (*(f"have v{i} := {{h2}} {i}" for i in range(at)), ("simp_all", "grind", "omega")),
        ],
        closed=False,
    )


def _arithmetic(rng: random.Random, false: bool) -> Draft:
    """S (n + 1) = s n + d, so s n = a + d n."""
    a, d = rng.randint(0, 9), rng.randint(1, 9)
    return _draft(
        rng,
        false,
        template="arithmetic progression",
        first=a,
        rule=f"{{t}} + {d}",
        following=lambda n, t: t + d,
        claim=f"{{s}} {{n}} = {a} + {d} * {{n}}" if a else f"{{s}} {{n}} = {d} * {{n}}",
        scripts=[_induction("{n}", "rw [{h2}, ih]; omega")],
    )


def _geometric(rng: random.Random, false: bool) -> Draft:
    """S (n + 1) = c s n, so s n = a cⁿ."""
    domain: Domain = rng.choice(("Nat", "Int"))
    a, c = rng.randint(1, 7), rng.randint(2, 5)
    return _draft(
        rng,
        false,
        template="geometric progression",
        first=a,
        rule=f"{c} * {{t}}",
        following=lambda n, t: c * t,
        claim=f"{{s}} {{n}} = {a} * {c} ^ {{n}}" if a > 1 else f"{{s}} {{n}} = {c} ^ {{n}}",
        domain=domain,
        scripts=[
            _induction(
                "{n}", f"rw [{{h2}}, ih, {domain}.pow_succ]; omega", f"rw [{{h2}}, ih, {domain}.pow_succ]; grind"
            )
        ],
    )


def _affine(rng: random.Random, false: bool) -> Draft:
    """S (n + 1) = c s n + d with d = e (c − 1), so s n + e = (a + e) cⁿ."""
    a, c, e = rng.randint(0, 5), rng.randint(2, 4), rng.randint(1, 4)
    d = e * (c - 1)
    return _draft(
        rng,
        false,
        template="affine recurrence",
        first=a,
        rule=f"{c} * {{t}} + {d}",
        following=lambda n, t: c * t + d,
        claim=f"{{s}} {{n}} + {e} = {a + e} * {c} ^ {{n}}",
        scripts=[_induction("{n}", "rw [{h2}, Nat.pow_succ]; omega", "rw [{h2}, Nat.pow_succ]; grind")],
    )


def _sums(rng: random.Random, false: bool) -> Draft:
    """Sums of the first numbers, odd numbers, squares or cubes."""
    k = rng.randint(1, 4)
    scale = "" if k == 1 else f"{k} * "
    rule, following, claim = rng.choice(
        (
            (
                "{t} + " + scale + "({n} + 1)",
                lambda n, t: t + k * (n + 1),
                f"2 * {{s}} {{n}} = {scale}{{n}} * ({{n}} + 1)",
            ),
            ("{t} + " + scale + "(2 * {n} + 1)", lambda n, t: t + k * (2 * n + 1), f"{{s}} {{n}} = {scale}{{n}} ^ 2"),
            (
                "{t} + " + scale + "({n} + 1) ^ 2",
                lambda n, t: t + k * (n + 1) ** 2,
                f"6 * {{s}} {{n}} = {scale}{{n}} * ({{n}} + 1) * (2 * {{n}} + 1)",
            ),
            (
                "{t} + " + scale + "({n} + 1) ^ 3",
                lambda n, t: t + k * (n + 1) ** 3,
                f"4 * {{s}} {{n}} = {scale}{{n}} ^ 2 * ({{n}} + 1) ^ 2",
            ),
        )
    )
    return _draft(
        rng,
        false,
        template="sums of powers",
        first=0,
        rule=rule,
        following=following,
        claim=claim,
        scripts=[_induction("{n}", "have hs := {h2} {n}; grind")],
    )


def _invariant(rng: random.Random, false: bool) -> Draft:
    """A remainder that every term has."""
    modulus = rng.randint(2, 7)
    a, c = rng.randint(0, 9), rng.randint(1, 6)
    d = (a - c * a) % modulus + modulus * rng.randint(0, 2)
    return _draft(
        rng,
        false,
        template="invariant",
        first=a,
        rule=("{t}" if c == 1 else f"{c} * {{t}}") + (f" + {d}" if d else ""),
        following=lambda n, t: c * t + d,
        claim=f"{{s}} {{n}} % {modulus} = {a % modulus}",
        scripts=[_induction("{n}", "rw [{h2}]; omega")],
    )


def _growth(rng: random.Random, false: bool) -> Draft:
    """A lower bound: linear, or a power of two."""
    a, d = rng.randint(1, 6), rng.randint(0, 5)
    linear = rng.random() < 0.5
    claim = f"{{n}} + {a} ≤ {{s}} {{n}}" if linear else f"{a} * 2 ^ {{n}} ≤ {{s}} {{n}}"
    return _draft(
        rng,
        false,
        template="growth",
        first=a,
        rule=f"2 * {{t}} + {d}" if d else "2 * {t}",
        following=lambda n, t: 2 * t + d,
        claim=claim,
        scripts=[_induction("{n}", "rw [{h2}]; omega", "rw [{h2}, Nat.pow_succ]; omega")],
    )


def _two_terms(rng: random.Random, false: bool) -> Draft:
    """S (n + 2) = p s (n + 1) + q s n: a later value."""
    a, b, p, q, at = rng.randint(0, 4), rng.randint(1, 5), rng.randint(1, 2), rng.randint(1, 3), rng.randint(3, 7)
    values = [a, b]
    for _ in range(3 * _ROUNDS):
        values.append(p * values[-1] + q * values[-2])
    first, second = ("" if p == 1 else f"{p} * "), ("" if q == 1 else f"{q} * ")
    pair = f"Nat.rec (motive := fun _ => Nat × Nat) ({a}, {b}) (fun _ t => (t.2, {first}t.2 + {second}t.1)) n"
    return arithmetic(
        rng,
        family=FAMILY,
        template="two terms",
        domain="Nat",
        variables=[(["s"], "Nat → Nat")],
        hypotheses=[f"s 0 = {a}", f"s 1 = {b}", f"∀ n, s (n + 2) = {first}s (n + 1) + {second}s n"],
        goal=f"s {at} = {values[at]}",
        false=false,
        parameters={"at": at},
        scripts=[
            ("simp [{h1}, {h2}, {h3}]",),
            (*(f"have v{i} := {{h3}} {i}" for i in range(at - 1)), ("simp_all", "grind", "omega")),
        ],
        near=[({"s": lambda n: values[n]}, {"s": f"(fun n => ({pair}).1)"})],
    )
