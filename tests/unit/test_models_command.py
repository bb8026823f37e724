"""`burnqed models`: what each kind of folder tells of itself, and one sentence for what is none."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from burnqed.cli.models import app
from burnqed.core.calibration import Calibration
from burnqed.core.encoder_card import EncoderCard
from burnqed.core.errors import BadInput, BurnqedError, RunError
from burnqed.data.manifest import FileCard, Manifest
from burnqed.joint.ebm_head import GoalConditionedEnergyHead, HeadConfig
from burnqed.joint.embeddings import INDEX, PLAN, Index, Plan, as_json
from burnqed.joint.energy_head import save_head
from burnqed.joint.inventory import show
from burnqed.models.loading import load_folder
from burnqed.prompts.formats import prompt_format
from burnqed.testing.tiny_model import make_tiny_model
from burnqed.train.backbone import load_backbone, trainable
from burnqed.train.card import training_card
from burnqed.train.checkpoint import TENSORS, save_checkpoint
from burnqed.train.config import LoraConfig
from burnqed.train.journal import Journal

ENCODER = EncoderCard(model="e" * 32, tokenizer="t" * 32, prompt_format="markers", dim=32, max_tokens=100)


def trained(folder: Path) -> dict[str, Any]:
    """A run with a checkpoint of step 4, and the card in it."""
    base = make_tiny_model(folder / "base")
    lora = LoraConfig(rank=2)
    backbone = load_backbone(base, form=prompt_format("markers"), device="cpu", dtype="float32", lora=lora, seed=0)
    rows = folder / "sft_train.jsonl"
    rows.write_text("{}\n")
    manifest = Manifest(step="train", inputs=[FileCard.of(rows)], rows_in=10, rows_out=9)
    manifest.drop("train", "longer than the context")
    config = {"lora": lora.model_dump(mode="json")}
    card = training_card(
        kind="sft", backbone=backbone, prompt_format="markers", config=config, manifests={"rows": manifest}
    )
    card |= {"metrics": {"loss.sft": 0.25, "trivial.length.gap": 1.0}, "step": 4}
    tensors = {f"model.{n}": p for n, p in trainable(backbone.model).items()}
    tensors["optimizer.step.x"] = torch.tensor(4.0)
    save_checkpoint(folder / "checkpoints", 4, tensors=tensors, state={"card": card})
    with Journal(folder, tensorboard=False) as journal:
        journal.log(4, {"loss.sft": 0.25})
    return card


def told(path: Path) -> str:
    return "\n".join(f"{name}: {text}" for name, text in show(path).facts)


def test_a_run_tells_what_its_last_checkpoint_was_made_of(tmp_path):
    card = trained(tmp_path)
    found = show(tmp_path)
    assert found.kind == "run"
    assert found.card == card
    assert set(found.numbers) == {"model", "optimizer"}
    said = told(tmp_path)
    for fact in (
        "kind: sft",
        "step: 4",
        "measured: 1 times, up to step 4",
        str(tmp_path / "base"),
        card["base"]["model"],
        card["base"]["tokenizer"],
        "prompt format: markers",
        "LoRA of rank 2 (alpha 4) on all-linear",
        "rows: 10 read, 9 used\n1 dropped, train: longer than the context",
        card["data"]["rows"]["files"][0]["sha256"][:16],
        "loss.sft 0.25\nand 1 more",
    ):
        assert fact in said
    assert show(tmp_path / "checkpoints" / "step-00000004").kind == "checkpoint"


def test_a_damaged_checkpoint_of_a_run_is_told(tmp_path):
    trained(tmp_path)
    with (save_checkpoint(tmp_path / "checkpoints", 5, tensors={}, state={}) / TENSORS).open("ab") as file:
        file.write(b"x")
    assert "damaged" in told(tmp_path)
    assert "step: 4" in told(tmp_path)


def test_a_run_that_has_only_begun(tmp_path):
    with Journal(tmp_path, tensorboard=False):
        pass
    (tmp_path / "metrics.jsonl").touch()
    assert show(tmp_path).kind == "run without a checkpoint"


def test_an_exported_model_can_be_shown_and_loaded(tmp_path):
    card = trained(tmp_path)
    ran = CliRunner().invoke(app, ["export", str(tmp_path), str(tmp_path / "out"), "--dtype", "bfloat16"])
    assert ran.exit_code == 0, ran.output
    model = tmp_path / "out" / "model"
    assert f"model of step 4: {model}" in ran.output.replace("\n", "")
    found = show(model)
    assert (found.kind, found.card) == ("model", card)
    assert found.numbers == {"parameters": sum(p.numel() for p in load_folder(model, device="cpu").model.parameters())}
    assert "stored in: bfloat16" in told(model)


def test_a_checkpoint_is_exported_with_a_base_that_has_moved(tmp_path):
    trained(tmp_path)
    (tmp_path / "base").rename(tmp_path / "moved")
    command = ["export", str(tmp_path / "checkpoints" / "step-00000004"), str(tmp_path / "out")]
    assert isinstance(CliRunner().invoke(app, command).exception, BadInput)
    ran = CliRunner().invoke(app, [*command, "--base", str(tmp_path / "moved")])
    assert ran.exit_code == 0, ran.output


def test_export_overwrites_nothing(tmp_path):
    trained(tmp_path)
    (tmp_path / "out" / "head").mkdir(parents=True)
    ran = CliRunner().invoke(app, ["export", str(tmp_path), str(tmp_path / "out")])
    assert "is there already" in str(ran.exception)


def test_a_model_of_somebody_else_says_that_it_has_no_card(tmp_path):
    model = make_tiny_model(tmp_path / "model")
    found = show(model)
    assert (found.kind, found.card) == ("model without a card", None)
    said = told(model)
    assert "architecture: LlamaForCausalLM" in said
    assert "layers: 2" in said
    assert "card: none" in said
    assert found.size_bytes == (model / "model.safetensors").stat().st_size


def test_a_head_tells_its_encoder_shape_and_training(tmp_path):
    head = GoalConditionedEnergyHead(HeadConfig(dim=32, hidden=(16, 8)))
    about = {"kind": "decoupled", "best_step": 30, "valid": {"valid.loss": 0.5}}
    about["pairs"] = {"files": [{"path": "pairs.jsonl", "sha256": "a" * 64}], "rows_in": 5, "rows_out": 4}
    calibration = Calibration(intercept=0.5, slope=1.25, fitted_on=7)
    save_head(tmp_path / "head", head, ENCODER, calibration=calibration, about=about)
    found = show(tmp_path / "head")
    assert found.kind == "energy head"
    assert found.numbers["parameters"] > 32 * 3 * 16
    said = told(tmp_path / "head")
    for fact in ("3 × 32 → 16 → 8 → 1", "e" * 32, "slope 1.25", "kind: decoupled", "step: 30", "pairs: 5 read, 4 used"):
        assert fact in said
    assert "a" * 16 in said
    assert "valid.loss 0.5" in said


@pytest.mark.parametrize("finished", [True, False])
def test_embeddings_tell_their_encoder_and_how_far_they_are(tmp_path, finished):
    plan = Plan(card=asdict(ENCODER), texts="x", count=5, shard_texts=5, stored_as="float32")
    (tmp_path / PLAN).write_text(as_json(plan))
    save_file({"vectors": torch.zeros(4, 32)}, tmp_path / "vectors-00000.safetensors")
    if finished:
        (tmp_path / INDEX).write_text(as_json(Index(plan=plan, vectors=4, texts=5)))
    found = show(tmp_path)
    assert found.kind == ("embeddings" if finished else "embeddings, not finished")
    assert found.numbers == {"parameters": 128}
    assert ("4 vectors of 5 texts" if finished else "5 texts planned") in told(tmp_path)
    assert "e" * 32 in told(tmp_path)


def test_wrong_paths_are_told_apart(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "head.json").write_text("{")
    for name, said in {
        "missing": "there is no folder",
        "file": "is a file",
        "adapter": "an adapter",
        "empty": "is no run, checkpoint, model, energy head or folder of embeddings",
        "damaged": "cannot be read",
    }.items():
        with pytest.raises(BadInput, match=said):
            show(tmp_path / name)


@pytest.mark.parametrize(
    ("path", "said"),
    [("missing", "there is no folder"), (".", "no checkpoint: there is no state.json"), ("run", "no checkpoint yet")],
)
def test_what_cannot_be_exported_is_one_sentence(tmp_path, path, said):
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    ran = CliRunner().invoke(app, ["export", str(tmp_path / path), str(tmp_path / "out")])
    assert isinstance(ran.exception, BurnqedError)
    assert said in str(ran.exception)


def test_a_torn_file_of_weights_is_told(tmp_path):
    trained(tmp_path)
    (tmp_path / "checkpoints" / "step-00000004" / TENSORS).write_bytes(b"torn")
    with pytest.raises(BadInput, match=r"tensors\.safetensors cannot be read"):
        show(tmp_path / "checkpoints" / "step-00000004")
    with pytest.raises(RunError, match="no checkpoint that is whole"):
        show(tmp_path)


def test_the_table_and_the_json_say_the_same(tmp_path):
    model = make_tiny_model(tmp_path / "model[bold]")
    ran = CliRunner().invoke(app, ["show", str(model)])
    assert ran.exit_code == 0, ran.output
    assert "model[bold]" in ran.output.replace("\n", "")
    found = json.loads(CliRunner().invoke(app, ["show", str(model), "--json"]).output)
    assert found["kind"] == "model without a card"
    assert found["card"] is None
    assert f"{found['numbers']['parameters']:,}" in ran.output
