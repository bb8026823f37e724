"""Negations as text: what is kept, what is cut, and what has none. That Lean reads them so is tested with Lean."""

from __future__ import annotations

import pytest

from burnqed.core.theorem import Theorem
from burnqed.theorems.negation import negated
from burnqed.theorems.unbound import unbound_letters

STRICT = "set_option autoImplicit false"

TEXTS = {
    "theorem foo (a b : Nat) (h : a < b) : a ≠ b": "theorem foo_negated : ¬ (∀ (a b : Nat) (h : a < b), a ≠ b)",
    "theorem foo : 1 = 2": "theorem foo_negated : ¬ (1 = 2)",
    "theorem foo n (m : Nat) _ : n = m": "theorem foo_negated : ¬ (∀ n (m : Nat) _, n = m)",
    "theorem foo.{u, v} {α : Type u} ⦃β : Type v⦄ [Inhabited α] (x : α × β) : x = x": (
        "theorem foo_negated.{u, v} : ¬ (∀ {α : Type u} ⦃β : Type v⦄ [Inhabited α] (x : α × β), x = x)"
    ),
    "theorem Nat.foo (n : Nat) : n = n": "theorem Nat.foo_negated : ¬ (∀ (n : Nat), n = n)",
    "theorem A.«two words» : True": "theorem A.«two words_negated» : ¬ (True)",
    "theorem foo (s : String) : s ≠ \": ) -- \" ∨ 'a' = ')'": (
        "theorem foo_negated : ¬ (∀ (s : String), s ≠ \": ) -- \" ∨ 'a' = ')'\n)"
    ),
    "theorem foo (n : Nat /- : -/) -- one\n  : n = n -- two": (
        "theorem foo_negated : ¬ (∀ (n : Nat /- : -/) -- one\n, n = n -- two\n)"
    ),
    "theorem foo (n : Nat)\n    (h : n = 1) :\n  n = 1 ∧\n    True": (
        "theorem foo_negated : ¬ (∀\n            (n : Nat)\n    (h : n = 1),\n  n = 1 ∧\n    True)"
    ),
    "theorem foo (n : Nat := 3) : let m := n; m = n": ("theorem foo_negated : ¬ (∀ (n : Nat := 3), let m := n; m = n)"),
}

NONE = {
    "a letter that nobody binds": ("theorem foo (xs : List α) : xs = xs", ""),
    "a letter bound too late": ("theorem foo (h : n = 0) (n : Nat) : n = n", ""),
    "a universe that nobody declares": ("theorem foo (α : Type u) : True", ""),
    "the letter of another bracket": ("theorem foo : (∃ x, x = 1) ∧ x = 1", ""),
    "variables": ("theorem foo : 1 = 1", "variable (h : False)"),
    "a header that goes on": ("theorem foo : 1 = 1", "open Nat in"),
    "no goal": ("theorem foo (n : Nat)", ""),
    "an empty goal": ("theorem foo (n : Nat) :", ""),
    "a proof": ("theorem foo : 1 = 1 := rfl", ""),
    "brackets that do not fit": ("theorem foo (n : Nat] : n = n", ""),
    "a bracket too many": ("theorem foo (n : Nat) : n = n) ∨ (n = 1", ""),
    "a quotation mark as a character": ("theorem foo (c : Char) (h : c = '\"') : c = '\"'", ""),
    "a raw string": ('theorem foo : r"\\" = ")"', ""),
    "a name that looks like a comment": ("theorem «a -- b» (n : Nat) : n = n", ""),
    "no theorem": ("def foo : Nat", ""),
    "something before the colon": ("theorem foo ∀ : Nat", ""),
}


def theorem(signature: str, header: str = "") -> Theorem:
    return Theorem("foo", signature, header, source="x.jsonl:1")


@pytest.mark.parametrize("signature", TEXTS, ids=lambda s: s[:50])
def test_the_text_of_a_negation(signature):
    found = negated(theorem(signature))
    assert found is not None
    assert found.signature == TEXTS[signature]


def test_what_belongs_to_the_theorem_stays():
    before = Theorem("my name", "theorem foo : P", "def P := True", ("Init",), "file.lean:3")
    found = negated(before)
    assert found == Theorem(
        "my name_negated", "theorem foo_negated : ¬ (P)", f"def P := True\n{STRICT}", ("Init",), "file.lean:3"
    )
    bare = negated(theorem("theorem foo : True"))
    assert bare is not None
    assert bare.header == STRICT


@pytest.mark.parametrize("why", NONE)
def test_what_has_no_sure_negation_has_none(why):
    assert negated(theorem(*NONE[why])) is None


def test_a_letter_may_have_its_meaning_from_the_header():
    assert negated(theorem("theorem foo (α : Type u) : f α", "universe u\ndef f (α : Type u) := True")) is not None
    assert negated(theorem("theorem foo : π = 3", "open Real")) is not None, "notation, for all that the text says"
    assert negated(theorem("theorem foo : π = 3", "")) is None
    assert negated(theorem("theorem foo : x = 3", "open Real")) is None
    assert negated(theorem("theorem foo : x = 3", "-- x\nopen Real")) is None, "a comment gives no meaning"


BOUND = [
    "∀ n : Nat, ∃ m > n, m = n",
    "∀ (n : Nat) {m}, n = m",
    "(n : Nat) → n = n",
    "∑ i in range 10, f (i := 2) i.succ",
    "fun (a, b) => a + b",
    "fun ⟨a, b⟩ c ↦ a + b + c",
    "{x : Nat // x = 1} = {y | y = 2}",
    "let x := 1; x = 1",
    "∃! x, x.1 = 2 ∧ 0x1f = 1#8",
    "[x : Foo y] → ∀ y, y = 1",
    "λ x => x = «a b».c",
]


def test_usual_ways_to_bind_a_name():
    assert [unbound_letters(term, {"f", "y"}) for term in BOUND] == [[]] * len(BOUND)


def test_free_letters_are_found_in_their_order_and_words_are_not_judged():
    assert unbound_letters("∀ x, foo y = z₁ + x ∧ w' = y.val") == ["y", "z₁", "w'"]
    assert unbound_letters("⟨fun x => x, x⟩") == ["x"]
    assert unbound_letters("(∀ x, x = 1) ∧ {x | x = x} = {x}") == ["x"]
    assert unbound_letters("∃ x, (x : Nat) = a", {"a"}) == []
