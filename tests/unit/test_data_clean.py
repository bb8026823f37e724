"""`burnqed data clean`: what stays is as it was, what leaves does so under its reason, and no benchmark stays."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from burnqed.cli.data import app
from burnqed.core.errors import BadInput
from burnqed.data import filters
from burnqed.data.decontaminate import DECONTAMINATE
from burnqed.data.fetch import Wanted, fetch
from burnqed.data.filters import FILTER
from burnqed.data.intake import READ
from burnqed.data.manifest import Manifest
from burnqed.data.records import TacticRecord, TheoremRecord, line
from burnqed.data.sources.registry import SOURCES
from burnqed.data.training_files import MARKED

SAMPLES = Path(__file__).parents[3] / "shared" / "data"
AMC = TheoremRecord(name="amc_1", statement="theorem amc_1 (x : Nat) (h : x ^ 9 = 512) : x = 2")
FINE = TheoremRecord(
    name="fine",
    statement="theorem fine (x y : ℕ) (h : x < y) : y ≠ x",
    header="open Nat",
    imports=("Mathlib",),
    source="set",
    origin="set.json:7",
    informal="Größer heißt „verschieden“.",
    proof="by\n  omega",
    flags=("human-proof",),
)


def row(name: str, statement: str = "", **more: object) -> TheoremRecord:
    claim = statement or f": {len(name)} + 0 = {len(name)}"
    return TheoremRecord(name=name, statement=f"theorem {name} {claim}", **{"proof": "by simp", **more})  # type: ignore[arg-type]


class Cleaning:
    """The command on files in a folder of the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out = folder / "out"
        self.benchmarks = folder / "bench.jsonl"
        self.benchmarks.write_bytes(line(AMC))

    def file(self, *records: TheoremRecord | TacticRecord, name: str = "t.jsonl", more: bytes = b"") -> Path:
        path = self.folder / name
        path.write_bytes(b"".join(map(line, records)) + more)
        return path

    def call(self, *arguments: object) -> Result:
        common = ["clean", "--benchmarks", str(self.benchmarks), "--out", str(self.out)]
        return CliRunner().invoke(app, [*common, *map(str, arguments)])

    def done(self, *arguments: object) -> Manifest:
        result = self.call(*arguments)
        assert result.exit_code == 0, result.output
        manifest = Manifest.read(self.out)
        manifest.check()
        return manifest

    def refused(self, *arguments: object) -> str:
        error = self.call(*arguments).exception
        assert isinstance(error, BadInput)
        assert "\n" not in str(error)
        return str(error)

    @property
    def lines(self) -> list[bytes]:
        return (self.out / "theorems.jsonl").read_bytes().splitlines(keepends=True)


@pytest.fixture
def cleaning(tmp_path: Path) -> Cleaning:
    return Cleaning(tmp_path)


def reasons(manifest: Manifest, stage: str) -> dict[str, int]:
    return {reason: count.count for reason, count in manifest.dropped.get(stage, {}).items()}


def test_what_stays_is_as_it_was_and_in_order(cleaning: Cleaning) -> None:
    first = cleaning.file(row("z"), FINE, row("bad", proof="by sorry"), name="one.jsonl")
    second = cleaning.file(row("longer", proof=None), row("a b", ": True ∧ 1 = 1"), name="two.jsonl")
    manifest = cleaning.done(first, second)
    all_lines = [*first.read_bytes().splitlines(keepends=True), *second.read_bytes().splitlines(keepends=True)]
    assert cleaning.lines == [text for text in all_lines if b"sorry" not in text]
    (card,) = manifest.outputs
    assert (card.rows, manifest.rows_in, manifest.rows_out) == (4, 5, 4)
    assert [Path(c.path).name for c in manifest.inputs] == ["one.jsonl", "two.jsonl", "bench.jsonl"]


def test_each_reason_once_and_the_account_adds_up(cleaning: Cleaning) -> None:
    bad = {
        filters.NO_PROOF: row("a", proof="by\n  simp\n  admit"),
        filters.NATIVE: row("ab", proof="by native_decide"),
        filters.HOLE: row("abc", proof="by exact?"),
        filters.OWN_AXIOM: row("abcd", header="axiom cheap : False"),
        filters.TOO_LONG_STATEMENT: row("abcde", f": {'1 + ' * 60}0 = 60"),
        filters.TOO_LONG_PROOF: row("abcdef", proof=f"by {'simp; ' * 60}rfl"),
        filters.DUPLICATE: row("again", "(u v : ℕ) (hyp : v > u) : ¬ (v = u)", proof="by omega"),
        filters.UNREADABLE: TheoremRecord(name="e", statement="def e := 3", origin="set.json:9"),
    }
    path = cleaning.file(FINE, *bad.values())
    manifest = cleaning.done(path, "--max-statement-chars", 200, "--max-proof-chars", 200)
    assert cleaning.lines == [line(FINE)]
    assert reasons(manifest, FILTER) == dict.fromkeys(bad, 1)
    assert manifest.dropped[FILTER][filters.UNREADABLE].examples == ["set.json:9: e"]
    assert (manifest.rows_in, manifest.rows_dropped) == (9, 8)
    assert manifest.settings["max_proof_chars"] == 200


def test_no_benchmark_stays(cleaning: Cleaning) -> None:
    stolen = "(n : ℤ) (hyp : n ^ 9 = 512) : n = 2"
    path = cleaning.file(
        row("amc_1_v2"), row("mine", stolen), row("marked", ": 8 = 8", flags=("benchmark",)), row("own", ": 9 = 9")
    )
    manifest = cleaning.done(path)
    assert [json.loads(text)["name"] for text in cleaning.lines] == ["own"]
    assert reasons(manifest, DECONTAMINATE) == {"name": 1, "statement": 1, MARKED: 1}
    assert "mine is statement: bench:amc_1" in manifest.dropped[DECONTAMINATE]["statement"].examples[0]
    assert manifest.settings["kept out"] == "1 of bench"


def test_a_row_that_left_as_a_leak_takes_no_duplicate_with_it(cleaning: Cleaning) -> None:
    claim = "(a b : Nat) (h : a = b) : b = a"
    cleaning.done(cleaning.file(row("amc_1", claim), row("own", claim)), "--near-duplicates")
    assert [json.loads(text)["name"] for text in cleaning.lines] == ["own"]


NEAR = "(a b c : ℝ) (h : 0 < a ∧ 0 < b ∧ 0 < c) (h1 : a * b + b * c + c * a = 1) : a ^ 2 + b ^ 2 + c ^ 2 ≥ {}"


@pytest.mark.parametrize(
    ("options", "stays"),
    [
        ([], ["t1", "t2"]),
        (["--no-near-duplicates"], ["t1", "t2"]),
        (["--near-duplicates", "--similarity", "0.7"], ["t1"]),
        (["--near-duplicates", "--similarity", "0.99"], ["t1", "t2"]),
    ],
)
def test_near_duplicates_leave_on_demand(cleaning: Cleaning, options: Sequence[str], stays: list[str]) -> None:
    manifest = cleaning.done(cleaning.file(row("t1", NEAR.format(1)), row("t2", NEAR.format(2))), *options)
    assert [json.loads(text)["name"] for text in cleaning.lines] == stays
    assert reasons(manifest, FILTER) == ({filters.NEAR_DUPLICATE: 1} if len(stays) == 1 else {})


def test_bad_rows_are_counted_with_their_place_and_the_rest_goes_on(cleaning: Cleaning) -> None:
    broken = b'{"name": 3, "statement": "x"}\n{"name": "x"}\n\xff\xfe\n{"name": "cut'
    path = cleaning.file(FINE, more=broken)
    manifest = cleaning.done(path)
    assert cleaning.lines == [line(FINE)]
    assert manifest.rows_in == 5
    places = {reason: count.examples[0].split(": ")[0] for reason, count in manifest.dropped[READ].items()}
    assert places["wrong type"] == f"{path}:2"
    assert places["missing field"] == f"{path}:3"
    assert places["truncated JSON"] == f"{path}:5"
    assert sum(reasons(manifest, READ).values()) == 4


def test_when_nothing_may_stay_the_file_is_empty_and_the_account_says_why(cleaning: Cleaning) -> None:
    cleaning.done(cleaning.file(FINE))
    manifest = cleaning.done(cleaning.file(row("bad", proof="by sorry")))
    assert cleaning.lines == []
    assert manifest.told() == f"1 rows read, 0 written; dropped: 1 filter: {filters.NO_PROOF}"


def test_a_file_of_something_else_is_told_and_leaves_nothing(cleaning: Cleaning) -> None:
    steps = TacticRecord(theorem="a", source="s", state_before="⊢ 1 = 1", tactic="rfl", state_after="no goals")
    published = cleaning.folder / "p.jsonl"
    published.write_text(json.dumps({"problem_id": "a", "full_proof": "theorem a : 1 = 1 := rfl"}))
    other = cleaning.folder / "o.jsonl"
    other.write_text('{"weather": "fine"}')
    assert "`burnqed data rows" in cleaning.refused(cleaning.file(FINE), cleaning.file(steps, name="s.jsonl"))
    assert f"`burnqed data fetch goedel-workbook-proofs --from {published}`" in cleaning.refused(published)
    assert cleaning.refused(other).endswith("it has weather")
    assert "no rows that can be read" in cleaning.refused(cleaning.file(name="empty.jsonl"))
    assert "none.jsonl cannot be read" in cleaning.refused(cleaning.folder / "none.jsonl")
    assert not cleaning.out.exists()


def test_options_that_do_not_go_together_are_refused(cleaning: Cleaning) -> None:
    path = cleaning.file(FINE)
    assert "add --near-duplicates" in cleaning.refused(path, "--similarity", "0.7")
    assert CliRunner().invoke(app, ["clean", str(path)]).exit_code == 2, "without a benchmark there is no guard"
    cleaning.done(path)
    again = cleaning.out / "theorems.jsonl"
    assert "would be written over" in cleaning.refused(again)
    assert again.read_bytes() == line(FINE)


def test_the_account_is_told_and_printed_as_json(cleaning: Cleaning) -> None:
    path = cleaning.file(FINE, row("bad", proof="by sorry"))
    told = cleaning.call(path).stdout
    assert "2 rows read, 1 written" in told
    assert f"dropped, {filters.NO_PROOF}: 1 (bad)" in told
    assert json.loads(cleaning.call(path, "--json").stdout)["rows_out"] == 1


def test_a_published_sample_with_a_stolen_problem_in_it(cleaning: Cleaning) -> None:
    sample, valid = (SAMPLES / f"{n}.jsonl" for n in ("goedel_workbook_proofs_sample", "minif2f_v1_valid"))
    if not (sample.is_file() and valid.is_file()):
        pytest.skip(f"{sample} or {valid} is not there")
    cleaning.benchmarks = valid
    folder, fetched = fetch(Wanted(SOURCES["goedel-workbook-proofs"], origin=sample), cleaning.folder / "raw")
    first = json.loads(valid.read_text().splitlines()[0])["formal_statement"].partition(":=")[0].strip()
    stolen = cleaning.file(TheoremRecord(name="mine", statement=first.replace(first.split()[1], "mine", 1)))
    manifest = cleaning.done(folder / "theorems.jsonl", stolen)
    assert b"".join(cleaning.lines) == (folder / "theorems.jsonl").read_bytes()
    assert manifest.rows_in == fetched.rows_out + 1
    assert reasons(manifest, DECONTAMINATE) == {"statement": 1}
