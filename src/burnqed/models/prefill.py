"""Prompts through the model, once: keys and values for the sampling that follows, the last logits, and the pooled vector.

Prompts of one batch are padded on the right. Attention is causal, so that no content ever sees a padding, no mask is needed, and
position ``i`` is column ``i``; what goes on from a prompt is kept apart from it (see :mod:`burnqed.models.decode`).
Shapes: ``P`` prompts, ``L`` their longest length, ``D`` width, ``V`` tokens.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from burnqed.core.errors import ModelError

Layers = tuple[tuple[Tensor, Tensor], ...]
"""Keys and values of each layer, [heads, length, head size]."""

Key = tuple[int, ...]


@dataclass
class Prefilled:
    """One prompt after its forward pass, trimmed to its length."""

    length: int
    layers: Layers
    logits: Tensor  # [V] float32: what comes after the last token

    @property
    def num_bytes(self) -> int:
        """Memory that it holds."""
        return sum(k.nbytes + v.nbytes for k, v in self.layers) + self.logits.nbytes


class Shelf:
    """The things used last, up to a limit in bytes."""

    def __init__(self, limit_bytes: int, size: Callable[[Any], int]) -> None:
        self._limit = limit_bytes
        self._size = size
        self._held: OrderedDict[Key, Any] = OrderedDict()
        self.num_bytes = 0

    def get(self, key: Key) -> Any:
        """The thing, which becomes the newest; None if it is not here."""
        if key in self._held:
            self._held.move_to_end(key)
        return self._held.get(key)

    def put(self, key: Key, thing: Any) -> None:
        """Keep it and let the oldest go. What is larger than the limit is not kept."""
        self.pop(key)
        size = self._size(thing)
        if size > self._limit:
            return
        self._held[key] = thing
        self.num_bytes += size
        while self.num_bytes > self._limit:
            _, gone = self._held.popitem(last=False)
            self.num_bytes -= self._size(gone)

    def age(self, key: Key) -> None:
        """Let it go before all others."""
        if key in self._held:
            self._held.move_to_end(key, last=False)

    def pop(self, key: Key) -> None:
        """Let it go."""
        if (gone := self._held.pop(key, None)) is not None:
            self.num_bytes -= self._size(gone)

    def clear(self) -> None:
        """Let all go."""
        self._held.clear()
        self.num_bytes = 0

    def __len__(self) -> int:
        return len(self._held)


@dataclass
class Savings:
    """What sharing saved, in prompts; ``tokens`` counts the prompt tokens that went through the model and those that need not."""

    state_hits: int = 0
    state_misses: int = 0
    vector_hits: int = 0
    vector_misses: int = 0
    tokens_run: int = 0
    tokens_saved: int = 0


class Prefiller:
    """Runs prompts through a model and remembers what it may need again.

    A pooled vector is small and always kept. Keys and values are kept when the caller says that a sampling will follow; once
    they have been sampled from they are the first to go, since a search expands a state once. Blocking; one thread at a time.
    """

    def __init__(
        self,
        model: Any,
        *,
        not_content: frozenset[int],
        keep_bytes: int,
        vector_bytes: int = 1 << 26,
        max_batch_tokens: int = 16384,
    ) -> None:
        self._model = model
        self._not_content = not_content
        self._max_batch_tokens = max_batch_tokens
        self._states = Shelf(keep_bytes, lambda state: state.num_bytes)
        self._vectors = Shelf(vector_bytes, lambda vector: vector.nbytes)
        self.savings = Savings()

    def vectors(self, prompts: Sequence[Key], *, keep: bool) -> Tensor:
        """Pooled vectors [P, D], float32, on the CPU; with ``keep``, all that a sampling needs is kept too."""
        found: dict[Key, Tensor] = {}
        for prompt in dict.fromkeys(prompts):
            vector = self._vectors.get(prompt)
            if vector is not None and (not keep or self._states.get(prompt) is not None):
                found[prompt] = vector
        self.savings.vector_hits += sum(p in found for p in prompts)
        missing = [p for p in dict.fromkeys(prompts) if p not in found]
        self.savings.vector_misses += len(missing)
        self.savings.tokens_saved += sum(map(len, found))
        for batch in self._batches(missing):
            found |= self._run(batch) if keep else self._embed(batch)
        return torch.stack([found[p] for p in prompts])

    def states(self, prompts: Sequence[Key]) -> list[Prefilled]:
        """The prompts ready for sampling, in order; each distinct one goes through the model once, and only if it must."""
        found: dict[Key, Prefilled] = {}
        for prompt in dict.fromkeys(prompts):
            if (state := self._states.get(prompt)) is not None:
                found[prompt] = state
                self.savings.state_hits += 1
                self.savings.tokens_saved += len(prompt)
        for batch in self._batches([p for p in dict.fromkeys(prompts) if p not in found]):
            self.savings.state_misses += len(batch)
            self._run(batch, into=found)
        for prompt in found:
            self._states.age(prompt)
        return [found[p] for p in prompts]

    def forget(self) -> None:
        """Let go of everything that is remembered."""
        self._states.clear()
        self._vectors.clear()

    def _batches(self, prompts: list[Key]) -> Iterator[list[Key]]:
        """Prompts of like lengths together, so that little is padded."""
        batch: list[Key] = []
        for prompt in sorted(prompts, key=len):
            if batch and (len(batch) + 1) * len(prompt) > self._max_batch_tokens:
                yield batch
                batch = []
            batch.append(prompt)
        if batch:
            yield batch

    @torch.inference_mode()
    def _embed(self, prompts: list[Key]) -> dict[Key, Tensor]:
        ids = self._padded(prompts)
        hidden = self._model.base_model(input_ids=ids, use_cache=False).last_hidden_state
        return self._keep_vectors(prompts, hidden)

    @torch.inference_mode()
    def _run(self, prompts: list[Key], *, into: dict[Key, Prefilled] | None = None) -> dict[Key, Tensor]:
        """Forward pass with everything kept; the states also go ``into`` a table, for they may be too large to be kept."""
        require_keys_and_values(self._model)
        cache = DynamicCache()
        last = torch.tensor([len(p) - 1 for p in prompts], device=self._model.device)
        hidden, logits = forward_last(self._model, self._padded(prompts), last, cache)
        for row, prompt in enumerate(prompts):
            length = len(prompt)
            layers = tuple((k[row, :, :length].clone(), v[row, :, :length].clone()) for k, v in keys_and_values(cache))
            state = Prefilled(length, layers, logits[row].clone())
            self._states.put(prompt, state)
            if into is not None:
                into[prompt] = state
        return self._keep_vectors(prompts, hidden)

    def _padded(self, prompts: list[Key]) -> Tensor:
        """Ids [P, L]; the padding's id is never looked at, it must only have a row in the matrix."""
        self.savings.tokens_run += sum(map(len, prompts))
        return padded(prompts, self._model.device)

    def _keep_vectors(self, prompts: list[Key], hidden: Tensor) -> dict[Key, Tensor]:
        """The mean of the last hidden state over content tokens: all but padding, BOS and EOS."""
        content = torch.zeros(hidden.shape[:2], dtype=hidden.dtype)
        for row, prompt in enumerate(prompts):
            kept = [float(i not in self._not_content) for i in prompt]
            if not any(kept):
                raise ModelError("a prompt without a content token has no embedding")
            content[row, : len(prompt)] = torch.tensor(kept)
        weights = content.to(hidden.device)
        total = (hidden * weights[:, :, None]).sum(dim=1, dtype=torch.float32)
        means = (total / weights.sum(dim=1, dtype=torch.float32)[:, None]).cpu()
        found = {p: means[row].clone() for row, p in enumerate(prompts)}
        for prompt, vector in found.items():
            self._vectors.put(prompt, vector)
        return found


def padded(rows: Sequence[Sequence[int]], device: torch.device) -> Tensor:
    """Ids [B, L], padded on the right with 0."""
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows], device=device)


def forward_last(model: Any, ids: Tensor, last: Tensor, cache: Any) -> tuple[Tensor, Tensor]:
    """One forward pass: the last hidden state [P, L, D] and the float32 logits [P, V] at index ``last`` of each row.

    Rows end at different places, and logits for every place would need P x L x V numbers. So the head's input is cut to one
    place a row on its way in; whatever the model does to logits after its head is done as ever.
    """
    seen: list[Tensor] = []
    rows = torch.arange(ids.shape[0], device=ids.device)

    def pick(_: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
        seen.append(inputs[0])
        return (inputs[0][rows, last][:, None],)

    hook = model.get_output_embeddings().register_forward_pre_hook(pick)
    try:
        logits = model(input_ids=ids, past_key_values=cache, use_cache=True).logits
    finally:
        hook.remove()
    return seen[0], logits[:, -1].float()


def require_keys_and_values(model: Any) -> None:
    """Raise ModelError for a model that keeps anything else of a text, such as the state of a recurrence.

    Without a configuration the cache keeps every column of every layer, which is right for sliding windows too: their masks
    are made for the columns that are there.
    """
    kinds = {type(layer) for layer in DynamicCache(config=model.config).layers}
    if not kinds <= {DynamicLayer, DynamicSlidingWindowLayer} or getattr(model, "_is_stateful", False):
        raise ModelError(
            f"{type(model).__name__} keeps more of a text than keys and values, and cannot be sampled from here"
        )


def keys_and_values(cache: Any) -> list[tuple[Tensor, Tensor]]:
    """Keys and values of each layer, [P, heads, L, head size]."""
    return [(layer.keys, layer.values) for layer in cache.layers]
