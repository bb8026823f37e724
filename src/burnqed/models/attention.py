"""Attention of one new token for each completion, where completions of one prompt share its keys and values.

The keys of a prompt are read once for all its completions, not once for each, and are never copied. A row attends to its
prompt (a block shared by the group) and to its own tail; both parts are put together with the softmax's running maximum and
total, as in FlashAttention (Dao et al. 2022) and, for shared prefixes, Hydragen (Juravsky et al. 2024).

Shapes: ``P`` prompts, ``L`` their longest length, ``M`` rows of a prompt, ``B`` rows, ``K`` key-value heads, ``G`` query
heads for each of them, ``S`` length of the tails, ``E`` size of a head.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface
from transformers.cache_utils import Cache

NAME = "burnqed_shared_prefix"

_NOT_OURS = ("softcap", "s_aux", "position_bias", "sliding_window", "alibi")
"""What some architectures ask of attention, and this one does not do."""


class NotShared(Exception):
    """An architecture's attention is not the plain one; the completions must be decoded another way."""


@dataclass
class Shared:
    """What attention needs beside the query: the prompts' block, and which row belongs to which prompt.

    ``group`` int64 [P * M] names the row at each place of a prompt, ``place`` int64 [B] is the way back; both are None when
    the rows stand in that order already. Places without a row name some other one; nobody reads what comes of it.
    """

    keys: list[Tensor]  # [P, K, L, E] for each layer
    values: list[Tensor]
    bias: Tensor | None  # float32 [P, 1, 1, L]: 0 on content, -inf on padding; None without padding
    group: Tensor | None = None
    place: Tensor | None = None
    tail_bias: Tensor | None = None  # float32 [S]: -inf where nothing is written yet
    calls: int = 0  # how often a layer has attended; an architecture that asks another attention never does

    def grouped(self, rows: Tensor) -> Tensor:
        """[B, K, G, X] to [P, K, M * G, X]."""
        prompts = self.keys[0].shape[0]
        if self.group is not None:
            rows = rows.index_select(0, self.group)
        _, heads, each, size = rows.shape
        return rows.view(prompts, -1, heads, each, size).transpose(1, 2).reshape(prompts, heads, -1, size)

    def ungrouped(self, groups: Tensor, each: int) -> Tensor:
        """[P, K, M * G, X] to [B, K, G, X]."""
        prompts, heads, _, size = groups.shape
        rows = groups.view(prompts, heads, -1, each, size).transpose(1, 2).reshape(-1, heads, each, size)
        return rows if self.place is None else rows.index_select(0, self.place)


_SHARED: ContextVar[Shared] = ContextVar("shared prefix")


class Tail(Cache):
    """Keys and values of what was written since the prompt, [B, K, capacity, E] for each layer.

    ``used`` columns count. With ``step`` (int64 [1], on the device) the column to write is read from it and all columns are
    shown, which is what a recorded graph needs; else only the used ones are shown, and the tail grows when it is full.
    """

    def __init__(self, layers: int, capacity: int, *, step: Tensor | None = None) -> None:
        super().__init__(layers=[])
        self.capacity = capacity
        self.used = 0
        self.step = step
        self._held: list[tuple[Tensor, Tensor] | None] = [None] * layers

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        """Write one column; give the columns to attend to. The last layer's call ends the step."""
        batch = key_states.shape[0]
        held = self._held[layer_idx] or (self._zeros(key_states, batch), self._zeros(value_states, batch))
        if self.step is not None:
            for whole, new in zip(held, (key_states, value_states), strict=True):
                whole.index_copy_(2, self.step, new)
            self._held[layer_idx] = held
            return held
        if self.used == held[0].shape[2]:
            held = (
                torch.cat([held[0], self._zeros(held[0], batch)], dim=2),
                torch.cat([held[1], self._zeros(held[1], batch)], dim=2),
            )
        self._held[layer_idx] = held
        held[0][:, :, self.used] = key_states[:, :, 0]
        held[1][:, :, self.used] = value_states[:, :, 0]
        shown = self.used + 1
        if layer_idx == len(self._held) - 1:
            self.used = shown
        return held[0][:, :, :shown], held[1][:, :, :shown]

    def keep(self, rows: Tensor) -> None:
        """Only these rows, in this order."""
        assert self.step is None
        for layer, held in enumerate(self._held):
            if held is not None:
                self._held[layer] = (self._kept(held[0], rows), self._kept(held[1], rows))

    def _kept(self, whole: Tensor, rows: Tensor) -> Tensor:
        new = whole.new_empty(len(rows), *whole.shape[1:])
        new[:, :, : self.used] = whole[:, :, : self.used].index_select(0, rows)
        return new

    def columns(self, count: int) -> list[tuple[Tensor, Tensor]]:
        """The first ``count`` columns of each layer, [B, K, count, E]."""
        return [(h[0][:, :, :count], h[1][:, :, :count]) for h in self._held if h is not None]

    def load(self, written: Sequence[tuple[Tensor, Tensor]], *, batch: int) -> int:
        """Begin with these columns of a tail of at most ``batch`` rows; how many they are."""
        for layer, (key, value) in enumerate(written):
            held = self._held[layer]
            if held is None:
                held = (self._zeros(key, batch), self._zeros(value, batch))
                self._held[layer] = held
            for whole, new in zip(held, (key, value), strict=True):
                whole[: new.shape[0], :, : new.shape[2]] = new
        self.used = written[0][0].shape[2]
        return self.used

    def _zeros(self, like: Tensor, batch: int) -> Tensor:
        size = max(self.capacity, like.shape[2])
        return like.new_zeros(batch, like.shape[1], size, like.shape[3])

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Columns written. Positions are always given, so that no model needs to ask."""
        return self.used


@contextlib.contextmanager
def sharing(model: Any, shared: Shared) -> Iterator[None]:
    """Within it the model attends as described above."""
    before = model.config._attn_implementation
    token = _SHARED.set(shared)
    model.set_attn_implementation(NAME)
    try:
        yield
    finally:
        model.set_attn_implementation(before)
        _SHARED.reset(token)


def shared_prefix_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Transformers' attention interface: query [B, K * G, 1, E], tails' key and value [B, K, S, E]; gives [B, 1, K * G, E]."""
    if attention_mask is not None or query.shape[2] != 1 or any(kwargs.get(name) is not None for name in _NOT_OURS):
        raise NotShared(type(module).__name__)
    shared = _SHARED.get()
    shared.calls += 1
    batch, heads, _, size = query.shape
    each = heads // key.shape[1]
    scale = size**-0.5 if scaling is None else scaling
    rows = query.reshape(batch, key.shape[1], each, size)
    ours = _product(rows, key.transpose(2, 3)).mul_(scale)
    if shared.tail_bias is not None:
        ours = ours + shared.tail_bias
    common = _product(shared.grouped(rows), shared.keys[module.layer_idx].transpose(2, 3)).mul_(scale)
    if shared.bias is not None:
        common = common + shared.bias
    top = torch.maximum(ours.amax(-1, keepdim=True), shared.ungrouped(common.amax(-1, keepdim=True), each))
    ours = (ours - top).exp_()
    common = (common - shared.grouped(top)).exp_()
    total = ours.sum(-1, keepdim=True) + shared.ungrouped(common.sum(-1, keepdim=True), each)
    from_prompt = shared.ungrouped(_product(common.to(value.dtype), shared.values[module.layer_idx]), each)
    mixed = (_product(ours.to(value.dtype), value) + from_prompt) / total
    return mixed.to(query.dtype).reshape(batch, 1, heads, value.shape[3]), None


def _product(first: Tensor, second: Tensor) -> Tensor:
    """float32 [N, K, X, Z] from [N, K, X, Y] and [N, K, Y, Z]; on a GPU half precision is not rounded on its way out."""
    if first.is_cuda and first.dtype != torch.float32:
        flat: Tensor = torch.bmm(first.flatten(0, 1), second.flatten(0, 1), out_dtype=torch.float32)
        return flat.view(*first.shape[:2], *flat.shape[1:])
    return torch.matmul(first, second).float()


AttentionInterface.register(NAME, shared_prefix_attention)
