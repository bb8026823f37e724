"""What a training run will need of memory, worked out before it starts.

The estimate counts what PyTorch keeps for the backward pass of a Llama-like layer; it was held against peaks measured on a GPU
(benchmarks/results). Sizes are bytes unless a name says otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psutil
import torch

from burnqed.core.errors import BadInput

GIB = 1 << 30
SPARE = 0.06
"""Share of the memory that is left alone: fragments of the allocator, and what libraries take."""


@dataclass(frozen=True)
class Shape:
    """What the estimate depends on. ``activation`` is bytes of one activation, 2 under bfloat16."""

    layers: int
    hidden: int
    intermediate: int
    vocab: int
    activation: int
    weights: int
    learning: int
    """Numbers that learn."""
    fixed: int = 0
    """Whatever else is there all the time: averages of weights, vectors."""


@dataclass(frozen=True)
class Load:
    """What goes through the model at once: tokens with gradient, tokens without, and places that need logits."""

    tokens: int
    silent_tokens: int
    places: int


@dataclass(frozen=True)
class Plan:
    """The parts of the estimate in bytes, what there is, and how many layers are computed again."""

    parts: tuple[tuple[str, int], ...]
    available: int
    checkpoint_layers: int
    layers: int

    @property
    def total(self) -> int:
        """All parts together."""
        return sum(size for _, size in self.parts)

    @property
    def told(self) -> list[str]:
        """Lines for a person."""
        lines = [f"{size / GIB:7.2f} GiB  {what}" for what, size in self.parts]
        lines.append(f"{self.total / GIB:7.2f} GiB  together, of {self.available / GIB:.2f} GiB that are there")
        return lines


def estimate(shape: Shape, load: Load, *, checkpoint_layers: int) -> list[tuple[str, int]]:
    """The parts of the peak, with so many layers computed again."""
    one = layer_bytes(shape)
    kept = shape.layers - checkpoint_layers
    inputs = shape.layers * shape.hidden * shape.activation * load.tokens
    again = one * load.tokens * (3 if checkpoint_layers else 1) // 2  # a layer's insides once more, and their gradients
    logits = load.places * shape.vocab * (shape.activation + 12)
    return [
        ("weights", shape.weights + shape.fixed),
        ("gradients and AdamW of what learns", shape.learning * 12),
        (f"inputs of {shape.layers} layers", inputs),
        (f"insides of {kept} layers that are kept", kept * one * load.tokens),
        ("the layer at work", max(again, one * load.silent_tokens // 2)),
        ("logits", logits),
    ]


def layer_bytes(shape: Shape) -> int:
    """What one layer keeps for each token: attention's four tensors, two inputs of norms, the gated layer's four.

    By this, kept layers of a 7B model under bfloat16 were within a few per cent of what a GPU reported.
    """
    return shape.activation * (6 * shape.hidden + 4 * shape.intermediate)


def plan(shape: Shape, load: Load, *, available: int, checkpoint_layers: int | None) -> Plan:
    """The plan with the fewest layers computed again that fits; raises BadInput when none does.

    ``checkpoint_layers`` that are given are taken as they are.
    """
    choices: Sequence[int] = range(shape.layers + 1) if checkpoint_layers is None else [checkpoint_layers]
    found = Plan((), available, 0, shape.layers)
    for count in choices:
        count = min(count, shape.layers)
        found = Plan(tuple(estimate(shape, load, checkpoint_layers=count)), available, count, shape.layers)
        if found.total <= available * (1 - SPARE):
            return found
    per_token = sum(size for what, size in found.parts if what not in ("weights", "gradients and AdamW of what learns"))
    room = available * (1 - SPARE) - (found.total - per_token)
    share = max(0.0, room / max(1, per_token))
    cure = (
        f"lower batch.micro_tokens to {share:.0%} of what it is"
        if share > 0.02
        else "the weights alone fill the memory: choose a smaller model, a smaller rank, or several GPUs with --shard"
    )
    again = "every layer" if found.checkpoint_layers == shape.layers else f"{found.checkpoint_layers} layers"
    raise BadInput(
        f"this run needs about {found.total / GIB:.1f} GiB with {again} computed again, and"
        f" {available / GIB:.1f} GiB are there; {cure}"
    )


def available_bytes(device: torch.device, *, limit_gib: float | None, held: int) -> int:
    """Memory that the run may use: what is free plus what its own weights (``held``) hold already, or the limit if lower."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        free += torch.cuda.memory_reserved(device)
    else:
        free = int(psutil.virtual_memory().available) + held
    return free if limit_gib is None else min(free, int(limit_gib * GIB))
