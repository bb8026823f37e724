"""Rows to fine-tune on: the serving prompt, tagged tasks, nothing twice, nothing of a benchmark, everything accounted for."""

from __future__ import annotations

import json
import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from typer.testing import CliRunner

from burnqed.cli.data import app
from burnqed.core.errors import BadInput
from burnqed.core.state import Goal, ProofState, Variable
from burnqed.data.auxiliary import NAMES_ONLY, TASKS, Lemmas, joined_script, local_names, named, used_names
from burnqed.data.decontaminate import Decontaminator
from burnqed.data.filters import FilterConfig
from burnqed.data.manifest import Manifest
from burnqed.data.printed_states import printed_state
from burnqed.data.records import TacticRecord, TheoremRecord
from burnqed.data.rows import (
    AGAIN,
    RowConfig,
    RowMaker,
    by_proof,
    imports_of,
    in_order,
    require_tasks,
    script_of,
    sound,
)
from burnqed.data.rows_files import write_rows
from burnqed.data.rows_reading import Splits, read_steps
from burnqed.premises.file import library
from burnqed.prompts.formats import FORMATS, WHOLE_PROOF, prompt_format
from burnqed.prompts.premises import premise_line, resolved

GUARD = Decontaminator(
    [TheoremRecord(name="amc_1", statement="theorem amc_1 (x : Nat) (h : x ^ 9 = 512) : x = 2", source="bench")]
)


def step(before: str, tactic: str, after: str = "no goals", theorem: str = "t", **more: object) -> TacticRecord:
    return TacticRecord(
        theorem=theorem,
        source="s",
        state_before=before,
        tactic=tactic,
        state_after=after,
        **more,  # type: ignore[arg-type]
    )


ROOT = "n : Nat\nh : n = 3\n⊢ n + 0 = 3 ∧ True"
AFTER = "case left\nn : Nat\nh : n = 3\n⊢ n + 0 = 3\n\ncase right\nn : Nat\nh : n = 3\n⊢ True"
LAST = "case right\nn : Nat\nh : n = 3\n⊢ True"
PROOF = [
    step(ROOT, "constructor", AFTER, step=0),
    step(AFTER, "rw [Nat.add_zero, h]", LAST, step=1, constants=("Nat.add_zero", "Eq.mpr")),
    step(LAST, "trivial", step=2),
]


def made(proof: list[TacticRecord], *, split: str = "train", **config: object) -> tuple[list, Manifest]:
    manifest = Manifest(step="rows")
    proofs = by_proof(sound(proof, FilterConfig(), manifest))
    maker = RowMaker(proofs, RowConfig(**config), manifest)  # type: ignore[arg-type]
    rows = [row for key in proofs for row, _ in maker.rows(key, split)]
    manifest.rows_out = len(rows)
    manifest.check()
    return rows, manifest


# -- states read back -------------------------------------------------------------------------------------


def goals() -> st.SearchStrategy[Goal]:
    names = st.sampled_from(["x", "h", "h₁", "inst✝", "α", "_x"])
    kinds = st.sampled_from(["Nat", "Type u", "∀ (n : Nat), n = n", "a\n  ∧ b", "x ∈ l ∨\ny = 3"])
    values = st.none() | st.sampled_from(["3", "fun x => x"])
    variable = st.builds(lambda n, k, v: Variable(n, k, v, "✝" not in n), names, kinds, values)
    targets = st.sampled_from(["True", "x = 3 → y", "a ∧\n  b"])
    return st.builds(
        lambda vs, t, c: Goal(tuple(vs), t, c), st.lists(variable, max_size=4), targets, st.sampled_from(["", "inl.h"])
    )


@given(st.lists(goals(), min_size=1, max_size=3))
def test_a_state_comes_back_from_its_text(found):
    state = ProofState(tuple(found))
    back = printed_state(state.text)
    assert back is not None
    assert back.text == state.text
    assert [g.target for g in back.goals] == [g.target for g in state.goals]
    assert [v for g in back.goals for v in g.variables] == [v for g in state.goals for v in g.variables]


def test_the_finished_state_has_no_goals():
    assert printed_state("no goals") == ProofState(())


@pytest.mark.parametrize("text", ["", "⊢", "x Nat\n⊢ True", "x : Nat", "⊢ True\n\n\n⊢ True", "case a", "  ⊢ True"])
def test_what_is_no_state_is_not_read_as_one(text):
    assert printed_state(text) is None


# -- the main task ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(set(FORMATS) - WHOLE_PROOF))
def test_a_row_begins_with_the_prompt_of_serving_and_ends_with_what_is_read_back(name):
    rows, _ = made(PROOF, prompt_format=name)
    form = prompt_format(name)
    assert len(rows) == 3
    for row, record in zip(rows, PROOF, strict=True):
        state = printed_state(record.state_before)
        assert state is not None
        assert row.prompt == form.prompt(state)
        assert form.read(row.completion) == record.tactic
        assert (row.prompt_format, row.task, row.theorem) == (name, "tactic", "t")
    assert [r.depth for r in rows] == [0, 1, 2]


@pytest.mark.parametrize("name", sorted(WHOLE_PROOF))
def test_a_whole_proof_format_asks_for_the_whole_proof(name):
    rows, manifest = made(PROOF, prompt_format=name)
    (row,) = rows
    state = printed_state(ROOT)
    assert state is not None
    assert row.prompt == prompt_format(name).prompt(state)
    assert prompt_format(name).read(row.completion) == "constructor\nrw [Nat.add_zero, h]\ntrivial"
    assert manifest.dropped_for("rows", "nothing asked of this step") == 2
    broken, noted = made(PROOF[:2], prompt_format=name)
    assert broken == []
    assert noted.noted["no whole proof known"].count == 1


def test_the_main_rows_are_the_same_with_and_without_the_other_tasks():
    alone, _ = made(PROOF)
    together, _ = made(PROOF, tasks=TASKS)
    assert [r for r in together if r.task == "tactic"] == alone
    assert not {r.prompt for r in together if r.task != "tactic"} & {r.prompt for r in alone}


# -- premises before the main task's prompt ----------------------------------------------------------------


def line_of(prompt: str) -> str:
    """The line of premises, with its end; empty without one."""
    first, newline, _ = prompt.partition("\n")
    return first + newline if first.startswith("#premises ") else ""


def names_of(prompt: str) -> list[str]:
    return line_of(prompt).split()[2::2]


def test_rows_with_premises_are_the_rows_without_but_for_the_line_and_the_marks():
    plain, _ = made(PROOF, tasks=TASKS)
    rows, _ = made(PROOF, tasks=TASKS, premises=26, without_premises=0)
    assert len(rows) == len(plain)
    for row, before in zip(rows, plain, strict=True):
        names = names_of(row.prompt)
        if row.task == "tactic":
            state = printed_state(before.prompt.removeprefix("[GOAL]").removesuffix("[PROOFSTEP]"))
            assert state is not None
            assert line_of(row.prompt) == premise_line(library().alike(state.goals[0].text, (), 26))
            assert resolved(row.completion, names) == before.completion
        assert row.prompt == line_of(row.prompt) + before.prompt
    assert [r for r in rows if r.task != "tactic"] == [r for r in plain if r.task != "tactic"]


def test_an_answer_that_means_a_premise_points_to_it():
    about = step("n m : Nat\n⊢ n + m = m + n", "exact Nat.add_comm n m")
    ((row,), _) = made([about], premises=26, without_premises=0)
    names = names_of(row.prompt)
    assert "Nat.add_comm" in names
    assert row.completion == f"exact §{chr(ord('a') + names.index('Nat.add_comm'))} n m"
    ((without,), _) = made([about], premises=26, without_premises=1)
    assert (without.prompt, without.completion) == (
        "[GOAL]n m : Nat\n⊢ n + m = m + n[PROOFSTEP]",
        "exact Nat.add_comm n m",
    )


def test_a_share_of_the_prompts_stays_without_premises_always_the_same_ones():
    many = [step(f"n : Nat\n⊢ n + {i} = {i} + n", "omega", theorem=f"t{i}") for i in range(200)]
    bare = {
        share: [r.theorem for r in made(many, premises=4, without_premises=share)[0] if not line_of(r.prompt)]
        for share in (0.0, 0.25, 0.6, 1.0)
    }
    assert bare[0.0] == []
    assert 30 < len(bare[0.25]) < 70
    assert set(bare[0.25]) < set(bare[0.6]), "a larger share leaves more without, and none with"
    assert len(bare[1.0]) == 200
    again = [r.theorem for r in made(many[::-1], premises=4, without_premises=0.25)[0] if not line_of(r.prompt)]
    assert sorted(again) == sorted(bare[0.25])
    assert bare[0.25] != [
        r.theorem for r in made(many, premises=4, without_premises=0.25, seed=1)[0] if not line_of(r.prompt)
    ]


@pytest.mark.parametrize("name", ["Std.HashSet.size_insert_le", "Nat.add_comm", "Init.Unheard.of"])
def test_a_harvested_task_sees_what_its_module_imports_and_never_itself(name):
    goals = {
        "Std.HashSet.size_insert_le": "m : Std.HashSet α\na : α\n⊢ (m.insert a).size ≤ m.size + 1",
        "Nat.add_comm": "n m : Nat\n⊢ n + m = m + n",
    }
    before = goals.get(name, "⊢ 0 + 1 = 1")
    known = library()
    record = step(before, "omega", theorem=f"harvest.{name}")
    ((row,), _) = made([record], premises=26, without_premises=0)
    assert len(names_of(row.prompt)) == 26
    if name not in goals:
        assert imports_of(record) == (), "nobody knows, so everything is seen"
        return
    assert name not in names_of(row.prompt)
    assert {known.module_of(n) for n in names_of(row.prompt)} <= known.visible(known.imports[known.module_of(name)])
    ((other,), _) = made([step(before, "omega", theorem=name)], premises=26, without_premises=0)
    assert name in names_of(other.prompt), "what was not harvested sees everything"


@pytest.mark.parametrize("name", sorted(WHOLE_PROOF))
def test_prompts_for_whole_proofs_have_no_premises(name):
    assert RowConfig(prompt_format=name).premises == 0
    with pytest.raises(ValidationError, match=f"{name} asks for whole proofs"):
        RowConfig(prompt_format=name, premises=4)
    with pytest.raises(ValidationError, match="less than or equal to 26"):
        RowConfig(premises=27)


def test_golden_rows():
    """What training reads: a change of this is a decision, since models in the world were trained on it."""
    rows, _ = made(PROOF, tasks=TASKS, seed=0)
    assert [(r.task, r.prompt, r.completion) for r in rows] == [
        ("skip-proof", f"#skip-proof\n[GOAL]{ROOT}[PROOFSTEP]", "constructor\nrw [Nat.add_zero, h]\ntrivial"),
        ("tactic", f"[GOAL]{ROOT}[PROOFSTEP]", "constructor"),
        ("tactic", f"[GOAL]{AFTER}[PROOFSTEP]", "rw [Nat.add_zero, h]"),
        ("next-lemma", f"#next-lemma\n[GOAL]{AFTER}[PROOFSTEP]", "Nat.add_zero"),
        ("premise", f"#premise Nat.add_zero\n[GOAL]{AFTER}[PROOFSTEP]", "yes"),
        ("hypotheses", f"#hypotheses\n[GOAL]{AFTER}[PROOFSTEP]", "h"),
        ("tactic", f"[GOAL]{LAST}[PROOFSTEP]", "trivial"),
        ("hypotheses", f"#hypotheses\n[GOAL]{LAST}[PROOFSTEP]", "none"),
    ]


# -- the other tasks --------------------------------------------------------------------------------------


def test_lemmas_are_those_that_the_text_names():
    assert named(step(ROOT, "simp [Nat.add_zero, h]")) == ("Nat.add_zero",)
    assert named(step(ROOT, "exact h.symm")) == (), "a projection of a hypothesis is no lemma"
    assert named(step(ROOT, "exact add_comm n 3", constants=("Nat.add_comm", "HAdd.hAdd"))) == ("Nat.add_comm",)
    assert named(step(ROOT, "omega", constants=("Nat.add_comm", "Eq.mpr"))) == (), (
        "what a decision procedure used is not named"
    )


def test_what_only_names_a_theorem_is_asked_for_its_name_and_is_no_step():
    """The tactic would prove the state by the theorem that is to be proved: it is no answer where a tactic is asked for."""
    known = step("n : Nat\n⊢ n + 0 = n", "exact Nat.add_zero", constants=("Nat.add_zero",), flags=(NAMES_ONLY,))
    rows, _ = made([known], tasks=TASKS)
    assert [(r.task, r.prompt, r.completion) for r in rows] == [
        ("next-lemma", "#next-lemma\n[GOAL]n : Nat\n⊢ n + 0 = n[PROOFSTEP]", "Nat.add_zero")
    ]
    assert made([known])[0] == made([known], tasks=("tactic", "skip-proof", "premise", "hypotheses"))[0] == []
    plain, _ = made([msgspec.structs.replace(known, flags=())], tasks=TASKS)
    assert {r.task for r in plain} >= {"tactic", "skip-proof", "next-lemma", "premise"}, "without the flag it is a step"


def test_a_theorem_that_a_names_row_speaks_of_can_be_a_wrong_lemma_of_another_proof():
    names = step("⊢ a", "exact Nat.add_zero", constants=("Nat.add_zero",), theorem="u", flags=(NAMES_ONLY,))
    lemmas = Lemmas({("s", "t"): [step("⊢ b", "exact Nat.one")], ("s", "u"): [names]})
    assert lemmas.other(("s", "t"), random.Random(0)) == "Nat.add_zero"


def test_local_names_are_those_of_the_first_goal_that_can_be_written():
    assert local_names("case a\nx y : Nat\nh✝ : x = y\nk : ∀ z,\n  z = x\n⊢ True\n\nw : Nat\n⊢ False") == (
        "x",
        "y",
        "k",
    )
    assert used_names(step("x y : Nat\nh : x = y\n⊢ y = x", "rw [h.symm, x_lemma]")) == ("h",)


def test_a_wrong_lemma_is_one_that_the_proof_never_names():
    proofs = {("s", "a"): [step("⊢ a", "exact Nat.one")], ("s", "b"): [step("⊢ b", "exact Nat.two")]}
    lemmas = Lemmas(proofs)
    assert lemmas.other(("s", "a"), random.Random(0)) == "Nat.two"
    assert lemmas.other(("s", "nobody"), random.Random(0)) in ("Nat.one", "Nat.two")
    assert Lemmas({("s", "a"): proofs["s", "a"]}).other(("s", "a"), random.Random(0)) is None


def test_premises_are_asked_in_pairs_right_and_wrong():
    other = [step("⊢ b", "exact Nat.le_refl", theorem="u")]
    rows, _ = made([*PROOF, *other], tasks=("premise",))
    asked = {(r.theorem, r.prompt.splitlines()[0], r.completion) for r in rows}
    assert ("t", "#premise Nat.add_zero", "yes") in asked
    assert ("t", "#premise Nat.le_refl", "no") in asked


def test_a_script_is_joined_only_when_its_steps_follow_one_another():
    assert joined_script(PROOF) == "constructor\nrw [Nat.add_zero, h]\ntrivial"
    assert joined_script(PROOF[1:]) == "rw [Nat.add_zero, h]\ntrivial"
    assert joined_script([PROOF[0], PROOF[2]]) == ""
    assert joined_script(PROOF[:2]) == ""
    inner = step(LAST, "exact True.intro", step=3, depth=1)
    assert joined_script([*PROOF, inner]) == joined_script(PROOF), "what is inside a step stands in it already"


@pytest.mark.parametrize(
    ("proof", "script"),
    [
        ("by simp", "simp"),
        ("by\n  intro x\n  simp", "intro x\nsimp"),
        ("by intro x\n   simp", "intro x\nsimp"),
        ("fun x => rfl", ""),
        ("bye", ""),
    ],
)
def test_a_script_is_what_stands_under_by(proof, script):
    assert script_of(proof) == script


# -- what leaves ------------------------------------------------------------------------------------------


def test_no_row_comes_twice():
    rows, manifest = made([*PROOF, *[step(r.state_before, r.tactic, r.state_after, theorem="again") for r in PROOF]])
    assert len(rows) == 3
    assert manifest.dropped_for("rows", AGAIN) == 3


def test_a_step_that_changes_nothing_is_no_row():
    rows, manifest = made([step(ROOT, "skip", ROOT), *PROOF])
    assert len(rows) == 3
    assert manifest.dropped_for("rows", "changes nothing") == 1


def test_a_theorem_with_an_unsound_step_goes_out_entirely():
    rows, manifest = made([*PROOF[:2], step(LAST, "sorry")])
    assert rows == []
    assert manifest.rows_dropped == 3


def test_a_state_that_cannot_be_read_back_is_told():
    rows, manifest = made([step("Lean printed something else", "simp")])
    assert rows == []
    assert manifest.dropped_for("rows", "state that cannot be read back") == 1


def test_a_row_that_trains_does_not_validate():
    manifest = Manifest(step="rows")
    records = [*PROOF, *[step(r.state_before, r.tactic, r.state_after, theorem="v") for r in PROOF[:1]]]
    proofs = by_proof(sound(records, FilterConfig(), manifest))
    splits = {("s", "t"): "train", ("s", "v"): "valid"}
    maker = RowMaker(proofs, RowConfig(), manifest)
    order = in_order([("s", "v"), ("s", "t")], splits)
    assert order == [("s", "t"), ("s", "v")], "training first, so that it keeps its rows"
    rows = [row for key in order for row, _ in maker.rows(key, splits[key])]
    assert {r.split for r in rows} == {"train"}
    assert manifest.dropped_for("rows", "same row in train") == 1


# -- files ------------------------------------------------------------------------------------------------


def written(tmp_path, records, **config):
    manifest = Manifest(step="rows")
    write_rows(
        tmp_path,
        records,
        RowConfig(**config),
        filters=FilterConfig(),
        guard=GUARD,
        splits=Splits(),
        manifest=manifest,
    )
    return Manifest.read(tmp_path)


def test_each_split_has_its_file_and_the_manifest_accounts_for_all(tmp_path):
    records = [
        step("⊢ 1 = 1", "rfl", theorem="a", split="train"),
        step("⊢ 2 = 2", "rfl", theorem="b", split="valid"),
        step("⊢ 3 = 3", "rfl", theorem="c", split="held_out"),
    ]
    manifest = written(tmp_path, records)
    assert (manifest.rows_in, manifest.rows_out) == (3, 3)
    assert {f.name for f in tmp_path.glob("*.jsonl")} == {"sft_train.jsonl", "sft_valid.jsonl", "sft_held_out.jsonl"}
    (line,) = (tmp_path / "sft_valid.jsonl").read_text().splitlines()
    assert json.loads(line)["theorem"] == "b"


def test_a_benchmark_under_another_name_goes_out_with_all_its_steps(tmp_path):
    root = "y : Nat\nk : y ^ 9 = 512\n⊢ y = 2"
    middle = "y : Nat\nk : y ^ 9 = 512\nm : y ≤ 2\n⊢ y = 2 ∨ False"
    stolen = [
        step(root, "have m := bound k; left_or", middle, theorem="mine", split="train"),
        step(middle, "omega", theorem="mine", split="train"),
    ]
    manifest = written(tmp_path, [*stolen, step("⊢ 1 = 1", "rfl", theorem="a", split="train")])
    text = (tmp_path / "sft_train.jsonl").read_text()
    assert "omega" not in text, "the step after the first one is the benchmark's proof as well"
    assert manifest.dropped["decontaminate"]["statement"].count == 2
    assert manifest.rows_out == 1


def test_a_benchmark_by_name_goes_out(tmp_path):
    manifest = written(tmp_path, [step("⊢ 1 = 1", "rfl", theorem="amc_1", split="train")])
    assert manifest.rows_out == 0
    assert manifest.dropped["decontaminate"]["name"].count == 1


def test_steps_are_read_from_files_and_bad_lines_are_counted(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_bytes(
        b'{"theorem": "a", "source": "s", "state_before": "x", "tactic": "simp", "state_after": "no goals"}\n'
        b'{"theorem": "a"}\n{"theo\n\xff\xfe\n'
    )
    manifest = Manifest(step="rows")
    assert [r.theorem for r in read_steps([path], manifest)] == ["a"]
    assert manifest.rows_in == manifest.rows_dropped == 3


def test_a_path_that_holds_no_steps_is_one_sentence(tmp_path):
    with pytest.raises(BadInput, match="tactic records"):
        read_steps([tmp_path], Manifest(step="rows"))


@pytest.mark.parametrize(
    ("proof", "why"),
    [
        ("by simp", r"whole proofs.*`burnqed data trace .*t\.jsonl`.*Init and Std"),
        (None, r"without proofs.*`burnqed prove"),
    ],
)
def test_a_file_of_theorems_is_told_with_what_makes_steps_of_it(tmp_path, proof, why):
    path = tmp_path / "t.jsonl"
    saved(path, [TheoremRecord(name="a", statement="theorem a : 1 = 1", proof=proof)])
    with pytest.raises(BadInput, match=why):
        read_steps([path], Manifest(step="rows"))


def test_unknown_formats_and_tasks_are_refused():
    with pytest.raises(ValidationError, match="markers"):
        RowConfig(prompt_format="poem")
    with pytest.raises(BadInput, match="poem; there are tactic"):
        require_tasks(["poem"])


# -- the command ------------------------------------------------------------------------------------------


def near(i: int) -> TheoremRecord:
    """Statements that are near-duplicates of each other."""
    hypotheses = " ".join(f"(h{k} : a ^ {k} * b + {k} ≤ c)" for k in range(2, 20))
    return TheoremRecord(name=f"n{i}", statement=f"theorem n{i} (a b c d : Nat) {hypotheses} : d = {i}")


def saved(path, structs) -> str:
    path.write_bytes(b"".join(msgspec.json.encode(s) + b"\n" for s in structs))
    return str(path)


def test_near_duplicates_are_in_one_split_and_stay_where_they_are(tmp_path):
    bench = saved(
        tmp_path / "b.jsonl", [TheoremRecord(name="amc_1", statement="theorem amc_1 (x : Nat) : x ^ 9 = 512")]
    )
    theorems = saved(tmp_path / "t.jsonl", map(near, range(30)))
    steps = saved(tmp_path / "s.jsonl", [step(f"⊢ {i} = {i}", "rfl", theorem=f"n{i}") for i in range(30)])
    splits = str(tmp_path / "splits.json")
    common = ["--benchmarks", bench, "--splits", splits]

    def rows(out: str, *more: str) -> dict[str, int]:
        result = CliRunner().invoke(app, ["rows", steps, "--out", str(tmp_path / out), *common, *more])
        assert result.exit_code == 0, result.output
        return {f.name: len(f.read_text().splitlines()) for f in (tmp_path / out).glob("*.jsonl")}

    first = rows("one", "--theorems", theorems)
    assert sorted(first.values())[-1] == 30, "all in one split"
    assert rows("two") == first, "as the file says, without the theorems"


def test_rows_need_a_guard_and_a_file_of_splits_that_is_there(tmp_path):
    steps = saved(tmp_path / "s.jsonl", [step("⊢ 1 = 1", "rfl")])
    unguarded = CliRunner().invoke(app, ["rows", steps])
    assert unguarded.exit_code == 2
    assert "--benchmarks" in unguarded.output
    bench = saved(
        tmp_path / "b.jsonl", [TheoremRecord(name="amc_1", statement="theorem amc_1 (x : Nat) : x ^ 9 = 512")]
    )
    lost = CliRunner().invoke(app, ["rows", steps, "--benchmarks", bench, "--splits", str(tmp_path / "x.json")])
    assert isinstance(lost.exception, BadInput)
    assert "no such file of splits" in str(lost.exception)
