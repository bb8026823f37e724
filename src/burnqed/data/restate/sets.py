"""Sets as predicates and finite sets as lists without repetition, for a core that has neither."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from burnqed.data.lean_tree import Term
from burnqed.data.restate.calls import bare, call
from burnqed.data.restate.rendering import Renderer, Unstatable

_INTERVALS = {
    "Icc": "List.range' {a} ({b} + 1 - {a})",
    "Ico": "List.range' {a} ({b} - {a})",
    "Ioc": "List.range' ({a} + 1) ({b} - {a})",
    "Ioo": "List.range' ({a} + 1) ({b} - {a} - 1)",
}
"""Intervals of natural numbers. Subtraction stops at 0, so an interval whose ends are the wrong way round is empty."""
_SIDES = {
    "Icc": "({a} ≤ {x} ∧ {x} ≤ {b})",
    "Ico": "({a} ≤ {x} ∧ {x} < {b})",
    "Ioc": "({a} < {x} ∧ {x} ≤ {b})",
    "Ioo": "({a} < {x} ∧ {x} < {b})",
}


class Sets:
    """What is known of the sets of one statement: ``predicates`` are its variables of type ``Set T``, with T's new text;
    ``lists`` the same for ``Finset T``; ``variables`` all names that it binds.
    """

    def __init__(self, predicates: Mapping[str, str], lists: Mapping[str, str], variables: Collection[str]) -> None:
        self.predicates = predicates
        self.lists = lists
        self.variables = variables

    def element_type(self, r: Renderer, term: Term) -> str:
        """The type of a set's elements, as far as it is written; empty when it is not."""
        term = bare(term)
        if term.kind == "comprehension" and term.binders[0].type is not None:
            return r.render(term.binders[0].type)
        if term.kind == "name":
            return self.predicates.get(term.head, "")
        return self.element_type(r, term.args[0]) if term.kind == "infix" and term.head in ("\\", "∩", "∪") else ""

    def member(self, r: Renderer, term: Term, element: str) -> str | None:
        """That ``element`` (an atom's text) is in the set; None when the set is of no kind known here."""
        term = bare(term)
        if term.kind == "comprehension" and term.head == "|":
            return self._fulfils(r, term, element)
        if term.kind == "name" and term.head in self.predicates:
            return f"({term.head} {element})"
        if term.kind == "set":
            return f"({' ∨ '.join(f'{element} = {r.render(a)}' for a in term.args) or 'False'})"
        if term.kind == "infix" and term.head in ("\\", "∩", "∪"):
            left, right = (self.member(r, a, element) for a in term.args)
            if left is None or right is None:
                return None
            joined = {"\\": "∧ ¬", "∩": "∧", "∪": "∨"}[term.head]
            return f"({left} {joined} {right})"
        head, args = call(term, self.variables)
        kind = head.removeprefix("Set.")
        if head.startswith("Set.") and kind in _SIDES and len(args) == 2:
            return _SIDES[kind].format(x=element, a=atom(r.render(args[0])), b=atom(r.render(args[1])))
        return None

    def _fulfils(self, r: Renderer, term: Term, element: str) -> str | None:
        (binder,) = term.binders
        if len(binder.names) != 1 or (binder.bound is not None and binder.bound[0] != "∈"):
            return None
        (name,) = binder.names
        inner = f"({r.with_given({name: element}, term.args[0])})"
        if binder.bound is None:
            return inner
        outer = self.member(r, binder.bound[1], element)
        return None if outer is None else f"({outer} ∧ {inner})"

    def kind_of(self, term: Term) -> str:
        """The type of a finite set's elements: the variable's own, or natural numbers for every set that can be listed."""
        term = bare(term)
        if term.kind == "name":
            return self.lists.get(term.head, "Nat")
        return next((self.lists[t.head] for t in _names_in(term) if t.head in self.lists), "Nat")

    def listed(self, r: Renderer, term: Term) -> str | None:
        """A finite set as a list that has each of its elements once; None when it is of no kind known here."""
        term = bare(term)
        if term.kind == "paren":  # `(… : Finset ℕ)`
            return self.listed(r, term.args[0].args[0])
        if term.kind == "name" and term.head in self.lists:
            return term.head
        if term.kind == "comprehension" and term.binders[0].bound is not None and term.binders[0].bound[0] == "∈":
            return self._kept(r, term.binders[0].names, term.args[0], term.binders[0].bound[1])
        head, args = call(term, self.variables)
        kind = head.removeprefix("Finset.").removeprefix("Nat.").lstrip(".")
        if head.startswith("Set.") or any(_is_whole(a) for a in args):
            return None
        if kind == "range" and len(args) == 1:
            return f"(List.range {atom(r.render(args[0]))})"
        if kind in _INTERVALS and len(args) == 2:
            a, b = (atom(r.render(x)) for x in args)
            return f"({_INTERVALS[kind].format(a=a, b=b)})"
        if kind in ("divisors", "properDivisors") and len(args) == 1:
            n, d = atom(r.render(args[0])), r.fresh("d")
            upto = n if kind == "divisors" else f"({n} - 1)"
            return f"((List.range' 1 {upto}).filter (fun {d} : Nat => decide ({d} ∣ {n})))"
        if kind == "filter" and len(args) == 2:
            test, of = args if bare(args[0]).head == "fun" else (args[1], args[0])
            test = bare(test)
            if test.head == "fun" and len(test.binders) == 1:
                return self._kept(r, test.binders[0].names, test.args[0], of)
        return None

    def _kept(self, r: Renderer, names: tuple[str, ...], test: Term, of: Term) -> str | None:
        found = self.listed(r, of)
        if found is None or len(names) != 1:
            return None
        inner = r.inside(list(names), lambda: r.render(test))
        return f"({found}.filter (fun {names[0]} : {self.kind_of(of)} => decide ({inner})))"

    def forbid(self, term: Term) -> None:
        """Raise Unstatable for a variable that is a set and stands where only its elements, size or sum could be spoken of."""
        if term.kind == "name" and (term.head in self.predicates or term.head in self.lists):
            raise Unstatable("a set is used as a whole")


def atom(text: str) -> str:
    """The text as something that may be an argument."""
    plain = all(c.isalnum() or c in "_.'₀₁₂₃₄₅₆₇₈₉" for c in text)
    closed = text[:1] == "(" and text[-1:] == ")" and _one_group(text)
    return text if plain or closed else f"({text})"


def _one_group(text: str) -> bool:
    depth = 0
    for i, c in enumerate(text):
        depth += (c == "(") - (c == ")")
        if depth == 0:
            return i == len(text) - 1
    return False


def _names_in(term: Term) -> Iterator[Term]:
    if term.kind == "name":
        yield term
    for part in term.args:
        yield from _names_in(part)
    for binder in term.binders:
        if binder.bound is not None:
            yield from _names_in(binder.bound[1])


def _is_whole(term: Term) -> bool:
    """Whether an end of an interval says that it is not of natural numbers."""
    term = term.args[0] if term.kind == "paren" else term
    return term.kind == "typed" and term.args[1].head not in ("ℕ", "Nat")
