"""A model and its head, packed: the same embeddings but for rounding, a card that fits, nothing of where it was made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from burnqed.assemble.parts import open_parts
from burnqed.assemble.prover_folder import read_prover
from burnqed.assemble.sources import load_config
from burnqed.cli.models import app
from burnqed.core.calibration import Calibration
from burnqed.core.errors import BadInput, BurnqedError, ModelMismatch
from burnqed.joint.ebm_head import GoalConditionedEnergyHead, HeadConfig
from burnqed.joint.energy_head import load_trained, save_head
from burnqed.joint.pack import pack, portable
from burnqed.models.language_model import LanguageModel
from burnqed.policy.menu import MenuPolicy
from burnqed.policy.menu_rules import load_menu
from burnqed.prompts.formats import prompt_format
from burnqed.testing.fakes import state_of
from burnqed.testing.tiny_model import make_tiny_model

MARKERS = prompt_format("markers")
CALIBRATION = Calibration(0.1, 0.9, 1.0, 0.4, 99)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("pack") / "model")


@pytest.fixture(scope="module")
def head(model, tmp_path_factory) -> Path:
    """A head whose energies differ, as those of a trained one do; trained, it says, in bfloat16."""
    folder = tmp_path_factory.mktemp("pack") / "head"
    torch.manual_seed(0)
    loaded = LanguageModel.load(model, dtype="bfloat16")
    module = GoalConditionedEnergyHead(HeadConfig(dim=loaded.dim, hidden=(16, 8)))
    z = torch.randn(64, loaded.dim)
    module.start_scale(z, z.roll(1, 0), spread=1.0)
    about = {"base": {"folder": "/home/someone/base"}, "step": 7}
    save_head(folder, module, loaded.card(MARKERS, max_tokens=100), calibration=CALIBRATION, about=about)
    return folder


def packed(tmp_path: Path, model: Path, head: Path | None):
    return pack(model, head, model_out=tmp_path / "model", head_out=tmp_path / "head", form=MARKERS)


def test_model_and_head_are_smaller_and_judge_as_before(tmp_path, model, head):
    done = packed(tmp_path, model, head)
    assert 0 < done.embedding_change < 1e-2
    assert done.head_dtype == "float16"
    assert 0 < done.energy_change <= 1e-3
    weights = load_file(tmp_path / "model" / "model.safetensors")
    assert {t.dtype for t in weights.values()} == {torch.float16}
    assert json.loads((tmp_path / "model" / "config.json").read_text())["dtype"] == "float16"
    stored = load_file(tmp_path / "head" / "head.safetensors")
    assert {t.dtype for t in stored.values() if t.dim() > 1} == {torch.float16}
    module, card, calibration = load_trained(tmp_path / "head")
    assert calibration == CALIBRATION
    fresh = LanguageModel.load(tmp_path / "model", dtype="float32")
    assert card == fresh.card(MARKERS, max_tokens=100)
    numbers = sum(p.numel() for p in fresh.model.parameters()) + sum(p.numel() for p in module.parameters())
    assert done.parameters == numbers
    z = torch.randn(32, fresh.dim)
    before = load_trained(head)[0].eval()
    with torch.no_grad():
        assert torch.allclose(module.eval()(z, z), before(z, z), atol=5e-3)


def test_tied_weights_stay_tied(tmp_path):
    from transformers import LlamaConfig, LlamaForCausalLM

    source = make_tiny_model(tmp_path / "tied")
    config = LlamaConfig.from_pretrained(source)
    config.tie_word_embeddings = True
    LlamaForCausalLM(config).save_pretrained(source)
    packed(tmp_path / "out", source, None)
    assert "lm_head.weight" not in load_file(tmp_path / "out" / "model" / "model.safetensors")
    loaded = LanguageModel.load(tmp_path / "out" / "model").model
    assert loaded.lm_head.weight is loaded.model.embed_tokens.weight


def test_a_head_that_float16_would_change_stays_as_it_is(tmp_path, model, head):
    module, card, _ = load_trained(head)
    # Energies that hardly differ: what rounding does is large against their spread.
    module.log_scale.data -= 7
    save_head(tmp_path / "flat", module, card)
    done = packed(tmp_path, model, tmp_path / "flat")
    assert done.head_dtype == "float32"
    assert done.energy_change > 1e-3
    assert {t.dtype for t in load_file(tmp_path / "head" / "head.safetensors").values()} == {torch.float32}


def test_a_head_of_another_model_is_refused(tmp_path, head):
    other = make_tiny_model(tmp_path / "other", seed=5)
    with pytest.raises(ModelMismatch, match="was made for another encoder: model is"):
        packed(tmp_path / "out", other, head)


@pytest.mark.parametrize("factor", [1e7, 1e-7])
def test_weights_that_float16_cannot_hold_are_refused(tmp_path, model, factor):
    other = make_tiny_model(tmp_path / "other")
    tensors = load_file(other / "model.safetensors")
    name = "model.embed_tokens.weight"
    tensors[name] = tensors[name] * factor
    save_file(tensors, other / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BadInput, match="float16 cannot hold" if factor > 1 else "float16 is too coarse"):
        packed(tmp_path / "out", other, None)


def test_where_it_was_made_is_left_out(tmp_path, head, model):
    assert portable({"a": ["/home/x/data.jsonl", "runs/1"], "b": 2}) == {"a": ["data.jsonl", "runs/1"], "b": 2}
    packed(tmp_path, model, head)
    about = json.loads((tmp_path / "head" / "head.json").read_text())["about"]
    assert about == {"base": {"folder": "base"}, "step": 7}


def command(*arguments: object):
    return CliRunner().invoke(app, [str(a) for a in arguments])


async def test_the_command_makes_a_prover_that_proves(tmp_path, model, head):
    card = tmp_path / "card.md"
    card.write_text("# A card\n")
    ran = command(
        *("pack", model, "--head", head, "--out", tmp_path / "p", "--name", "tiny", "--about", "A test."),
        *("--card", card, "--set", "policy.menu_share=0.25", "--set", "search.strategy=puct"),
    )
    assert ran.exit_code == 0, ran.output
    found = read_prover(tmp_path / "p")
    assert (tmp_path / "p" / "README.md").read_text() == "# A card\n"
    assert found.settings["policy.menu_share"] == 0.25
    assert f"{found.file.parameters:,} parameters" in ran.output
    for dtype in ("float32", "bfloat16"):
        config = load_config(environment={}, flags=dict(found.settings) | {"policy.dtype": dtype})
        assert config.search.strategy == "puct"
        async with open_parts(config, menu=MenuPolicy(load_menu())) as parts:
            assert parts.calibration == CALIBRATION
            assert len(await parts.value.energies([(state_of("a = b"), state_of("a = b"))])) == 1


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--name", "a b"), "the prover: name: "),
        (("--set", "search.depth=3"), "--set: unknown key search.depth"),
        (("--set", "lean.workers=3"), "lean.workers is not for a prover to say"),
        (("--set", "policy"), "it is KEY=VALUE"),
        (("--card", "nowhere.md"), "--card nowhere.md cannot be read"),
        (("--head", "nowhere"), "nowhere holds no energy head"),
    ],
)
def test_bad_options_of_pack_are_one_sentence_and_leave_nothing(tmp_path, model, more, says):
    ran = command("pack", model, "--out", tmp_path / "p", "--name", "tiny", "--about", "A test.", *more)
    assert isinstance(ran.exception, BurnqedError)
    assert says in str(ran.exception)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_not_overwritten(tmp_path, model):
    ran = command("pack", model, "--out", tmp_path, "--name", "tiny", "--about", "A test.")
    assert "is there already" in str(ran.exception)
