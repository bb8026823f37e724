"""Lean text as tokens and trees: nothing lost, Lean's precedences, and a way out for what is not understood."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burnqed.data.lean_terms import term
from burnqed.data.lean_tokens import tokens
from burnqed.data.lean_tree import Term
from burnqed.data.statements import claims_in, declaration, theorems_in
from burnqed.data.states import goals_of

LEAN = st.text(alphabet="abn ℕℝ₀'!?.:=,()[]{}⟨⟩∀∃∑∏λ→↔∧∨¬≤<>≥∣|+-*/^%⁻¹↑0123\"«»\n/-", max_size=60)


def shown(t: Term) -> str:
    """A tree with all its brackets."""
    if t.kind == "paren":
        return shown(t.args[0])
    if not t.args:
        return t.head
    binders = "".join(f"{' '.join(b.names)}, " for b in t.binders)
    return f"({t.head or t.kind} {binders}{' '.join(map(shown, t.args))})"


@given(LEAN)
def test_tokens_and_gaps_are_the_whole_text(text):
    at = 0
    for token in tokens(text):
        gap = text[at : token.start]
        assert text[token.start : token.end] == token.text
        assert not gap.strip() or gap.lstrip().startswith(("--", "/-"))
        at = token.end
    assert not text[at:].strip() or text[at:].lstrip().startswith(("--", "/-"))


@given(LEAN)
def test_any_text_is_some_term_with_its_place(text):
    found = term(text)
    assert 0 <= found.start <= found.end <= len(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x.num₁ ≤ exact?", ["x.num₁", "≤", "exact?"]),
        ("20! n!", ["20", "!", "n!"]),
        ("f⁻¹ ⁻¹' {2}", ["f", "⁻¹", "⁻¹'", "{", "2", "}"]),
        ("(f x).num + σ.1", ["(", "f", "x", ")", ".num", "+", "σ", ".1"]),
        ("λ x, ℝ≥0 → ℕ+", ["λ", "x", ",", "ℝ≥0", "→", "ℕ+"]),
        ("1.5 -- one\n/- a /- nested -/ b -/ 0x1f", ["1.5", "0x1f"]),
        ("\"sorry -- \\\" no\" 'c' x'", ['"sorry -- \\" no"', "'c'", "x'"]),
    ],
)
def test_tokens_are_cut_as_lean_cuts(text, words):
    assert [t.text for t in tokens(text)] == words


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a + b * c ^ d ^ 2", "(+ a (* b (^ c (^ d 2))))"),
        ("a - b - c", "(- (- a b) c)"),
        ("-x ^ 2", "(- (^ x 2))"),
        ("¬7 ∣ a ∧ b → c", "(→ (∧ (¬ (∣ 7 a)) b) c)"),
        ("p → q → r", "(→ p (→ q r))"),
        ("↑x ^ 2 + f x⁻¹", "(+ (^ (↑ x) 2) (apply f (⁻¹ x)))"),
        ("∑ k in S, k + 1", "(+ (∑ k, k) 1)"),
        ("∀ x > 0, f x = 1 ∧ p", "(∀ x, (∧ (= (apply f x) 1) p))"),
        ("a ≡ b [MOD n] ∧ c", "(∧ (MOD a b n) c)"),
        ("|x - 1| * |y|", "(* (|| (- x 1)) (|| y))"),
        ("{x : ℝ | x < 1}", "(| x, (< x 1))"),
        ("(x : ℝ) → x = x", "(∀ x, (= x x))"),
        ("f fun x => x + 1", "(apply f (fun x, (+ x 1)))"),
    ],
)
def test_terms_follow_leans_precedences(text, tree):
    assert shown(term(text)) == tree


def test_what_is_not_understood_is_its_tokens():
    found = term("match n with | 0 => 1")
    assert found.kind == "raw"
    assert [leaf.head for leaf in found.args] == ["match", "n", "with", "|", "0", "=>", "1"]


@pytest.mark.parametrize("text", ["(" * 5000, "(" * 5000 + "1" + ")" * 5000, " + ".join("x" * 3000), "¬" * 4000 + "p"])
def test_bottomless_terms_do_no_harm(text):
    assert term(text).kind == "raw"


def test_a_declaration_in_whatever_dress():
    found = declaration(
        "/-- theorem not me -/\n@[simp] private lemma Foo.bar.{u} {α : Type u} (a b : ℕ := 3) [Field α] : a = b := by sorry"
    )
    assert found is not None
    assert (found.keyword, found.name) == ("lemma", "Foo.bar")
    assert [b.names for b in found.binders] == [("α",), ("a", "b"), ()]
    assert found.goal is not None
    assert shown(found.goal) == "(= a b)"


def test_a_text_without_a_claim_has_none():
    assert declaration("-- theorem foo : 1 = 1") is None
    found = declaration("def f := 3")
    assert found is not None
    assert found.goal is None


def test_theorems_and_claims_inside_a_file():
    proof = "by\n  have h (n : ℕ) : n = n := rfl\n  suffices h : 2 = 2 by simp\n  rfl"
    text = f"namespace A\ntheorem x : 1 = 1 := {proof}\nexample : 3 = 3 := rfl"
    assert [d.name for d in theorems_in(text)] == ["x", ""]
    assert [shown(d.goal) for d in claims_in(text) if d.goal] == ["(= n n)", "(= 2 2)"]


def test_the_goals_of_a_state():
    state = "case a\nF : Type\ninst✝ : Field F\nx y : F\nh✝ : x =\n  y\n⊢ y = x\n\ncase b\n⊢ True"
    first, second = goals_of(state)
    assert [(b.names, b.bracket) for b in first.binders] == [
        (("F",), "("),
        (("inst",), "["),
        (("x", "y"), "("),
        (("h",), "("),
    ]
    assert first.goal is not None
    assert shown(first.goal) == "(= y x)"
    assert second.binders == ()
    assert list(goals_of("no goals")) == []
