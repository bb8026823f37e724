"""The memory plan: its parts, what computing layers again saves, and the advice when nothing fits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from burnqed.core.errors import BadInput
from burnqed.prompts.formats import prompt_format
from burnqed.testing.tiny_model import make_tiny_model
from burnqed.train.backbone import decoder_layers, load_backbone
from burnqed.train.config import LoraConfig
from burnqed.train.memory import GIB, SPARE, Load, Shape, available_bytes, estimate, plan

SHAPE = Shape(
    layers=30,
    hidden=4096,
    intermediate=11008,
    vocab=102_400,
    activation=2,
    weights=14 * GIB,
    learning=80_000_000,
)
LOAD = Load(tokens=8192, silent_tokens=0, places=1500)


def total(shape: Shape = SHAPE, load: Load = LOAD, layers: int = 0) -> int:
    return sum(size for _, size in estimate(shape, load, checkpoint_layers=layers))


def test_the_parts_add_up_and_are_all_told():
    found = plan(SHAPE, LOAD, available=400 * GIB, checkpoint_layers=None)
    assert found.total == sum(size for _, size in found.parts) == total()
    assert len(found.told) == len(found.parts) + 1
    for what, size in found.parts:
        assert any(what in line and f"{size / GIB:.2f} GiB" in line for line in found.told)


@pytest.mark.parametrize("silent", [0, 8192, 100_000])
def test_computing_more_layers_again_never_needs_more(silent):
    needs = [total(load=replace(LOAD, silent_tokens=silent), layers=n) for n in range(SHAPE.layers + 1)]
    assert needs == sorted(needs, reverse=True)
    assert needs[-1] < needs[0]


@pytest.mark.parametrize(
    "more",
    [
        {"load": replace(LOAD, tokens=9000)},
        {"load": replace(LOAD, silent_tokens=50_000)},
        {"load": replace(LOAD, places=2000)},
        {"shape": replace(SHAPE, activation=4)},
        {"shape": replace(SHAPE, learning=90_000_000)},
        {"shape": replace(SHAPE, weights=15 * GIB)},
        {"shape": replace(SHAPE, fixed=GIB)},
        {"shape": replace(SHAPE, vocab=200_000)},
    ],
)
def test_more_of_anything_needs_more(more):
    assert total(**more) > total()


def test_no_more_layers_are_computed_again_than_must_be():
    roomy = plan(SHAPE, LOAD, available=400 * GIB, checkpoint_layers=None)
    assert roomy.checkpoint_layers == 0
    tight = plan(SHAPE, LOAD, available=45 * GIB, checkpoint_layers=None)
    assert 0 < tight.checkpoint_layers <= SHAPE.layers
    usable = 45 * GIB * (1 - SPARE)
    assert tight.total <= usable < total(layers=tight.checkpoint_layers - 1)


def test_a_number_of_layers_that_is_given_is_kept():
    assert plan(SHAPE, LOAD, available=400 * GIB, checkpoint_layers=7).checkpoint_layers == 7
    assert plan(SHAPE, LOAD, available=400 * GIB, checkpoint_layers=1000).checkpoint_layers == SHAPE.layers
    with pytest.raises(BadInput, match="with 0 layers computed again"):
        plan(SHAPE, LOAD, available=45 * GIB, checkpoint_layers=0)


def test_what_does_not_fit_is_refused_with_what_would():
    with pytest.raises(BadInput, match="every layer computed again") as refusal:
        plan(SHAPE, LOAD, available=20 * GIB, checkpoint_layers=None)
    share = int(str(refusal.value).split("lower batch.micro_tokens to ")[1].split("%")[0]) / 100
    smaller = Load(tokens=int(LOAD.tokens * (share - 0.01)), silent_tokens=0, places=int(LOAD.places * (share - 0.01)))
    assert plan(SHAPE, smaller, available=20 * GIB, checkpoint_layers=None).total < 20 * GIB


def test_weights_that_do_not_fit_are_not_blamed_on_the_batch():
    with pytest.raises(BadInput, match="the weights alone fill the memory") as refusal:
        plan(SHAPE, LOAD, available=14 * GIB, checkpoint_layers=None)
    assert "micro_tokens" not in str(refusal.value)


def test_a_limit_counts_only_where_it_is_lower():
    cpu = torch.device("cpu")
    assert available_bytes(cpu, limit_gib=0.001, held=0) == int(0.001 * GIB)
    free = available_bytes(cpu, limit_gib=None, held=0)
    assert free > 0
    assert available_bytes(cpu, limit_gib=1e6, held=0) == pytest.approx(free, rel=0.5)


def shape_of(folder: Path) -> Shape:
    found = load_backbone(
        folder, form=prompt_format("markers"), device="cpu", dtype="float32", lora=LoraConfig(rank=4), seed=0
    )
    weights = list(found.model.parameters())
    config = found.causal.config
    return Shape(
        layers=len(decoder_layers(found.causal)),
        hidden=config.hidden_size,
        intermediate=config.intermediate_size,
        vocab=config.vocab_size,
        activation=4,
        weights=sum(p.numel() * 4 for p in weights),
        learning=sum(p.numel() for p in weights if p.requires_grad),
    )


def saved_for_backward(folder: Path, tokens: int) -> int:
    """Bytes that autograd really keeps for a pass over the decoder, weights not counted, each storage once."""
    found = load_backbone(
        folder, form=prompt_format("markers"), device="cpu", dtype="float32", lora=LoraConfig(rank=0), seed=0
    )
    weights = {p.untyped_storage().data_ptr() for p in found.model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        hidden = found.decoder(input_ids=torch.ones(1, tokens, dtype=torch.long), use_cache=False).last_hidden_state
        assert hidden.requires_grad
    return sum(kept.values())


def test_the_estimate_for_a_real_model_grows_with_it_and_is_near_what_autograd_keeps(tmp_path):
    small = make_tiny_model(tmp_path / "small", hidden=64)
    deep = make_tiny_model(tmp_path / "deep", hidden=64, layers=6)
    tokens = 400
    load = Load(tokens=tokens, silent_tokens=0, places=0)
    needs = []
    for folder, layers in ((small, 2), (deep, 6)):
        shape = shape_of(folder)
        assert shape.layers == layers
        needs.append(total(shape, load))
        parts = dict(estimate(shape, load, checkpoint_layers=0))
        activations = parts[f"inputs of {layers} layers"] + parts[f"insides of {layers} layers that are kept"]
        # The estimate must not be far below what is kept, nor absurdly above it.
        assert 0.8 < activations / saved_for_backward(folder, tokens) < 2.0
    assert needs[0] < needs[1]


@pytest.mark.parametrize(
    ("rank", "again", "peak_gib"),
    [(32, 20, 28.7), (64, 17, 33.3)],
)
def test_the_estimate_is_near_the_peak_that_a_gpu_reported(rank, again, peak_gib):
    """A 7B model in bfloat16 on an H200, 16 rows of 512 tokens (benchmarks/training.py)."""
    learning = 30 * rank * (4 * (4096 + 4096) + 3 * (4096 + 11008))
    frozen = 30 * (4 * 4096**2 + 3 * 4096 * 11008) + 2 * 102_400 * 4096
    shape = Shape(30, 4096, 11008, 102_400, activation=2, weights=2 * frozen + 4 * learning, learning=learning)
    load = Load(tokens=8240, silent_tokens=0, places=480)
    assert total(shape, load, again) / GIB == pytest.approx(peak_gib, rel=0.05)
