"""From a checkpoint to a model folder: what is loaded for proving has the log-probabilities that were trained."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from burnqed.core.errors import BadInput, ModelMismatch
from burnqed.joint.ebm_head import GoalConditionedEnergyHead, HeadConfig
from burnqed.joint.energy_head import load_head
from burnqed.joint.finish import finish
from burnqed.models.language_model import LanguageModel
from burnqed.prompts.formats import GOAL, PROOFSTEP, prompt_format
from burnqed.testing.tiny_model import make_tiny_model
from burnqed.train.backbone import Backbone, load_backbone, trainable
from burnqed.train.card import CARD, training_card
from burnqed.train.checkpoint import Checkpoint, open_checkpoint, save_checkpoint
from burnqed.train.config import LoraConfig
from burnqed.train.export import export_model, exported_card

FORM = prompt_format("markers")
TEXTS = [f"{GOAL}n : ℕ\n⊢ n + 0 = n{PROOFSTEP}simp", f"{GOAL}⊢ ∀ x, x ∈ s → x ≠ y{PROOFSTEP}intro x hx"]
HEAD = HeadConfig(dim=32, hidden=(16, 8), dropout=0.1)


def train(base: Path, runs: Path, *, rank: int, head: bool = False) -> tuple[Backbone, Checkpoint]:
    """A backbone whose weights that learn are random, and a checkpoint of it."""
    lora = LoraConfig(rank=rank)
    backbone = load_backbone(base, form=FORM, device="cpu", dtype="float32", lora=lora, seed=1)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for p in trainable(backbone.model).values():
            p.add_(torch.randn(p.shape, generator=generator) * 0.1)
    config = {
        "lora": lora.model_dump(mode="json"),
        "contrastive": {"max_tokens": None},
        "batch": {"max_tokens": 100},
    }
    card = training_card(kind="joint", backbone=backbone, prompt_format=FORM.name, config=config, manifests={})
    card["head"] = HEAD.model_dump(mode="json")
    tensors = {f"model.{name}": p for name, p in trainable(backbone.model).items()}
    if head:
        torch.manual_seed(2)
        tensors |= {f"head.{name}": t for name, t in GoalConditionedEnergyHead(HEAD).state_dict().items()}
    state = {"card": {**card, "step": 3, "metrics": {"loss": 1.0}}}
    folder = save_checkpoint(runs / "checkpoints", 3, tensors=tensors, state=state)
    backbone.model.eval()
    return backbone, open_checkpoint(folder)


@torch.no_grad()
def logprobs(model: Any, tokenizer: Any, text: str) -> torch.Tensor:
    ids = torch.tensor([tokenizer(text, add_special_tokens=True)["input_ids"]])
    return torch.log_softmax(model(input_ids=ids).logits.float(), dim=-1)


def tied(folder: Path) -> Path:
    """The same model with one matrix for both ends."""
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.config.tie_word_embeddings = True
    model.tie_weights()
    model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("rank", [0, 4])
@pytest.mark.parametrize("markers", [True, False])
@pytest.mark.parametrize("share", [False, True])
def test_what_is_exported_thinks_what_was_trained(tmp_path, rank, markers, share):
    base = make_tiny_model(tmp_path / "base", markers=markers)
    if share:
        tied(base)
    backbone, checkpoint = train(base, tmp_path, rank=rank)
    assert bool(backbone.grown) is not markers
    loaded = LanguageModel.load(export_model(checkpoint, tmp_path / "out"), device="cpu")
    loaded.check(FORM)
    untrained = LanguageModel.load(base, device="cpu")
    for text in TEXTS:
        trained = logprobs(backbone.model, backbone.tokenizer, text)
        found = logprobs(loaded.model, loaded.tokenizer, text)
        assert found.shape == trained.shape
        assert (found - trained).abs().max() < 1e-5
        if markers:
            assert (logprobs(untrained.model, untrained.tokenizer, text) - trained).abs().max() > 0.01
    weights = loaded.model.get_input_embeddings().weight, loaded.model.get_output_embeddings().weight
    assert (weights[0].data_ptr() == weights[1].data_ptr()) is share


def test_trained_rows_of_markers_are_merged(tmp_path):
    """What a server that knows no adapters would leave out without a word."""
    base = make_tiny_model(tmp_path / "base", markers=False)
    backbone, checkpoint = train(base, tmp_path, rank=4)
    assert len(backbone.grown) == 2
    loaded = LanguageModel.load(export_model(checkpoint, tmp_path / "out"), device="cpu")
    rows = loaded.model.get_input_embeddings().weight[backbone.grown]
    learned = backbone.causal.get_input_embeddings()(torch.tensor(backbone.grown))
    assert torch.allclose(rows, learned, atol=1e-6)
    assert (rows[0] - rows[1]).abs().max() > 0.01, "both began as the mean of all rows; only training tells them apart"
    for token in backbone.grown:
        assert loaded.token_ids(loaded.text([token])) == [token]
    assert not list((tmp_path / "out").glob("adapter*"))


def test_the_folder_carries_card_format_and_the_bases_dtype(tmp_path):
    base = make_tiny_model(tmp_path / "base")
    _, checkpoint = train(base, tmp_path, rank=2)
    out = export_model(checkpoint, tmp_path / "out", dtype="bfloat16")
    assert AutoConfig.from_pretrained(out).dtype == torch.bfloat16
    assert AutoConfig.from_pretrained(export_model(checkpoint, out)).dtype == torch.float32
    assert AutoConfig.from_pretrained(out).use_cache
    assert json.loads((out / "burnqed.json").read_text())["prompt_format"] == "markers"
    assert json.loads((out / CARD).read_text())["metrics"] == {"loss": 1.0}


def test_a_head_is_exported_for_the_encoder_that_the_model_is(tmp_path):
    _, checkpoint = train(make_tiny_model(tmp_path / "base"), tmp_path, rank=2, head=True)
    done = finish(checkpoint, tmp_path / "out")
    assert done.head is not None
    loaded = LanguageModel.load(done.model, device="cpu")
    card = loaded.card(FORM, max_tokens=100)
    assert card == exported_card(done.model, prompt_format="markers", dim=32, max_tokens=100, dtype="float32")
    head = load_head(done.head, card=card)
    torch.manual_seed(2)
    original = GoalConditionedEnergyHead(HEAD).eval()
    z = torch.randn(3, 32), torch.randn(3, 32)
    assert torch.allclose(head.energies(*z), original(*z).detach(), atol=1e-5)


def test_a_run_without_a_head_leaves_none(tmp_path):
    _, checkpoint = train(make_tiny_model(tmp_path / "base"), tmp_path, rank=2)
    assert finish(checkpoint, tmp_path / "out").head is None
    assert not (tmp_path / "out" / "head").exists()


def test_a_base_that_has_moved_is_named_with_base(tmp_path):
    base = make_tiny_model(tmp_path / "base")
    _, checkpoint = train(base, tmp_path, rank=2)
    base.rename(tmp_path / "moved")
    with pytest.raises(BadInput, match="say with --base where it is now"):
        export_model(checkpoint, tmp_path / "out")
    assert export_model(checkpoint, tmp_path / "out", base=tmp_path / "moved").is_dir()


def test_another_base_is_refused(tmp_path):
    _, checkpoint = train(make_tiny_model(tmp_path / "base"), tmp_path, rank=2)
    other = make_tiny_model(tmp_path / "other", seed=1)
    with pytest.raises(ModelMismatch, match=r"made from another model than the one in .*other"):
        export_model(checkpoint, tmp_path / "out", base=other)
    assert not (tmp_path / "out").exists()


def test_another_tokenizer_is_refused(tmp_path):
    base = make_tiny_model(tmp_path / "base")
    _, checkpoint = train(base, tmp_path, rank=2)
    about = base / "tokenizer_config.json"
    about.write_text(about.read_text().replace("{", '{"note": 1,', 1))
    with pytest.raises(ModelMismatch, match="made from another tokenizer"):
        export_model(checkpoint, tmp_path / "out")


def test_a_checkpoint_that_lacks_a_weight_is_refused(tmp_path):
    _, checkpoint = train(make_tiny_model(tmp_path / "base"), tmp_path, rank=2)
    tensors = checkpoint.tensors()
    name = next(iter(tensors))
    del tensors[name]
    damaged = open_checkpoint(save_checkpoint(tmp_path / "x", 1, tensors=tensors, state=checkpoint.state))
    with pytest.raises(ModelMismatch, match=f"has no {name.removeprefix('model.')} of shape"):
        export_model(damaged, tmp_path / "out")


def test_a_checkpoint_of_a_head_alone_is_no_model(tmp_path):
    tensors = {"head.x": torch.zeros(2)}
    alone = open_checkpoint(save_checkpoint(tmp_path, 1, tensors=tensors, state={"card": {"dim": 32}}))
    with pytest.raises(ModelMismatch, match="holds no language model"):
        export_model(alone, tmp_path / "out")


def test_an_unknown_dtype_is_told_before_anything_is_loaded(tmp_path):
    base = make_tiny_model(tmp_path / "base")
    _, checkpoint = train(base, tmp_path, rank=2)
    shutil.rmtree(base)
    with pytest.raises(BadInput, match="no dtype 'int3'"):
        export_model(checkpoint, tmp_path / "out", dtype="int3")


def test_a_format_whose_markers_the_text_would_split_is_grown_or_refused(tmp_path):
    """Served without growing, the same folder is refused: training never leaves such a model."""
    base = make_tiny_model(tmp_path / "base", markers=False)
    with pytest.raises(ModelMismatch, match="must be one for the prompt format markers"):
        LanguageModel.load(base, device="cpu").check(FORM)
    backbone, _ = train(base, tmp_path, rank=2)
    assert [len(backbone.tokenizer.encode(m, add_special_tokens=False)) for m in FORM.single_tokens] == [1, 1]


def test_a_backbone_learns_only_what_it_is_told_to(tmp_path):
    base = make_tiny_model(tmp_path / "base", markers=False)

    def learns(lora: LoraConfig) -> set[str]:
        found = load_backbone(base, form=FORM, device="cpu", dtype="bfloat16", lora=lora, seed=0)
        assert all(p.dtype == torch.float32 for p in trainable(found.model).values())
        frozen = {p.dtype for p in found.model.parameters() if not p.requires_grad}
        assert frozen == ({torch.bfloat16} if lora.rank else set())
        return set(trainable(found.model))

    adapted = learns(LoraConfig(rank=2, targets=("q_proj",)))
    assert {name for name in adapted if "lora" not in name} == {n for n in adapted if "trainable_tokens" in n}
    assert all("q_proj" in name for name in adapted if "lora" in name)
    assert any("embed_tokens" in name for name in learns(LoraConfig(rank=0)))
    with pytest.raises(BadInput, match=r"lora\.targets"):
        learns(LoraConfig(rank=2, targets=("no_such_layer",)))
