"""What to keep in mind about a statement: conventions of Lean's arithmetic that it may rest on, and what a restatement adds."""

from __future__ import annotations

from collections.abc import Iterator

from burnqed.data.lean_tokens import tokens
from burnqed.data.lean_tree import Term
from burnqed.data.statements import declaration

NATURAL_SUBTRACTION = "subtraction of natural numbers stops at 0"
MAYBE_NATURAL_SUBTRACTION = "subtraction may be of natural numbers, where it stops at 0"
WHOLE_DIVISION = "division of whole numbers is rounded down"
MAYBE_WHOLE_DIVISION = "division may be of whole numbers, where it is rounded down"
BY_ZERO = "x / 0 is 0"
ANY_FIELD = "stronger: said of every linearly ordered field, not of ℝ alone"
ANY_FIELD_0 = "stronger: said of every field of characteristic 0, not of ℂ alone"
COMPLETENESS = "stronger: a number is claimed to exist, which ℝ may have and another ordered field may not"
ARCHIMEDES = "stronger: whole numbers come in, and an ordered field may have elements above them all"
_WHOLE = frozenset({"ℕ", "Nat", "ℤ", "Int"})
_DENSE = frozenset({"ℚ", "Rat", "ℝ", "Real", "ℂ", "Complex"})


def caveats(statement: str, *, field: str = "", ordered: bool = True) -> Iterator[str]:
    """The caveats of an original statement; ``field`` is the name of the field if it is restated over one."""
    names = {t.text for t in tokens(statement) if t.kind == "name"}
    found = declaration(statement)
    terms = list(_all_terms(found.goal)) if found and found.goal else []
    for binder in found.binders if found else ():
        terms += _all_terms(binder.type) if binder.type else ()
    operators = {t.head for t in terms if t.kind == "infix"}
    natural = bool(names & {"ℕ", "Nat"}) or not names & (_WHOLE | _DENSE)
    if "-" in operators and natural:
        mixed = names & ((_WHOLE | _DENSE) - {"ℕ", "Nat"})
        yield MAYBE_NATURAL_SUBTRACTION if mixed else NATURAL_SUBTRACTION
    if "/" in operators and (names & _WHOLE or not names & _DENSE):
        yield MAYBE_WHOLE_DIVISION if names & _DENSE else WHOLE_DIVISION
    if any(_may_be_by_zero(t) for t in terms):
        yield BY_ZERO
    if field:
        yield ANY_FIELD if ordered else ANY_FIELD_0
        if found and found.goal and any(t.head in ("∃", "∃!") for t in _all_terms(found.goal)):
            yield COMPLETENESS
        if ordered and names & _WHOLE:
            yield ARCHIMEDES


def _may_be_by_zero(term: Term) -> bool:
    """Whether the term divides by something that is not plainly a number other than 0."""
    if term.kind == "postfix" and term.head == "⁻¹":
        divisor = term.args[0]
    elif term.kind == "infix" and term.head == "/":
        divisor = term.args[1]
    else:
        return False
    return any(t.kind == "name" or t.head in ("-", "0") for t in _all_terms(divisor) if t.head not in (_WHOLE | _DENSE))


def _all_terms(term: Term) -> Iterator[Term]:
    yield term
    for part in term.args:
        yield from _all_terms(part)
    for binder in term.binders:
        if binder.type is not None:
            yield from _all_terms(binder.type)
        if binder.bound is not None:
            yield from _all_terms(binder.bound[1])
