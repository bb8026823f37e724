"""Decoding on a GPU as a recorded graph: one launch for a token of all rows, drawing included, and no waiting in between.

A graph has fixed shapes and addresses, so it is recorded for a few sizes ("buckets") and its buffers are filled for each use.
It works on the same attention as :class:`burnqed.models.decode.SharedDecoder`. What cannot be recorded is decoded without.
Shapes: ``P`` prompts, ``L`` length of the longest, ``M`` rows of a prompt, ``B = P x M`` rows, ``S`` columns of their tails,
``R`` rounds of a draw; the rows of a prompt stand together.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from burnqed.core.tally import Tally
from burnqed.models.attention import Shared, Tail, sharing
from burnqed.models.decode import SharedDecoder, last_logits, padding_bias
from burnqed.models.draw import Sampling, draw
from burnqed.models.generate import EagerWriter
from burnqed.models.prefill import Prefilled

NOT_RECORDED = "decoding without a recorded graph"
_BURST = 8
"""Tokens between two looks at what was written; at most so many are written in vain behind the end of a completion."""

_COLUMNS = 64
"""Columns of the tails at first; attention looks at all of them, written or not, so that more come when they are needed."""

_GROWTH = 4
"""How many times as many come then."""

_MOST_ROUNDS = 16
"""A recorded draw goes through all its rounds. A very small top-p needs hundreds, most of them in vain."""


@dataclass(frozen=True)
class Bucket:
    """The sizes of a graph, and how it draws. All but ``rows`` are powers of two, so that a few graphs do for a search."""

    prompts: int
    rows: int
    length: int
    columns: int
    sampling: Sampling


class RecordedStep:
    """Buffers for a bucket, and the step that works on them. ``record=False`` runs the same step without a graph (for tests)."""

    def __init__(self, model: Any, like: Prefilled, bucket: Bucket, *, allowed: int, limit: int, record: bool) -> None:
        self.bucket = bucket
        self._model = model
        self._allowed = allowed
        self._limit = limit
        device = model.device
        batch = bucket.prompts * bucket.rows
        sides = [
            [
                one[side].new_zeros(bucket.prompts, one[side].shape[0], bucket.length, one[side].shape[2])
                for one in like.layers
            ]
            for side in (0, 1)
        ]
        self._step = torch.zeros(1, dtype=torch.long, device=device)
        bias = torch.zeros(bucket.prompts, 1, 1, bucket.length, device=device)
        self._shared = Shared(sides[0], sides[1], bias, tail_bias=torch.zeros(bucket.columns, device=device))
        self.tail = Tail(len(like.layers), bucket.columns, step=self._step)
        self._columns = torch.arange(bucket.columns, device=device)
        self._tokens = torch.zeros(batch, dtype=torch.long, device=device)
        self._positions = torch.zeros(batch, dtype=torch.long, device=device)
        self._chance = torch.zeros(batch, bucket.columns, bucket.sampling.rounds, device=device)
        self.ids = torch.zeros(batch, bucket.columns, dtype=torch.long, device=device)
        self.logprobs = torch.zeros(batch, bucket.columns, device=device)
        self._graph: Any = None
        if record:
            self._record()

    @torch.inference_mode()
    def load(
        self,
        states: Sequence[Prefilled],
        tokens: Tensor,
        chance: Tensor,
        *,
        written: Sequence[tuple[Tensor, Tensor]] = (),
    ) -> None:
        """Begin, or go on where a smaller bucket was full.

        ``tokens`` [B] were drawn last; ``chance`` [B, T, R] holds the uniform numbers of all draws, that of the first token
        included; ``written`` are keys and values of the tails so far, [B, heads, columns, size] for each layer.
        """
        for place, state in enumerate(states):
            for layer, (key, value) in enumerate(state.layers):
                self._shared.keys[layer][place, :, : state.length] = key
                self._shared.values[layer][place, :, : state.length] = value
        # A place without a prompt attends to one column of zeros: what it writes is never read, it must only be numbers.
        lengths = torch.ones(self.bucket.prompts, dtype=torch.long)
        lengths[: len(states)] = torch.tensor([state.length for state in states])
        bias = padding_bias(lengths.tolist(), self._tokens.device, width=self.bucket.length)
        assert self._shared.bias is not None
        self._shared.bias.copy_(torch.zeros_like(self._shared.bias) if bias is None else bias)
        start = self.tail.load(written, batch=len(self._tokens)) if written else 0
        self._step.fill_(start)
        self._positions.copy_(lengths.repeat_interleave(self.bucket.rows) + start)
        self._tokens.zero_()
        self._tokens[: len(tokens)] = tokens
        count = min(self.bucket.columns, chance.shape[1] - 1)
        self._chance[: len(chance), :count] = chance[:, 1 : count + 1]

    @torch.inference_mode()
    def run(self, count: int) -> None:
        """So many tokens more for every row."""
        for _ in range(count):
            if self._graph is not None:
                self._graph.replay()
            else:
                self._once()

    def _once(self) -> None:
        """One token for every row: everything it reads and writes is a buffer."""
        bucket = self.bucket
        tail_bias = torch.where(self._columns <= self._step, 0.0, -torch.inf)
        self._shared.tail_bias = tail_bias
        with sharing(self._model, self._shared):
            out = self._model(
                input_ids=self._tokens[:, None],
                position_ids=self._positions[:, None],
                past_key_values=self.tail,
                use_cache=True,
            )
        chance = self._chance.index_select(1, self._step)[:, 0]
        how = bucket.sampling
        tokens, logprobs = draw(
            last_logits(out), chance, how.temperature, how.top_p, allowed=self._allowed, greedy=how.greedy, wait=False
        )
        self.ids.index_copy_(1, self._step, tokens[:, None])
        self.logprobs.index_copy_(1, self._step, logprobs[:, None])
        self._tokens.copy_(tokens)
        # Rows that have ended go on until all have; their positions must stay in the model's range.
        self._positions.add_(1).clamp_(max=self._limit - 1)
        self._step.add_(1)

    @torch.inference_mode()
    def _record(self) -> None:
        """Run twice beside the graph, so that everything lazy has happened, then record. The buffers are filled afterwards."""
        cuda: Any = torch.cuda
        side = cuda.Stream(self._model.device)
        side.wait_stream(torch.cuda.current_stream(self._model.device))
        with torch.cuda.stream(side):
            for _ in range(2):
                self._once()
        torch.cuda.current_stream(self._model.device).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            self._once()
        self._graph = graph


class Recorder:
    """Keeps the graphs that were used last, in at most ``limit_bytes`` of buffers. ``record=False`` is for tests."""

    def __init__(
        self, model: Any, *, allowed: int, limit: int, limit_bytes: int, tally: Tally, record: bool = True
    ) -> None:
        self._model = model
        self.allowed = allowed
        self._limit = limit
        self._limit_bytes = limit_bytes
        self._tally = tally
        self._record = record
        self._steps: OrderedDict[Bucket, RecordedStep | None] = OrderedDict()

    def writer(
        self, states: Sequence[Prefilled], tokens: Tensor, chance: Tensor, sampling: Sampling, *, n: int
    ) -> RecordedWriter | None:
        """A writer for ``n`` rows of each prompt, as ``generate`` begins one; None if it cannot be recorded."""
        if sampling.rounds > _MOST_ROUNDS:
            return None
        step = self.step(states, n=n, columns=min(chance.shape[1] - 1, _COLUMNS), sampling=sampling)
        if step is None:
            return None
        step.load(states, tokens, chance)
        return RecordedWriter(self, step, states, chance, n=n)

    def step(self, states: Sequence[Prefilled], *, n: int, columns: int, sampling: Sampling) -> RecordedStep | None:
        """A step whose bucket holds so much; None when there is no room for it or it cannot be recorded."""
        length = max(state.length for state in states)
        bucket = Bucket(_power(len(states), 1), n, _power(length, 256), _power(columns, _COLUMNS), sampling)
        if bucket in self._steps:
            self._steps.move_to_end(bucket)
            return self._steps[bucket]
        like = states[0]
        size = _buffer_bytes(bucket, like)
        if size > self._limit_bytes:
            self._tally.count(NOT_RECORDED, f"{bucket} needs {size >> 20} MB of buffers")
            self._steps[bucket] = None
            return None
        while sum(_buffer_bytes(b, like) for b, s in self._steps.items() if s) + size > self._limit_bytes:
            self._steps.popitem(last=False)
        try:
            step = RecordedStep(self._model, like, bucket, allowed=self.allowed, limit=self._limit, record=self._record)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # whatever the model does that a graph cannot hold
            self._tally.count(NOT_RECORDED, f"{type(error).__name__}: {error}")
            step = None
        self._steps[bucket] = step
        return step

    def forget(self) -> None:
        """Let go of all graphs and their buffers."""
        self._steps.clear()

    def eager(self, states: Sequence[Prefilled], owners: Sequence[int]) -> SharedDecoder:
        """The same decoding without a graph."""
        return SharedDecoder(self._model, states, owners)


class RecordedWriter:
    """Writes several tokens at once with a :class:`RecordedStep`.

    Rows that have ended stay in the batch: the shapes are fixed, and a token of a large model costs the way of its weights
    through the chip, not the rows. When the tails are full, a larger bucket goes on with the prompts that still have rows.
    """

    def __init__(
        self, recorder: Recorder, step: RecordedStep, states: Sequence[Prefilled], chance: Tensor, *, n: int
    ) -> None:
        self.rows = list(range(len(chance)))
        self._recorder = recorder
        self._step = step
        self._states = list(states)
        self._chance = chance
        self._n = n
        self._at = 0
        self._alive = set(self.rows)
        self._eager: EagerWriter | None = None

    def write(self) -> tuple[list[list[int]], list[list[float]]]:
        """A burst of tokens for each row."""
        if self._eager is None and self._at == self._step.bucket.columns:
            self._move()
        if self._eager is not None:
            written = self._eager.write()
            self.rows = self._eager.rows
            return written
        upto = min(self._at + _BURST, self._step.bucket.columns)
        self._step.run(upto - self._at)
        ids = self._step.ids[: len(self.rows), self._at : upto].tolist()
        logprobs = self._step.logprobs[: len(self.rows), self._at : upto].tolist()
        self._at = upto
        return ids, logprobs

    def keep(self, alive: Sequence[int]) -> None:
        """Remember it for the time when a larger bucket is needed."""
        self._alive = set(alive)
        if self._eager is not None:
            self._eager.keep(alive)
            self.rows = self._eager.rows

    def _move(self) -> None:
        """Take the prompts that still have rows, with their tails, to a larger bucket; or to none when it is too large."""
        n, device = self._n, self._chance.device
        prompts = [p for p in range(len(self._states)) if self._alive & set(self.rows[p * n : p * n + n])]
        kept = [p * n + j for p in prompts for j in range(n)]
        index = torch.tensor(kept, device=device)
        written = [(k.index_select(0, index), v.index_select(0, index)) for k, v in self._step.tail.columns(self._at)]
        tokens = self._step.ids[:, self._at - 1].index_select(0, index)
        self.rows = [self.rows[row] for row in kept]
        self._states = [self._states[p] for p in prompts]
        self._chance = self._chance.index_select(0, index)
        sampling = self._step.bucket.sampling
        step = self._recorder.step(self._states, n=n, columns=_GROWTH * self._at, sampling=sampling)
        if step is not None:
            step.load(self._states, tokens, self._chance, written=written)
            self._step = step
            return
        decoder = self._recorder.eager(self._states, [p for p in range(len(prompts)) for _ in range(n)])
        decoder.resume(written)
        self._eager = EagerWriter(
            decoder, tokens, self._chance, sampling, allowed=self._recorder.allowed, rows=self.rows, at=self._at
        )


def _power(size: int, least: int) -> int:
    """The smallest power of two that is at least ``size`` and ``least``."""
    return max(least, 1 << (size - 1).bit_length())


def _buffer_bytes(bucket: Bucket, like: Prefilled) -> int:
    """Memory for the keys and values of prompts and tails."""
    one = sum((k.nbytes + v.nbytes) // like.length for k, v in like.layers)
    return bucket.prompts * one * (bucket.length + bucket.rows * bucket.columns)
