"""The audit: which Lean a set was made for, what of it has changed since, and the known changes put in place."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from burnqed.core.errors import WorkerLost
from burnqed.data.audit import Auditor, Elaborated, apply, month_of
from burnqed.data.elaborate import failure
from burnqed.data.manifest import Manifest
from burnqed.data.records import TacticRecord, TheoremRecord
from burnqed.data.renames import find, opened_by, rewritten, table

SAMPLES = Path(__file__).parents[3] / "shared" / "data"


def theorem(name: str = "t", statement: str = "", **more: object) -> TheoremRecord:
    fields: dict[str, object] = {"imports": ("Mathlib",), "lean": "4.9.0", "origin": "f.jsonl:1", **more}
    return TheoremRecord(name=name, statement=statement or f"theorem {name} : 1 = 1", **fields)  # type: ignore[arg-type]


def audited(*records: TheoremRecord | TacticRecord, **more: int) -> Auditor:
    auditor = Auditor("set", installed="4.28.0", **more)  # type: ignore[arg-type]
    for record in records:
        auditor.see(record)
    return auditor


# --- names and notation


@pytest.mark.parametrize(
    ("text", "new"),
    [
        ("rw [div_le_div_iff h₁ h₂]", "rw [div_le_div_iff₀ h₁ h₂]"),
        ("exact (le_div_iff (by positivity)).mpr h", "exact (le_div_iff₀ (by positivity)).mpr h"),
        ("exact lt_div_iff.mp h", "exact lt_div_iff₀.mp h"),
        ("rw [← div_le_iff', add_left_neg]", "rw [← div_le_iff₀', neg_add_cancel]"),
        ("exact _root_.le_of_not_lt h", "exact _root_.le_of_not_gt h"),
        ("∑ i in Finset.range n, i", "∑ i ∈ Finset.range n, i"),
        ("∏ i in s, ∑ j in t i, f i j", "∏ i ∈ s, ∑ j ∈ t i, f i j"),
        ("(∑ k : ℤ in Finset.Icc 1 (f 2), k ^ 2)", "(∑ k ∈ (Finset.Icc 1 (f 2) : Finset ℤ), k ^ 2)"),
        ("∑ k:Fin n in g (∑ j in s, j), f k", "∑ k ∈ (g (∑ j ∈ s, j) : Finset (Fin n)), f k"),
    ],
)
def test_a_sure_new_form_is_written(text, new):
    assert rewritten(text)[0] == new
    assert list(find(new)) == []


@pytest.mark.parametrize(
    "text",
    [
        "rw [div_le_div_iff₀ h₁ h₂, Nat.le_div_iff_mul_le, foo.div_le_iff, div_le_iff_foo, my_le_inv, le_inv₁]",
        "simp -- div_le_div_iff",
        "/- ∑ i in s, i -/ rfl",
        '"le_div_iff"',
        "∑ i ∈ s, i",
        "∑ i : Fin n, if i in s then 1 else 0",
        "fun x => x + 1, (λ x => x), λ x ↦ x",
    ],
)
def test_what_is_no_old_form_stays(text):
    assert list(find(text)) == []


@pytest.mark.parametrize(
    ("text", "old"),
    [
        ("λ x, x + 1", "λ x, e"),
        (":= begin simp end", "begin … end"),
        ("Complex.abs z", "Complex.abs"),
        ("div_le_div_of_le h", "div_le_div_of_le"),
    ],
)
def test_what_has_no_sure_new_form_is_told_and_stays(text, old):
    assert [use.change.old for use in find(text)] == [old]
    assert rewritten(text) == (text, [])


def test_a_name_that_an_open_namespace_has_too_stays():
    text = "exact one_lt_pow h n"
    assert rewritten(text)[0] == "exact one_lt_pow₀ h n"
    opened = opened_by("open BigOperators Real Nat\nopen Foo in")
    assert {"Nat", "Real"} <= opened
    assert rewritten(text, opened=opened) == (text, [])


def test_the_table_leads_nowhere_twice():
    changes = table()
    assert len(changes) > 70
    for change in changes.values():
        assert change.old != change.new
        # What an alias is renamed to may not itself be an old name that would be renamed again.
        assert changes.get(change.new) is None or changes[change.new].kind != "alias"


# --- the report


def test_a_set_that_needs_mathlib_is_told_so_in_one_sentence():
    report = audited(theorem("a"), theorem("b", imports=("Mathlib.Tactic", "Aesop"))).report()
    assert report.sentences[0] == (
        "2 of 2 theorems import what the embedded Lean 4.28.0 has not (Mathlib in 1, Mathlib.Tactic in 1, Aesop in 1; it has "
        "Init and Std only), so none of them can be elaborated or traced with it as they stand; "
        "use a native toolchain (docs/native.md)"
    )
    assert report.sentences[1] == "made for Lean 4.9.0 (about 2024-07); installed is 4.28.0"
    assert (report.unmet_rows, report.fine) == (2, False)


def test_a_set_for_core_lean_is_fine():
    report = audited(theorem(imports=("Init", "Std.Data"), lean="")).report()
    assert report.fine
    assert report.sentences == ["nobody says for which Lean it was made; installed is 4.28.0"]


def test_old_forms_are_counted_by_rows_and_uses_with_their_places():
    report = audited(
        theorem("a", proof="by rw [le_div_iff h, le_div_iff h', Complex.abs]"),
        theorem("b", proof="by simp [le_div_iff]"),
    ).report()
    first, second = report.findings
    assert (first.old, first.rows, first.uses, first.sure, first.since) == ("le_div_iff", 2, 3, 3, "2024-08-21")
    assert first.examples == ["f.jsonl:1: a", "f.jsonl:1: b"]
    assert (second.old, second.uses, second.sure) == ("Complex.abs", 1, 0)
    assert (
        "2 of 2 rows use names or notation that changed since: of 4 uses 3 have a sure new form" in report.sentences[2]
    )


@pytest.mark.parametrize(("lean", "told"), [("4.9.0", True), ("v4.11.0", False), ("", True), ("4.28.0-rc1", False)])
def test_a_name_that_was_given_to_another_statement_matters_only_in_sets_from_before(lean, told):
    # Since August 2024 mul_inv_cancel is about groups.
    report = audited(theorem(proof="by rw [mul_inv_cancel h]", lean=lean)).report()
    assert [f.old for f in report.findings] == (["mul_inv_cancel"] if told else [])


def test_tactic_rows_are_looked_at_too():
    row = TacticRecord(
        theorem="t",
        source="s",
        state_before="⊢ a",
        tactic="rw [le_div_iff h]",
        state_after="no goals",
        lean="4.8.0-rc1",
    )
    report = audited(row).report()
    assert [f.old for f in report.findings] == ["le_div_iff"]
    assert apply(row)[0] == msgspec.structs.replace(row, tactic="rw [le_div_iff₀ h]")


def test_applying_changes_code_alone_and_says_what():
    record = theorem(
        statement="theorem t : ∑ i in s, i = 0", header="open Nat", proof="by\n  -- le_div_iff\n  rw [le_div_iff h]"
    )
    new, done = apply(record)
    assert isinstance(new, TheoremRecord)
    assert new.statement == "theorem t : ∑ i ∈ s, i = 0"
    assert new.proof == "by\n  -- le_div_iff\n  rw [le_div_iff₀ h]"
    assert [change.old for change in done] == ["∑ x in s", "le_div_iff"]
    assert apply(theorem())[0] == theorem()


def test_the_sample_does_not_hang_on_the_order():
    records = [theorem(f"t{i}") for i in range(200)]
    one = audited(*records, sample_size=7, seed=1).sample
    assert len(one) == 7
    assert audited(*reversed(records), sample_size=7, seed=1).sample == one
    assert audited(*records, sample_size=7, seed=2).sample != one
    assert len(audited(*records[:3], sample_size=7).sample) == 3


def test_what_lean_said_is_part_of_the_report():
    said = Elaborated(tried=10, accepted=6, lost=1, failures={"unknown identifier ℝ": 3})
    report = audited(theorem(imports=("Init",), lean="")).report(said)
    assert not report.fine
    assert report.sentences[-1] == (
        "of 10 theorems tried without their imports Lean 4.28.0 takes 6, 1 took Lean down or too long; "
        "what fails most, in rows: unknown identifier ℝ (3)"
    )


@pytest.mark.parametrize(
    ("message", "word", "what"),
    [
        ("Unknown identifier `Real.sqrt`", "", "unknown identifier Real.sqrt"),
        ("unknown namespace `BigOperators`", "", "unknown namespace BigOperators"),
        ("unknown tactic", "nlinarith", "unknown tactic nlinarith"),
        ("unexpected token 'in'; expected ','", "", "syntax at 'in'"),
        ("Tactic `rfl` failed: The left-hand side\n  1", "", "Tactic … failed: The left-hand side"),
    ],
)
def test_messages_are_counted_by_what_failed(message, word, what):
    assert failure(message, word) == what


@pytest.mark.parametrize(
    ("lean", "month"),
    [
        ("4.9.0", "2024-07"),
        ("v4.15.0", "2025-01"),
        ("4.8.0-rc1", "2024-06"),
        ("4.28.0", "2026-02"),
        ("3.51", ""),
        ("", ""),
    ],
)
def test_when_a_toolchain_came_out(lean, month):
    assert month_of(lean) == month


# --- the command

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "burnqed", "data", "audit", *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=dict(os.environ), check=False)

    return call


def test_the_goedel_sample_needs_mathlib_and_has_renamed_lemmas(run, tmp_path):
    sample = SAMPLES / "goedel_workbook_proofs_sample.jsonl"
    if not sample.is_file():
        pytest.skip(f"{sample} is not there")
    done = run(str(sample), "--json", "--apply", "renamed.jsonl")
    assert (done.returncode, done.stderr) == (1, "")
    report = json.loads(done.stdout)
    assert "none of them can be elaborated or traced with it as they stand" in report["sentences"][0]
    assert "made for Lean 4.9.0" in report["sentences"][1]
    assert report["unmet_imports"] == {"Mathlib": 101, "Aesop": 100}
    assert {"div_le_div_iff", "∑ x in s", "le_div_iff"} <= {f["old"] for f in report["findings"]}
    manifest = Manifest.read(tmp_path / "renamed.manifest.json")
    assert manifest.noted["div_le_div_iff → div_le_div_iff₀"].count == 7
    again = json.loads(run("renamed.jsonl", "--json").stdout)
    assert (again["findings"], again["rows"]) == ([], 101)


def test_a_fetched_set_is_found_by_name_and_a_fine_one_ends_with_0(run, tmp_path):
    folder = tmp_path / "data" / "raw" / "stp"
    folder.mkdir(parents=True)
    record = theorem(imports=("Init", "Std"), proof="rfl")
    (folder / "theorems.jsonl").write_bytes(msgspec.json.encode(record) + b"\n")
    done = run("stp")
    assert done.returncode == 0, done.stderr
    assert "1 rows read, 1 written" in done.stdout


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("stp", "`burnqed data fetch stp` makes them"),
        ("none.jsonl", "no such file"),
        ("step", "no set is called step"),
        ("empty.jsonl", "no rows that can be read"),
    ],
)
def test_what_cannot_be_audited_is_one_sentence(run, tmp_path, what, why):
    (tmp_path / "empty.jsonl").write_text("")
    done = run(what)
    assert (done.returncode, done.stdout) == (2, "")
    assert why in done.stderr
    assert done.stderr.count("\n") == 1


# --- losing Lean


class Lost:
    """A server that dies at the second text."""

    def __init__(self) -> None:
        self.asked = 0
        self.closed = False

    async def request(self, command: str, payload: dict[str, str], reply: object, *, timeout_s: float) -> object:
        self.asked += 1
        if self.asked == 2:
            raise WorkerLost("it died")
        message = {"severity": "error", "data": "Unknown identifier `x`", "pos": {"line": 1, "column": 0}}
        return None, {"units": [{"messages": [message, message]}]}

    async def close(self) -> None:
        self.closed = True


async def test_a_theorem_that_takes_lean_down_is_counted_and_the_rest_goes_on():
    from burnqed.data.elaborate import elaborate

    servers: list[Lost] = []

    async def spawn() -> Lost:
        servers.append(Lost())
        return servers[-1]

    result = await elaborate(spawn, [theorem(f"t{i}") for i in range(3)])  # type: ignore[arg-type]
    assert (result.tried, result.accepted, result.lost) == (3, 0, 1)
    assert result.failures == {"unknown identifier x": 2}
    assert [s.closed for s in servers] == [True, True]
