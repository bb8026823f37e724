"""Restated statements in a real Lean: each elaborates, says what the original says, and invents no names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from burnqed.cli.data_restate import restate as restate_command
from burnqed.core.outcome import Stepped
from burnqed.core.theorem import Theorem
from burnqed.data.lean_tokens import tokens
from burnqed.data.manifest import Manifest
from burnqed.data.normal_form import normal_form_of
from burnqed.data.records import TheoremRecord
from burnqed.data.restate.checking import RESTATE, RestatedRow, restate_all
from burnqed.data.restate.statement import CASTS
from burnqed.data.states import goals_of
from burnqed.lean.session import PooledSession
from burnqed.theorems.lean_text import body_start
from burnqed.theorems.read import read_input

pytestmark = pytest.mark.lean

VALID = Path(__file__).parents[3] / "shared" / "data" / "minif2f_v1_valid.jsonl"


async def taken(session: PooledSession, *statements: str) -> tuple[list[RestatedRow], Manifest]:
    records = [
        TheoremRecord(name=f"t{i}", statement=f"theorem t{i} {s}", header="open Nat Real")
        for i, s in enumerate(statements)
    ]
    manifest = Manifest(step="restate", rows_in=len(records))
    rows = await restate_all(records, session, lean="4.28.0", unfold=True, manifest=manifest)
    manifest.check()
    return rows, manifest


def theorem(row: RestatedRow) -> Theorem:
    end = body_start(row.statement)
    assert end is not None
    return Theorem(row.name, row.statement[:end].strip(), header=row.header)


async def proved(session: PooledSession, row: RestatedRow, tactic: str) -> bool:
    ref, _ = await session.start(theorem(row))
    (outcome,) = await session.apply(ref, [tactic])
    return isinstance(outcome, Stepped) and outcome.state.finished and (await session.verdict(outcome.ref)).accepted


TRUE = [
    ": ∑ k in Finset.range 5, k ^ 2 = 30",
    ": ∑ k ∈ Finset.Icc 3 5, k = 12 ∧ ∑ k ∈ Finset.Ico 3 5, k = 7 ∧ ∑ k ∈ Finset.Ioc 3 5, k = 9 ∧ ∑ k ∈ Finset.Ioo 3 5, k = 4",
    ": ∏ k in Finset.Icc 1 5, k = 5!",
    ": ∑ k ∈ Finset.Icc 5 3, k = 0 ∧ ∏ k ∈ Finset.Ioo 5 5, k = 1",
    ": (Nat.divisors 12).card = 6 ∧ (Nat.properDivisors 12).card = 5 ∧ ∑ k ∈ Nat.divisors 0, 1 = 0",
    ": (Finset.filter (fun n => n % 4 = 1) (Finset.range 20)).card = 5",
    ": ((Finset.range 20).filter fun n => n % 4 = 1).card = 5",
    ": Even 6 → 7 ^ 3 ≡ 3 [MOD 10]",
    ": (-7 : ℤ) ≡ 3 [ZMOD 10] ∧ |(-7 : ℤ)| = 7",
    ": ∀ k ∈ Finset.range 7, k ^ 2 ≤ 36",
    ": ∃ k ∈ Finset.Icc 2 4, k * k = 9",
    ": 3 ∈ Finset.Icc 1 4 ∧ 3 ∉ Finset.range 3",
]
FALSE = [
    ": ∑ k in Finset.range 5, k ^ 2 = 55",
    ": (Nat.divisors 12).card = 5",
    ": 7 ^ 3 ≡ 4 [MOD 10]",
    ": ∏ k in Finset.range 4, (k + 1) = 6",
]


async def test_what_is_unfolded_has_the_value_that_it_had(session: PooledSession) -> None:
    rows, _ = await taken(session, *TRUE)
    assert len(rows) == len(TRUE)
    for row, text in zip(rows, TRUE, strict=True):
        assert await proved(session, row, "first | decide | (intro _; decide)"), text
    rows, _ = await taken(session, *(f": ¬ ({text.removeprefix(': ')})" for text in FALSE))
    for row, text in zip(rows, FALSE, strict=True):
        assert await proved(session, row, "decide"), text


async def test_least_elements_sets_and_primes_mean_what_they_meant(session: PooledSession) -> None:
    rows, _ = await taken(
        session,
        ": IsLeast {n : ℕ | 5 < n ∧ n % 2 = 0} 6",
        "(S : Set ℕ) (h : ∀ n, n ∈ S ↔ n < 4) (u : ℕ) (hu : IsGreatest S u) : u = 3",
        "(p : ℕ) (hp : Nat.Prime p) (h : 2 ∣ p) : p = 2",
        "(S : Finset ℕ) (h : ∀ n, n ∈ S ↔ n = 1) : 1 ∈ S",
        ": ∃! n : ℕ, n + 2 = 5",
        "(f : ℕ → ℕ) (h : Function.Injective f) (h0 : f 3 = f 4) : False",
    )
    tactics = [
        "exact ⟨by omega, fun y h => by omega⟩",
        "have := (h u).1 hu.1; have := hu.2 3 ((h 3).2 (by omega)); omega",
        "rcases hp.2 2 h with h | h <;> omega",
        "exact (h 1).2 rfl",
        "exact ⟨3, rfl, fun y h => by omega⟩",
        "have := h _ _ h0; omega",
    ]
    assert len(rows) == len(tactics)
    for row, tactic in zip(rows, tactics, strict=True):
        assert await proved(session, row, tactic), row.statement


async def test_fields_with_their_casts_and_maxima(session: PooledSession) -> None:
    rows, manifest = await taken(
        session,
        "(x y : ℝ) (h : 0 < x) (h' : x < y) : 0 < y",
        "(n : ℕ) (x : ℝ) (h : x = n) : x - n = 0",
        "(x : ℝ) (h : |x| < 0) : False",
        "(x z : ℂ) (h : x + z = 7) (h' : 2 * x + z = 3) : x = -4",
        "(x : ℝ) : (2 : ℝ) ^ x = x",
    )
    assert [row.header for row in rows] == ["", CASTS, "", ""]
    assert manifest.dropped_for(RESTATE, "needs roots, logarithms or real exponents") == 1
    for row in rows[:2]:
        assert await proved(session, row, "grind"), row.statement
    assert await proved(session, rows[3], "grind")


async def test_a_name_that_core_lacks_is_not_taken_for_a_variable(session: PooledSession) -> None:
    rows, manifest = await taken(session, "(x : Wonderful) : x = x", "(x : ℕ) : Marvellous x")
    assert rows == []
    assert manifest.dropped_for(RESTATE, "does not elaborate") == 2


def test_the_command_writes_what_a_run_reads(tmp_path: Path) -> None:
    """In the schema in which miniF2F was published, with a row that core cannot take and one that is no row."""
    rows = [("nat", "(n : ℕ) : n = n"), ("real", "(x : ℝ) : x = x"), ("sine", "(x : ℝ) : Real.sin x = 0")]
    lines = [
        json.dumps(
            {
                "name": name,
                "split": "valid",
                "informal_prefix": "/-- words -/\n",
                "formal_statement": f"theorem {name} {text} := by\n",
                "goal": "",
                "header": "import Mathlib\nopen Nat Real\n",
            }
        )
        for name, text in rows
    ]
    file, out = tmp_path / "minif2f.jsonl", tmp_path / "out"
    file.write_text("\n".join([*lines, "{broken"]), encoding="utf-8")
    restate_command(file, out=out, kind="all", unfold=False, as_set="")
    (core,), (field,) = (read_input(str(out / f"{kind}.jsonl")) for kind in ("core", "field"))
    assert isinstance(core, Theorem)
    assert isinstance(field, Theorem)
    assert core.sorried == "theorem nat (n : Nat) : n = n := by sorry"
    assert field.signature.endswith("(x : F) : x = x")
    manifest = Manifest.read(out)
    assert (manifest.rows_in, manifest.rows_out) == (4, 2)
    assert manifest.dropped_for(RESTATE, "needs trigonometry") == 1
    row = json.loads((out / "core.jsonl").read_text(encoding="utf-8"))
    assert (row["flags"], row["split"], row["informal"]) == (["benchmark"], "valid", "words")


@pytest.mark.skipif(not VALID.exists(), reason="miniF2F's valid split is not beside the repository")
async def test_lean_reads_the_restated_problem_as_it_read_the_original(session: PooledSession) -> None:
    """The benchmark's file has each goal as Mathlib's Lean printed it; ours prints the same, but for the names of types."""
    found = [json.loads(line) for line in VALID.read_text(encoding="utf-8").splitlines()]
    published = {row["name"]: row for row in found[::6]}
    records = [
        TheoremRecord(name=name, statement=row["formal_statement"].strip().removesuffix(":= by").strip())
        for name, row in published.items()
    ]
    manifest = Manifest(step="restate", rows_in=len(records))
    rows = await restate_all(records, session, lean="4.28.0", unfold=False, manifest=manifest, kinds=("core",))
    assert len(rows) >= 8
    for row in rows:
        _, state = await session.start(theorem(row))
        printed = published[row.name]["goal"]
        mine, theirs = (normal_form_of(next(goals_of(text))) for text in (state.text, printed))
        assert mine is not None
        assert theirs is not None
        assert mine.text == theirs.text
        if "≥" not in printed:  # Mathlib prints `∀ n ≥ 3, …`, core `∀ (n : Nat), n ≥ 3 → …`
            words = [{"ℕ": "Nat", "ℤ": "Int", "ℚ": "Rat"}.get(t.text, t.text) for t in tokens(printed)]
            assert [t.text for t in tokens(state.text)] == words
