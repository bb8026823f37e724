"""What single steps of an iteration do with stored searches and models: no Lean is asked."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import msgspec
import pytest
import torch
from tests.unit.iterate_lab import RECIPE, Heard, context_of, lay_out, searched, theorems

from burnqed.assemble.config import RunConfig
from burnqed.assemble.sources import load_config
from burnqed.core.calibration import Calibration
from burnqed.core.errors import BadInput, RunError
from burnqed.core.theorem import Theorem
from burnqed.data.records import NO_GOALS, TacticRecord
from burnqed.iterate.calibrate_step import CalibrateStep
from burnqed.iterate.context import Stopped
from burnqed.iterate.digests import of_model
from burnqed.iterate.head_step import HeadStep
from burnqed.iterate.label_step import LabelStep
from burnqed.iterate.matchmaker import Attempt
from burnqed.iterate.needs import require_files
from burnqed.iterate.proofs_step import ProofsStep
from burnqed.iterate.replay import KnownProof, ReplayBuffer
from burnqed.iterate.rows_step import RowsStep
from burnqed.iterate.search_step import searching_config
from burnqed.iterate.searching import OpenLean, search, until_stopped
from burnqed.iterate.systems import calibration_of, model_inputs
from burnqed.iterate.train_step import ExportStep, TrainStep
from burnqed.joint.ebm_head import GoalConditionedEnergyHead, HeadConfig
from burnqed.joint.energy_head import save_head
from burnqed.lean.embedded.install import EmbeddedLean
from burnqed.models.language_model import LanguageModel
from burnqed.prompts.formats import prompt_format
from burnqed.testing.fakes import FakeLean
from burnqed.testing.tiny_model import make_tiny_model
from burnqed.trajectory.reader import read_nodes

LEAN = EmbeddedLean(*(Path("/nowhere") for _ in range(5)), lean_version="4.28.0")
FAILS = {("start", "a"): "A"}


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("steps") / "model")


def head_of(model: Path, folder: Path, *, value_weight: float = 0.4) -> Path:
    torch.manual_seed(0)
    card = LanguageModel.load(model).card(prompt_format("markers"))
    calibration = Calibration(0.1, 0.9, 1.0, value_weight, 99)
    save_head(folder, GoalConditionedEnergyHead(HeadConfig(dim=card.dim, hidden=(8,))), card, calibration=calibration)
    return folder


def proof(theorem: Theorem, *tactics: str, split: str = "train", **more) -> KnownProof:
    states = [*(f"⊢ {i}" for i in range(len(tactics))), NO_GOALS]
    steps = tuple(
        TacticRecord(theorem=theorem.name, source="s", state_before=a, tactic=t, state_after=b, split=split, step=i)
        for i, (a, t, b) in enumerate(zip(states, tactics, states[1:], strict=False))
    )
    return KnownProof(theorem=theorem.name, digest=theorem.digest, steps=steps, source="by", iteration=0, **more)


def remembered(folder: Path, *proofs: KnownProof) -> None:
    """A buffer that the iteration in this folder finished with."""
    buffer = ReplayBuffer()
    for each in proofs:
        buffer.offer(each)
    (folder / "proofs").mkdir()
    buffer.write(folder / "proofs" / "replay.jsonl")


def second(here: Path, recipe: str = RECIPE) -> Path:
    """iter_1 after an iter_0 that has a recipe."""
    lay_out(here)
    folder = here / "iterations" / "iter_1"
    folder.mkdir()
    (folder / "recipe.toml").write_text(recipe)
    return folder


def theorem(name: str, statement: str) -> Theorem:
    return Theorem(name, f"theorem {name} {statement}")


def test_a_proof_of_a_statement_that_has_changed_is_not_run_on_the_new_one(here):
    folder = second(here)
    old = theorem("one", ": 7 = 7")
    remembered(folder.with_name("iter_0"), proof(old, "rfl"))
    told = ProofsStep().run(context_of(folder))  # no_lean would say so if Lean were asked
    assert told["theorems with a proof"] == 1
    (kept,) = ReplayBuffer.read(folder / "proofs" / "replay.jsonl")
    assert (kept.digest, kept.minimised) == (old.digest, False)


def test_a_theorem_that_is_held_out_now_is_learned_from_no_more(here):
    folder = second(here)
    one = theorem("one", ": 1 = 1")
    remembered(folder.with_name("iter_0"), proof(one, "rfl", minimised=True), proof(theorem("gone", ": 4 = 4"), "rfl"))
    theorems(here / "theorems.jsonl", one={"statement": ": 1 = 1", "split": "test"}, two=": 2 = 2")
    ProofsStep().run(context_of(folder))
    kept = {p.theorem: p.steps[0].split for p in ReplayBuffer.read(folder / "proofs" / "replay.jsonl")}
    assert kept == {"one": "test", "gone": "train"}
    RowsStep().run(context_of(folder))
    assert (folder / "rows" / "sft_test.jsonl").exists()
    learned = (folder / "rows" / "sft_train.jsonl").read_text().splitlines()
    assert {json.loads(line)["theorem"] for line in learned} == {"gone"}


@pytest.mark.parametrize("step", [ProofsStep(), LabelStep(), RowsStep()])
def test_what_a_file_says_of_splits_is_an_input_of_all_that_is_divided_by_them(here, step):
    folder = lay_out(here)
    before = step.inputs(context_of(folder))
    theorems(here / "theorems.jsonl", one={"statement": ": 1 = 1", "split": "valid"}, two=": 2 = 2")
    assert step.inputs(context_of(folder)) != before


def test_rows_with_premises_depend_on_the_library_and_others_do_not(here):
    folder = lay_out(here)
    without = RowsStep().inputs(context_of(folder))
    (folder / "recipe.toml").write_text(f"{RECIPE}\n[rows.rows]\npremises = 8\n")
    with_them = RowsStep().inputs(context_of(folder))
    assert with_them.keys() - without.keys() == {"library of premises"}
    assert with_them["settings"] != without["settings"]


def test_a_record_of_proofs_that_is_damaged_is_told(here):
    folder = second(here)
    remembered(folder.with_name("iter_0"), proof(theorem("one", ": 1 = 1"), "rfl"))
    (folder / "proofs").mkdir()
    (folder / "proofs" / "minimised.jsonl").write_text('{"before": 3}\n')
    with pytest.raises(
        RunError, match=r"minimised\.jsonl is damaged: .*; remove it, and the proofs in it are run again"
    ):
        ProofsStep().run(context_of(folder))


def attempt(of: Theorem, **fields) -> Attempt:
    plain = {"nodes": 1, "tactics": 1, "budget_factor": 1.0, "promise": None, "iteration": 0, "ended": "x"}
    return Attempt(
        theorem=of.name, digest=of.digest, **{**plain, "negated": False, "proved": False, "error": False, **fields}
    )


def labels(folder: Path, theorem: str) -> set[str]:
    rows = [json.loads(line) for line in (folder / "labels" / "states.jsonl").read_text().splitlines()]
    return {row["label"] for row in rows if row["theorem"] == theorem and row["depth"] == 0}


@pytest.mark.parametrize(("same", "said"), [(True, "refuted"), (False, "exhausted")])
async def test_a_proved_negation_refutes_the_statement_that_it_negates_and_no_later_one_of_that_name(here, same, said):
    folder = lay_out(here)
    await searched(folder / "search" / "round_0", ["one"], FAILS)
    now = Theorem("one", "theorem one : True")  # what was searched, see the lab
    of = now if same else theorem("one", ": something else")
    (folder / "search" / "history.jsonl").write_bytes(
        msgspec.json.encode(attempt(of, negated=True, proved=True)) + b"\n"
    )
    await asyncio.to_thread(LabelStep().run, context_of(folder))
    assert labels(folder, "one") == {said}


async def test_all_statements_in_a_file_of_refuted_ones_are_false_flagged_or_not(here):
    folder = lay_out(here, recipe=RECIPE.replace("[rows]", 'refuted = ["false.jsonl"]\n[rows]'))
    theorems(here / "false.jsonl", wrong={"statement": ": 1 = 2", "split": "train"})
    await searched(folder / "search" / "refuted", ["wrong"], FAILS)
    await asyncio.to_thread(LabelStep().run, context_of(folder))
    assert labels(folder, "wrong") == {"refuted"}


async def test_pairs_come_of_other_runs_as_well_and_labels_and_rows_do_not(here):
    await searched(here / "by_hand", ["one"], FAILS)
    folder = lay_out(here, recipe=f'{RECIPE}\n[label]\nruns = ["by_hand"]\n')
    context = context_of(folder)
    before = LabelStep().inputs(context)
    assert (await asyncio.to_thread(LabelStep().run, context))["searches"] == 1
    assert (folder / "labels" / "states.jsonl").read_text() == ""
    shutil.rmtree(here / "by_hand")
    await searched(here / "by_hand", ["one", "two"], FAILS)
    assert LabelStep().inputs(context) != before
    (folder / "recipe.toml").write_text(f'{RECIPE}\n[label]\nruns = ["nowhere"]\n')
    with pytest.raises(BadInput, match=r"label\.runs: nowhere is not there"):
        require_files(context_of(folder))


def decoupled(start: Path | str) -> str:
    return RECIPE.replace('start = "fresh"', f'mode = "decoupled"\nstart = "{start}"')


def test_a_head_alone_can_be_trained_on_a_model_from_elsewhere(here, model):
    folder = lay_out(here, recipe=decoupled(model))
    context = context_of(folder)
    train, export = TrainStep(), ExportStep()
    assert (train.run(context), train.outputs(context)) == ({}, {})
    before = export.inputs(context)
    export.run(context)
    assert model_inputs(RunConfig.model_validate({"policy": {"kind": "model", "model": folder / "model"}})) == (
        model_inputs(RunConfig.model_validate({"policy": {"kind": "model", "model": model}}))
    )
    assert export.outputs(context)["model"] != "absent"
    assert export.inputs(context) == before
    assert "model" in HeadStep().inputs(context)
    assert not (folder / ".export").exists()


def test_a_head_alone_on_the_model_before_copies_nothing(here, model):
    folder = second(here, decoupled("previous"))
    context = context_of(folder)
    with pytest.raises(BadInput, match="iter_1 has no model to embed with"):
        HeadStep().inputs(context)
    (folder.with_name("iter_0") / "model").symlink_to(model)
    assert ExportStep().run(context) == {}
    assert not (folder / "model").exists()
    assert HeadStep().inputs(context)["model"] == of_model(model)


def test_without_pairs_to_learn_from_there_is_no_head_and_no_error(here, model):
    """Also where there are some that only measure."""
    folder = lay_out(here)
    (folder / "model").symlink_to(model)
    (folder / "labels").mkdir()
    (folder / "labels" / "pairs_train.jsonl").write_text("")
    (folder / "labels" / "pairs_valid.jsonl").write_text("{}\n")
    heard = Heard()
    context = context_of(folder, listener=heard.listener)
    assert HeadStep().run(context) == {"pairs": 0}
    assert HeadStep().outputs(context) == {}
    assert "no head is trained" in heard[0]
    assert CalibrateStep().run(context) == {}


def test_a_head_that_is_not_to_be_calibrated_any_more_is_not(here, model):
    folder = lay_out(here)
    (folder / "model").symlink_to(model)
    head = head_of(model, folder / "head")
    assert calibration_of(head) is not None
    assert CalibrateStep().run(context_of(folder)) == {}
    assert calibration_of(head) is None


def test_an_iteration_searches_with_what_the_one_before_finished_with(here, model):
    folder = second(here)
    before = folder.with_name("iter_0")
    assert searching_config(context_of(folder)).policy.kind == "menu", "it finished with nothing yet"
    (before / "model").symlink_to(model)
    alone = searching_config(context_of(folder))
    assert (alone.policy.model, alone.value.kind) == (Path("iterations/iter_0/model"), "size")
    for name in ("head", "joint_head"):
        (before / name).mkdir()
    assert searching_config(context_of(folder)).value.head == Path("iterations/iter_0/joint_head")
    for what, kind, value in (
        ('value = "decoupled"', "model", Path("iterations/iter_0/head")),
        ('value = "configured"', "model", Path("my/head")),
        ('models = "configured"', "menu", Path("my/head")),
    ):
        own = f'[prove.value]\nkind = "head"\nhead = "my/head"\nencoder = "my/model"\n[search]\n{what}\n[rows]'
        (folder / "recipe.toml").write_text(RECIPE.replace("[rows]", own))
        found = searching_config(context_of(folder))
        assert (found.policy.kind, found.value.head) == (kind, value)


def test_a_model_that_is_not_there_is_an_error_and_not_another_hash(here):
    config = RunConfig.model_validate({"policy": {"kind": "model", "model": "gone"}})
    with pytest.raises(BadInput, match=r"prove\.policy\.model: there is no model in gone"):
        model_inputs(config)


async def test_a_budget_of_its_own_leaves_a_theorem_the_weight_that_its_value_was_calibrated_to(here, model):
    (here / "menu.txt").write_text("1 | always | a\n")
    head = head_of(model, here / "head")
    settings = [f"policy.menu={here / 'menu.txt'}", "value.kind=head", f"value.head={head}", f"value.encoder={model}"]
    config = load_config(environment={}, flags={}, assignments=settings)
    lean = FakeLean({("start", "a"): "A", ("A", "a"): "B"})
    opened = OpenLean(LEAN, lean, lean)  # type: ignore[arg-type]  # a fake is pool and gate
    context = context_of(lay_out(here))
    terms = []
    for name, factors in (("plain", None), ("own", {"t": 2.0})):
        folder = here / name
        await search(context, opened, [theorem("t", ": True")], config, folder, what=name, factors=factors)
        terms.append(read_nodes(folder / "trajectory")["value_term"].to_pylist())
    assert any(terms[0])
    assert terms[0] == terms[1]


async def test_an_end_that_is_asked_for_ends_the_work_in_order(here):
    asked, ended = [False], []
    context = context_of(lay_out(here), stop=lambda: asked[0])

    async def work() -> str:
        try:
            asked[0] = True
            await asyncio.sleep(60)
        finally:
            ended.append("closed")
        return "done"

    with pytest.raises(Stopped):
        await until_stopped(context, work())
    assert ended == ["closed"]


async def test_work_does_not_go_on_after_whoever_waits_for_it_was_cancelled(here):
    ended = []
    context = context_of(lay_out(here))
    began = asyncio.Event()

    async def work() -> None:
        try:
            began.set()
            await asyncio.sleep(60)
        finally:
            ended.append("closed")

    waiting = asyncio.ensure_future(until_stopped(context, work()))
    await began.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended == ["closed"]


async def test_what_is_done_is_done_also_when_an_end_was_asked_for(here):
    context = context_of(lay_out(here), stop=lambda: True)

    async def work() -> int:
        return 7

    task = asyncio.ensure_future(work())
    await task
    assert await until_stopped(context, task) == 7
