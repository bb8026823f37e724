"""Terms without the accidents of writing: what two ways to write one proposition have in common.

A :class:`Plain` tree has no brackets, casts or names of bound variables (they are numbers, de Bruijn 1972), ``>`` and ``≥``
are turned around, ``≠`` and ``∉`` are negations, chains of ``+ * ∧ ∨`` are flat, bounded quantifiers and congruences are
written out, and ``x.gcd y``, ``Nat.gcd x y`` and ``gcd x y`` are one thing. With ``types="erased"`` ℕ, ℤ, ℚ, ℝ, ℂ, their names in
Lean's core and type variables are all the same, and ascriptions are gone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal, NamedTuple

from burnqed.data.lean_tree import Binder, Term

Types = Literal["kept", "erased"]


class Plain(NamedTuple):
    """A node; leaves have no ``args`` and say by their first letter what they are (``v:`` ``b:`` ``c:`` ``n:``)."""

    op: str
    args: tuple[Plain, ...] = ()


SPELLING = {
    "ℕ": "Nat",
    "ℤ": "Int",
    "ℚ": "Rat",
    "ℝ": "Real",
    "ℂ": "Complex",
    "ℝ≥0": "NNReal",
    "ℕ+": "PNat",
    "Type*": "Type",
    "π": "pi",
}
"""One name for what has several."""

NUMBER_TYPES = frozenset({"Nat", "Int", "Rat", "Real", "Complex", "NNReal", "PNat"})
SOME_NUMBERS = Plain("c:#")
"""Every type of numbers, when types are erased."""

CHAINS = frozenset({"+", "*", "∧", "∨"})
SYMMETRIC = frozenset({"=", "↔"})
PROPOSITIONS = frozenset({"∧", "∨", "¬", "⇒", "↔", "=", "<", "≤", "∣", "∈", "⊆", "⊂", "∀", "∃", "∃!", "==", "≈", "∼"})
_TURNED = {">": "<", "≥": "≤"}
_NEGATED = {"≠": "=", "∉": "∈", "∤": "∣", "!=": "=="}
_CASTS = frozenset({"Nat.cast", "Int.cast", "Rat.cast", "NNReal.toReal"})
_BRACKETS = {"||": "abs", "⌊⌋": "floor", "⌈⌉": "ceil", "⌊⌋₊": "floor", "⌈⌉₊": "ceil", "‖‖": "norm"}
_SIGNS = {"√": "sqrt", "!": "factorial"}
_TYPE_FORMERS = frozenset(
    {"List", "Finset", "Set", "Multiset", "Array", "Option", "Fin", "Vector", "ZMod", "Equiv", "Prod"}
)


@dataclass
class Writer:
    """Makes plain trees of terms. ``free`` says what a name outside all binders stands for."""

    types: Types
    free: dict[str, Plain] = field(default_factory=dict)
    _bound: dict[str, list[int]] = field(default_factory=dict)
    _depth: int = 0

    def plain(self, term: Term) -> Plain:
        """The plain tree of a term."""
        return getattr(self, f"_{term.kind}")(term)  # type: ignore[no-any-return]

    def _name(self, term: Term) -> Plain:
        return self.named(term.head)

    def named(self, name: str) -> Plain:
        """A name: a variable, a variable with fields, or a constant."""
        if (known := self._variable(name)) is not None:
            return known
        head, _, rest = name.partition(".")
        if rest and (known := self._variable(head)) is not None:
            for part in rest.split("."):
                known = Plain("apply", (self._constant(part), known))
            return known
        return self._constant(name)

    def _variable(self, name: str) -> Plain | None:
        if levels := self._bound.get(name):
            return Plain(f"b:{self._depth - levels[-1]}")
        return self.free.get(name)

    def _constant(self, name: str) -> Plain:
        name = SPELLING.get(name, name)
        if self.types == "erased":
            if name in NUMBER_TYPES:
                return SOME_NUMBERS
            name = name.rsplit(".", 1)[-1]
        return Plain(f"c:{name}")

    def _number(self, term: Term) -> Plain:
        text = term.head.replace("_", "")
        if text.isdigit():
            return Plain(f"n:{int(text)}")
        if text[1:2].isalpha():
            return Plain(f"n:{int(text, 0)}")
        value = Fraction(text)
        top = Plain(f"n:{value.numerator}")
        return top if value.denominator == 1 else Plain("/", (top, Plain(f"n:{value.denominator}")))

    def _string(self, term: Term) -> Plain:
        return Plain(f"n:{term.head}")

    def _paren(self, term: Term) -> Plain:
        return self.plain(term.args[0])

    def _typed(self, term: Term) -> Plain:
        if self.types == "erased":
            return self.plain(term.args[0])
        return Plain(":", tuple(self.plain(a) for a in term.args))

    def _apply(self, term: Term) -> Plain:
        function, *args = (self.plain(a) for a in term.args)
        if self.types == "erased" and len(args) == 1 and term.args[0].head in _CASTS:
            return args[0]
        if function.op == "apply":  # `x.gcd y` is `gcd x y`, and `f x y` one node
            return Plain("apply", (*function.args, *args))
        return Plain("apply", (function, *args))

    def _field(self, term: Term) -> Plain:
        return Plain("apply", (self._constant(term.head), self.plain(term.args[0])))

    def _index(self, term: Term) -> Plain:
        return Plain("index", tuple(self.plain(a) for a in term.args))

    def _postfix(self, term: Term) -> Plain:
        inner = self.plain(term.args[0])
        return Plain("apply", (Plain("c:factorial"), inner)) if term.head == "!" else Plain(term.head, (inner,))

    def _brackets(self, term: Term) -> Plain:
        return Plain("apply", (Plain(f"c:{_BRACKETS.get(term.head, term.head)}"), self.plain(term.args[0])))

    def _prefix(self, term: Term) -> Plain:
        inner = self.plain(term.args[0])
        if term.head == "@" or (term.head == "↑" and self.types == "erased"):
            return inner
        if term.head == "√":
            return Plain("apply", (Plain("c:sqrt"), inner))
        return negation(inner) if term.head == "¬" else Plain("neg" if term.head == "-" else term.head, (inner,))

    def _infix(self, term: Term) -> Plain:
        left, right = (self.plain(a) for a in term.args)
        op = term.head
        if op in _TURNED:
            return Plain(_TURNED[op], (right, left))
        if op in _NEGATED:
            return negation(Plain(_NEGATED[op], (left, right)))
        if op == "→":
            return arrow(left, right)
        if op == "<|":
            return Plain("apply", (*(left.args if left.op == "apply" else (left,)), right))
        if op == "=" and right.op == "fun" and left.op[:2] == "v:":
            return _pointwise(left, right)
        return chain(op, left, right) if op in CHAINS else Plain(op, (left, right))

    def _modulo(self, term: Term) -> Plain:
        left, right, modulus = (self.plain(a) for a in term.args)
        return Plain("=", (Plain("%", (left, modulus)), Plain("%", (right, modulus))))

    def _quantifier(self, term: Term) -> Plain:
        return self._under(term.head, list(term.binders), lambda: self.plain(term.args[0]))

    def _comprehension(self, term: Term) -> Plain:
        return self._under("{|}", list(term.binders), lambda: self.plain(term.args[0]))

    def _under(self, head: str, binders: list[Binder], body: Callable[[], Plain]) -> Plain:
        """The body below its binders, one name at a time."""
        if not binders:
            return body()
        first, rest = binders[0], binders[1:]
        kind = self.plain(first.type) if first.type is not None else None
        if not first.names:
            return self._under(head, rest, body)
        if kind is not None and is_proposition(kind) and head == "∀":  # `∀ (x : T) (h : P), Q`: h is a premise
            return arrow(kind, self._bind(first.names, lambda: self._under(head, rest, body)))
        where = self.plain(first.bound[1]) if first.bound is not None and first.bound[0] == "∈" else None
        if head in ("∑", "∏"):
            inner = self._bind(first.names, lambda: self._under(head, rest, body))
            return Plain(head, (inner,) if where is None else (where, inner))
        inner = self._bind(first.names, lambda: self._restricted(head, first, rest, body))
        for _ in first.names:
            shown = kind is not None and self.types == "kept"
            inner = Plain(head, (kind, inner) if shown and kind is not None else (inner,))
        return inner

    def _restricted(self, head: str, first: Binder, rest: list[Binder], body: Callable[[], Plain]) -> Plain:
        """``∀ n ≥ 5, P`` is ``∀ n, n ≥ 5 → P``, and ``∃ n ≥ 5, P`` is ``∃ n, n ≥ 5 ∧ P``."""
        inner = self._under(head, rest, body)
        if first.bound is None:
            return inner
        op, limit = first.bound
        for name in first.names:
            left, right = self.named(name), self.plain(limit)
            if op in _TURNED:
                condition = Plain(_TURNED[op], (right, left))
            elif op in _NEGATED:
                condition = negation(Plain(_NEGATED[op], (left, right)))
            else:
                condition = Plain(op, (left, right))
            inner = arrow(condition, inner) if head == "∀" else chain("∧", condition, inner)
        return inner

    def _bind(self, names: tuple[str, ...], inside: Callable[[], Plain]) -> Plain:
        for name in names:
            self._bound.setdefault(name, []).append(self._depth)
            self._depth += 1
        try:
            return inside()
        finally:
            for name in names:
                self._bound[name].pop()
                self._depth -= 1

    def _sequence(self, term: Term) -> Plain:
        return Plain(term.kind, tuple(self.plain(a) for a in term.args))

    _tuple = _anonymous = _list = _set = _raw = _sequence

    def _opaque(self, _: Term) -> Plain:
        return Plain("c:by")


def chain(op: str, left: Plain, right: Plain) -> Plain:
    """A chain of one associative operator, flat."""
    return Plain(op, (*_links(op, left), *_links(op, right)))


def negation(inner: Plain) -> Plain:
    """``¬ p``; two of them are none."""
    return inner.args[0] if inner.op == "¬" else Plain("¬", (inner,))


def arrow(left: Plain, right: Plain) -> Plain:
    """A function type, or an implication whose premises are one flat set with the conclusion last."""
    if is_data(left) and is_data(right):
        return Plain("→", (left, right))
    later = right.args if right.op == "⇒" else (right,)
    return Plain("⇒", (*_links("∧", left), *later))


def is_proposition(plain: Plain) -> bool:
    """Whether the tree is a proposition by its outermost sign."""
    return plain.op in PROPOSITIONS


def is_data(plain: Plain) -> bool:
    """Whether the tree is a type of numbers, of lists and the like, or of functions between such."""
    if plain.op == "→":
        return all(is_data(a) for a in plain.args)
    if plain.op == "apply":
        return plain.args[0].op[2:] in _TYPE_FORMERS
    return plain == SOME_NUMBERS or plain.op[2:] in NUMBER_TYPES or plain.op in ("×", "c:Prop", "c:Type", "c:Bool")


def _links(op: str, plain: Plain) -> tuple[Plain, ...]:
    return plain.args if plain.op == op else (plain,)


def _pointwise(left: Plain, right: Plain) -> Plain:
    """``f = fun x => e`` is ``∀ x, f x = e``."""
    count, body = 0, right
    while body.op == "fun":
        count, body = count + 1, body.args[-1]
    applied = Plain("apply", (left, *(Plain(f"b:{count - i}") for i in range(count))))
    inner = Plain("=", (applied, body))
    for _ in range(count):
        inner = Plain("∀", (inner,))
    return inner
