"""Splits by theorem and cluster: decided by nothing but the theorem, and for good."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from burnqed.core.errors import BadInput
from burnqed.data.near_duplicates import similarity
from burnqed.data.normal_form import normal_form
from burnqed.data.records import TheoremRecord
from burnqed.data.splits import LEFT_OUT, Assignment, SplitConfig, assign, read_assignment, write_assignment

CONFIG = SplitConfig(valid=0.3, test=0.3, near_duplicates=0.6)
KEY = st.tuples(*[st.integers(0, 2)] * 4)


def theorem(name: str, numbers: tuple[int, ...]) -> TheoremRecord:
    """Statements that differ in one number are near-duplicates of each other, those that differ in two are not."""
    hypotheses = " ".join(f"(h{i} : {v} = {n})" for i, (v, n) in enumerate(zip("abcd", numbers, strict=True)))
    return TheoremRecord(name=name, statement=f"theorem {name} (a b c d e f : ℝ) {hypotheses} : e = f")


def theorems(keys: set[tuple[int, ...]]) -> list[TheoremRecord]:
    return [theorem("t" + "".join(map(str, key)), key) for key in sorted(keys)]


def unrelated(count: int, start: int = 0) -> list[TheoremRecord]:
    return [
        TheoremRecord(name=f"u{i}", statement=f"theorem u{i} (x : ℕ) (h : x % {i + 2} = {i}) : x ^ {i} ≠ {7 * i}")
        for i in range(start, start + count)
    ]


def leaks(records: list[TheoremRecord], found: Assignment) -> list[tuple[str, str]]:
    """Pairs of near-duplicates in different splits."""
    forms = {r.name: normal_form(r.statement, types="kept") for r in records}
    return [
        (a, b)
        for a, b in itertools.combinations(forms, 2)
        if LEFT_OUT not in (found[a], found[b])
        and found[a] != found[b]
        and (one := forms[a]) is not None
        and (two := forms[b]) is not None
        and similarity(one.features, two.features) >= CONFIG.near_duplicates
    ]


def test_the_family_is_what_it_is_said_to_be():
    one, near, far = (
        normal_form(theorem("x", n).statement, types="kept") for n in ((0, 0, 0, 0), (0, 0, 0, 1), (0, 0, 1, 1))
    )
    assert one is not None
    assert near is not None
    assert far is not None
    assert similarity(one.features, near.features) >= CONFIG.near_duplicates > similarity(one.features, far.features)


@settings(max_examples=25)
@given(st.lists(st.sets(KEY, min_size=1, max_size=6), min_size=1, max_size=4))
def test_adding_data_moves_nothing_and_leaks_nothing(batches):
    found: Assignment | None = None
    everything: set[tuple[int, ...]] = set()
    for batch in batches:
        before, everything = found, everything | batch
        records = theorems(everything)
        found = assign(records, CONFIG, before=before)
        assert before is None or before.places.items() <= found.places.items()
        assert found.places.keys() == {r.name for r in records}
        assert leaks(records, found) == []


@settings(max_examples=25)
@given(st.sets(KEY, min_size=1, max_size=10), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(keys, rng):
    records = theorems(keys)
    shuffled = records[:]
    rng.shuffle(shuffled)
    assert assign(records, CONFIG).places == assign(shuffled, CONFIG).places


@settings(max_examples=25)
@given(st.sets(KEY, min_size=1, max_size=6), st.integers(1, 30))
def test_unrelated_theorems_have_no_say_even_without_the_file(keys, count):
    records = theorems(keys)
    alone, together = assign(records, CONFIG), assign([*unrelated(count), *records], CONFIG)
    assert alone.places.items() <= together.places.items()


def test_rows_of_one_name_are_one_theorem():
    records = [*unrelated(1), TheoremRecord(name="u0", statement="theorem u0 : 12 = 13"), *unrelated(40, start=1)]
    found = assign(records, CONFIG)
    assert len(found.places) == 41


def test_a_new_theorem_goes_where_its_neighbours_are():
    (old,) = theorems({(1, 1, 1, 1)})
    before = assign([old], CONFIG)
    for number in (
        0,
        2,
    ):  # names on both sides of the old one's: the smallest name of the cluster changes, its place does not
        new = theorem(f"t{number}", (number, 1, 1, 1))
        assert assign([old, new], CONFIG, before=before)[new.name] == before[old.name]


def test_a_theorem_between_two_splits_is_in_neither():
    left, right = theorem("left", (0, 0, 0, 0)), theorem("right", (0, 0, 1, 1))
    before = Assignment({"left": "train", "right": "test"}, "burnqed", 0.3, 0.3, 0.6)
    between, follower = theorem("between", (0, 0, 0, 1)), theorem("follower", (0, 2, 0, 1))
    found = assign([left, right, between, follower], CONFIG, before=before)
    assert (found["left"], found["right"]) == ("train", "test")
    assert (found["between"], found["follower"]) == (LEFT_OUT, LEFT_OUT)
    assert found.names(LEFT_OUT) == {"between", "follower"}


def test_shares_are_about_what_was_asked():
    found = assign(unrelated(600), SplitConfig(valid=0.1, test=0.2))
    shares = {place: len(found.names(place)) / 600 for place in ("train", "valid", "test")}
    assert shares["test"] == pytest.approx(0.2, abs=0.06)
    assert shares["valid"] == pytest.approx(0.1, abs=0.05)


def test_another_salt_is_another_division():
    one, other = (assign(unrelated(60), SplitConfig(valid=0.3, test=0.3, salt=s)) for s in ("a", "b"))
    assert one.places != other.places


def test_the_file_keeps_what_was_decided(tmp_path):
    path = tmp_path / "splits.json"
    assert read_assignment(path) is None
    found = assign(unrelated(9), CONFIG)
    write_assignment(path, found)
    assert read_assignment(path) == found
    text = path.read_text()
    write_assignment(path, assign(unrelated(10), CONFIG, before=found))
    assert set(text.replace(",", "").splitlines()) < set(path.read_text().replace(",", "").splitlines()), (
        "only lines added"
    )


@pytest.mark.parametrize("content", ["", "{", '{"places": {"a": "elsewhere"}}', "[]"])
def test_a_damaged_file_is_not_taken_for_no_file(tmp_path, content):
    path = tmp_path / "splits.json"
    path.write_text(content)
    with pytest.raises(BadInput, match="put it back"):
        read_assignment(path)


def test_a_file_of_another_version_is_refused(tmp_path):
    path = tmp_path / "splits.json"
    write_assignment(path, Assignment({}, "s", 0.1, 0.1, 0.8, version=9))
    with pytest.raises(BadInput, match="version 9"):
        read_assignment(path)


def test_other_settings_would_move_theorems():
    before = assign(unrelated(3), CONFIG)
    with pytest.raises(BadInput, match=r"valid = 0.3, not 0.2"):
        assign(unrelated(3), CONFIG.model_copy(update={"valid": 0.2}), before=before)


@pytest.mark.parametrize("shares", [{"valid": 0.6, "test": 0.6}, {"valid": -0.1}, {"seed": 3}])
def test_shares_that_make_no_sense_are_refused(shares):
    with pytest.raises(ValidationError):
        SplitConfig.model_validate(shares)
