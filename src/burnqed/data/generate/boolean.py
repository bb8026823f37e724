"""Formulas of propositional logic, made at random, rewritten by laws, and told apart by their truth tables."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Formula:
    """``var`` with its name, ``true``, ``false``, ``not`` with one part, ``and``, ``or``, ``imp``, ``iff``, ``xor`` with two."""

    head: str
    parts: tuple[Formula, ...] = ()
    name: str = ""


Valuation = Mapping[str, bool]
_BINARY: dict[str, Callable[[bool, bool], bool]] = {
    "and": lambda a, b: a and b,
    "or": lambda a, b: a or b,
    "imp": lambda a, b: not a or b,
    "iff": lambda a, b: a == b,
    "xor": lambda a, b: a != b,
}


def variable(name: str) -> Formula:
    """An atom."""
    return Formula("var", name=name)


def negated(f: Formula) -> Formula:
    """Its negation."""
    return Formula("not", (f,))


def holds(f: Formula, values: Valuation) -> bool:
    """Its truth under a valuation."""
    match f.head:
        case "var":
            return values[f.name]
        case "true" | "false":
            return f.head == "true"
        case "not":
            return not holds(f.parts[0], values)
    return _BINARY[f.head](holds(f.parts[0], values), holds(f.parts[1], values))


def valuations(names: Sequence[str]) -> list[dict[str, bool]]:
    """All 2ⁿ of them."""
    return [dict(zip(names, row, strict=True)) for row in itertools.product((True, False), repeat=len(names))]


def falsifying(f: Formula, names: Sequence[str], under: Sequence[Formula] = ()) -> dict[str, bool] | None:
    """A valuation that makes ``under`` true and the formula false; None when there is none."""
    return next((v for v in valuations(names) if all(holds(u, v) for u in under) and not holds(f, v)), None)


def size(f: Formula) -> int:
    """How many connectives it has."""
    return (f.head not in ("var", "true", "false")) + sum(size(p) for p in f.parts)


def atoms(f: Formula) -> set[str]:
    """The names that occur in it."""
    return ({f.name} - {""}).union(*(atoms(p) for p in f.parts))


def random_formula(
    rng: random.Random, names: Sequence[str], connectives: int, heads: Sequence[str] = ("and", "or", "imp", "not")
) -> Formula:
    """A formula with so many connectives, each chosen from ``heads``."""
    if connectives <= 0:
        return variable(rng.choice(names))
    head = rng.choice(heads)
    if head == "not":
        return negated(random_formula(rng, names, connectives - 1, heads))
    left = rng.randint(0, connectives - 1)
    return Formula(
        head,
        (
            random_formula(rng, names, left, heads),
            random_formula(rng, names, connectives - 1 - left, heads),
        ),
    )


def rewritten(f: Formula, rng: random.Random) -> Formula:
    """The formula with one law applied somewhere; itself when no law applies anywhere."""
    places = [(path, new) for path, part in _walk(f) for new in _laws(part)]
    if not places:
        return f
    path, new = rng.choice(places)
    return _replaced(f, path, new)


def tidied(f: Formula) -> Formula:
    """The formula without double negations."""
    if f.head == "not" and f.parts[0].head == "not":
        return tidied(f.parts[0].parts[0])
    return Formula(f.head, tuple(tidied(p) for p in f.parts), f.name)


def _laws(f: Formula) -> list[Formula]:
    """What a formula is equivalent to by one law, read from left to right."""
    out: list[Formula] = []
    if f.head in ("and", "or"):
        a, b = f.parts
        dual = "or" if f.head == "and" else "and"
        out.append(Formula(f.head, (b, a)))
        out.append(negated(Formula(dual, (negated(a), negated(b)))))
        if b.head == dual:
            out.append(Formula(dual, tuple(Formula(f.head, (a, p)) for p in b.parts)))
        if b.head == f.head:
            out.append(Formula(f.head, (Formula(f.head, (a, b.parts[0])), b.parts[1])))
    if f.head == "not":
        (a,) = f.parts
        if a.head in ("and", "or"):
            out.append(Formula("or" if a.head == "and" else "and", tuple(negated(p) for p in a.parts)))
        if a.head == "not":
            out.append(a.parts[0])
        if a.head == "imp":
            out.append(Formula("and", (a.parts[0], negated(a.parts[1]))))
    if f.head == "imp":
        a, b = f.parts
        out += [Formula("imp", (negated(b), negated(a))), Formula("or", (negated(a), b))]
        if b.head == "imp":
            out.append(Formula("imp", (Formula("and", (a, b.parts[0])), b.parts[1])))
        if a.head == "or":
            out.append(Formula("and", tuple(Formula("imp", (p, b)) for p in a.parts)))
        if b.head == "and":
            out.append(Formula("and", tuple(Formula("imp", (a, p)) for p in b.parts)))
    if f.head == "iff":
        a, b = f.parts
        out += [Formula("and", (Formula("imp", (a, b)), Formula("imp", (b, a)))), Formula("iff", (b, a))]
    if f.head == "xor":
        a, b = f.parts
        out += [
            Formula("or", (Formula("and", (a, negated(b))), Formula("and", (negated(a), b)))),
            Formula("xor", (b, a)),
        ]
    return out


Path = tuple[int, ...]


def _walk(f: Formula, path: Path = ()) -> list[tuple[Path, Formula]]:
    return [(path, f), *(found for i, p in enumerate(f.parts) for found in _walk(p, (*path, i)))]


def _replaced(f: Formula, path: Path, new: Formula) -> Formula:
    if not path:
        return new
    i, *rest = path
    parts = tuple(_replaced(p, tuple(rest), new) if j == i else p for j, p in enumerate(f.parts))
    return Formula(f.head, parts, f.name)


@dataclass(frozen=True)
class Notation:
    """How connectives are written: symbol and binding of each binary one, and of ``not``; constants as they are."""

    symbols: Mapping[str, tuple[str, int]]
    negation: tuple[str, int]
    right: frozenset[str] = frozenset()
    constants: Mapping[str, str] | None = None

    def show(self, f: Formula, at: int = 0) -> str:
        """The formula as Lean text."""
        if f.head == "var":
            return f.name
        if f.head in ("true", "false"):
            assert self.constants is not None
            return self.constants[f.head]
        if f.head == "not":
            symbol, level = self.negation
            text = f"{symbol}{self.show(f.parts[0], level)}"
            return f"({text})" if level < at else text
        symbol, level = self.symbols[f.head]
        left, right = (level + 1, level) if f.head in self.right else (level, level + 1)
        text = f"{self.show(f.parts[0], left)} {symbol} {self.show(f.parts[1], right)}"
        return f"({text})" if level < at else text


PROP = Notation(
    {"and": ("∧", 35), "or": ("∨", 30), "imp": ("→", 25), "iff": ("↔", 20)},
    ("¬", 1024),
    frozenset({"and", "or", "imp"}),
    {"true": "True", "false": "False"},
)
BOOL = Notation(
    {"and": ("&&", 35), "or": ("||", 30), "xor": ("^^", 33)}, ("!", 1024), constants={"true": "true", "false": "false"}
)
BITS = Notation({"and": ("&&&", 60), "or": ("|||", 55), "xor": ("^^^", 58)}, ("~~~", 1024))
