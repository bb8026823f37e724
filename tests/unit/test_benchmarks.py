"""Benchmarks from files of every kind: what is in them, what is refused, and when two are the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from burnqed.core.errors import BadInput
from burnqed.core.theorem import Theorem
from burnqed.data.manifest import Manifest, Origin
from burnqed.data.restate.checking import RESTATE, RestatedRow
from burnqed.evaluate.benchmarks import Restating, load_benchmark, require_reachable
from burnqed.run.prove import EMBEDDED_ROOTS

SHARED = Path(__file__).parents[3] / "shared" / "data"
HEADER = "import Mathlib\nopen Nat\n"


def lines(path: Path, *rows: dict | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join((r if isinstance(r, str) else json.dumps(r, ensure_ascii=False)) + "\n" for r in rows))
    return path


def plain(name: str, claim: str = "1 = 1", **more: object) -> dict:
    return {"name": name, "statement": f"theorem {name} : {claim} := by sorry", **more}


def v1(name: str, split: str, claim: str = "(n : ℕ) : n = n") -> dict:
    return {"name": name, "split": split, "header": HEADER, "formal_statement": f"theorem {name} {claim} := by\n"}


def names(theorems: list[Theorem]) -> list[str]:
    return [t.name for t in theorems]


def test_what_prove_reads_is_a_benchmark_with_its_hashes(tmp_path):
    path = lines(tmp_path / "small.jsonl", plain("a"), plain("b", header="open Nat"))
    benchmark, theorems = load_benchmark(str(path))
    assert names(theorems) == ["a", "b"]
    assert [(i.name, i.digest) for i in benchmark.theorems] == [(t.name, t.digest) for t in theorems]
    assert (benchmark.name, benchmark.path, benchmark.skipped) == ("small", str(path), ())
    assert theorems[1].header == "open Nat"


def test_the_revision_is_that_of_the_statements_and_not_of_the_file(tmp_path):
    first, _ = load_benchmark(str(lines(tmp_path / "x.jsonl", plain("a"), plain("b"))))
    moved, _ = load_benchmark(str(lines(tmp_path / "y.jsonl", plain("b", note="new"), plain("a"))))
    other, _ = load_benchmark(str(lines(tmp_path / "z.jsonl", plain("a"), plain("b", "2 = 2"))))
    assert first.revision == moved.revision != other.revision
    assert first.sha256 != moved.sha256


def test_the_only_split_need_not_be_named_and_several_must_be(tmp_path):
    one = lines(tmp_path / "one.jsonl", v1("a", "valid"), v1("b", "valid"))
    assert len(load_benchmark(str(one))[1]) == 2
    two = lines(tmp_path / "two.jsonl", v1("a", "valid"), v1("b", "test"), v1("c", "valid"))
    with pytest.raises(BadInput, match=r"several splits, test \(1\), valid \(2\); choose one with --split"):
        load_benchmark(str(two))
    benchmark, theorems = load_benchmark(str(two), split="valid")
    assert names(theorems) == ["a", "c"]
    assert (benchmark.name, benchmark.split) == ("two valid", "valid")
    assert theorems[0].imports == ("Mathlib",)
    assert len(load_benchmark(str(two), split="all")[1]) == 3


def test_splits_of_plain_statements_count_too_and_places_stay_true(tmp_path):
    path = lines(
        tmp_path / "s.jsonl", plain("a", split="train"), plain("b", split="test"), {"name": "c", "split": "test"}
    )
    with pytest.raises(BadInput, match=r"s\.jsonl:3: `statement` is missing"):
        load_benchmark(str(path), split="test")
    _, theorems = load_benchmark(str(path), split="test", skip_unreadable=True)
    assert names(theorems) == ["b"]


@pytest.mark.parametrize("make", [plain, lambda name: v1(name, "valid")])
def test_a_split_that_is_not_there(tmp_path, make):
    path = lines(tmp_path / "s.jsonl", make("a"))
    with pytest.raises(BadInput, match="has no rows of the split dev"):
        load_benchmark(str(path), split="dev")


def test_v2_files_get_the_labels_of_the_original_splits(tmp_path):
    row = {"informal_proof": "", "formal_proof": "", "header": HEADER, "informal statement": "x"}
    row |= {"name": "p", "split": "valid", "formal_statement": "theorem p : 1 = 1 := by"}
    path = lines(tmp_path / "v2s.jsonl", row)
    with pytest.raises(BadInput, match="no rows of the split valid"):
        load_benchmark(str(path), split="valid")
    benchmark, _ = load_benchmark(str(path), split="test")
    assert "miniF2F" in benchmark.origin


@pytest.mark.parametrize(
    "rows",
    [
        (plain("a"), plain("b"), plain("a", "2 = 2")),
        (v1("a", "valid"), v1("a", "valid", "(n : ℕ) : n + 0 = n")),
        (v1("a", "valid"), v1("a", "valid")),
    ],
)
def test_a_name_that_is_there_twice_is_refused_even_when_rows_may_be_left_out(tmp_path, rows):
    path = lines(tmp_path / "twice.jsonl", *rows)
    with pytest.raises(BadInput, match="more than once"):
        load_benchmark(str(path), skip_unreadable=True)


def test_one_name_in_two_splits_is_no_trouble_for_one_of_them(tmp_path):
    path = lines(tmp_path / "x.jsonl", v1("a", "valid"), v1("a", "test"))
    assert names(load_benchmark(str(path), split="valid")[1]) == ["a"]


@pytest.mark.parametrize("good", [plain("a"), v1("a", "valid")])
def test_rows_that_cannot_be_read_are_refused_or_left_out_by_name(tmp_path, good):
    path = lines(tmp_path / "x.jsonl", good, "{nonsense")
    with pytest.raises(BadInput, match=r"1 rows cannot be read, such as .*x\.jsonl:2.*--skip-unreadable"):
        load_benchmark(str(path))
    benchmark, theorems = load_benchmark(str(path), skip_unreadable=True)
    assert names(theorems) == ["a"]
    assert len(benchmark.skipped) == 1
    assert "x.jsonl:2" in benchmark.skipped[0]


def test_a_sample_is_drawn_by_its_seed_and_keeps_the_order(tmp_path):
    path = lines(tmp_path / "x.jsonl", *(plain(f"t{i}") for i in range(40)))
    benchmark, theorems = load_benchmark(str(path), limit=7, seed=3)
    assert len(theorems) == 7
    assert names(theorems) == sorted(names(theorems), key=lambda name: int(name[1:]))
    assert benchmark.name == "x, 7 of 40 drawn with seed 3"
    assert names(load_benchmark(str(path), limit=7, seed=3)[1]) == names(theorems)
    assert names(load_benchmark(str(path), limit=7, seed=4)[1]) != names(theorems)
    assert load_benchmark(str(path), limit=99)[0].name == "x"


def restated(name: str) -> RestatedRow:
    """As `burnqed data restate` writes it."""
    return RestatedRow(
        name=name,
        statement=f"theorem {name} (n : Nat) : n = n := by\n  sorry",
        header="open Nat",
        kind="core",
        split="valid",
        original=f"theorem {name} (n : ℕ) : n = n",
        changes=(),
        caveats=(),
        flags=("benchmark",),
        informal="",
        source="minif2f-v1",
        origin="",
        lean="4.28.0",
    )


def test_restating_at_once_gives_the_benchmark_that_the_restated_file_is(tmp_path):
    seen: list[str] = []

    def do(records, manifest):
        seen.extend(r.name for r in records)
        manifest.drop(RESTATE, "needs trigonometry", records[1].name)
        return [restated(records[0].name)]

    path = lines(tmp_path / "x.jsonl", v1("a", "valid"), v1("b", "valid"), v1("c", "test"))
    now, theorems = load_benchmark(str(path), split="valid", restated=Restating("core", True, do))
    assert seen == ["a", "b"]
    assert names(theorems) == ["a"]
    assert now.name == "x valid, core, unfolded"
    assert now.notes == ("1 of 2 problems can be restated so; the others: needs trigonometry (1)",)
    row = restated("a")
    file = lines(tmp_path / "core.jsonl", {f: getattr(row, f) for f in row.__struct_fields__})
    before, _ = load_benchmark(str(file))
    assert before.revision == now.revision
    with pytest.raises(BadInput, match="is restated already; leave --kind out"):
        load_benchmark(str(file), restated=Restating("core", False, do))


def test_the_folder_of_a_harvest_or_a_set_tells_where_it_is_from(tmp_path):
    folder = tmp_path / "harvested"
    record = {"name": "a", "statement": "theorem a : 1 = 1", "imports": ["Init"], "split": "test", "source": "harvest"}
    lines(folder / "tasks.jsonl", record, record | {"name": "b", "split": "train"})
    Manifest(step="harvest", origins=[Origin(name="harvest", location="Lean", revision="4.28.0", licence="MIT")]).write(
        folder
    )
    benchmark, theorems = load_benchmark(str(folder), split="test")
    assert names(theorems) == ["a"]
    assert theorems[0].imports == ("Init",)
    assert (benchmark.name, benchmark.licence) == ("harvested test", "MIT")
    assert benchmark.origin == "harvest, Lean at 4.28.0"


def test_a_fetched_set_goes_by_its_name_and_one_that_was_not_fetched_says_so(tmp_path):
    record = {"name": "a", "statement": "theorem a : 1 = 1", "imports": ["Mathlib"], "split": "valid"}
    lines(tmp_path / "minif2f-v2s" / "theorems.jsonl", record)
    benchmark, _ = load_benchmark("minif2f-v2s", split="valid", fetched=tmp_path)
    assert benchmark.name == "minif2f-v2s valid"
    with pytest.raises(BadInput, match="`burnqed data fetch minif2f-v2c` gets it"):
        load_benchmark("minif2f-v2c", fetched=tmp_path)
    with pytest.raises(BadInput, match="no such file or folder, and no set of that name"):
        load_benchmark("minif3f", fetched=tmp_path)


def test_a_row_that_an_earlier_step_renamed_is_no_second_one(tmp_path):
    record = {"name": "a~2", "statement": "theorem a : 1 = 1", "imports": ["Init"], "flags": ["renamed"]}
    path = tmp_path / "x.json"
    path.write_text(json.dumps([record]))
    assert names(load_benchmark(str(path))[1]) == ["a~2"]


def test_a_folder_of_restated_problems_asks_which_kind(tmp_path):
    for kind in ("core", "field"):
        lines(tmp_path / f"{kind}.jsonl", plain("a"))
    with pytest.raises(BadInput, match=r"give .*core\.jsonl or .*field\.jsonl"):
        load_benchmark(str(tmp_path))


def test_a_lean_file_has_the_theorems_that_end_in_sorry(tmp_path):
    path = tmp_path / "x.lean"
    path.write_text("open Nat\ntheorem a : 1 = 1 := by sorry\ntheorem b : 2 = 2 := rfl\ntheorem c : 3 = 3 := sorry\n")
    benchmark, theorems = load_benchmark(str(path))
    assert names(theorems) == ["a", "c"]
    path.write_text(path.read_text().replace("3 = 3", "4 = 4"))
    assert load_benchmark(str(path))[0].revision != benchmark.revision


def test_other_imports_come_before_the_hashes(tmp_path):
    path = lines(tmp_path / "x.jsonl", plain("a"))

    def adapt(entries):
        return [Theorem(e.name, e.signature, e.header, ("Mathlib",), e.source) for e in entries]

    benchmark, theorems = load_benchmark(str(path), adapt=adapt)
    assert benchmark.theorems[0].digest == theorems[0].digest
    assert benchmark.revision != load_benchmark(str(path))[0].revision


def test_a_benchmark_for_mathlib_is_refused_where_there_is_none(tmp_path):
    benchmark, theorems = load_benchmark(str(lines(tmp_path / "x.jsonl", v1("a", "valid"))))
    with pytest.raises(BadInput, match="needs Mathlib, and the embedded Lean has Init and Std only; restate it"):
        require_reachable(benchmark, theorems, EMBEDDED_ROOTS)
    require_reachable(benchmark, theorems, None)
    # Single ones that cannot be stated are results with an error, not a benchmark for another Lean.
    require_reachable(benchmark, [*theorems, Theorem("b", "theorem b : 1 = 1")], EMBEDDED_ROOTS)


def test_flags_of_the_rows_are_told(tmp_path):
    record = {"name": "a", "statement": "theorem a : 1 = 1", "imports": ["Init"], "flags": ["known-bad", "benchmark"]}
    path = tmp_path / "x.json"
    path.write_text(json.dumps([record, record | {"name": "b", "flags": []}]))
    assert load_benchmark(str(path))[0].notes == ("1 flagged known-bad: a",)
    again = lines(tmp_path / "x.jsonl", plain("b", flags=["odd", "benchmark"]), plain("c", flags=["odd"]), plain("d"))
    assert load_benchmark(str(again))[0].notes == ("2 flagged odd: b, c",)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the benchmark files are not beside the repository")
def test_the_core_problems_of_minif2f_are_66_and_those_of_v1_need_mathlib():
    benchmark, theorems = load_benchmark(str(SHARED / "minif2f_core_valid.jsonl"), split="valid")
    assert len(theorems) == len({t.name for t in theorems}) == 66
    require_reachable(benchmark, theorems, EMBEDDED_ROOTS)
    whole, theorems = load_benchmark(str(SHARED / "minif2f_v1_valid.jsonl"), split="valid")
    assert len(whole.theorems) == 244
    assert whole.licence
    with pytest.raises(BadInput, match="needs Mathlib"):
        require_reachable(whole, theorems, EMBEDDED_ROOTS)
