"""Which function a term applies to what, however it is written: ``Nat.card S``, ``S.card``, ``(f x).card``."""

from __future__ import annotations

from collections.abc import Collection

from burnqed.data.lean_tree import Term


def bare(term: Term) -> Term:
    """A term without the round brackets around it."""
    while term.kind == "paren" and term.args[0].kind != "typed":
        term = term.args[0]
    return term


def call(term: Term, variables: Collection[str]) -> tuple[str, tuple[Term, ...]]:
    """The function's name and its arguments; an empty name when the term is no call of a named function.

    Where the name depends on the type of what stands before a dot, it is what stands after it, with the dot.
    """
    if term.kind == "apply":
        head, first = call(term.args[0], variables)
        return head, (*first, *term.args[1:])
    if term.kind == "field":
        return f".{term.head}", (term.args[0],)
    if term.kind != "name":
        return "", ()
    front, dot, last = term.head.rpartition(".")
    if dot and term.head.partition(".")[0] in variables:
        return f".{last}", (Term("name", front, (), term.start, term.start + len(front)),)
    return term.head, ()
