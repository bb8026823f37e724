"""Published Lean texts cut into imports, header, informal text, statement and proof."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burnqed.data.sources.cut import Uncut, claim_start, cut, indented, without_comments

HEADER = "import Mathlib\nimport Aesop\n\nset_option maxHeartbeats 0\n\nopen BigOperators Real Nat\n\n"


def test_a_whole_proof():
    piece = cut(f"{HEADER}/- Show it. -/\ntheorem foo (n : ℕ) : n = n  := by\n  -- why\n  rfl\n")
    assert piece.name == "foo"
    assert piece.statement == "theorem foo (n : ℕ) : n = n"
    assert piece.proof == "by\n  -- why\n  rfl"
    assert piece.header == "set_option maxHeartbeats 0\nopen BigOperators Real Nat"
    assert piece.imports == ("Mathlib", "Aesop")
    assert piece.informal == "Show it."
    assert piece.flags == ()


@pytest.mark.parametrize(
    "end", ["", " := by", " := by\n", " := by ", " := by sorry", " :=  by\n  sorry", ":= sorry", " :="]
)
def test_every_way_to_leave_the_proof_out(end):
    piece = cut(f"theorem foo : 1 = 1{end}")
    assert (piece.statement, piece.proof) == ("theorem foo : 1 = 1", None)


@pytest.mark.parametrize(
    ("text", "statement"),
    [
        ("theorem foo : let x := 1; x = 1 := by simp", "theorem foo : let x := 1; x = 1"),
        ("theorem foo (h : x = 1 := rfl) : True := trivial", "theorem foo (h : x = 1 := rfl) : True"),
        ("lemma foo : True := trivial", "theorem foo : True"),
        ("example (n : ℕ) : n = n := rfl", "theorem given (n : ℕ) : n = n"),
        ("@[simp] private theorem foo : True := trivial", "theorem foo : True"),
        ("open Real in theorem foo : π = π := rfl", "theorem foo : π = π"),
        ("theorem A.b.{u} (α : Sort u) : True := trivial", "theorem A.b.{u} (α : Sort u) : True"),
        ("theorem «a b» : True := trivial", "theorem «a b» : True"),
    ],
)
def test_statements(text, statement):
    piece = cut(text, name="given")
    assert piece.statement == statement
    assert piece.proof is not None


def test_the_last_theorem_counts_and_what_stands_after_it_is_left_out():
    piece = cut("lemma a : True := trivial\n\ntheorem b : 1 = 1 := by\n  rfl\n\n#print axioms b\nend Foo")
    assert (piece.name, piece.proof, piece.header) == ("b", "by\n  rfl", "lemma a : True := trivial")


def test_a_scope_before_the_theorem_becomes_part_of_the_header():
    piece = cut("import Mathlib\nset_option maxHeartbeats 400000 in\nopen Nat in\ntheorem a : True := trivial")
    assert piece.header == "set_option maxHeartbeats 400000\nopen Nat"


def test_sorried_definitions_and_lemmas_before_a_theorem_are_flagged_and_their_comments_go():
    text = "abbrev foo_solution : ℕ := sorry\n-- 42\n/-- What is it? -/\ntheorem foo : x = foo_solution := sorry"
    piece = cut(text)
    assert piece.flags == ("sorried-definition",)
    assert piece.header == "abbrev foo_solution : ℕ := sorry"
    assert piece.informal == "What is it?"
    assert cut("lemma h : 1 = 1 := by sorry\ntheorem t : 1 = 1 := h").flags == ("sorried-lemma",)


def test_a_sorry_in_a_comment_or_a_string_is_none():
    assert cut('/- sorry -/\ndef x := "sorry" -- sorry\ntheorem t : True := trivial').flags == ()


def test_a_statement_without_its_colon_is_flagged():
    assert cut("theorem foo (n : ℕ) (h : n = 1) n ^ 2 = 1 := by").flags == ("no-colon",)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no theorem"),
        ("-- theorem foo : True", "no theorem"),
        ("def x := 1", "no theorem"),
        ("theorem : True := trivial", "without a name"),
        ("theorem foo : ∀ n : ℕ, n = n\n  | 0 => rfl\n  | n + 1 => rfl", "by cases"),
    ],
)
def test_what_cannot_be_cut_says_why(text, why):
    with pytest.raises(Uncut, match=why):
        cut(text)


def test_windows_line_ends():
    piece = cut("import Mathlib\r\n\r\ntheorem foo : True := by\r\n  trivial\r\n")
    assert piece.proof == "by\n  trivial"
    assert piece.imports == ("Mathlib",)


def test_where_the_claim_begins():
    text = "theorem foo (a : ℕ) {b : Fin (n := 3) 2} : a = ({x : ℕ | x = 1} : Set ℕ)"
    start = claim_start(text)
    assert start is not None
    assert text[start:] == ": a = ({x : ℕ | x = 1} : Set ℕ)"


def test_a_script_at_the_margin_keeps_its_shape():
    assert indented("rw [sq]\nhave : x = 1 := by\n  simp\n\nexact h\n") == (
        "by\n  rw [sq]\n  have : x = 1 := by\n    simp\n\n  exact h"
    )


def test_comments_go_and_strings_stay():
    assert (
        without_comments('/-- doc /- inner -/ -/\ndef x := "-- no" -- yes\n\n\ndef y := 1')
        == 'def x := "-- no"\ndef y := 1'
    )


@given(st.text(alphabet="ab :=()\n", max_size=30), st.text(alphabet="ab ()\n", max_size=20))
def test_a_cut_text_can_be_put_together_again(proof, binders):
    text = f"theorem foo {binders.replace('(', '').replace(')', '').strip()} (h : x = 1) : y = 2 := by\n  {proof.strip()} skip"
    piece = cut(text)
    assert piece.proof is not None
    assert f"{piece.statement} := {piece.proof}".split() == text.split()
