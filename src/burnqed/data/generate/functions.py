"""Functions with a property: injective, involutive, monotone, additive; and what it says of their compositions and values."""

from __future__ import annotations

import random

from burnqed.data.generate.arithmetic import Point, arithmetic
from burnqed.data.generate.draft import Draft

FAMILY = "functions"


def draft(rng: random.Random, false: bool) -> Draft:
    """One of the templates below."""
    return rng.choice((_affine_value, _additive, _monotone, _injective, _involution, _two_points))(rng, false)


def _name(rng: random.Random) -> str:
    return rng.choice(("f", "g", "F"))


def _affine(c: int, d: int) -> tuple[str, str]:
    """A c x + d as Lean function and as text of its value at x."""
    body = ("x" if c == 1 else f"{c} * x") + (f" + {d}" if d > 0 else f" - {-d}" if d < 0 else "")
    return f"(fun x => {body})", body


def _affine_value(rng: random.Random, false: bool) -> Draft:
    """∀ x, f x = c x + d: a value, or a value of a value."""
    domain, f = rng.choice(("Nat", "Int")), _name(rng)
    c, d, at = rng.randint(1, 5), rng.randint(0, 7), rng.randint(0, 9)
    twice = rng.random() < 0.5
    term, body = _affine(c, d)
    once = c * at + d
    goal = f"{f} ({f} {at}) = {c * once + d}" if twice else f"{f} {at} + {f} 0 = {once + d}"
    return arithmetic(
        rng,
        family=FAMILY,
        template="affine value",
        domain=domain,
        variables=[([f], f"{domain} → {domain}")],
        hypotheses=[f"∀ x, {f} x = {body}"],
        goal=goal,
        false=false,
        parameters={"c": c, "d": d},
        scripts=[("rw [{h1}, {h1}]",), ("simp only [{h1}]", ("rfl", "omega", "decide"))],
        near=[({f: lambda x: c * x + d}, {f: term})],
    )


def _additive(rng: random.Random, false: bool) -> Draft:
    """∀ x y, f (x + y) = f x + f y: its value at 0, at multiples, at differences."""
    domain, f = rng.choice(("Nat", "Int")), _name(rng)
    k, v = rng.randint(2, 5), rng.randint(1, 9)
    hypotheses = [f"∀ x, ∀ y, {f} (x + y) = {f} x + {f} y"]
    goal = f"{f} 0 = 0"
    if rng.random() < 0.7:
        hypotheses.append(f"{f} 1 = {v}")
        goal = f"{f} {k} = {k * v}"
    term, _ = _affine(v, 0)
    use = [f"have a{i} := {{h1}} {i} 1" for i in range(1, k)]
    return arithmetic(
        rng,
        family=FAMILY,
        template="additive",
        domain=domain,
        variables=[([f], f"{domain} → {domain}")],
        hypotheses=hypotheses,
        goal=goal,
        false=false,
        parameters={"k": k},
        scripts=[
            ("have a0 := {h1} 0 0", "simp at a0", ("omega", "exact a0", "grind")),
            (*use, ("simp_all; omega", "simp_all", "grind", "omega")),
        ],
        near=[({f: lambda x: v * x}, {f: term})],
    )


def _monotone(rng: random.Random, false: bool) -> Draft:
    """∀ x y, x ≤ y → f x ≤ f y, at given places and composed."""
    domain, f = rng.choice(("Nat", "Int")), _name(rng)
    a, gap, v = rng.randint(0, 8), rng.randint(1, 8), rng.randint(0, 9)
    b = a + gap
    goal, facts, step = rng.choice(
        (
            (f"{f} {a} ≤ {f} {b}", [], f"exact {{h1}} {a} {b} (by omega)"),
            (f"{f} ({f} {a}) ≤ {f} ({f} {b})", [], f"exact {{h1}} _ _ ({{h1}} {a} {b} (by omega))"),
            (f"{v} ≤ {f} {b}", [f"{f} {a} = {v}"], f"have m := {{h1}} {a} {b} (by omega)"),
            (f"{f} {a} ≤ {v + 1}", [f"{f} {b} ≤ {v}"], f"have m := {{h1}} {a} {b} (by omega)"),
        )
    )
    functions = [(1, 0), (2, 1), (1, v), (0, v)]
    near: list[Point] = [
        ({f: (lambda x, c=c, d=d: c * x + d)}, {f: _affine(c, d)[0] if c else f"(fun _ => {d})"}) for c, d in functions
    ]
    return arithmetic(
        rng,
        family=FAMILY,
        template="monotone",
        domain=domain,
        variables=[([f], f"{domain} → {domain}")],
        hypotheses=[f"∀ x, ∀ y, x ≤ y → {f} x ≤ {f} y", *facts],
        goal=goal,
        false=false,
        parameters={"a": a, "b": b},
        scripts=[(step,) if step.startswith("exact") else (step, ("omega",))],
        near=near,
    )


def _injective(rng: random.Random, false: bool) -> Draft:
    """A composition of injective functions is injective, in one of the ways to say it."""
    domain, f, times = rng.choice(("Nat", "Int")), _name(rng), rng.randint(2, 3)
    k = rng.randint(1, 9)

    def composed(x: str) -> str:
        for _ in range(times):
            x = f"{f} ({x})" if " " in x else f"{f} {x}"
        return x

    shift = rng.random() < 0.5
    fact = f"{composed('a')} + {k} = {composed('b')} + {k}" if shift else f"{composed('a')} = {composed('b')}"
    goal = f"a + {k} = b + {k}" if rng.random() < 0.5 else "a = b"
    inner = "(by omega)" if shift else "{h2}"
    for _ in range(times):
        inner = f"({{h1}} _ _ {inner})"
    return arithmetic(
        rng,
        family=FAMILY,
        template="injective",
        domain=domain,
        variables=[([f], f"{domain} → {domain}"), (("a", "b"), domain)],
        hypotheses=[f"∀ x, ∀ y, {f} x = {f} y → x = y", fact],
        goal=goal,
        false=false,
        parameters={"times": times},
        scripts=[(f"have e := {inner}", ("exact e", "omega"))],
        near=[({f: lambda x: x + 1, "a": i, "b": i}, {f: "(fun x => x + 1)"}) for i in range(3)],
    )


def _involution(rng: random.Random, false: bool) -> Draft:
    """∀ x, f (f x) = x: f undoes itself, so it is injective, and iterating it alternates."""
    f, at, to = _name(rng), rng.randint(0, 9), rng.randint(0, 9)
    times = rng.randint(2, 5)
    text = str(at)
    for _ in range(times):
        text = f"{f} ({text})" if " " in text else f"{f} {text}"
    result = f"{text} = {at if times % 2 == 0 else to}"
    goal = rng.choice((result, f"{f} {to} = {at}", f"{f} x = {f} y → x = y"))
    free = [(("x", "y"), "Int")] if "x" in goal else []
    return arithmetic(
        rng,
        family=FAMILY,
        template="involution",
        domain="Int",
        variables=[([f], "Int → Int"), *free],
        hypotheses=[f"∀ z, {f} ({f} z) = z", f"{f} {at} = {to}"],
        goal=goal,
        false=false,
        parameters={"times": times},
        scripts=[
            ("rw [← {h2}, {h1}]",),
            ("simp [{h1}, {h2}]",),
            ("intro e", "rw [← {h1} x, ← {h1} y, e]"),
            ("intro e", f"have e' := congrArg {f} e", "simpa [{h1}] using e'"),
        ],
        near=[
            ({f: lambda x: at + to - x, "x": 1, "y": 2}, {f: f"(fun x => {at + to} - x)"}),
            ({f: lambda x: at + to - x, "x": 1, "y": 1}, {f: f"(fun x => {at + to} - x)"}),
        ],
    )


def _two_points(rng: random.Random, false: bool) -> Draft:
    """F x = a x + b with unknown a and b, known at two places, asked at a third."""
    domain, f = rng.choice(("Int", "Rat")), _name(rng)
    a, b = rng.randint(-4, 6), rng.randint(-6, 9)
    p, q, at = rng.sample(range(-3, 8), 3)

    def number(n: int) -> str:
        return str(n) if n >= 0 else f"({n})"

    return arithmetic(
        rng,
        family=FAMILY,
        template="two points",
        domain=domain,
        variables=[([f], f"{domain} → {domain}"), (("a", "b"), domain)],
        hypotheses=[f"∀ x, {f} x = a * x + b", f"{f} {number(p)} = {a * p + b}", f"{f} {number(q)} = {a * q + b}"],
        goal=f"{f} {number(at)} = {a * at + b}",
        false=false,
        parameters={"at": at},
        scripts=[("rw [{h1}] at {h2} {h3} ⊢", ("omega", "grind"))],
        near=[({f: lambda x: a * x + b, "a": a, "b": b}, {f: f"(fun x => {number(a)} * x + {number(b)})"})],
    )
