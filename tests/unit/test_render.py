"""Proofs as source."""

from __future__ import annotations

from burnqed.core.theorem import Theorem
from burnqed.run.judge import with_suggestion
from burnqed.search.graph import ProofStep
from burnqed.verify.render import flat_script, structured_script


def steps(*rows: tuple[str, int, int]) -> list[ProofStep]:
    return [ProofStep(*row) for row in rows]


def test_one_goal_after_the_other():
    s = steps(("intro n", 1, 1), ("simp", 1, 0))
    assert structured_script(s) == flat_script(s) == "  intro n\n  simp"


def test_bullets_for_every_goal_that_a_step_left():
    s = steps(
        ("induction n with\n| zero => ?_\n| succ n ih => ?_", 1, 2),
        ("rfl", 2, 1),
        ("constructor", 1, 2),
        ("simp", 2, 2),
        ("omega", 2, 1),
        ("exact ih", 1, 0),
    )
    assert structured_script(s) == "\n".join(
        [
            "  induction n with",
            "  | zero =>",
            "    rfl",
            "  | succ n ih =>",
            "    constructor",
            "    · simp",
            "      omega",
            "    · exact ih",
        ]
    )
    assert flat_script(s).splitlines()[3:] == ["  rfl", "  constructor", "  simp", "  omega", "  exact ih"]


def test_a_goal_that_splits_again_at_once():
    s = steps(
        ("constructor", 1, 2),
        ("cases h with\n| inl a => ?_\n| inr b => ?_", 2, 3),
        ("x", 3, 2),
        ("y", 2, 1),
        ("z", 1, 0),
    )
    assert structured_script(s).splitlines() == [
        "  constructor",
        "  · cases h with",
        "    | inl a =>",
        "      x",
        "    | inr b =>",
        "      y",
        "  · z",
    ]


def test_a_suggestion_takes_the_place_of_the_question():
    asked = ProofStep("exact?", 1, 0, suggestion="exact Nat.le_refl n")
    assert with_suggestion(asked).tactic == "exact Nat.le_refl n"
    told = ProofStep("grind", 1, 0, suggestion="something else")
    assert with_suggestion(told).tactic == "grind"


def test_the_source_of_a_proof():
    t = Theorem("foo", "theorem foo : 1 = 1")
    assert t.proved_by("  rfl") == "theorem foo : 1 = 1 := by\n  rfl"
