"""The account of a step, and records as lines."""

from __future__ import annotations

import msgspec
import pytest

from burnqed.core.errors import BadInput
from burnqed.data.intake import take_in
from burnqed.data.manifest import FileCard, Manifest, Origin
from burnqed.data.reading import BadRow
from burnqed.data.records import BENCHMARK, TacticRecord, TheoremRecord, line
from burnqed.data.sources.source import Hub, Source


def test_a_manifest_accounts_for_every_row_and_comes_back_as_it_was(tmp_path):
    manifest = Manifest(step="filter", origins=[Origin(name="x", licence="MIT")], rows_in=5, rows_made=1, rows_out=3)
    manifest.drop("filter", "too long", "a.jsonl:3: long one")
    manifest.drop("filter", "sorry in it", "a.jsonl:4", times=2)
    manifest.note("renamed", "b")
    path = manifest.write(tmp_path)
    assert Manifest.read(tmp_path) == Manifest.read(path) == manifest
    assert manifest.dropped_for("filter", "sorry in it") == 2
    assert "2 filter: sorry in it, 1 filter: too long" in manifest.told()


def test_a_manifest_that_does_not_add_up_is_not_written(tmp_path):
    with pytest.raises(AssertionError, match="5 rows came and 4 are accounted for"):
        Manifest(step="filter", rows_in=5, rows_out=4).write(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_examples_are_few_and_short():
    manifest = Manifest(step="x")
    for i in range(9):
        manifest.drop("read", "bad", f"{i} " + "y" * 1000)
    count = manifest.dropped["read"]["bad"]
    assert count.count == 9
    assert [e[0] for e in count.examples] == ["0", "1", "2"]
    assert all(len(e) <= 300 for e in count.examples)


def test_a_folder_without_manifest_and_a_damaged_one_are_one_sentence(tmp_path):
    with pytest.raises(BadInput, match="no manifest"):
        Manifest.read(tmp_path)
    (tmp_path / "manifest.json").write_text('{"step": 3}')
    with pytest.raises(BadInput, match="no manifest"):
        Manifest.read(tmp_path)


def test_a_card_has_the_hash_of_the_file(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"abc")
    card = FileCard.of(path, rows=1)
    assert card.sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert (card.size_bytes, card.rows) == (3, 1)


def test_a_record_is_a_line_and_a_file_for_lean():
    record = TheoremRecord(
        name="t",
        statement="theorem t : 1 = 1",
        header="open Nat",
        imports=("Mathlib",),
        source="set",
        origin="f:3",
        proof="by rfl",
    )
    assert msgspec.json.decode(line(record), type=TheoremRecord) == record
    assert line(record).endswith(b"\n")
    assert record.lean_text == "import Mathlib\n\nopen Nat\n\ntheorem t : 1 = 1 := by rfl\n"
    assert msgspec.structs.replace(record, proof=None).lean_text.endswith(":= by sorry\n")
    theorem = record.theorem
    assert (theorem.signature, theorem.imports, theorem.source) == ("theorem t : 1 = 1", ("Mathlib",), "set:f:3")


# --- taking in

SOURCE = Source(name="set", title="a set", home=Hub("a/b", ()), licence="MIT", load=lambda path: iter(()), lean="4.9.0")


def theorem(name: str, statement: str, **more: str) -> TheoremRecord:
    return TheoremRecord(name=name, statement=statement, **{"origin": f"f:{statement}", **more})


def taken(*loaded: tuple[int, TheoremRecord | TacticRecord] | BadRow, benchmark: bool = False):
    manifest = Manifest(step="x")
    source = Source(
        name="set", title="t", home=Hub("a/b", ()), licence="", load=SOURCE.load, lean="4.9.0", benchmark=benchmark
    )
    records = list(take_in(loaded, source, manifest))
    manifest.check()
    return records, manifest


def test_records_are_stamped_with_the_set():
    (record,), _ = taken((1, theorem("a", "x")), benchmark=True)
    assert (record.source, record.lean, record.flags) == ("set", "4.9.0", (BENCHMARK,))
    assert record.benchmark


def test_a_row_that_comes_again_is_dropped_and_its_place_told():
    records, manifest = taken((1, theorem("a", "x")), (1, theorem("a", "x", origin="f:9")))
    assert len(records) == 1
    assert manifest.dropped["read"]["same row again"].examples == ["f:9: a"]


def test_another_proof_of_the_same_theorem_stays():
    records, _ = taken((1, theorem("a", "x", proof="by simp")), (1, theorem("a", "x", proof="by omega")))
    assert [r.name for r in records] == ["a", "a"]


def test_a_name_for_different_statements_is_told_with_both_places_and_nothing_is_lost():
    records, manifest = taken(
        (1, theorem("a", "x")), (1, theorem("a", "y")), (1, theorem("a", "z")), (1, theorem("a", "y", proof="by simp"))
    )
    assert [r.name for r in records] == ["a", "a~2", "a~3", "a~2"]
    noted = manifest.noted["name used for different statements"]
    assert noted.count == 3
    assert noted.examples[0] == "f:y: a is already at f:x; here it is a~2"


def test_bad_rows_are_dropped_under_their_reason_and_rows_made_are_counted():
    step = TacticRecord(theorem="t", source="set", state_before="⊢ a", tactic="simp", state_after="no goals")
    records, manifest = taken(BadRow("f rows 1 to 5", "damaged block", rows=5), (1, step), (0, theorem("a", "x")))
    assert len(records) == 2
    assert (manifest.rows_in, manifest.rows_made, manifest.rows_out) == (6, 1, 2)
    assert manifest.dropped_for("read", "damaged block") == 5


def test_flags_are_noted_by_kind_but_for_the_benchmark_flag():
    _, manifest = taken((1, theorem("a", "x", flags=("known-bad",))), benchmark=True)  # type: ignore[arg-type]
    assert list(manifest.noted) == ["flag known-bad"]
