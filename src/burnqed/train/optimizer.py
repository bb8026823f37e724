"""AdamW over groups of weights with rates of their own, and a schedule that is a pure function of the step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from burnqed.core.errors import ModelMismatch
from burnqed.train.config import OptimizerConfig
from burnqed.train.workers import put, whole

_PREFIX = "optimizer."


def make_optimizer(
    parameters: Mapping[str, nn.Parameter], config: OptimizerConfig, *, head: str = "head."
) -> torch.optim.AdamW:
    """Names that begin with ``head`` learn at the head's rate. Decay is on matrices only, and not on embeddings."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, p in parameters.items():
        decays = p.ndim >= 2 and "embed" not in name and "lm_head" not in name
        rate = config.head_lr if name.startswith(head) else config.lr
        groups.setdefault((rate, config.weight_decay if decays else 0.0), []).append(p)
    return torch.optim.AdamW(
        [
            {"params": ps, "lr": rate, "weight_decay": decay, "highest": rate}
            for (rate, decay), ps in sorted(groups.items(), key=lambda g: g[0])
        ],
        betas=config.betas,
        fused=all(p.device.type == "cuda" for p in parameters.values()) or None,
    )


def set_rates(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Every group's rate becomes this share of its highest."""
    for group in optimizer.param_groups:
        group["lr"] = group["highest"] * factor


def rate_factor(step: int, total: int, config: OptimizerConfig) -> float:
    """Share of the highest rate at a step (from 0): a straight rise, then cosine (Loshchilov and Hutter 2017), linear or flat."""
    warmup = math.ceil(config.warmup * total)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if config.schedule == "constant":
        return 1.0
    done = (step - warmup) / max(1, total - warmup)
    fall = 0.5 * (1 + math.cos(math.pi * done)) if config.schedule == "cosine" else 1 - done
    return config.floor + (1 - config.floor) * fall


def optimizer_tensors(optimizer: torch.optim.Optimizer, parameters: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """What AdamW remembers of each weight, by the weight's name. Every process must ask."""
    found: dict[str, Tensor] = {}
    for name, p in parameters.items():
        for kind, value in optimizer.state.get(p, {}).items():
            found[f"{_PREFIX}{kind}.{name}"] = whole(value) if isinstance(value, Tensor) else torch.tensor(value)
    return found


def restore_optimizer(
    optimizer: torch.optim.Optimizer, parameters: Mapping[str, nn.Parameter], tensors: Mapping[str, Tensor]
) -> None:
    """Give an optimizer back what :func:`optimizer_tensors` took. Raises ModelMismatch for a state of other weights."""
    wanted = {n.removeprefix(_PREFIX).split(".", 1)[1] for n in tensors if n.startswith(_PREFIX)}
    if unknown := sorted(wanted - parameters.keys()):
        raise ModelMismatch(f"the checkpoint's optimizer knows {unknown[0]}, which does not learn here")
    for name, p in parameters.items():
        state: dict[str, Any] = {}
        for kind in ("step", "exp_avg", "exp_avg_sq"):
            saved = tensors.get(f"{_PREFIX}{kind}.{name}")
            if saved is None:
                continue
            if kind == "step":
                fused = bool(optimizer.param_groups[0].get("fused"))
                state[kind] = saved.to(p.device if fused else "cpu").clone()
            else:
                state[kind] = torch.zeros_like(p)
                put(state[kind], saved)
        if state:
            optimizer.state[p] = state
