"""What a checkpoint holds of a run: weights that learn, the head's buffers, averages, and the optimizer's memory."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from burnqed.core.errors import ModelMismatch
from burnqed.joint.model import JointProver
from burnqed.train.backbone import trainable
from burnqed.train.optimizer import optimizer_tensors, restore_optimizer
from burnqed.train.workers import put, whole

MODEL = "model."
HEAD = "head."
AVERAGE = "average."
_NAMES = {"backbone.": MODEL, "head.": HEAD}


def learning(prover: JointProver) -> dict[str, nn.Parameter]:
    """The weights that learn, under the names that checkpoints have: ``model.…`` as the backbone calls them, ``head.…``."""
    return {_named(name): p for name, p in trainable(prover).items()}


def run_tensors(prover: JointProver, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """All tensors of a run; every process must ask, since cut weights are gathered."""
    parameters = learning(prover)
    found = {name: whole(p.detach()) for name, p in parameters.items()}
    if prover.head is not None:
        found |= {HEAD + name: value for name, value in prover.head.state_dict().items()}
    found |= {AVERAGE + name: value for name, value in prover.averages.items()}
    return found | optimizer_tensors(optimizer, parameters)


def restore_run(prover: JointProver, optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Give a run back what :func:`run_tensors` took. Raises ModelMismatch when it is from a model of another shape."""
    parameters = learning(prover)
    for name, p in parameters.items():
        saved = tensors.get(name)
        if saved is None or saved.shape != p.shape:
            raise ModelMismatch(f"the checkpoint has no {name} of shape {tuple(p.shape)}; it is of another model")
        put(p, saved)
    if prover.head is not None:
        for name, value in prover.head.state_dict().items():
            saved = tensors.get(HEAD + name)
            if saved is None or saved.shape != value.shape:
                raise ModelMismatch(f"the checkpoint has no {HEAD}{name} of shape {tuple(value.shape)}")
            value.copy_(saved)
    for name, average in prover.averages.items():
        if AVERAGE + name not in tensors:
            raise ModelMismatch(f"the checkpoint has no {AVERAGE}{name}; it was made without averages")
        average.copy_(tensors[AVERAGE + name])
    restore_optimizer(optimizer, parameters, tensors)


def _named(name: str) -> str:
    for inside, outside in _NAMES.items():
        if name.startswith(inside):
            return outside + name.removeprefix(inside)
    return name
