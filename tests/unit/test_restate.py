"""Restating for core Lean: what is written how, what is refused and why, and that every row is accounted for."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from burnqed.core.errors import StatementRejected, WorkerLost
from burnqed.core.files import Target
from burnqed.core.outcome import StateRef
from burnqed.core.state import Goal, ProofState
from burnqed.core.theorem import Theorem
from burnqed.data.lean_tokens import tokens
from burnqed.data.manifest import Manifest
from burnqed.data.records import TheoremRecord
from burnqed.data.restate.caveats import (
    ANY_FIELD,
    ANY_FIELD_0,
    ARCHIMEDES,
    BY_ZERO,
    COMPLETENESS,
    MAYBE_NATURAL_SUBTRACTION,
    NATURAL_SUBTRACTION,
    WHOLE_DIVISION,
    caveats,
)
from burnqed.data.restate.checking import RESTATE, restate_all
from burnqed.data.restate.rendering import Unstatable
from burnqed.data.restate.statement import CASTS, restate
from burnqed.theorems.read import read_jsonl

ORDERED = "{F : Type} [Lean.Grind.Field F] [LE F] [LT F] [Std.LawfulOrderLT F] [Std.IsLinearOrder F] [Lean.Grind.OrderedRing F]"
OPENS = "open BigOperators Real Nat Topology Rat"


def record(statement: str, name: str = "x", header: str = OPENS) -> TheoremRecord:
    return TheoremRecord(name=name, statement=statement, header=header, flags=("benchmark",))


def restated(text: str, **how: bool) -> str:
    """What stands after the name once it is restated."""
    return restate(record(f"theorem x {text}"), **how).statement.removeprefix("theorem x ")


@pytest.mark.parametrize(
    ("text", "core"),
    [
        ("(x y : ℕ) (h: x+y = 2) : y = 2 - x", "(x y : Nat) (h: x+y = 2) : y = 2 - x"),
        ("(f : ℕ → ℤ) : f 0 = (2 : ℚ) / 3", "(f : Nat → Int) : f 0 = (2 : Rat) / 3"),
        ("(ℕx : ℤ)\n    (h : 0 < ℕx) : -- a comment\n  1 ≤ ℕx", "(ℕx : Int) (h : 0 < ℕx) : 1 ≤ ℕx"),
        ("(a b : ℕ) : gcd a b = a.gcd b", "(a b : Nat) : Nat.gcd a b = a.gcd b"),
        ("(gcd : ℕ → ℕ) : gcd 1 = 1", "(gcd : Nat → Nat) : gcd 1 = 1"),
        (": ∀ n ≥ 5, ∃ k : ℕ, k = n", ": ∀ n ≥ 5, ∃ k : Nat, k = n"),
    ],
)
def test_numbers_get_their_names_in_core_and_nothing_else_changes(text, core):
    found = restate(record(f"theorem x {text}"))
    assert (found.kind, found.statement) == ("core", f"theorem x {core}")


def test_reals_become_any_ordered_field():
    found = restate(record("theorem x (x y : ℝ) (h : 0 < x ∧ x < y) : ∀ z : ℝ, z / y ≤ z / x"))
    assert found.kind == "field"
    assert found.statement == f"theorem x {ORDERED} (x y : F) (h : 0 < x ∧ x < y) : ∀ z : F, z / y ≤ z / x"
    assert found.changes == ("ℝ as F",)
    assert ANY_FIELD in found.caveats


def test_the_field_takes_no_name_of_the_statement():
    assert "{K : Type} [Lean.Grind.Field K]" in restated("(F : ℝ → ℝ) : F 0 = 0")


def test_complex_numbers_become_any_field_of_characteristic_zero():
    found = restate(record("theorem x (z : ℂ) : (z + 1) ^ 2 = z ^ 2 + 2 * z + 1"))
    assert "{F : Type} [Lean.Grind.Field F] [Lean.Grind.IsCharP F 0] (z : F)" in found.statement
    assert found.caveats == (ANY_FIELD_0,)


def test_maxima_need_their_own_instances():
    assert "[Max F] [Std.LawfulOrderMax F] (x : F)" in restated("(x : ℝ) : x ≤ max x 1")
    assert "[Min F] [Std.LawfulOrderMin F] (x : F)" in restated("(x : ℝ) : min x 1 ≤ x")


def test_over_a_given_type_it_is_a_special_case():
    assert restate(record("theorem x (x : ℝ) : x = x"), over="Rat").statement == "theorem x (x : Rat) : x = x"


def test_exponents_can_be_told_to_be_natural():
    assert restated("(x : ℝ) : x ^ 2 * 3 = x ^ k", typed_exponents=True).endswith("x ^ (2 : Nat) * 3 = x ^ k")


@pytest.mark.parametrize(
    ("text", "unfolded"),
    [
        ("(n : ℕ) (h : Even n) : Odd (n + 1)", "(n : Nat) (h : (∃ r, n = r + r)) : (∃ r1, (n + 1) = 2 * r1 + 1)"),
        ("(n : ℕ) : n ^ 2 ≡ 1 [MOD 8]", "(n : Nat) : ((n ^ 2 : Nat) % 8 = (1 : Nat) % 8)"),
        ("(p : ℕ) (h : p.Prime) : 1 < p", "(p : Nat) (h : (2 ≤ p ∧ ∀ m : Nat, m ∣ p → m = 1 ∨ m = p)) : 1 < p"),
        ("(x : ℤ) : |x - 1| = abs x", "(x : Int) : (max (x - 1) (-(x - 1))) = (max x (-x))"),
        (": 4! % 5 = 4", ": (4 * 3 * 2 * 1 : Nat) % 5 = 4"),
        (": ∑ k in Finset.range 3, k ^ 2 = 5", ": (((List.range 3).map (fun k : Nat => k ^ 2)).foldr (· + ·) 0) = 5"),
        (
            ": ∏ k ∈ Finset.Icc 1 3, k = 6",
            ": (((List.range' 1 (3 + 1 - 1)).map (fun k : Nat => k)).foldr (· * ·) 1) = 6",
        ),
        (
            ": (Finset.filter (fun n => n ∣ 6) (Finset.range 9)).card = 4",
            ": ((List.range 9).filter (fun n : Nat => decide (n ∣ 6))).length = 4",
        ),
        (
            "(S : Finset ℤ) (h : ∀ x, x ∈ S ↔ 0 < x ∧ x < 3) : S.card = 2",
            "(S : List Int) (hS : S.Nodup) (h : ∀ x, (x ∈ S) ↔ 0 < x ∧ x < 3) : S.length = 2",
        ),
        (
            ": IsLeast {n : ℕ | 5 < n ∧ ∃ k, k = n} 6",
            ": ((5 < (6 : Nat) ∧ ∃ k, k = (6 : Nat)) ∧ ∀ y : Nat, (5 < y ∧ ∃ k, k = y) → (6 : Nat) ≤ y)",
        ),
        (
            "(S : Set ℕ) (u : ℕ) (h : IsGreatest (S \\ {u}) 3) : 3 ∈ S",
            "(S : Nat → Prop) (u : Nat) (h : (((S (3 : Nat)) ∧ ¬ ((3 : Nat) = u)) ∧ "
            "∀ y : Nat, ((S y) ∧ ¬ (y = u)) → y ≤ (3 : Nat))) : (S 3)",
        ),
        (": ∃! n : ℕ, n = 2", ": (∃ n : Nat, (n = 2) ∧ ∀ y : Nat, (y = 2) → y = n)"),
        (
            "(f : ℕ → ℕ) (h : Function.Injective f) : f 0 ≠ f 1",
            "(f : Nat → Nat) (h : (∀ x1 y, f x1 = f y → x1 = y)) : f 0 ≠ f 1",
        ),
    ],
)
def test_definitions_are_written_out_when_asked(text, unfolded):
    assert restated(text, unfold=True) == unfolded
    with pytest.raises(Unstatable, match=r"^needs "):
        restated(text) if "Injective" not in text else restated(f"{text} ∧ Even 2")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("(x : ℝ) : Real.sqrt x = 2", "needs roots, logarithms or real exponents"),
        ("(x : ℝ) : x ≤ √2", "needs roots, logarithms or real exponents"),
        ("(x : ℝ) : Real.sin x ≤ 1", "needs trigonometry"),
        ("(z : ℂ) : z = Complex.I", "needs complex numbers beyond a field"),
        ("(x : ℝ) (z : ℂ) : z = x", "needs real and complex numbers together"),
        ("(x : NNReal) : 0 ≤ x", "needs another type of numbers"),
        ("(σ : Equiv ℝ ℝ) : σ.1 0 = 0", "needs other algebraic structures"),
        ("(n : ℕ) : Nat.choose n 0 = 1", "needs factorials"),
        ("(n : ℕ) : n ! ≠ 0", "needs factorials"),
        ("(x : ℝ) : ⌊x⌋ ≤ x", "needs floor or ceiling"),
        ("(S : Set ℕ) (h : S ⊆ S) : True", "a set is used as a whole"),
        ("(S T : Finset ℕ) (h : S ⊆ T) : True", "a set is used as a whole"),
        (": ∃ S : Set ℕ, 1 ∈ S", "needs sets"),
        (": 100! ≠ 0", "needs factorials"),
    ],
)
def test_what_core_lacks_is_refused_with_its_reason(text, reason):
    with pytest.raises(Unstatable) as refused:
        restated(text, unfold=True)
    assert refused.value.reason == reason


def test_a_definition_of_the_header_cannot_be_dropped():
    needs = record("theorem x : 1 + 1 = x_solution", header="abbrev x_solution : ℕ := sorry")
    with pytest.raises(Unstatable, match="definition of its own header") as refused:
        restate(needs)
    assert refused.value.detail == "x_solution"


def test_a_variable_is_never_caught_by_a_binder():
    with pytest.raises(Unstatable, match="caught"):
        restated("(k : ℕ) : IsLeast {n : ℕ | ∃ k, n = k + k} k", unfold=True)


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("theorem x (a b : ℕ) : a - b ≤ a", {NATURAL_SUBTRACTION}),
        ("theorem x (a : ℕ) (b : ℤ) : b - a ≤ b", {MAYBE_NATURAL_SUBTRACTION}),
        ("theorem x (a b : ℤ) : a - b = a + -b", set()),
        ("theorem x (a : ℕ) : a / 2 ≤ a", {WHOLE_DIVISION}),
        ("theorem x (a b : ℚ) : a / b = a * b⁻¹", {BY_ZERO}),
        ("theorem x (a : ℚ) : a / 2 + a / (3 : ℚ) = 5 * a / 6", set()),
    ],
)
def test_conventions_of_arithmetic_are_told(statement, expected):
    assert set(caveats(statement)) == expected


def test_what_a_field_may_lack_is_told():
    told = restate(record("theorem x (n : ℕ) (x : ℝ) : ∃ y, y < x")).caveats
    assert {ANY_FIELD, COMPLETENESS, ARCHIMEDES} == set(told)


class Lean:
    """A session that refuses what it is told to refuse."""

    def __init__(self, refuses: dict[str, str]) -> None:
        self.refuses = refuses
        self.seen: list[Theorem] = []

    async def start(self, target: Target) -> tuple[StateRef, ProofState]:
        assert isinstance(target, Theorem)
        self.seen.append(target)
        why = self.refuses.get(target.name, "")
        if why == "dead":
            raise WorkerLost("gone")
        if why and not (why == "casts" and CASTS in target.header):
            raise StatementRejected(why)
        return StateRef(0), ProofState((Goal((), "True"),))


async def run(session: Lean, *records: TheoremRecord, **how: object) -> tuple[list[dict[str, object]], Manifest]:
    manifest = Manifest(step="restate", rows_in=len(records))
    rows = await restate_all(records, session, lean="4.28.0", manifest=manifest, **{"unfold": False, **how})  # type: ignore[arg-type]
    manifest.check()
    return [msgspec.to_builtins(r) for r in rows], manifest


async def test_rows_say_where_they_come_from_and_go_straight_into_a_run():
    (row,), manifest = await run(Lean({}), record("theorem nat_ok (n : ℕ) :\n  n = n", "nat_ok"))
    assert row["statement"] == "theorem nat_ok (n : Nat) : n = n := by\n  sorry"
    assert (row["kind"], row["original"], row["flags"]) == ("core", "theorem nat_ok (n : ℕ) :\n  n = n", ("benchmark",))
    (theorem,) = read_jsonl(msgspec.json.encode(row).decode(), source="core.jsonl")
    assert isinstance(theorem, Theorem)
    assert theorem.signature == "theorem nat_ok (n : Nat) : n = n"
    assert manifest.noted["ℕ as Nat"].count == 1


async def test_every_refusal_is_counted_under_its_reason():
    session = Lean({"bad": "unknown identifier", "lost": "dead", "power": "failed to synthesize HPow F F ?m"})
    rows, manifest = await run(
        session,
        record("theorem good : 1 = 1", "good"),
        record("theorem bad : foo = 1", "bad"),
        record("theorem lost : 1 = 1", "lost"),
        record("theorem power (x : ℝ) : 2 ^ x = 2", "power"),
        record("theorem sine (x : ℝ) : Real.sin x = 2", "sine"),
    )
    assert [r["name"] for r in rows] == ["good"]
    assert {r: c.count for r, c in manifest.dropped[RESTATE].items()} == {
        "does not elaborate": 1,
        "no answer from Lean in time": 1,
        "needs roots, logarithms or real exponents": 1,
        "needs trigonometry": 1,
    }


async def test_names_that_lean_would_make_up_are_not_allowed():
    session = Lean({})
    await run(session, record("theorem x : 1 = 1"))
    assert "autoImplicit false" in session.seen[0].header


async def test_casts_are_given_only_where_lean_needs_them():
    needs = record("theorem needs (n : ℕ) (x : ℝ) : x = n", "needs")
    free = record("theorem free (n : ℕ) (x : ℝ) : x = x", "free")
    rows, _ = await run(Lean({"needs": "casts"}), needs, free)
    assert [r["header"] for r in rows] == [CASTS, ""]


async def test_one_kind_alone():
    rows, manifest = await run(
        Lean({}), record("theorem a : 1 = 1", "a"), record("theorem b (x : ℝ) : x = x", "b"), kinds=("field",)
    )
    assert [r["name"] for r in rows] == ["b"]
    assert manifest.dropped_for(RESTATE, "is of the other kind") == 1


# -- what others have made of the same problems, where it is

DATA = Path(__file__).parents[3] / "shared" / "data"


def published(file: str) -> list[dict[str, str]]:
    path = DATA / file
    if not path.exists():
        pytest.skip(f"{file} is not beside the repository")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def words(text: str) -> list[str]:
    return [t.text for t in tokens(text)]


def test_the_problems_over_whole_numbers_and_fractions_come_out_word_for_word():
    rows = published("minif2f_core_valid.jsonl")
    found = [restate(record(row["original"], row["name"])) for row in rows]
    assert len(rows) == 66
    assert [f.kind for f in found] == ["core"] * 66
    assert [words(f"{f.statement} := by sorry") for f in found] == [words(row["statement"]) for row in rows]


def test_the_problems_over_the_reals_come_out_word_for_word():
    rows = [row for row in published("minif2f_real_valid.jsonl") if row["statement_field"]]
    assert len(rows) == 61
    for row in rows:
        found = restate(record(row["original"], row["name"]))
        mine = words(f"{found.statement} := by sorry".replace(" [Lean.Grind.IsCharP F 0]", ""))
        theirs = ["F" if word == "K" else word for word in words(row["statement_field"])]
        assert mine == theirs, row["name"]
