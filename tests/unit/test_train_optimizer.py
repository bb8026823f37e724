"""AdamW's groups, the course of its rate, and a resumed optimizer that goes on to the bit."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from burnqed.core.errors import ModelMismatch
from burnqed.train.config import OptimizerConfig
from burnqed.train.optimizer import make_optimizer, optimizer_tensors, rate_factor, restore_optimizer, set_rates


def parameters(seed: int = 0) -> dict[str, nn.Parameter]:
    generator = torch.Generator().manual_seed(seed)
    shapes = {
        "model.layers.0.lora_A": (3, 4),
        "model.embed_tokens": (5, 4),
        "model.lm_head": (5, 4),
        "model.norm": (4,),
        "head.layers.0": (2, 3),
        "head.bias": (2,),
        "head.log_temperature": (),
    }
    return {name: nn.Parameter(torch.randn(shape, generator=generator)) for name, shape in shapes.items()}


def step(optimizer: torch.optim.Optimizer, weights: dict[str, nn.Parameter], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for p in weights.values():
        p.grad = torch.randn(p.shape, generator=generator)
    optimizer.step()


def test_groups_have_their_rates_and_only_matrices_decay():
    weights = parameters()
    optimizer = make_optimizer(weights, OptimizerConfig(lr=1e-4, head_lr=1e-3, weight_decay=0.1))
    names = {id(p): name for name, p in weights.items()}
    found = {names[id(p)]: (g["lr"], g["weight_decay"]) for g in optimizer.param_groups for p in g["params"]}
    assert found == {
        "model.layers.0.lora_A": (1e-4, 0.1),
        "model.embed_tokens": (1e-4, 0.0),
        "model.lm_head": (1e-4, 0.0),
        "model.norm": (1e-4, 0.0),
        "head.layers.0": (1e-3, 0.1),
        "head.bias": (1e-3, 0.0),
        "head.log_temperature": (1e-3, 0.0),
    }


def test_all_rates_follow_one_factor():
    optimizer = make_optimizer(parameters(), OptimizerConfig(lr=1e-4, head_lr=1e-3))
    set_rates(optimizer, 0.5)
    set_rates(optimizer, 0.25)
    assert sorted({g["lr"] for g in optimizer.param_groups}) == pytest.approx([0.25e-4, 0.25e-3])


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [1 / 3, 2 / 3, 1, 1, 1, 1, 1, 1, 1, 1]),
        ("linear", [1 / 3, 2 / 3, 1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3]),
        ("cosine", [1 / 3, 2 / 3, 1, 0.96956, 0.88284, 0.75307, 0.6, 0.44693, 0.31716, 0.23045]),
    ],
)
def test_the_rate_follows_a_table_made_by_hand(schedule, expected):
    """Ten steps, two of warm-up, down to a floor of 0.2 that the step after the last one would have."""
    config = OptimizerConfig(warmup=0.2, schedule=schedule, floor=0.2)
    assert [rate_factor(k, 10, config) for k in range(10)] == pytest.approx(expected, abs=1e-5)
    assert rate_factor(10, 10, config) == pytest.approx(1.0 if schedule == "constant" else 0.2)


def test_without_warm_up_the_cosine_is_torchs():
    weight = nn.Parameter(torch.zeros(1))
    other = torch.optim.SGD([weight], lr=1.0)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(other, T_max=50, eta_min=0.1)
    config = OptimizerConfig(warmup=0.0, schedule="cosine", floor=0.1)
    for k in range(50):
        assert rate_factor(k, 50, config) == pytest.approx(cosine.get_last_lr()[0], abs=1e-9)
        other.step()
        cosine.step()


@pytest.mark.parametrize("total", [1, 2, 3])
def test_the_shortest_runs_have_a_rate_at_every_step(total):
    for schedule in ("cosine", "linear", "constant"):
        for warmup in (0.0, 0.03, 0.99):
            rates = [rate_factor(k, total, OptimizerConfig(schedule=schedule, warmup=warmup)) for k in range(total)]
            assert all(0 < r <= 1 and math.isfinite(r) for r in rates)


def test_a_restored_optimizer_makes_the_next_step_to_the_bit():
    config = OptimizerConfig(weight_decay=0.1)
    weights = parameters()
    optimizer = make_optimizer(weights, config)
    for k in range(3):
        step(optimizer, weights, k)
    stored = {name: t.clone() for name, t in optimizer_tensors(optimizer, weights).items()}
    resumed_weights = {name: nn.Parameter(p.detach().clone()) for name, p in weights.items()}
    resumed = make_optimizer(resumed_weights, config)
    restore_optimizer(resumed, resumed_weights, stored)
    for k in range(3, 6):
        step(optimizer, weights, k)
        step(resumed, resumed_weights, k)
    for name, p in weights.items():
        assert torch.equal(p, resumed_weights[name]), name
    # What was stored is a copy: the steps since have not reached it.
    assert stored["optimizer.step.head.bias"] == 3


def test_without_its_memory_the_next_step_would_differ():
    weights = parameters()
    optimizer = make_optimizer(weights, OptimizerConfig())
    step(optimizer, weights, 0)
    fresh_weights = {name: nn.Parameter(p.detach().clone()) for name, p in weights.items()}
    fresh = make_optimizer(fresh_weights, OptimizerConfig())
    step(optimizer, weights, 1)
    step(fresh, fresh_weights, 1)
    assert not torch.equal(weights["head.bias"], fresh_weights["head.bias"])


def test_the_memory_of_weights_that_do_not_learn_here_is_refused():
    weights = parameters()
    optimizer = make_optimizer(weights, OptimizerConfig())
    step(optimizer, weights, 0)
    stored = optimizer_tensors(optimizer, weights)
    del weights["model.norm"]
    with pytest.raises(ModelMismatch, match=r"model\.norm, which does not learn here"):
        restore_optimizer(make_optimizer(weights, OptimizerConfig()), weights, stored)
