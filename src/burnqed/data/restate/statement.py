"""One statement of a benchmark as core Lean can take it: another text, what was changed, and what to keep in mind.

Two kinds. ``core``: ℕ, ℤ and ℚ are written Nat, Int and Rat, and nothing else is changed. ``field``: what speaks of ℝ (or ℂ)
and needs only its arithmetic and order is said of any linearly ordered field (any field of characteristic 0), which is more
than was asked; whoever proves it has proved the original, and what fails may still be true of ℝ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from burnqed.data.lean_tokens import Token, tokens
from burnqed.data.lean_tree import Binder, Term
from burnqed.data.records import TheoremRecord
from burnqed.data.restate.caveats import caveats
from burnqed.data.restate.rendering import Renderer, Unstatable
from burnqed.data.restate.sets import Sets
from burnqed.data.restate.unfolding import Unfolding
from burnqed.data.restate.vocabulary import (
    COMPLEXES,
    CORE_TYPES,
    FIELD_OF_CHARACTERISTIC_0,
    OPENED,
    ORDERED_FIELD,
    REALS,
    WITH_MAXIMUM,
    WITH_MINIMUM,
    lacking,
)
from burnqed.data.statements import Declaration, declaration
from burnqed.theorems.lean_text import declared

Kind = Literal["core", "field"]
_FIELD_NAMES = ("F", "K", "𝕜", "F₀")


@dataclass(frozen=True)
class Restated:
    """``statement`` is the text up to, but without, ``:=``; ``header`` what must stand before it.

    ``changes`` and ``caveats`` are phrases for a person.
    """

    name: str
    kind: Kind
    statement: str
    changes: tuple[str, ...]
    caveats: tuple[str, ...]
    header: str = ""


CASTS = "attribute [local instance low] Lean.Grind.Semiring.natCast Lean.Grind.Ring.intCast"
"""The header of a statement that puts natural numbers or integers into its field: core has the casts, but not as instances."""


def restate(
    record: TheoremRecord, *, unfold: bool = False, over: str = "", casts: bool = False, typed_exponents: bool = False
) -> Restated:
    """A statement for core Lean. Raises Unstatable with the reason why there is none.

    With ``unfold`` Mathlib's definitions are written out where that is possible. With ``over`` ℝ becomes that type instead of a
    field: ``Rat`` gives a special case, for comparing only. ``casts`` gives it the header :data:`CASTS`; ``typed_exponents``
    says of every numeral in an exponent that it is a natural number, which Mathlib assumes and core Lean has to find out.
    """
    found = declaration(record.statement)
    if found is None or found.goal is None or not found.name:
        raise Unstatable("no claim in it")
    words = tokens(record.statement)
    names = {part for t in words if t.kind == "name" for part in (t.text, t.text.partition(".")[0])}
    if own := sorted(names & set(declared(record.header)[0])):
        raise Unstatable("needs a definition of its own header", own[0])
    real, complex_ = bool(names & REALS), bool(names & COMPLEXES)
    if real and complex_:
        raise Unstatable("needs real and complex numbers together")
    field = over or (next(n for n in _FIELD_NAMES if n not in names) if real or complex_ else "")
    writing = _Writing(record, found, field, names, unfold=unfold, typed_exponents=typed_exponents)
    text = " ".join((f"theorem {found.name}", *writing.binders(), ":", writing.goal()))
    pieces = tokens(text)
    if reason := lacking(pieces):
        raise Unstatable(f"needs {reason}")
    classes = _classes(pieces, field=field, ordered=real) if field and not over else ()
    return Restated(
        found.name,
        "field" if field else "core",
        _tidy(text, pieces, len(f"theorem {found.name}"), classes, field),
        (*writing.changes(), *(("casts of whole numbers made instances",) if casts else ())),
        tuple(caveats(record.statement, field="" if over else field, ordered=real)),
        CASTS if casts else "",
    )


class _Writing:
    """The parts of one statement, written anew."""

    def __init__(
        self,
        record: TheoremRecord,
        found: Declaration,
        field: str,
        names: set[str],
        *,
        unfold: bool,
        typed_exponents: bool,
    ) -> None:
        self._found = found
        self._field = field
        self._opens_nat = any(w in ("Nat", "Finset") for w in record.header.split())
        self._renamed: dict[str, str] = {}
        variables = {name for b in found.binders for name in b.names} | _bound_in(found)
        self._variables = variables
        predicates, finite = _sets(found.binders) if unfold else ({}, {})
        self._sets = Sets({}, {}, variables)
        self._unfolding = Unfolding(self._sets) if unfold else None
        self._typed_exponents = typed_exponents
        self._renderer = Renderer(
            record.statement,
            names=self._name,
            rule=self._rule,
            taken={*names, field},
        )
        self._sets.predicates = {n: self._renderer.render(t.args[1]) for n, t in predicates.items()}
        self._sets.lists = {n: self._renderer.render(t.args[1]) for n, t in finite.items()}

    def binders(self) -> list[str]:
        """The binder groups, each as a text."""
        return [text for b in self._found.binders for text in self._binder(b)]

    def _binder(self, binder: Binder) -> list[str]:
        r = self._renderer
        if self._unfolding is not None and binder.type is not None and binder.names:
            element = binder.type.args[1] if len(binder.type.args) == 2 else None
            shown = " ".join(binder.names)
            if element is not None and binder.names[0] in self._sets.predicates:
                self._unfolding.unfolded["set as a predicate"] = None
                return [f"({shown} : {r.render(element)} → Prop)"]
            if element is not None and binder.names[0] in self._sets.lists:
                self._unfolding.unfolded["finite set as a list"] = None
                once = (f"({r.fresh('h' + name)} : {name}.Nodup)" for name in binder.names)
                return [f"({shown} : List {r.render(element)})", *once]
        return [r.spliced(binder.start, binder.end, r.parts_of(binder))]

    def goal(self) -> str:
        """The claim."""
        assert self._found.goal is not None
        return self._renderer.render(self._found.goal)

    def _rule(self, r: Renderer, term: Term) -> str | None:
        if self._unfolding is not None and (text := self._unfolding(r, term)) is not None:
            return text
        if self._typed_exponents and term.head == "^" and term.args[1].kind == "number":
            return f"{r.render(term.args[0])} ^ ({term.args[1].head} : Nat)"
        return None

    def _name(self, name: str) -> str:
        new = CORE_TYPES.get(name, name)
        if self._field and name in (REALS | COMPLEXES):
            new = self._field
        elif self._opens_nat and name in OPENED and name not in self._variables:
            new = OPENED[name]
        if new != name:
            self._renamed[name] = new
        return new

    def changes(self) -> list[str]:
        """What was done to the statement."""
        renamed = [f"{old} as {new}" for old, new in sorted(self._renamed.items())]
        unfolded = [] if self._unfolding is None else [f"unfolded: {what}" for what in self._unfolding.unfolded]
        exponents = ["exponents written as natural numbers"] if self._typed_exponents else []
        return [*renamed, *unfolded, *exponents]


def _sets(binders: tuple[Binder, ...]) -> tuple[dict[str, Term], dict[str, Term]]:
    """The variables that are sets and those that are finite sets, with their types."""
    predicates: dict[str, Term] = {}
    finite: dict[str, Term] = {}
    for binder in binders:
        kind = binder.type
        if kind is None or kind.kind != "apply" or len(kind.args) != 2:
            continue
        if kind.args[0].head == "Set":
            predicates |= dict.fromkeys(binder.names, kind)
        elif kind.args[0].head == "Finset":
            finite |= dict.fromkeys(binder.names, kind)
    return predicates, finite


def _bound_in(found: Declaration) -> set[str]:
    """All names that quantifiers inside the statement bind."""
    out: set[str] = set()

    def visit(term: Term | None) -> None:
        if term is None:
            return
        for part in term.args:
            visit(part)
        look(term.binders)

    def look(binders: tuple[Binder, ...]) -> None:
        for binder in binders:
            out.update(binder.names)
            visit(binder.type)
            visit(binder.bound[1] if binder.bound else None)

    look(found.binders)
    visit(found.goal)
    return out


def _classes(pieces: list[Token], *, field: str, ordered: bool) -> tuple[str, ...]:
    """The instance arguments that a field needs for what the statement does with it."""
    if not ordered:
        return tuple(c.format(F=field) for c in FIELD_OF_CHARACTERISTIC_0)
    words = {t.text for t in pieces}
    extra = (*(WITH_MAXIMUM if "max" in words else ()), *(WITH_MINIMUM if "min" in words else ()))
    return tuple(c.format(F=field) for c in (*ORDERED_FIELD, *extra))


def _tidy(text: str, pieces: list[Token], name_end: int, classes: tuple[str, ...], field: str) -> str:
    """One line without comments, the field and its classes after the name."""
    out: list[str] = []
    at = 0
    for token in pieces:
        out += (" " if token.start > at else "", token.text)
        at = token.end
        if at == name_end and classes:
            out.append(f" {{{field} : Type}}" + "".join(f" [{c}]" for c in classes))
    return "".join(out).replace("( ", "(").replace(" )", ")")
