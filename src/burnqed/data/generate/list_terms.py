"""Lists of numbers as expressions: written as Lean, evaluated, and rewritten by laws."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Expr:
    """``var``; ``append`` of two; ``reverse``; ``map`` by a x + b; ``filter`` by x % a == b; ``take``/``drop``/``cons`` of a."""

    head: str
    parts: tuple[Expr, ...] = ()
    name: str = ""
    a: int = 0
    b: int = 0


def show(e: Expr, at: int = 0) -> str:
    """As Lean text."""
    if e.head == "var":
        return e.name
    if e.head == "append":
        text = f"{show(e.parts[0], 65)} ++ {show(e.parts[1], 66)}"
        return f"({text})" if at > 65 else text
    if e.head == "cons":
        text = f"{e.a} :: {show(e.parts[0], 67)}"
        return f"({text})" if at > 67 else text
    inner = show(e.parts[0], 1025)
    if e.head == "reverse":
        return f"{inner}.reverse"
    if e.head in ("take", "drop"):
        text = f"{inner}.{e.head} {e.a}"
    elif e.head == "map":
        text = f"{inner}.map (fun x => {affine(e.a, e.b)})"
    else:
        text = f"{inner}.filter (fun x => x % {e.a} == {e.b})"
    return f"({text})" if at > 1024 else text


def affine(a: int, b: int, x: str = "x") -> str:
    """``a * x + b`` as one would write it."""
    return (x if a == 1 else f"{a} * {x}") + (f" + {b}" if b else "")


def value(e: Expr, env: Mapping[str, Sequence[int]]) -> list[int]:
    """What it is for given lists."""
    if e.head == "var":
        return list(env[e.name])
    first = value(e.parts[0], env)
    match e.head:
        case "append":
            return first + value(e.parts[1], env)
        case "reverse":
            return first[::-1]
        case "cons":
            return [e.a, *first]
        case "take":
            return first[: e.a]
        case "drop":
            return first[e.a :]
        case "map":
            return [e.a * x + e.b for x in first]
    return [x for x in first if x % e.a == e.b]


def random_expr(rng: random.Random, names: Sequence[str], depth: int) -> Expr:
    """An expression so many operations deep."""
    if depth == 0:
        return Expr("var", name=rng.choice(names))
    head = rng.choice(("append", "append", "reverse", "map", "filter", "take", "drop", "cons"))
    inner = random_expr(rng, names, depth - 1)
    if head == "append":
        return Expr(head, (inner, random_expr(rng, names, rng.randint(0, depth - 1))))
    if head == "filter":
        a = rng.randint(2, 4)
        return Expr(head, (inner,), a=a, b=rng.randrange(a))
    return Expr(head, (inner,), a=rng.randint(1, 4), b=rng.randint(0, 3) if head == "map" else 0)


def _laws(e: Expr) -> list[Expr]:
    """What an expression equals by one law."""
    if e.head == "var":
        return []
    (x, *rest), out = e.parts, []
    if e.head in ("map", "filter", "reverse") and x.head == "append":
        sides = [Expr(e.head, (p,), a=e.a, b=e.b) for p in x.parts]
        out.append(Expr("append", tuple(sides[::-1] if e.head == "reverse" else sides)))
    if e.head == "reverse" and x.head == "reverse":
        out.append(x.parts[0])
    if e.head == "map" and x.head in ("reverse", "take", "drop"):
        out.append(Expr(x.head, (Expr("map", x.parts, a=e.a, b=e.b),), a=x.a))
    if e.head == "reverse" and x.head in ("map", "filter"):
        out.append(Expr(x.head, (Expr("reverse", x.parts),), a=x.a, b=x.b))
    if e.head == "map" and x.head == "map":
        out.append(Expr("map", x.parts, a=e.a * x.a, b=e.a * x.b + e.b))
    if e.head == "filter" and x.head == "filter":
        out.append(Expr("filter", (Expr("filter", x.parts, a=e.a, b=e.b),), a=x.a, b=x.b))
    if e.head in ("take", "drop") and x.head == e.head:
        out.append(Expr(e.head, x.parts, a=min(e.a, x.a) if e.head == "take" else e.a + x.a))
    if e.head == "append" and rest[0].head == "append":
        out.append(Expr("append", (Expr("append", (x, rest[0].parts[0])), rest[0].parts[1])))
    if e.head == "append" and x.head == "cons":
        out.append(Expr("cons", (Expr("append", (x.parts[0], rest[0])),), a=x.a))
    return out


def steps(e: Expr) -> list[Expr]:
    """Everything that one law, applied anywhere, makes of it."""
    out = _laws(e)
    for i, part in enumerate(e.parts):
        out += [Expr(e.head, (*e.parts[:i], new, *e.parts[i + 1 :]), e.name, e.a, e.b) for new in steps(part)]
    return out


def damaged(e: Expr, rng: random.Random) -> Expr:
    """Something about it changed: a constant, an order, an operation."""
    if e.head == "var":
        return Expr("reverse", (e,))
    if rng.random() < 0.4:
        at = rng.randrange(len(e.parts))
        return Expr(e.head, tuple(damaged(p, rng) if i == at else p for i, p in enumerate(e.parts)), e.name, e.a, e.b)
    match e.head:
        case "append":
            return Expr("append", e.parts[::-1])
        case "reverse":
            return e.parts[0]
        case "filter":
            return Expr("filter", e.parts, a=e.a, b=(e.b + 1) % e.a)
        case "take" | "drop":
            return Expr("drop" if e.head == "take" else "take", e.parts, a=e.a)
    return Expr(e.head, e.parts, e.name, e.a + 1, e.b)
