"""The audit of versions, scopes and keys: pure functions, as tables."""

from __future__ import annotations

import pytest

from burnqed.lean.native.audit import LEAN_OF_PANTOGRAPH, Versions, audit, lean_version, numbers, toolchain_version
from burnqed.lean.native.keys import goal_key
from burnqed.lean.native.scope import scope_commands
from burnqed.lean.protocol import Expression, WireGoal, WireVariable


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("leanprover/lean4:v4.28.0\n", "4.28.0"),
        ("leanprover/lean4:4.28.0-rc1", "4.28.0-rc1"),
        ("v4.9.0", "4.9.0"),
        ("leanprover/lean4:nightly-2026-01-01", ""),
        ("stable", ""),
        ("", ""),
    ],
)
def test_toolchain_version(text: str, version: str) -> None:
    assert toolchain_version(text) == version


def test_lean_version() -> None:
    told = "Lean (version 4.28.0, x86_64-unknown-linux-gnu, commit 7d01a1bf7c72, Release)"
    assert lean_version(told) == "4.28.0"
    assert lean_version("Lean (version 4.29.0-rc2, …)") == "4.29.0-rc2"
    assert lean_version("elan: no default toolchain") == ""


def test_numbers() -> None:
    assert numbers("4.28.0-rc1") == (4, 28, 0)
    assert numbers("4.9.0") < numbers("4.10.0")
    assert numbers("") == ()


T28 = "leanprover/lean4:v4.28.0"


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (Versions(), []),
        (Versions("0.3.14", "", T28, "4.28.0"), []),
        (Versions("0.3.14", "", T28, "4.28.0", "4.28.0"), []),
        (Versions("0.9.9", T28, T28, "4.28.0"), []),  # an unknown release with its own toolchain file
        (Versions("0.9.9", "", T28, "4.28.0"), []),  # nothing known of it: it may try
        (Versions("", "", T28, ""), []),
        (
            Versions("0.3.13", "", T28, "4.28.0"),
            ["Pantograph 0.3.13", "Lean 4.27.0", "Lean 4.28.0", "build Pantograph 0.3.14"],
        ),
        (Versions("0.3.14", "", "leanprover/lean4:v4.30.0", ""), ["4.28.0", "4.30.0", "leanprover/lean4:v4.30.0"]),
        (Versions("0.3.14", "leanprover/lean4:v4.27.0", T28, "4.28.0"), ["built with Lean 4.27.0"]),  # the file wins
        (Versions("0.3.14", "", T28, "4.27.0"), ["lean-toolchain names Lean 4.28.0", "is 4.27.0", "elan"]),
        (Versions("0.3.14", "", T28, "4.28.0", "4.29.1"), ["asks for Lean 4.29.1", "runs Lean 4.28.0"]),
        (Versions("0.3.4", "", "", ""), ["Pantograph 0.3.4", "frontend.distil", "0.3.8"]),
    ],
)
def test_audit(found: Versions, words: list[str]) -> None:
    sentence = audit(found)
    assert bool(sentence) == bool(words)
    assert "\n" not in sentence
    for word in words:
        assert word in sentence


def test_the_table_is_in_order() -> None:
    releases = list(LEAN_OF_PANTOGRAPH)
    assert releases == sorted(releases, key=numbers)
    leans = [numbers(v) for v in LEAN_OF_PANTOGRAPH.values()]
    assert leans == sorted(leans)


COMMANDS = [
    ("/- a comment -/ -- another\nopen Nat Finset\n", True),
    ("namespace Foo.Bar\n", True),
    ("def two := 2\n", False),
    ("open Nat in\ntheorem x : 1 = 1 := rfl\n", False),
    ("set_option maxHeartbeats 400000\n", True),
    ("set_option autoImplicit true in def f (x : α) := x\n", False),
    ("variable {α : Type} [DecidableEq α]\n  (h : ∑ i in s, f i = 0)\n", True),
    ("variable (n : Nat) in\ntheorem y : n = n := rfl\n", False),
    ("noncomputable section\n", True),
    ("section Ω\n", True),
    ("universe u v\n", True),
    ("end Ω\n", True),
    ('notation "ω" => 1\n', False),
    ("@[simp] theorem z : 1 = 1 := rfl\n", False),
    ("openness\n", False),
]


def test_scope_commands() -> None:
    header, boundaries = "", []
    for text, _ in COMMANDS:
        begin = len(header.encode())
        header += text
        boundaries.append((begin, len(header.encode())))
    kept = scope_commands(header, boundaries)
    wanted = "".join(text for text, scope in COMMANDS if scope)
    assert kept == wanted.removeprefix("/- a comment -/ -- another\n")


def goal(target: str, *types: str, first: int = 1) -> WireGoal:
    variables = [
        WireVariable(user_name=f"h{i}", name=f"_uniq.{first + i}", type=Expression("…", sexp))
        for i, sexp in enumerate(types)
    ]
    return WireGoal(name="g", target=Expression("…", target), vars=variables)


def test_keys_rename_free_variables_by_place() -> None:
    a = goal("((:c P) (:fv _uniq.1) (:fv _uniq.2))", "(:c Nat)", "((:c Q) (:fv _uniq.1))")
    b = goal("((:c P) (:fv _uniq.7) (:fv _uniq.8))", "(:c Nat)", "((:c Q) (:fv _uniq.7))", first=7)
    other = goal("((:c P) (:fv _uniq.8) (:fv _uniq.7))", "(:c Nat)", "((:c Q) (:fv _uniq.7))", first=7)
    assert goal_key(a) == goal_key(b) is not None
    assert goal_key(other) != goal_key(b)


@pytest.mark.parametrize(
    "target", ["(:mv _uniq.9)", "(:subst (:mv _uniq.3) 0)", "((:c P) (:mvd _uniq.3))", "(:fv _uniq.99)"]
)
def test_goals_with_metavariables_or_strangers_have_no_key(target: str) -> None:
    assert goal_key(goal(target, "(:c Nat)")) is None


def test_without_s_expressions_there_is_no_key() -> None:
    assert goal_key(WireGoal(name="g", target=Expression("1 = 1"), vars=[])) is None
