"""Each public set from a fixture in its published schema, and from the samples where they are."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from burnqed.core.errors import BadInput
from burnqed.data.intake import take_in
from burnqed.data.manifest import Manifest
from burnqed.data.records import BENCHMARK, TacticRecord, TheoremRecord
from burnqed.data.sources import minif2f_v2
from burnqed.data.sources.any_file import source_of
from burnqed.data.sources.registry import SOURCES, source_named

SAMPLES = Path(__file__).parents[3] / "shared" / "data"
HEADER = "import Mathlib\nimport Aesop\n\nset_option maxHeartbeats 0\n\nopen BigOperators Real Nat Topology Rat\n\n"
OPENS = "set_option maxHeartbeats 0\nopen BigOperators Real Nat Topology Rat"


def sample(name: str) -> Path:
    path = SAMPLES / name
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    return path


def written(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """The rows as the kind of file that the name says."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(list(rows)), path)
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows, ensure_ascii=False))
    else:
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def loaded(name: str, path: Path) -> tuple[list[TheoremRecord], list[TacticRecord], Manifest]:
    source = SOURCES[name]
    manifest = Manifest(step="test")
    records = list(take_in(source.load(path), source, manifest))
    manifest.check()
    theorems = [r for r in records if isinstance(r, TheoremRecord)]
    assert all(msgspec.convert(msgspec.to_builtins(r), type(r)) == r for r in records)
    assert all(r.benchmark == source.benchmark for r in theorems)
    assert all(r.source == source.name for r in records)
    return theorems, [r for r in records if isinstance(r, TacticRecord)], manifest


# --- training sets


def test_lean_workbook_problems(tmp_path):
    def row(number: int, **more: Any) -> dict[str, Any]:
        statement = f"theorem lean_workbook_{number} (x y : ℝ) : (x - {number}) ^ 2 ≥ 0  :=  by sorry"
        common = {"natural_language_statement": "Prove it.", "answer": "", "tags": ["inequality"], "proof": []}
        return {**common, "formal_statement": statement, "split": "lean_workbook", **more}

    scripts = ["rw [sq]\napply mul_self_nonneg", "positivity"]
    rows = [
        row(214, proof=scripts),
        row(2, split="lean_workbook_plus"),
        row(3, formal_statement=None),
        row(4, proof=None),
    ]
    theorems, _, manifest = loaded("lean-workbook", written(tmp_path / "lean_workbook.json", rows))
    assert [(t.name, t.proof) for t in theorems] == [
        ("lean_workbook_214", "by\n  rw [sq]\n  apply mul_self_nonneg"),
        ("lean_workbook_214", "by\n  positivity"),
        ("lean_workbook_2", None),
        ("lean_workbook_4", None),
    ]
    first = theorems[0]
    assert first.statement == "theorem lean_workbook_214 (x y : ℝ) : (x - 214) ^ 2 ≥ 0"
    assert (first.imports, first.lean, first.informal) == (("Mathlib",), "4.8.0-rc1", "Prove it.")
    assert first.header == "open BigOperators Nat Real Rat"
    assert [t.split for t in theorems[1:]] == ["lean_workbook", "lean_workbook_plus", "lean_workbook"]
    assert (manifest.rows_in, manifest.rows_made) == (4, 1)
    assert manifest.dropped_for("read", "wrong type") == 1


def steps(theorem: str, status: str, *chain: str) -> list[dict[str, str]]:
    """Rows that lead through states; a step from one to the next each."""
    return [
        {
            "id": theorem,
            "status": status,
            "tactic": f"tac {i}",
            "state_before": before,
            "state_after": after,
            "natural_language_statement": "?",
            "answer": "",
            "formal_statement": f"theorem {theorem} (x : ℝ) (h : x = 1) : x ^ 2 = 1  :=  by sorry",
        }
        for i, (before, after) in enumerate(itertools.pairwise(chain))
    ]


def test_lean_workbook_tactics_are_put_in_order(tmp_path):
    rows = steps("a", "proved", "s0", "s1", "s2", "no goals")
    path = written(tmp_path / "wkbk_1009.parquet", [rows[2], rows[0], rows[1]])
    theorems, tactics, manifest = loaded("lean-workbook-tactics", path)
    assert [(t.step, t.tactic, t.state_before) for t in tactics] == [
        (0, "tac 0", "s0"),
        (1, "tac 1", "s1"),
        (2, "tac 2", "s2"),
    ]
    assert [(t.name, t.proof) for t in theorems] == [("a", "by\n  tac 0\n  tac 1\n  tac 2")]
    assert (manifest.rows_in, manifest.rows_made, manifest.rows_out) == (3, 1, 4)


def test_lean_workbook_disproofs_have_the_negated_conclusion_and_ids_that_are_both_are_flagged(tmp_path):
    rows = (
        steps("a", "proved", "p", "no goals")
        + steps("a", "disproved", "q", "no goals")
        + steps("b", "proved", "r", "no goals")
    )
    theorems, tactics, manifest = loaded("lean-workbook-tactics", written(tmp_path / "w.parquet", rows))
    assert [t.name for t in theorems] == ["a", "a_negated", "b"]
    assert theorems[1].statement == "theorem a_negated (x : ℝ) (h : x = 1) : ¬ (x ^ 2 = 1)"
    assert theorems[1].flags == ("disproved", "proved-and-disproved")
    assert theorems[0].flags == ("proved-and-disproved",)
    assert theorems[2].flags == ()
    assert [t.theorem for t in tactics] == ["a", "a_negated", "b"]
    assert manifest.noted["flag disproved"].count == 2


@pytest.mark.parametrize(
    "chain", [("s0", "s1", "s2"), ("s0", "s1", "s0"), ("s0", "s0", "no goals")], ids=["open end", "circle", "twice"]
)
def test_lean_workbook_tactics_that_are_no_chain_stay_flagged_and_without_a_whole_proof(tmp_path, chain):
    theorems, tactics, _ = loaded(
        "lean-workbook-tactics", written(tmp_path / "w.parquet", steps("a", "proved", *chain))
    )
    assert [t.proof for t in theorems] == [None]
    assert {t.step for t in tactics} == {-1}
    assert all("broken-chain" in t.flags for t in tactics)


def test_lean_workbook_tactics_with_a_status_of_their_own_are_bad_rows(tmp_path):
    path = written(tmp_path / "w.parquet", [*steps("a", "open", "s", "t"), *steps("b", "proved", "s", "no goals")])
    _, tactics, manifest = loaded("lean-workbook-tactics", path)
    assert [t.theorem for t in tactics] == ["b"]
    assert manifest.rows_dropped == 1


def test_goedel_workbook_proofs(tmp_path):
    proof = f"{HEADER}/- Show it. -/\ntheorem lean_workbook_7 (x : ℝ) : x = x  := by\n  /- Long comment with := by -/\n  rfl\n"
    rows = [
        {"problem_id": "lean_workbook_7", "full_proof": proof},
        {"problem_id": "x", "full_proof": f"{HEADER}theorem x : 1 = 1 := by sorry"},
    ]
    (theorem,), _, manifest = loaded("goedel-workbook-proofs", written(tmp_path / "train.parquet", rows))
    assert theorem.statement == "theorem lean_workbook_7 (x : ℝ) : x = x"
    assert theorem.proof == "by\n  /- Long comment with := by -/\n  rfl"
    assert (theorem.header, theorem.imports, theorem.informal) == (OPENS, ("Mathlib", "Aesop"), "Show it.")
    assert theorem.lean == "4.9.0"
    assert manifest.dropped_for("read", "no proof in it") == 1


def test_goedel_sample():
    theorems, _, manifest = loaded("goedel-workbook-proofs", sample("goedel_workbook_proofs_sample.jsonl"))
    assert (manifest.rows_in, len(theorems)) == (102, 101)
    assert manifest.dropped_for("read", "same row again") == 1
    lines = sample("goedel_workbook_proofs_sample.jsonl").read_text().splitlines()
    texts = {row["problem_id"]: row["full_proof"] for row in map(json.loads, lines)}
    for theorem in theorems:
        whole = texts[theorem.name]
        assert f"{theorem.statement} := {theorem.proof}".split() == whole[whole.index(theorem.statement) :].split()


def numina(uuid: str, **more: Any) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(("answer", "formal_ground_truth", "formal_proof", "exam", "problem"))
    row |= {
        "uuid": uuid,
        "question_type": "proof",
        "author": "autoformalizer",
        "ground_truth_type": "statement",
        "source": "amc",
    }
    row |= {
        "formal_statement": f"import Mathlib\n\nopen Nat\n\n/- It. -/\ntheorem algebra_{uuid} (x : ℕ) : x = x := by sorry"
    }
    row |= {"problem_type": "Algebra", "rl_data": {"n_correct_proofs": 1, "n_proofs": 2, "win_rate": 0.5}}
    return row | more


def test_numinamath(tmp_path):
    def proof(name: str, script: str) -> str:
        return f"import Mathlib\n\nopen Nat\n\ntheorem algebra_{name} (x : ℕ) : x = x := by\n  {script}"

    rows = [
        numina("1", formal_proof=proof("1", "rfl"), rl_data=None),
        numina(
            "2",
            author="human",
            formal_ground_truth=proof("2", "simp"),
            ground_truth_type="complete",
            formal_proof=proof("2", "rfl"),
        ),
        numina("3", formal_ground_truth=proof("3", "sorry"), ground_truth_type="with_sorry"),
        numina("4", formal_proof="", problem="What is it?"),
        numina("5", formal_proof="import Mathlib\n\ntheorem algebra_5 : 1 = 1 := rfl"),
    ]
    theorems, _, manifest = loaded("numinamath-lean", written(tmp_path / "train-0.parquet", rows))
    assert [(t.name, t.proof, t.flags) for t in theorems] == [
        ("algebra_1", "by\n  rfl", ("autoformalized",)),
        ("algebra_2", "by\n  simp", ("human-proof",)),
        ("algebra_2", "by\n  rfl", ()),
        ("algebra_3", None, ("autoformalized",)),
        ("algebra_4", None, ("autoformalized",)),
        ("algebra_5", "rfl", ("autoformalized", "restated")),
    ]
    assert theorems[4].informal == "What is it?"
    assert theorems[0].informal == ""
    assert theorems[0].header == "open Nat"
    assert theorems[3].origin.endswith("row 3 3")
    assert (manifest.rows_in, manifest.rows_made) == (5, 1)


def test_deepseek_prover(tmp_path):
    statement = "theorem thm_0 (x : ℝ) : x = x := by\n"
    rows = [
        {
            "name": "thm_0",
            "split": "train",
            "formal_statement": statement,
            "goal": "",
            "header": HEADER,
            "formal_proof": "  rfl\n",
        },
        {
            "name": "thm_1",
            "split": "train",
            "formal_statement": statement.rstrip(),
            "goal": "",
            "header": HEADER,
            "formal_proof": "  simp",
        },
        {
            "name": "thm_2",
            "split": "train",
            "formal_statement": statement,
            "goal": "",
            "header": HEADER,
            "formal_proof": "",
        },
    ]
    theorems, _, manifest = loaded("deepseek-prover-v1", written(tmp_path / "d.jsonl", rows))
    assert [(t.name, t.proof, t.header, t.split) for t in theorems] == [
        ("thm_0", "by\n  rfl", OPENS, "train"),
        ("thm_1", "by\n  simp", OPENS, "train"),
    ]
    assert manifest.dropped_for("read", "no proof in it") == 1


@pytest.mark.parametrize("tag", ["['conjecture']", ["conjecture"], "conjecture"])
@pytest.mark.parametrize("end", [" := by\n", " := by", " := by sorry\n```", ":= sorry"])
def test_stp(tmp_path, tag, end):
    prompt = f"Complete the following Lean 4 code:\n\n```lean4\n{HEADER}theorem c (x : ℝ) : x = x{end}"
    target = "by\n  rfl\n```" if end == ":= sorry" else "  rfl\n```"
    (theorem,), _, _ = loaded("stp", written(tmp_path / "s.jsonl", [{"prompt": prompt, "target": target, "tag": tag}]))
    assert (theorem.statement, theorem.proof) == ("theorem c (x : ℝ) : x = x", "by\n  rfl")
    assert (theorem.header, theorem.flags) == (OPENS, ("stp:conjecture",))


def test_stp_conjectures_of_one_name_are_told_apart(tmp_path):
    rows = [
        {"prompt": f"```lean4\ntheorem c : {i} = {i} := by\n", "target": "  rfl", "tag": "conjecture"} for i in (1, 2)
    ] + [{"prompt": "theorem c : 1 = 1", "target": "", "tag": None}]
    theorems, _, manifest = loaded("stp", written(tmp_path / "s.jsonl", rows))
    assert [t.name for t in theorems] == ["c", "c~2"]
    assert manifest.dropped_for("read", "no fence in the prompt") == 1


def test_lean_github(tmp_path):
    rows = [{"state_before": "⊢ a", "tactic": "simp", "state_after": "no goals", "file": "A/B.lean"}]
    _, (tactic,), _ = loaded("lean-github", written(tmp_path / "lean-github.parquet", rows))
    assert (tactic.theorem, tactic.flags) == ("file:A/B.lean", ("theorem-unknown",))
    _, (named,), _ = loaded("lean-github", written(tmp_path / "b.parquet", [rows[0] | {"full_name": "foo"}]))
    assert (named.theorem, named.flags) == ("foo", ())


# --- benchmarks

STATEMENT = "theorem prob_1 (x : ℝ) (h₀ : x = 1) :\n  x ^ 2 = 1"
V1_SCHEMAS: dict[str, dict[str, Any]] = {
    "deepseek": {
        "name": "prob_1", "split": "valid", "informal_prefix": "/-- Show it.-/\n", "formal_statement": f"{STATEMENT} := by\n",
        "goal": "⊢", "header": HEADER,
    },
    "goedel v2": {
        "name": "prob_1", "split": "valid", "informal_prefix": "/-- Show it.-/\n",
        "formal_statement": f"{HEADER}{STATEMENT} := by\n",
        "lean4_code": f"{HEADER}/-- Show it.-/\n{STATEMENT} := by\n  sorry", "problem_id": "prob_1",
    },
    "internlm": {"full_name": "prob_1", "statement": STATEMENT, "url": "u", "file_path": "f.lean", "split": "valid"},
    "aimo": {"name": "prob_1", "informal_prefix": "/-- Show it.-/\n", "formal_statement": f"{HEADER}{STATEMENT} := by sorry"},
}  # fmt: skip


@pytest.mark.parametrize("schema", V1_SCHEMAS)
def test_minif2f_v1_in_each_published_schema(tmp_path, schema):
    (theorem,), _, _ = loaded("minif2f-v1", written(tmp_path / "m.jsonl", [V1_SCHEMAS[schema]]))
    assert (theorem.name, theorem.statement, theorem.proof) == ("prob_1", STATEMENT, None)
    assert theorem.flags == (BENCHMARK,)
    assert theorem.imports[0] == "Mathlib"
    assert "open BigOperators Real Nat Topology Rat" in theorem.header
    # The hub calls AI-MO's split "train"; it is the test split.
    assert theorem.split == ("test" if schema == "aimo" else "valid")
    assert theorem.informal == ("" if schema == "internlm" else "Show it.")


def test_minif2f_v1_as_a_folder_of_lean_files(tmp_path):
    for split, name in (("Valid", "a"), ("Test", "b")):
        folder = tmp_path / "MiniF2F" / split
        folder.mkdir(parents=True)
        (folder / f"{name}.lean").write_text(
            f"import MiniF2F.Minif2fImport\nopen Nat\n\ntheorem {name} : 1 = 1 := by\n  rfl\n"
        )
    (tmp_path / "MiniF2F" / "Test.lean").write_text("import MiniF2F.Test.b\n")
    theorems, _, manifest = loaded("minif2f-v1-files", tmp_path)
    assert [(t.name, t.split, t.imports, t.proof) for t in theorems] == [
        ("b", "test", ("Mathlib",), None),
        ("a", "valid", ("Mathlib",), None),
    ]
    assert manifest.rows_dropped == 0


def test_minif2f_v1_valid_sample():
    theorems, _, manifest = loaded("minif2f-v1", sample("minif2f_v1_valid.jsonl"))
    assert len(theorems) == 244
    assert {t.split for t in theorems} == {"valid"}
    assert all(t.informal and t.proof is None and t.header == OPENS for t in theorems)
    assert manifest.rows_dropped == 0


def v2(name: str, split: str, statement: str, *, spaced: bool) -> dict[str, Any]:
    key = "informal statement" if spaced else "informal_statement"
    header = "open BigOperators Real Nat Topology Rat" if spaced else "open BigOperators Real Nat Rat Finset"
    proofs = {"informal_proof": "Because.", "formal_proof": "theorem x : 1 = 1 := by rfl"}
    return {"name": name, "split": split, key: "Show it.", "formal_statement": statement, "header": header, **proofs}


@pytest.mark.parametrize("end", [" := by", " := by sorry", " := by\n  sorry", " := by "])
def test_minif2f_v2s_labels_are_put_right_and_no_proof_is_read(tmp_path, end):
    rows = [
        v2("a", "valid", f"theorem a : 1 = 1{end}", spaced=True),
        v2("b", "test", f"theorem b : 1 = 1{end}", spaced=True),
    ]
    theorems, _, manifest = loaded("minif2f-v2s", written(tmp_path / "v2s.jsonl", rows))
    assert [(t.name, t.split, t.proof, t.informal) for t in theorems] == [
        ("a", "test", None, "Show it."),
        ("b", "valid", None, "Show it."),
    ]
    assert manifest.noted["flag split-swapped"].count == 2
    assert theorems[0].imports == ("Mathlib",)
    assert any("swapped" in note for note in SOURCES["minif2f-v2s"].notes)


def test_minif2f_v2s_bad_rows_are_flagged_and_stay(tmp_path):
    rows = [v2(name, "valid", f"theorem {name} : 1 = 1 := by", spaced=True) for name in minif2f_v2.BAD_ROWS]
    rows.append(v2("mathd_numbertheory_198", "valid", "theorem other (n : ℕ) (h : n = 1) n ^ 2 = 1 := by", spaced=True))
    rows.append(v2("good", "valid", "theorem good : 1 = 1 := by", spaced=True))
    theorems, _, manifest = loaded("minif2f-v2s", written(tmp_path / "v2s.jsonl", rows))
    assert [t.name for t in theorems if minif2f_v2.KNOWN_BAD not in t.flags] == ["good"]
    assert [t.name for t in theorems if "no-colon" in t.flags] == ["mathd_numbertheory_198~2"]
    assert set(manifest.noted["flag known-bad"].examples) == set(minif2f_v2.BAD_ROWS)


def test_minif2f_v2c_answers_that_are_sorries_are_flagged(tmp_path):
    answer = "abbrev a_solution : ℕ := sorry\n\n"
    rows = [
        v2("a", "test", f"{answer}theorem a (n : ℕ) : n = a_solution := by", spaced=False),
        v2("b", "test", "theorem b : 1 = 1 := by", spaced=False),
        v2("c", "train", "theorem c : 1 = 1 := by", spaced=False),
    ]
    theorems, _, manifest = loaded("minif2f-v2c", written(tmp_path / "v2c.jsonl", rows))
    assert [(t.name, "sorried-definition" in t.flags) for t in theorems] == [("a", True), ("b", False)]
    assert theorems[0].header == "open BigOperators Real Nat Rat Finset\nabbrev a_solution : ℕ := sorry"
    assert manifest.dropped_for("read", "split is neither valid nor test") == 1


@pytest.mark.parametrize(("name", "spaced"), [("minif2f-v2s", False), ("minif2f-v2c", True)])
def test_minif2f_v2_files_are_not_taken_for_each_other(tmp_path, name, spaced):
    path = written(tmp_path / "m.jsonl", [v2("a", "test", "theorem a : 1 = 1 := by", spaced=spaced)])
    with pytest.raises(BadInput, match="fetch it as minif2f-v2"):
        list(SOURCES[name].load(path))


def test_proofnet_in_its_ports(tmp_path):
    deepseek = V1_SCHEMAS["deepseek"] | {"name": "exercise_1", "split": "test"}
    sharp = {
        "id": "Rudin|exercise_1",
        "nl_statement": "Show it.",
        "nl_proof": "",
        "lean4_src_header": HEADER,
        "lean4_formalization": f"{STATEMENT} :=",
    }
    ported = {
        "name": "R_1",
        "source": "R.lean",
        "header": HEADER,
        "formal_statement": f"{STATEMENT} := sorry",
        "formal_proof": None,
        "informal_stmt": None,
        "informal_proof": None,
    }
    for row, file, name, split in (
        (deepseek, "p.jsonl", "exercise_1", "test"),
        (sharp, "valid.jsonl", "Rudin|exercise_1", "valid"),
        (ported, "x.jsonl", "R_1", ""),
    ):
        (theorem,), _, _ = loaded("proofnet", written(tmp_path / file, [row]))
        assert (theorem.name, theorem.split, theorem.statement, theorem.proof) == (name, split, STATEMENT, None)


def test_proofnet_in_lean_3_is_refused_in_one_sentence(tmp_path):
    row = {
        "id": "exercise_1",
        "nl_statement": "",
        "nl_proof": "",
        "formal_statement": "theorem x : 1 = 1 :=",
        "src_header": "import tactic",
    }
    with pytest.raises(BadInput, match="Lean 3"):
        list(SOURCES["proofnet"].load(written(tmp_path / "p.jsonl", [row])))


def test_putnambench(tmp_path):
    (tmp_path / "putnam_1.lean").write_text(
        "import Mathlib\n\nopen Filter\n\nabbrev putnam_1_solution : ℕ := sorry\n-- 42\n"
        "/--\nFind it.\n-/\ntheorem putnam_1 : IsLeast s putnam_1_solution :=\nsorry\n"
    )
    (tmp_path / "broken.lean").write_bytes(b"theorem \xff")
    (theorem,), _, manifest = loaded("putnambench", tmp_path)
    assert theorem.name == "putnam_1"
    assert theorem.flags == (BENCHMARK, "sorried-definition")
    assert (theorem.informal, theorem.proof) == ("Find it.", None)
    assert "42" not in theorem.header
    assert manifest.dropped_for("read", "invalid UTF-8") == 1


def test_a_folder_without_lean_files_is_one_sentence(tmp_path):
    with pytest.raises(BadInput, match=r"no \.lean file"):
        list(SOURCES["putnambench"].load(tmp_path))


# --- the registry, and files of unknown kind


def test_every_source_says_what_it_is():
    for source in SOURCES.values():
        assert source.title, source.name
        assert source.licence, source.name
        assert source.address.startswith("https://")
        assert source.rows, source.name
        assert not source.lean or source.lean[0] == "4"


def test_a_name_with_a_slip_is_answered_with_the_nearest():
    with pytest.raises(BadInput, match="near to it: goedel-workbook-proofs"):
        source_named("goedel-workbook-proof")


def test_files_are_known_by_their_columns(tmp_path):
    rows: dict[str, dict[str, Any]] = {
        "minif2f-v1": V1_SCHEMAS["deepseek"],
        "minif2f-v2s": v2("a", "test", "theorem a : 1 = 1 := by", spaced=True),
        "numinamath-lean": numina("1"),
        "lean-workbook-tactics": steps("a", "proved", "s", "no goals")[0],
        "stp": {"prompt": "", "target": "", "tag": ""},
    }
    for name, row in rows.items():
        assert source_of(written(tmp_path / f"{name}.jsonl", [row])).name == name
    with pytest.raises(BadInput, match="the columns of no set"):
        source_of(written(tmp_path / "other.jsonl", [{"a": 1}]))
    with pytest.raises(BadInput, match=r"give a \.jsonl"):
        source_of(tmp_path / "x.csv")


def test_records_and_plain_statements_are_read_as_they_are(tmp_path):
    record = TheoremRecord(
        name="t", statement="theorem t : 1 = 1", source="s", split="valid", lean="4.9.0", proof="by rfl", flags=("x",)
    )
    path = written(
        tmp_path / "r.jsonl",
        [msgspec.to_builtins(record), {"name": "u", "statement": "theorem u : 2 = 2 := by\n  sorry"}],
    )
    source = source_of(path)
    records = [entry[1] for entry in source.load(path) if isinstance(entry, tuple)]
    assert records[0] == msgspec.structs.replace(record, origin="r.jsonl:1")
    assert isinstance(records[1], TheoremRecord)
    assert (records[1].statement, records[1].proof) == ("theorem u : 2 = 2", None)
