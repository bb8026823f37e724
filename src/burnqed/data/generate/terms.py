"""A small language of arithmetic statements: read from text, written as Lean, evaluated as Lean would.

Statements speak of one domain: ``Nat`` (subtraction stops at 0), ``Int`` (division and remainder are Euclidean) or
``Rat``. Dividing by 0 gives 0, and the remainder by 0 is the number itself, as in Lean.
"""

from __future__ import annotations

import math
import operator
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

Domain = str  # "Nat", "Int" or "Rat"
Environment = Mapping[str, Any]
"""Names to numbers, or to functions of numbers."""


@dataclass(frozen=True)
class Number:
    """A numeral that is not negative."""

    value: int


@dataclass(frozen=True)
class Name:
    """A variable, or a function's name."""

    text: str


@dataclass(frozen=True)
class Node:
    """An operator with its arguments. ``apply`` has the function first, ``∀`` the bound name first."""

    head: str
    args: tuple[Expr, ...]


Expr = Number | Name | Node

BINDING = {"↔": 20, "→": 25, "∨": 30, "∧": 35, "¬": 40}
BINDING |= dict.fromkeys(("=", "≠", "<", "≤", ">", "≥", "∣"), 50)
BINDING |= {"+": 65, "-": 65, "*": 70, "/": 70, "%": 70, "neg": 75, "^": 75, "apply": 1024, "∀": 0}
"""Lean's own precedences."""
RIGHT = frozenset({"→", "∨", "∧", "^"})
Truth = Callable[[Environment], bool]
_LOGIC: dict[str, Callable[[Truth, Truth], Truth]] = {
    "∧": lambda a, b: lambda env: a(env) and b(env),
    "∨": lambda a, b: lambda env: a(env) or b(env),
    "→": lambda a, b: lambda env: not a(env) or b(env),
    "↔": lambda a, b: lambda env: a(env) == b(env),
}
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    "≠": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "≤": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    "≥": lambda a, b: a >= b,
    "∣": lambda a, b: b == 0 if a == 0 else b % a == 0,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "Nat.gcd": math.gcd,
    "Nat.lcm": math.lcm,
    "Int.gcd": math.gcd,
    "min": min,
    "max": max,
    "Int.natAbs": abs,
}
_FORALL_NAT = range(13)
_FORALL_INT = range(-6, 7)
_LARGEST_POWER = 64


def show(e: Expr, at: int = 0) -> str:
    """The expression as Lean text, in brackets where it stands under something that binds stronger than ``at`` allows."""
    match e:
        case Number(value):
            return str(value)
        case Name(text):
            return text
        case Node("∀", (bound, body)):
            text = f"∀ {show(bound)}, {show(body)}"
        case Node("¬", (body,)):
            text = f"¬{show(body, 1024) if isinstance(body, Node) and body.head != 'apply' else show(body, 40)}"
        case Node("neg", (body,)):
            inner = show(body, 75)
            text = f"-({inner})" if inner.startswith("-") else f"-{inner}"  # two of them begin a comment
        case Node("apply", args):
            text = " ".join(show(a, 1025) for a in args)
        case Node(head, (left, right)):
            level = BINDING[head]
            to_left, to_right = (level + 1, level) if head in RIGHT else (level, level + 1)
            if level == 50:
                to_left = 51
            text = f"{show(left, to_left)} {head} {show(right, to_right)}"
        case _:
            raise AssertionError(f"no way to write {e}")
    return f"({text})" if BINDING[e.head] < at else text


def evaluate(e: Expr, env: Environment, domain: Domain) -> Any:
    """The value of a term (int or Fraction) or of a statement (bool), as :func:`compiled` computes it."""
    return compiled(e, domain)(env)


def compiled(e: Expr, domain: Domain, *, bound_over: Domain = "") -> Callable[[Environment], Any]:
    """A function from values of the variables to the value of the expression; it is asked hundreds of times.

    ``∀`` is tried on a few small numbers only, of ``bound_over`` or else of the domain, so it may say true of what is false
    further out. The function raises OverflowError for powers that are too large to be worth it.
    """

    def part(inner: Expr) -> Callable[[Environment], Any]:
        return compiled(inner, domain, bound_over=bound_over)

    match e:
        case Number(value):
            number = Fraction(value) if domain == "Rat" else value
            return lambda env: number
        case Name(text):
            return lambda env: env[text]
        case Node("∀", (Name(bound), body)):
            inside = part(body)
            numbers = _FORALL_NAT if (bound_over or domain) == "Nat" else _FORALL_INT
            return lambda env: all(inside({**env, bound: i}) for i in numbers)
        case Node("¬", (body,)):
            inside = part(body)
            return lambda env: not inside(env)
        case Node("neg", (body,)):
            inside = part(body)
            return lambda env: -inside(env)
        case Node("apply", (Name(function), *args)):
            values = [part(a) for a in args]
            return lambda env: (env.get(function) or _FUNCTIONS[function])(*(v(env) for v in values))
        case Node(head, (left, right)):
            first, second = part(left), part(right)
            if head in _LOGIC:
                return _LOGIC[head](first, second)
            operation = _COMPARE.get(head) or _arithmetic(head, domain)
            return lambda env: operation(first(env), second(env))
    raise AssertionError(f"no value for {e}")


def _arithmetic(head: str, domain: Domain) -> Callable[[Any, Any], Any]:
    if head == "-" and domain == "Nat":
        return lambda a, b: max(0, a - b)
    if head == "/":
        return _divide_rational if domain == "Rat" else _divide
    return _OPERATIONS[head]


def _power(a: Any, b: Any) -> Any:
    if b > _LARGEST_POWER:
        raise OverflowError(f"the power {b} is too large to evaluate")
    return a ** int(b)


def _divide(a: int, b: int) -> int:
    """Towards minus infinity for a positive divisor, as the remainder is never negative."""
    if b == 0:
        return 0
    return a // b if b > 0 else -(a // -b)


def _divide_rational(a: Any, b: Any) -> Any:
    return a / b if b else Fraction(0)


_OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "^": _power,
    "%": lambda a, b: a % abs(b) if b else a,
}


def names_in(e: Expr) -> set[str]:
    """The names that occur free or bound, functions included."""
    match e:
        case Name(text):
            return {text}
        case Node(_, args):
            return set().union(*(names_in(a) for a in args))
    return set()


def mutated(e: Expr, rng: random.Random) -> Expr:
    """The expression with one numeral, or for lack of one one comparison or the order of two arguments, changed."""
    numbers = [path for path, node in _walk(e) if isinstance(node, Number)]
    if numbers:
        return _replaced(e, rng.choice(numbers), lambda n: _other_number(n, rng))
    changed = [p for p, node in _walk(e) if isinstance(node, Node) and node.head in _SWAPS]
    return _replaced(e, rng.choice(changed), _swapped) if changed else e


_SWAPS = {"=": "≠", "≤": "<", "<": "≤", "≥": ">", ">": "≥", "+": "*", "-": "+", "∧": "∨", "∨": "∧"}


def _swapped(node: Expr) -> Expr:
    assert isinstance(node, Node)
    if node.head == "=" and isinstance(node.args[1], Node) and len(node.args[1].args) == 2:
        return Node("=", (node.args[0], _swapped_inside(node.args[1])))
    return Node(_SWAPS[node.head], node.args)


def _swapped_inside(node: Node) -> Expr:
    return Node(_SWAPS[node.head], node.args) if node.head in _SWAPS else node


def _other_number(node: Expr, rng: random.Random) -> Expr:
    assert isinstance(node, Number)
    steps = [s for s in (-2, -1, 1, 2, 3) if node.value + s >= (1 if node.value > 0 else 0)]
    return Number(node.value + rng.choice(steps))


Path = tuple[int, ...]


def _walk(e: Expr, path: Path = ()) -> Iterator[tuple[Path, Expr]]:
    yield path, e
    if isinstance(e, Node):
        for i, a in enumerate(e.args):
            yield from _walk(a, (*path, i))


def _replaced(e: Expr, path: Path, change: Callable[[Expr], Expr]) -> Expr:
    if not path:
        return change(e)
    assert isinstance(e, Node)
    i, *rest = path
    return Node(e.head, tuple(_replaced(a, tuple(rest), change) if j == i else a for j, a in enumerate(e.args)))
