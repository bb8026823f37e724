"""Decoding: one more token for each of many completions, after their prompts went through the model once.

Two ways, which give the same logits. :class:`SharedDecoder` keeps the prompts' keys and values once and lets all completions of a
prompt attend to them; it needs an architecture with plain attention. :class:`ExpandedDecoder` copies them to every
completion, left-padded, and uses the architecture's own attention; it is slower, and takes any model with keys and values.
Shapes: ``P`` prompts, ``B`` completions (rows), ``V`` tokens.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers import DynamicCache

from burnqed.models.attention import Shared, Tail, sharing
from burnqed.models.prefill import Prefilled

_CAPACITY = 64
"""Columns of a tail at first; it doubles when it is full."""


class Decoder(Protocol):
    """Rows that go on from prompts."""

    def step(self, tokens: Tensor) -> Tensor:
        """Feed one token a row, int64 [B]; the float32 logits [B, V] of what comes next."""
        ...

    def keep(self, rows: Sequence[int]) -> None:
        """Drop all rows but these (by their present numbers, rising)."""
        ...


class SharedDecoder:
    """Completions of a prompt share its keys and values; ``owners`` names the prompt of each row, rising."""

    def __init__(self, model: Any, states: Sequence[Prefilled], owners: Sequence[int]) -> None:
        self._model = model
        self._owners = list(owners)
        device = model.device
        self._positions = torch.tensor([states[p].length for p in owners], device=device)
        keys, values = stacked(states)
        self.shared = Shared(keys, values, padding_bias([s.length for s in states], device))
        self.tail = Tail(len(keys), _CAPACITY)
        self._group()

    @torch.inference_mode()
    def step(self, tokens: Tensor) -> Tensor:
        """As in :class:`Decoder`."""
        with sharing(self._model, self.shared):
            out = self._model(
                input_ids=tokens[:, None],
                position_ids=self._positions[:, None],
                past_key_values=self.tail,
                use_cache=True,
            )
        self._positions += 1
        return last_logits(out)

    @torch.inference_mode()
    def keep(self, rows: Sequence[int]) -> None:
        """As in :class:`Decoder`. A prompt without rows goes as well."""
        kept = torch.tensor(rows, device=self._positions.device)
        self._positions = self._positions.index_select(0, kept)
        self.tail.keep(kept)
        owners = [self._owners[row] for row in rows]
        alive = list(dict.fromkeys(owners))
        if len(alive) < self.shared.keys[0].shape[0]:
            prompts = torch.tensor(alive, device=kept.device)
            shared = self.shared
            shared.keys = [k.index_select(0, prompts) for k in shared.keys]
            shared.values = [v.index_select(0, prompts) for v in shared.values]
            shared.bias = None if shared.bias is None else shared.bias.index_select(0, prompts)
        self._owners = [alive.index(p) for p in owners]
        self._group()

    @torch.inference_mode()
    def resume(self, written: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Go on after these keys and values of the rows' tails, [B, heads, columns, size] for each layer."""
        self._positions += self.tail.load(written, batch=len(self._positions))

    def _group(self) -> None:
        """Which row stands at which place of its prompt."""
        counts = Counter(self._owners)
        most = max(counts.values())
        self.shared.group = self.shared.place = None
        if all(count == most for count in counts.values()):
            return
        group = [0] * (len(counts) * most)
        place: list[int] = []
        seen: Counter[int] = Counter()
        for row, owner in enumerate(self._owners):
            place.append(owner * most + seen[owner])
            group[place[-1]] = row
            seen[owner] += 1
        device = self._positions.device
        self.shared.group, self.shared.place = torch.tensor(group, device=device), torch.tensor(place, device=device)


class ExpandedDecoder:
    """Every completion has its own copy of the prompt's keys and values, padded on the left so that new ones follow at once."""

    def __init__(self, model: Any, states: Sequence[Prefilled], owners: Sequence[int]) -> None:
        self._model = model
        device = model.device
        rows = torch.tensor(owners, device=device)
        longest = max(state.length for state in states)
        keys, values = stacked(states, left=True)
        self._cache = DynamicCache()
        for layer, (key, value) in enumerate(zip(keys, values, strict=True)):
            self._cache.update(key.index_select(0, rows), value.index_select(0, rows), layer)
        lengths = torch.tensor([states[p].length for p in owners], device=device)
        self._mask = (torch.arange(longest, device=device) >= longest - lengths[:, None]).long()
        self._positions = lengths

    @torch.inference_mode()
    def step(self, tokens: Tensor) -> Tensor:
        """As in :class:`Decoder`."""
        self._mask = torch.cat([self._mask, self._mask.new_ones(len(tokens), 1)], dim=1)
        out = self._model(
            input_ids=tokens[:, None],
            position_ids=self._positions[:, None],
            attention_mask=self._mask,
            past_key_values=self._cache,
            use_cache=True,
        )
        self._positions = self._positions + 1
        return last_logits(out)

    @torch.inference_mode()
    def keep(self, rows: Sequence[int]) -> None:
        """As in :class:`Decoder`."""
        kept = torch.tensor(rows, device=self._mask.device)
        self._cache.batch_select_indices(kept)
        self._mask, self._positions = self._mask.index_select(0, kept), self._positions.index_select(0, kept)


def last_logits(out: Any) -> Tensor:
    """The float32 logits [B, V] of the last place."""
    logits: Tensor = out.logits[:, -1].float()
    return logits


def stacked(states: Sequence[Prefilled], *, left: bool = False) -> tuple[list[Tensor], list[Tensor]]:
    """Keys and values of each layer [P, heads, L, size], padded with zeros on the right, or on the ``left``."""
    longest = max(state.length for state in states)
    sides: tuple[list[Tensor], list[Tensor]] = ([], [])
    for layer in range(len(states[0].layers)):
        for side, held in enumerate(sides):
            first = states[0].layers[layer][side]
            whole = first.new_zeros(len(states), first.shape[0], longest, first.shape[2])
            for row, state in enumerate(states):
                start = longest - state.length if left else 0
                whole[row, :, start : start + state.length] = state.layers[layer][side]
            held.append(whole)
    return sides


def padding_bias(lengths: Sequence[int], device: torch.device, *, width: int | None = None) -> Tensor | None:
    """float32 [P, 1, 1, L]: 0 on content, -inf on padding; None when nothing is padded."""
    longest = width or max(lengths)
    if all(length == longest for length in lengths):
        return None
    column = torch.arange(longest, device=device)
    padding = column >= torch.tensor(lengths, device=device)[:, None]
    return torch.zeros(padding.shape, device=device).masked_fill_(padding, float("-inf"))[:, None, None]
