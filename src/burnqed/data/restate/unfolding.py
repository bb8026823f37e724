"""Mathlib's definitions written out in what core Lean has: the definition itself, or an equivalence that Mathlib proves."""

from __future__ import annotations

from collections.abc import Callable

from burnqed.data.lean_tree import Term
from burnqed.data.restate.calls import bare, call
from burnqed.data.restate.rendering import Renderer
from burnqed.data.restate.sets import Sets, atom

LARGEST_FACTORIAL = 25


class Unfolding:
    """A rule for the renderer. ``unfolded`` collects what was written out, a phrase each."""

    def __init__(self, sets: Sets) -> None:
        self.sets = sets
        self.unfolded: dict[str, None] = {}

    def __call__(self, r: Renderer, term: Term) -> str | None:
        """The term written out, if its definition is known here."""
        self.sets.forbid(term)
        match term.kind:
            case "modulo":
                return self._congruence(r, term.head, *term.args)
            case "quantifier":
                return self._quantifier(r, term)
            case "infix":
                return self._infix(r, term)
            case "brackets" if term.head == "||":
                return self._absolute(r, term.args[0])
            case "postfix" if term.head == "!":
                return self._factorial(term.args[0])
            case "apply" | "field" | "name":
                head, args = call(term, self.sets.variables)
                known = _FUNCTIONS.get((head, len(args)))
                return known(self, r, *args) if known is not None else None
        return None

    def _note(self, what: str, text: str) -> str:
        self.unfolded[what] = None
        return text

    def _congruence(self, r: Renderer, word: str, left: Term, right: Term, modulus: Term) -> str | None:
        kind = {"MOD": "Nat", "ZMOD": "Int"}.get(word)
        if kind is None:
            return None
        a, b, n = (r.render(t) for t in (left, right, modulus))
        return self._note("congruence", f"(({a} : {kind}) % {atom(n)} = ({b} : {kind}) % {atom(n)})")

    def _mod_eq(self, r: Renderer, modulus: Term, left: Term, right: Term) -> str | None:
        return self._congruence(r, "MOD", left, right, modulus)

    def _int_mod_eq(self, r: Renderer, modulus: Term, left: Term, right: Term) -> str | None:
        return self._congruence(r, "ZMOD", left, right, modulus)

    def _even(self, r: Renderer, of: Term) -> str | None:
        x, n = r.fresh("r"), atom(r.render(of))
        return self._note("Even", f"(∃ {x}, {n} = {x} + {x})")

    def _odd(self, r: Renderer, of: Term) -> str | None:
        x, n = r.fresh("r"), atom(r.render(of))
        return self._note("Odd", f"(∃ {x}, {n} = 2 * {x} + 1)")

    def _prime(self, r: Renderer, of: Term) -> str | None:
        m, p = r.fresh("m"), atom(r.render(of))
        return self._note("Nat.Prime (by Nat.prime_def)", f"(2 ≤ {p} ∧ ∀ {m} : Nat, {m} ∣ {p} → {m} = 1 ∨ {m} = {p})")

    def _absolute(self, r: Renderer, of: Term) -> str | None:
        x = atom(r.render(bare(of)))
        return self._note("absolute value", f"(max {x} (-{x}))")

    def _factorial(self, of: Term) -> str | None:
        of = bare(of)
        if of.kind != "number" or not of.head.isdigit() or int(of.head) > LARGEST_FACTORIAL:
            return None
        product = " * ".join(str(i) for i in range(int(of.head), 0, -1)) or "1"
        return self._note("factorial of a numeral", f"({product} : Nat)")

    def _factorial_call(self, _: Renderer, of: Term) -> str | None:
        return self._factorial(of)

    def _injective(self, r: Renderer, of: Term) -> str | None:
        x, y, f = r.fresh("x"), r.fresh("y"), atom(r.render(of))
        return self._note("Function.Injective", f"(∀ {x} {y}, {f} {x} = {f} {y} → {x} = {y})")

    def _least(self, r: Renderer, of: Term, element: Term) -> str | None:
        return self._extreme(r, of, element, "IsLeast", "{c} ≤ {y}")

    def _greatest(self, r: Renderer, of: Term, element: Term) -> str | None:
        return self._extreme(r, of, element, "IsGreatest", "{y} ≤ {c}")

    def _extreme(self, r: Renderer, of: Term, element: Term, what: str, order: str) -> str | None:
        kind = self.sets.element_type(r, of)
        c = r.render(element)
        shown = f"({c} : {kind})" if kind and c.replace("_", "").isdigit() else atom(c)
        y = r.fresh("y")
        inside, other = self.sets.member(r, of, shown), self.sets.member(r, of, y)
        if inside is None or other is None:
            return None
        binder = f"{y} : {kind}" if kind else y
        return self._note(what, f"({inside} ∧ ∀ {binder}, {other} → {order.format(c=shown, y=y)})")

    def _card(self, r: Renderer, of: Term) -> str | None:
        found = self.sets.listed(r, of)
        return None if found is None else self._note("finite set as a list", f"{found}.length")

    def _infix(self, r: Renderer, term: Term) -> str | None:
        left, right = term.args
        if term.head in ("∈", "∉"):
            element = atom(r.render(left))
            found = self.sets.member(r, right, element)
            if found is not None:
                self._note("set as a predicate", "")
            elif (listed := self.sets.listed(r, right)) is not None:
                found = self._note("finite set as a list", f"({element} ∈ {listed})")
            return found if found is None or term.head == "∈" else f"(¬ {found})"
        if term.head == "=" and any(bare(t).kind == "comprehension" or self._is_set(t) for t in term.args):
            y, kind = r.fresh("y"), self.sets.element_type(r, left) or self.sets.element_type(r, right)
            one, two = self.sets.member(r, left, y), self.sets.member(r, right, y)
            if one is None or two is None:
                return None
            return self._note("set as a predicate", f"(∀ {y}{f' : {kind}' if kind else ''}, {one} ↔ {two})")
        return None

    def _is_set(self, term: Term) -> bool:
        return bare(term).kind == "name" and bare(term).head in self.sets.predicates

    def _quantifier(self, r: Renderer, term: Term) -> str | None:
        if len(term.binders) != 1 or len(term.binders[0].names) != 1:
            return None
        (binder,) = term.binders
        (name,) = binder.names
        body = term.args[0]
        if term.head in ("∑", "∏"):
            of = self._summed_over(r, term)
            return (
                None
                if of is None
                else self._fold(r, term.head, of, f"{name} : {self.sets.kind_of(_range_of(term))}", name, body)
            )
        if term.head == "∃!" and binder.bound is None:
            y = r.fresh("y")
            kind = f" : {r.render(binder.type)}" if binder.type is not None else ""
            one = r.inside([name], lambda: r.render(body))
            other = r.with_given({name: y}, body)
            return self._note("∃!", f"(∃ {name}{kind}, ({one}) ∧ ∀ {y}{kind}, ({other}) → {y} = {name})")
        if term.head in ("∀", "∃") and binder.bound is not None and binder.bound[0] == "∈":
            inner = r.inside([name], lambda: r.render(body))
            if (of := self.sets.listed(r, binder.bound[1])) is not None:
                return self._note("finite set as a list", f"({term.head} {name} ∈ {of}, {inner})")
            if (condition := self.sets.member(r, binder.bound[1], name)) is not None:
                joined = "→" if term.head == "∀" else "∧"
                return self._note("set as a predicate", f"({term.head} {name}, {condition} {joined} {inner})")
        return None

    def _summed_over(self, r: Renderer, term: Term) -> str | None:
        """The list that a sum runs over; None when it is not one over natural numbers in view."""
        (binder,) = term.binders
        if binder.bound is None or binder.bound[0] != "∈":
            return None
        if binder.type is not None and binder.type.head not in ("ℕ", "Nat"):
            return None
        return self.sets.listed(r, binder.bound[1])

    def _fold(self, r: Renderer, head: str, of: str, binder: str, name: str, body: Term) -> str:
        inner = r.inside([name], lambda: r.render(body))
        sign, unit = ("+", 0) if head == "∑" else ("*", 1)
        return self._note(
            "finite sum or product as a fold of a list",
            f"(({of}.map (fun {binder} => {inner})).foldr (· {sign} ·) {unit})",
        )

    def _sum_of(self, r: Renderer, of: Term, function: Term) -> str | None:
        return self._fold_call(r, "∑", of, function)

    def _product_of(self, r: Renderer, of: Term, function: Term) -> str | None:
        return self._fold_call(r, "∏", of, function)

    def _fold_call(self, r: Renderer, head: str, of: Term, function: Term) -> str | None:
        found = self.sets.listed(r, of)
        if found is None:
            return None
        k = r.fresh("k")
        sign, unit = ("+", 0) if head == "∑" else ("*", 1)
        return self._note(
            "finite sum or product as a fold of a list",
            f"(({found}.map (fun {k} : {self.sets.kind_of(of)} => {atom(r.render(function))} {k})).foldr (· {sign} ·) {unit})",
        )


def _range_of(term: Term) -> Term:
    """What a sum runs over."""
    bound = term.binders[0].bound
    assert bound is not None
    return bound[1]


_FUNCTIONS: dict[tuple[str, int], Callable[..., str | None]] = {
    ("Even", 1): Unfolding._even,
    ("Odd", 1): Unfolding._odd,
    ("Nat.Prime", 1): Unfolding._prime,
    (".Prime", 1): Unfolding._prime,
    ("abs", 1): Unfolding._absolute,
    ("Nat.factorial", 1): Unfolding._factorial_call,
    ("Function.Injective", 1): Unfolding._injective,
    ("Nat.ModEq", 3): Unfolding._mod_eq,
    ("Int.ModEq", 3): Unfolding._int_mod_eq,
    ("IsLeast", 2): Unfolding._least,
    ("IsGreatest", 2): Unfolding._greatest,
    ("Finset.card", 1): Unfolding._card,
    ("card", 1): Unfolding._card,
    (".card", 1): Unfolding._card,
    ("Finset.sum", 2): Unfolding._sum_of,
    ("Finset.prod", 2): Unfolding._product_of,
    (".sum", 2): Unfolding._sum_of,
    (".prod", 2): Unfolding._product_of,
}
