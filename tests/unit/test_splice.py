"""A script in the place of a sorry: laid out for its place, nothing else changed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burnqed.core.files import Place
from burnqed.verify.splice import filled, room, ways

TWO = "intro h\nexact h"


def place(text: str, kind: str = "tactic") -> Place:
    start = text.index("sorry")
    return Place(0, start, start + 5, kind, "foo")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "kind", "script", "first"),
    [
        ("theorem a : p := by\n  sorry\n", "tactic", TWO, "theorem a : p := by\n  intro h\n  exact h\n"),
        ("theorem a : p := by sorry\n", "tactic", "omega", "theorem a : p := by omega\n"),
        ("theorem a : p := by sorry\n", "tactic", TWO, "theorem a : p := by\n  intro h\n  exact h\n"),
        ("theorem a : p := sorry\n", "term", "omega", "theorem a : p := by omega\n"),
        ("theorem a : p := sorry\n", "term", TWO, "theorem a : p := by\n  intro h\n  exact h\n"),
        ("theorem a : p :=\n  sorry\n", "term", TWO, "theorem a : p :=\n  by\n    intro h\n    exact h\n"),
        ("  · have : q := by sorry\n    exact x", "tactic", TWO, "  · have : q := by\n      intro h\n      exact h\n    exact x"),
        ("  | zero => sorry\n  | succ n => rfl", "tactic", TWO, "  | zero =>\n    intro h\n    exact h\n  | succ n => rfl"),
        ("  · sorry\n", "tactic", TWO, "  · intro h\n    exact h\n"),
        ("  exact ⟨x, sorry, y⟩\n", "term", "omega", "  exact ⟨x, by omega, y⟩\n"),
    ],
)  # fmt: skip
def test_the_first_way_is_the_one_that_a_person_would_write(text: str, kind: str, script: str, first: str) -> None:
    where = place(text, kind)
    assert filled(text, [(room(text, where), ways(text, where, script)[0])]) == first


def test_other_ways_follow_and_none_comes_twice() -> None:
    text = "  constructor <;> sorry\n"
    found = ways(text, place(text), TWO)
    assert len(found) == len(set(found))
    assert " (intro h; exact h)" in found


SOURCE = st.text(alphabet="ab ⟨·\n", max_size=20)


@given(
    SOURCE, SOURCE, st.sampled_from(["tactic", "term"]), st.sampled_from([TWO, "omega", "cases h with\n| a =>\n  simp"])
)
def test_nothing_else_is_changed(before: str, after: str, kind: str, script: str) -> None:
    text = before + "sorry" + after
    where = Place(0, len(before), len(before) + 5, kind, "foo")  # type: ignore[arg-type]
    start, end = room(text, where)
    assert text[start:end].strip() == "sorry"
    for way in ways(text, where, script):
        result = filled(text, [((start, end), way)])
        assert result.endswith(after)
        assert result.startswith(before.rstrip(" "))
        assert "sorry" not in result


def test_several_at_once() -> None:
    text = "by sorry -- sorry\nby sorry"
    places = [Place(0, 3, 8, "tactic", "a"), Place(1, 21, 26, "tactic", "b")]
    first, second = [(room(text, p), w) for p, w in zip(places, [" omega", " rfl"], strict=True)]
    assert filled(text, [second, first]) == filled(text, [first, second]) == "by omega -- sorry\nby rfl"
