"""The losses of the energy head and of joint training: pure functions, a number for each row, never averaged here.

Shapes: ``B`` rows, ``K`` negatives of a row, ``D`` length of an embedding. Energies are [B, K+1], the positive in column 0. A
``mask`` of the same shape says which columns take part (true); the positive always does. bfloat16 and float16 are widened to
float32 before anything is summed.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def info_nce(energies: Tensor, *, mask: Tensor | None = None) -> Tensor:
    """−ln of the share of e^−E that the positive has, [B]: van den Oord et al. 2018, eq. 4, with logits −E.

    There is no temperature here: the head divides its energies by its own, and a second one would only fight with it. A row
    whose negatives are all masked has loss 0. What a head that knows nothing has is :func:`chance`.
    """
    logits = -_wide(energies)
    if mask is not None:
        logits = torch.cat([logits[:, :1], logits[:, 1:].masked_fill(~mask[:, 1:], -math.inf)], dim=1)
    first = torch.zeros(len(logits), dtype=torch.long, device=logits.device)
    return functional.cross_entropy(logits, first, reduction="none")


def chance(k: int) -> float:
    """InfoNCE, in nats, of energies that are all equal: ln(K+1) for K negatives."""
    return math.log(k + 1)


def margin_ranking(energies: Tensor, margin: float, *, mask: Tensor | None = None) -> Tensor:
    """Mean over a row's negatives of max(0, margin + E₊ − E₋), [B]: the hinge of LeCun et al. 2006, table 1, for each negative.

    The margin is in units of energy, so a learned temperature would reach it by shrinking instead of by telling states apart:
    the caller has to freeze the head's temperature. A row whose negatives are all masked has loss 0.
    """
    wide = _wide(energies)
    hinges = functional.relu(margin + wide[:, :1] - wide[:, 1:])
    if mask is None:
        return hinges.mean(dim=1)
    taking_part = mask[:, 1:]
    return hinges.masked_fill(~taking_part, 0.0).sum(dim=1) / taking_part.sum(dim=1).clamp(min=1)


def carried_by_hardest(gradients: Tensor, hardest: Tensor) -> Tensor:
    """Factors [B, K+1] with which the column ``hardest`` [B] carries the gradient of all negatives, and the others carry none.

    ``gradients`` are those of a loss by the energies. Both losses above stay as they are when all energies rise alike, so their
    gradients sum to 0. Those of the positive and the hardest negative alone do not: a backbone that is trained on them learns to
    move all energies, and does it by making all states alike. A negative that the loss does not feel carries nothing.
    """
    own = gradients.gather(1, hardest[:, None])
    felt = own != 0
    share = torch.where(felt, gradients[:, 1:].sum(dim=1, keepdim=True) / torch.where(felt, own, 1), 0)
    factors = torch.zeros_like(gradients)
    factors[:, 0] = 1
    return factors.scatter(1, hardest[:, None], share)


def depth_regression(energy_of_positives: Tensor, remaining: Tensor, gain: Tensor, offset: Tensor) -> Tensor:
    """Smooth L1 (Girshick 2015, eq. 3) between softplus(gain)·E + offset and ln(1 + remaining), [B].

    ``remaining`` counts the tactics left to the end of the proof, ``gain`` and ``offset`` are learned scalars. Softplus keeps
    the slope positive: a state that is further from its proof has the higher energy, whatever is learned.
    """
    foretold = functional.softplus(gain) * _wide(energy_of_positives) + offset
    target = torch.log1p(remaining.to(foretold.dtype))
    return functional.smooth_l1_loss(foretold, target, reduction="none")


def curl(query: Tensor, key: Tensor, weight: Tensor) -> Tensor:
    """InfoNCE over the batch with logits qᵀWk, [B]; row i of ``key`` is the other view of row i of ``query``.

    Laskin et al. 2020, section 4.3 and their algorithm 1: [B, D] queries and keys, a learned [D, D] weight, logits minus their
    row's maximum. Keys carry no gradient, whether they come from an averaged encoder or from the same one. Two rows of one
    state would be each other's negatives, so the caller gives every state once.
    """
    logits = _wide(query) @ _wide(weight) @ _wide(key.detach()).T
    logits = logits - logits.max(dim=1, keepdim=True).values.detach()
    own = torch.arange(len(logits), device=logits.device)
    return functional.cross_entropy(logits, own, reduction="none")


def _wide(x: Tensor) -> Tensor:
    """The same in float32, or in float64 if it was."""
    return x if x.dtype == torch.float64 else x.float()
