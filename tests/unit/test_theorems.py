"""From what a person gives to theorems."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burnqed.core.errors import BadInput
from burnqed.core.theorem import Theorem
from burnqed.theorems.lean_text import body_start, declared, is_sorry, masked
from burnqed.theorems.read import BadEntry, exported_proof, read_input, read_jsonl, read_lean


def test_a_bare_proposition_becomes_a_theorem():
    (t,) = read_input("∀ n : Nat, n + 0 = n")
    assert isinstance(t, Theorem)
    assert t.sorried == "theorem statement : ∀ n : Nat, n + 0 = n := by sorry"


def test_a_whole_theorem_keeps_its_name_and_binders():
    (t,) = read_input("theorem foo (n : Nat) (h : n = 2) : n + 0 = n := by\n  sorry")
    assert (t.name, t.signature) == ("foo", "theorem foo (n : Nat) (h : n = 2) : n + 0 = n")


def test_a_default_value_in_a_binder_is_not_the_body():
    (t,) = read_input("theorem foo (n : Nat := 3) : n = n := by sorry")
    assert t.signature == "theorem foo (n : Nat := 3) : n = n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("theorem foo : True := by trivial", "not `sorry`"),
        ("def f : Nat := 3", "theorem, lemma or example"),
        ("theorem : True := by sorry", "needs a name"),
    ],
)
def test_what_cannot_be_proved_says_why(text, says):
    (entry,) = read_input(text)
    assert isinstance(entry, BadEntry)
    assert says in entry.reason


@pytest.mark.parametrize("text", ["", "  \n"])
def test_nothing_at_all_is_refused(text):
    with pytest.raises(BadInput, match="empty"):
        read_input(text)


def test_a_missing_file_is_one_sentence():
    with pytest.raises(BadInput, match=r"nowhere\.lean: no such file"):
        read_input("nowhere.lean")


def test_a_file_that_is_not_text(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match="UTF-8"):
        read_input(str(path))


def test_jsonl_goes_on_after_a_broken_line():
    lines = [
        '{"name": "a", "statement": "1 = 1"}',
        "{broken",
        '{"name": "b"}',
        "[1]",
        '{"name": "a", "statement": "2 = 2"}',
        '{"statement": "3 = 3"}',
    ]
    entries = read_jsonl("\n".join(lines), source="f.jsonl")
    assert [type(e).__name__ for e in entries] == ["Theorem", "BadEntry", "BadEntry", "BadEntry", "BadEntry", "Theorem"]
    reasons = [e.reason for e in entries if isinstance(e, BadEntry)]
    assert [r.split(":")[1] for r in reasons] == ["2", "3", "4", "5"], "each names its line"
    assert "already used in line 1" in reasons[3]
    assert entries[-1].name == "line_6"


def test_jsonl_header_and_imports():
    (t,) = read_jsonl('{"name": "a", "statement": "1 = 1", "header": "import Mathlib\\nopen Nat"}', source="f")
    assert (t.imports, t.header) == (("Mathlib",), "open Nat")


LEAN = """import Std
/-! A file. theorem not_me : False := by sorry -/
open Nat
-- theorem nor_me : False := by sorry

def double (n : Nat) := 2 * n

/-- doc of one -/
@[simp] theorem one (n : Nat) :
    double n = n + n := by
  sorry

theorem done : 1 = 1 := rfl

namespace Foo
/- theorem in a comment : False := by sorry -/
lemma two : "theorem x : := by sorry" = "" ∨ True := by sorry
example (p : Prop) : p → p := sorry
end Foo
"""


def test_a_lean_file_gives_its_sorried_theorems_with_what_stands_before_them():
    one, two, three = read_lean(LEAN, source="f.lean")
    assert [t.name for t in (one, two, three)] == ["one", "two", "example_3"]
    assert one.signature == "theorem one (n : Nat) :\n    double n = n + n"
    assert "def double" in one.header
    assert "theorem one" not in two.header
    assert "theorem done" in two.header
    assert "namespace Foo" in two.header
    assert "lemma" not in three.header
    assert two.signature.startswith('theorem two : "theorem x : := by sorry"')
    assert three.signature == "theorem example_3 (p : Prop) : p → p"
    assert one.source == "f.lean:9"


def test_a_lean_file_without_sorry():
    with pytest.raises(BadInput, match="nothing to prove"):
        read_lean("theorem a : 1 = 1 := rfl\n", source="f.lean")
    with pytest.raises(BadInput, match="empty"):
        read_lean("  \n", source="f.lean")


def test_masking_keeps_places():
    text = 'a -- b "c\n/- d /- e -/ "f -/ g "h -- \\" i" j'
    blank = masked(text)
    assert len(blank) == len(text)
    assert blank.split() == ["a", "g", "j"]


@given(st.text(alphabet='ab"-/\\\n:=({', max_size=40))
def test_masking_never_moves_anything(text):
    blank = masked(text)
    assert len(blank) == len(text)
    assert all(b in (" ", t) for b, t in zip(blank, text, strict=True))
    start = body_start(text)
    assert start is None or text.startswith(":=", start)


@pytest.mark.parametrize(
    ("body", "answer"), [(" by sorry", True), ("sorry -- x", True), (" by simp", False), ("by sorry; simp", False)]
)
def test_is_sorry(body, answer):
    assert is_sorry(body) is answer


def test_declared_names():
    text = """namespace A
@[simp] theorem one : True := trivial
/-- def not_this -/
private def two.three (n : Nat) := n
  protected lemma four: True := by trivial
abbrev five := 5
-- theorem nor_this : False
end A"""
    assert declared(text) == (["three", "five"], ["one", "four"])


def test_an_exported_proof_is_taken_apart_as_it_was_put_together():
    header = "open Nat\n\nnamespace Deep\ndef two := 2"
    proof = "set_option maxHeartbeats 4000000 in\ntheorem foo (n : Nat) : n = n := by\n  rfl"
    file = f"import Std\n\n{header}\n\n{proof}\n"
    theorem, source = exported_proof(file, source="foo.lean")
    assert (theorem.name, theorem.signature) == ("foo", "theorem foo (n : Nat) : n = n")
    assert (theorem.header, theorem.imports) == (header, ("Init", "Std"))
    assert source == proof
    with pytest.raises(BadInput, match="files that end in a theorem"):
        exported_proof(file + "\nend Deep\n", source="foo.lean")
