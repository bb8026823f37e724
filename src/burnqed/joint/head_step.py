"""The head's energies for a batch of groups, computed so that nothing is multiplied twice.

Shapes: ``B`` groups, ``K`` negatives, ``P`` = B·(K+1) pairs, ``S`` distinct states and ``G`` distinct goals of the batch, ``D``
length of an embedding, ``H`` width of the first layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from burnqed.joint.ebm_head import GoalConditionedEnergyHead


@dataclass(frozen=True)
class Batch:
    """Groups as places in a matrix of vectors: distinct states [S] and goals [G], and which of them a pair has, [B, K+1].

    Column 0 is the positive; ``remaining`` [B] counts the tactics from it to the end of a proof.
    """

    states: Tensor
    goals: Tensor
    state_of: Tensor
    goal_of: Tensor
    remaining: Tensor


def batch_energies(
    head: GoalConditionedEnergyHead,
    matrix: Tensor,
    batch: Batch,
    *,
    generator: torch.Generator | None = None,
    bfloat16: bool = False,
) -> Tensor:
    """Energies [B, K+1] in float32, those of ``head(z_state, z_goal)``; with ``generator`` what is dropped out comes from it.

    The first layer holds most of the weights. Its matrix falls into blocks for state, goal and product, so the first two are
    multiplied once for each distinct state and goal and only the third for each pair. Each layer's effective weight is worked
    out once, so there is one power iteration a call. ``bfloat16`` concerns the products of hidden layers alone.
    """
    weights, biases = _effective(head)
    drop = head.config.dropout if head.training and generator is not None else 0.0
    with torch.autocast(matrix.device.type, torch.bfloat16, enabled=bfloat16):
        x = _first_layer(weights[0], matrix, batch) * head.scale + biases[0]
        for weight, bias in zip(weights[1:-1], biases[1:-1], strict=True):
            x = functional.linear(_dropped(functional.silu(x), drop, generator), weight, bias)
        x = _dropped(functional.silu(x), drop, generator)
    raw = functional.linear(x.to(weights[-1].dtype), weights[-1], biases[-1])
    return raw.view(batch.state_of.shape) / head.temperature


def _effective(head: GoalConditionedEnergyHead) -> tuple[list[Tensor], list[Tensor]]:
    """Weights and biases of the layers. In training this is what moves the power iterations on."""
    layers = [cast("nn.Linear", layer) for layer in head.layers]
    return [layer.weight for layer in layers], [layer.bias for layer in layers]


def _first_layer(weight: Tensor, matrix: Tensor, batch: Batch) -> Tensor:
    """[P, H], without bias."""
    of_state, of_goal, of_product = torch.split(weight, matrix.shape[1], dim=1)
    z_state = matrix.index_select(0, batch.states).to(weight.dtype)
    z_goal = matrix.index_select(0, batch.goals).to(weight.dtype)
    state_of, goal_of = batch.state_of.flatten(), batch.goal_of.flatten()
    product = z_state.index_select(0, state_of) * z_goal.index_select(0, goal_of)
    x = functional.linear(product, of_product)
    x = x + functional.linear(z_state, of_state).index_select(0, state_of)
    return x + functional.linear(z_goal, of_goal).index_select(0, goal_of)


def _dropped(x: Tensor, share: float, generator: torch.Generator | None) -> Tensor:
    if share == 0:
        return x
    kept = torch.empty_like(x).bernoulli_(1 - share, generator=generator)
    return x * kept / (1 - share)


def settle(head: GoalConditionedEnergyHead, *, iterations: int = 200) -> None:
    """Let the power iterations come to rest, so that every effective weight has the norm 1 that it claims."""
    was_training = head.training
    head.train()
    with torch.no_grad():
        for _ in range(-(-iterations // head.config.power_iterations)):
            _effective(head)
    head.train(was_training)


def spectral_norms(head: GoalConditionedEnergyHead) -> list[float]:
    """The largest singular value of each layer's effective weight, by a full decomposition."""
    was_training = head.training
    head.eval()
    with torch.no_grad():
        weights, _ = _effective(head)
    head.train(was_training)
    return [float(torch.linalg.matrix_norm(weight.double(), 2)) for weight in weights]
