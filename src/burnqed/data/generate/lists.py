"""Laws of lists: one side is made at random, the other by laws; lengths, sums, membership, folds."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from burnqed.data.generate.draft import Draft, Script
from burnqed.data.generate.list_terms import Expr, affine, damaged, random_expr, show, steps, value

FAMILY = "lists"
_LISTS = ("l", "m", "k")
_SMALL: tuple[tuple[int, ...], ...] = ((), (1,), (2, 5), (3, 1, 4), (0, 0, 2, 7))


def draft(rng: random.Random, false: bool) -> Draft:
    """One of the templates below."""
    return rng.choice((_equation, _equation, _length, _total, _fold, _member))(rng, false)


def _used(*texts: str) -> tuple[str, ...]:
    return tuple(n for n in _LISTS if any(n in _words(t) for t in texts))


def _words(text: str) -> set[str]:
    return set(text.replace("(", " ").replace(")", " ").replace(".", " ").split())


def _built(
    rng: random.Random, template: str, goal: str, scripts: Sequence[Script], against: Mapping[str, Sequence[int]] | None
) -> Draft:
    names = _used(goal)
    extra = ("x",) if "x ∈" in goal else ()
    terms = None
    if against is not None:
        terms = tuple(f"[{', '.join(map(str, against[n]))}]" for n in names) + tuple(
            str(against["x"][0]) for _ in extra
        )
    variables = ((names, "List Nat"),) if names else ()
    return Draft(
        family=FAMILY,
        template=template,
        variables=(*variables, *(((extra, "Nat"),) if extra else ())),
        hypotheses=(),
        goal=goal,
        scripts=tuple(scripts),
        counterexample=terms,
        quantified=rng.random() < 0.3,
    )


def _environments() -> list[dict[str, tuple[int, ...]]]:
    return [{"l": a, "m": b, "k": c} for a in _SMALL for b in _SMALL for c in _SMALL[:3]]


def _by_induction(*closers: str) -> Script:
    return ("induction l with\n| nil => ?_\n| cons a l ih => ?_", ("simp", "rfl", "grind"), closers)


def _equation(rng: random.Random, false: bool) -> Draft:
    """Two lists are equal."""
    names = _LISTS[: rng.randint(1, 3)]
    while True:
        left = right = random_expr(rng, names, rng.randint(2, 3))
        for _ in range(rng.randint(1, 3)):
            choices = steps(right)
            right = rng.choice(choices) if choices else right
        if false:
            right = damaged(right, rng)
        against = next((e for e in _environments() if value(left, e) != value(right, e)), None)
        if left != right and (against is not None) == false:
            scripts: list[Script] = [
                (
                    "simp only [List.map_append, List.filter_append, List.reverse_append, List.map_map]",
                    ("simp", "rfl", "grind"),
                ),
                ("simp [Function.comp_def, Nat.mul_add, ← Nat.mul_assoc, Nat.add_assoc]",),
                ("induction l <;> simp_all",),
                ("simp", ("omega", "grind", "congr 1; grind")),
            ]
            return _built(rng, "equation", f"{show(left)} = {show(right)}", scripts, against)


def _length(rng: random.Random, false: bool) -> Draft:
    """The length of a list that was put together without filters."""
    while True:
        e = random_expr(rng, _LISTS[: rng.randint(1, 2)], rng.randint(2, 3))
        counted = _count(e)
        if counted is None:
            continue
        lengths, constant = counted
        constant += rng.randint(1, 2) if false else 0
        parts = [f"{n}.length" if c == 1 else f"{c} * {n}.length" for n, c in lengths.items()]
        goal = f"{show(e, 1025)}.length = {' + '.join(parts + ([str(constant)] if constant else []))}"
        against = dict.fromkeys(_LISTS, ()) if false else None
        return _built(rng, "length", goal, [("simp", ("omega", "grind")), ("simp; omega",)], against)


def _count(e: Expr) -> tuple[dict[str, int], int] | None:
    """Its length as a sum of lengths and a constant; None where it is no such sum."""
    if e.head == "var":
        return {e.name: 1}, 0
    if e.head in ("filter", "take", "drop"):
        return None
    counts = [_count(p) for p in e.parts]
    total: dict[str, int] = {}
    constant = int(e.head == "cons")
    for c in counts:
        if c is None:
            return None
        constant += c[1]
        for n, k in c[0].items():
            total[n] = total.get(n, 0) + k
    return total, constant


def _total(rng: random.Random, false: bool) -> Draft:
    """The sum of a mapped or appended list, by induction."""
    a, b = rng.randint(2, 5), rng.randint(0, 4)
    wrong = rng.randint(1, 2) if false else 0
    tail = f" + {b} * l.length" if b > 1 else (" + l.length" if b else "")
    goal, against = rng.choice(
        (
            (f"(l.map (fun x => {affine(a, b)})).sum = {a + wrong} * l.sum{tail}", {"l": (1,)}),
            (f"(l ++ {b + 1} :: m).sum = l.sum + m.sum + {b + 1 + wrong}", {"l": (), "m": ()}),
            (f"((l ++ m).map (fun x => {a} * x)).sum = {a} * l.sum + {a + wrong} * m.sum", {"l": (), "m": (1,)}),
            (f"l.length * {b} + {wrong} ≤ (l.map (fun x => x + {b})).sum", {"l": ()}),
        )
    )
    mapped = f"(k.map (fun x => {affine(a, 0)})).sum = {a} * k.sum"
    scripts: list[Script] = [
        _by_induction("simp_all; omega", "simp [ih, Nat.mul_add]; omega", "grind"),
        (
            f"have key : ∀ k : List Nat, {mapped} := by\n  intro k\n  induction k with\n  | nil => rfl\n"
            "  | cons a k ih => simp [ih, Nat.mul_add]",
            ("simp [key]", "simp [key]; omega"),
        ),
        ("simp", ("omega", "grind")),
    ]
    return _built(rng, "sum", goal, scripts, against if false else None)


def _fold(rng: random.Random, false: bool) -> Draft:
    """A fold as a sum."""
    a, start, wrong = rng.randint(1, 4), rng.randint(0, 6), rng.randint(1, 3) if false else 0
    body = affine(a, 0)
    total = f"{affine(a, 0, 'l.sum')} + {start + wrong}" if start + wrong else affine(a, 0, "l.sum")
    goal = f"l.foldr (fun x acc => {body} + acc) {start} = {total}"
    scripts = [_by_induction("simp_all; omega", "simp [ih, Nat.mul_add]; omega", "grind")]
    return _built(rng, "fold", goal, scripts, {"l": ()} if false else None)


def _member(rng: random.Random, false: bool) -> Draft:
    """What is in a list that was put together."""
    while True:
        e = random_expr(rng, _LISTS[: rng.randint(1, 3)], rng.randint(2, 3))
        if any(part.head in ("take", "drop", "map") for part in _all(e)):
            continue
        claim = damaged(e, rng) if false else e
        against = next(
            (
                {**env, "x": (x,)}
                for env in _environments()
                for x in range(8)
                if (x in value(e, env)) != (x in value(claim, env))
            ),
            None,
        )
        if (against is not None) == false:
            scripts: list[Script] = [("simp", ("grind", "omega")), ("constructor <;> simp <;> grind",)]
            return _built(rng, "membership", f"x ∈ {show(e, 51)} ↔ {_claimed(claim)}", scripts, against)


def _all(e: Expr) -> list[Expr]:
    return [e, *(found for p in e.parts for found in _all(p))]


def _claimed(e: Expr) -> str:
    """Membership of x, read off the way in which the list was put together."""
    match e.head:
        case "var":
            return f"x ∈ {e.name}"
        case "append":
            return f"({_claimed(e.parts[0])} ∨ {_claimed(e.parts[1])})"
        case "cons":
            return f"(x = {e.a} ∨ {_claimed(e.parts[0])})"
        case "filter":
            return f"({_claimed(e.parts[0])} ∧ x % {e.a} = {e.b})"
    return _claimed(e.parts[0])
