"""Which theorems an iteration searches: splits, near-duplicates, negations, false statements, names."""

from __future__ import annotations

import json

import pytest
from tests.unit.iterate_lab import theorems

from burnqed.core.errors import BadInput
from burnqed.iterate.pool import TheoremPool, load_pool, theorem_inputs
from burnqed.iterate.recipe import TheoremsConfig

MANY = {f"sum_{i}": f"(a b : Nat) : a + {i} * b * b + {i * i} = {i * i} + b * {i} * b + a" for i in range(1, 200, 7)}


def pool(tmp_path, *files, refuted=()) -> TheoremPool:
    return load_pool(TheoremsConfig(files=files, refuted=refuted), assignment=tmp_path / "splits.json")


def test_splits_that_theorems_name_are_kept_and_what_is_held_out_is_not_searched(tmp_path):
    file = theorems(
        tmp_path / "t.jsonl",
        learned={"statement": ": 1 = 1", "split": "train"},
        measured={"statement": "(p : Prop) : p → p", "split": "valid"},
        tested={"statement": "(a b : Nat) : a ≤ a + b", "split": "test"},
        held={"statement": "(n : Nat) : n * 1 = n", "split": "held_out"},
    )
    found = pool(tmp_path, file)
    assert list(found.searched) == ["learned", "measured"]
    assert list(found.of("train")) == ["learned"]
    assert not (tmp_path / "splits.json").exists(), "nothing had to be decided"


def test_a_near_duplicate_of_what_is_held_out_is_held_out_with_it(tmp_path):
    long = "(a b c d : Nat) (h : a + b = c + d) (g : a * c = b * d) : a + b + c + d = 2 * (c + d)"
    file = theorems(
        tmp_path / "t.jsonl",
        tested={"statement": long, "split": "test"},
        twin=long.replace("h :", "hh :"),
        other="(p q : Prop) : p ∧ q → q ∧ p",
    )
    false = theorems(tmp_path / "f.jsonl", false_twin=long.replace("(h :", "(hyp :"))
    found = pool(tmp_path, file, refuted=(false,))
    assert found.splits.of("twin") == "test"
    assert "twin" not in found.searched
    assert found.splits.of("false_twin") == "test"
    assert "false_twin" not in found.false


def test_a_negation_belongs_where_its_theorem_does(tmp_path):
    file = theorems(
        tmp_path / "t.jsonl",
        learned={"statement": "(n : Nat) : n < 5", "split": "train"},
        measured={"statement": "(n : Nat) : n < 6", "split": "valid"},
        tested={"statement": "(n : Nat) : n < 7", "split": "held_out"},
    )
    found = pool(tmp_path, file)
    assert {name: found.splits.of(no.name) for name, no in found.negations.items()} == {
        "learned": "train",
        "measured": "valid",
        "tested": "test",
    }
    assert found.split_of("learned_negated", otherwise="test") == "train"
    assert found.split_of("gone", otherwise="valid") == "valid"


def test_no_negation_takes_the_name_of_a_theorem(tmp_path):
    file = theorems(
        tmp_path / "t.jsonl",
        small={"statement": "(n : Nat) : n < 5", "split": "train"},
        small_negated={"statement": "(n : Nat) : n < 9", "split": "test"},
    )
    found = pool(tmp_path, file)
    assert "small" not in found.negations
    assert found.splits.of("small_negated") == "test"
    assert [no.name for no in found.negations.values()] == ["small_negated_negated"]


def test_false_statements_are_no_theorems(tmp_path):
    file = theorems(tmp_path / "t.jsonl", right={"statement": ": 1 = 1", "split": "train"})
    false = theorems(
        tmp_path / "f.jsonl",
        wrong={"statement": ": 1 = 2", "split": "train"},
        held={"statement": ": 1 = 3", "split": "test"},
    )
    found = pool(tmp_path, file, refuted=(false,))
    assert (list(found.searched), list(found.false)) == (["right"], ["wrong"])
    assert "wrong" not in found.negations
    with pytest.raises(BadInput, match="right is the name of a theorem and of a refuted statement"):
        pool(tmp_path, file, refuted=(theorems(tmp_path / "g.jsonl", right=": 1 = 2"),))


def test_what_was_decided_stays_when_files_grow(tmp_path):
    names = list(MANY)
    file = theorems(tmp_path / "t.jsonl", **{n: MANY[n] for n in names[:20]})
    first = {n: pool(tmp_path, file).splits.of(n) for n in names[:20]}
    kept = json.loads((tmp_path / "splits.json").read_text())["places"]
    assert kept == dict(sorted(first.items()))
    bytes_before = (tmp_path / "splits.json").read_bytes()
    pool(tmp_path, file)
    assert (tmp_path / "splits.json").read_bytes() == bytes_before
    # One more that joins clusters, and another iteration's file without the first ones.
    grown = pool(tmp_path, theorems(tmp_path / "t.jsonl", **dict(reversed(MANY.items()))))
    assert {n: grown.splits.of(n) for n in names[:20]} == first
    pool(tmp_path, theorems(tmp_path / "u.jsonl", lonely="(p q r : Prop) : p ∨ q ∨ r → r ∨ q ∨ p"))
    assert {n: pool(tmp_path, file).splits.of(n) for n in names[:20]} == first


def test_a_split_that_a_theorem_names_later_counts_and_what_was_decided_is_not_forgotten(tmp_path):
    file = theorems(tmp_path / "t.jsonl", one=": 1 = 1", two="(p : Prop) : p → p")
    pool(tmp_path, file)
    before = json.loads((tmp_path / "splits.json").read_text())["places"]
    named = theorems(tmp_path / "u.jsonl", one={"statement": ": 1 = 1", "split": "test"}, two="(p : Prop) : p → p")
    assert pool(tmp_path, named).splits.of("one") == "test"
    assert json.loads((tmp_path / "splits.json").read_text())["places"] == before


def test_one_name_is_one_statement(tmp_path):
    one = theorems(tmp_path / "a.jsonl", same={"statement": ": 1 = 1", "split": "train"})
    two = theorems(tmp_path / "b.jsonl", same={"statement": ": 2 = 2", "split": "train"})
    with pytest.raises(BadInput, match=r"same stands for two statements, in .*a\.jsonl:1 and .*b\.jsonl:1"):
        pool(tmp_path, one, two)


def test_a_theorem_in_two_files_is_held_out_if_either_says_so(tmp_path):
    plain = theorems(tmp_path / "a.jsonl", same=": 1 = 1", other={"statement": ": 5 = 5", "split": "train"})
    held = theorems(tmp_path / "b.jsonl", same={"statement": ": 1 = 1", "split": "test"})
    for files in ((plain, held), (held, plain)):
        assert "same" not in pool(tmp_path, *files).searched
    learned = theorems(tmp_path / "c.jsonl", same={"statement": ": 1 = 1", "split": "train"})
    with pytest.raises(BadInput, match="same is of the split test and of train"):
        pool(tmp_path, held, learned)


def test_a_name_twice_in_one_file_is_numbered(tmp_path):
    file = theorems(tmp_path / "a.jsonl", same={"statement": ": 1 = 1", "split": "train"})
    file.write_text(file.read_text() + file.read_text() + file.read_text().replace("1 = 1", "2 = 2"))
    assert list(pool(tmp_path, file).searched) == ["same", "same~2"]


def test_windows_line_ends_change_nothing(tmp_path):
    file = theorems(tmp_path / "a.jsonl", **MANY)
    before = pool(tmp_path, file)
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    after = pool(tmp_path, file)
    assert [t.digest for t in after.searched.values()] == [t.digest for t in before.searched.values()]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has the columns of no set"),
        ('{"statement": 3, "name": "x"}\n', "there is no theorem in .* that can be read"),
    ],
)
def test_a_file_without_theorems_is_an_error(tmp_path, text, said):
    (tmp_path / "t.jsonl").write_text(text)
    with pytest.raises(BadInput, match=said):
        pool(tmp_path, tmp_path / "t.jsonl")


def test_the_inputs_are_known_by_what_the_files_say_and_not_by_where_they_are(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    one, two = (theorems(p / "t.jsonl", one=": 1 = 1") for p in (tmp_path, tmp_path / "elsewhere"))
    assert theorem_inputs(TheoremsConfig(files=(one,))) == theorem_inputs(TheoremsConfig(files=(two,)))
    grown = theorems(one, one=": 1 = 1", two=": 2 = 2")
    assert theorem_inputs(TheoremsConfig(files=(grown,))) != theorem_inputs(TheoremsConfig(files=(two,)))
    with pytest.raises(BadInput, match=r"theorems\.refuted: .*gone\.jsonl is not there"):
        theorem_inputs(TheoremsConfig(files=(one,), refuted=(tmp_path / "gone.jsonl",)))
