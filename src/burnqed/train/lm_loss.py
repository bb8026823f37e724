"""Cross-entropy of the next token, on chosen places only.

A prompt's places need no logits. With a vocabulary of 102,400 the logits of 8,192 places would take 3.4 GB in float32 and as
much again for their gradient; those of the tactics are a few per cent of it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

PLACES = 2048
"""Places whose logits are in memory at once; they are computed again in the backward pass when there are more."""


def summed_loss(lm_head: Any, hidden: Tensor, targets: Tensor) -> Tensor:
    """Sum over places of −ln p(target), float32, of hidden states [N, D] and ids [N]. Scalar; 0 for no places."""
    if len(targets) == 0:
        return hidden.sum() * 0.0
    if len(targets) <= PLACES:
        return _loss(lm_head, hidden, targets)
    parts = [
        checkpoint(_loss, lm_head, h, t, use_reentrant=False)
        for h, t in zip(torch.split(hidden, PLACES), torch.split(targets, PLACES), strict=True)
    ]
    return torch.stack(parts).sum()


def loss_places(starts: list[int], lengths: list[int]) -> tuple[list[int], list[int]]:
    """Row and column of the places that predict ``ids[start:]`` of each row: those before them."""
    rows = [row for row, (start, length) in enumerate(zip(starts, lengths, strict=True)) for _ in range(start, length)]
    columns = [k - 1 for start, length in zip(starts, lengths, strict=True) for k in range(start, length)]
    return rows, columns


def _loss(lm_head: Any, hidden: Tensor, targets: Tensor) -> Tensor:
    logits = lm_head(hidden).float()
    return nn.functional.cross_entropy(logits, targets, reduction="sum")
