"""Completions of prompts: drawn token by token, each with its exact log-probability.

The uniform numbers that decide a completion come from its prompt's seed and its own number alone, so that a state's samples do
not depend on what else is in the batch (up to the rounding of a forward pass).
Shapes: ``P`` prompts, ``N`` completions each, ``B = P x N`` rows, ``T`` new tokens, ``R`` rounds of a draw.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from burnqed.models.decode import Decoder
from burnqed.models.draw import Sampling, draw, uniforms
from burnqed.models.ends import Ends
from burnqed.models.prefill import Prefilled

_DROP = 8
"""Ended rows leave the batch when they are at least an eighth of it: leaving copies the others."""


@dataclass(frozen=True)
class Drawn:
    """A completion and the model's own natural-log probability (temperature 1, nothing cut off) of each of its tokens.

    ``ids`` and ``logprobs`` hold the terminator too, if there is one; ``text`` stops before it and before the stop text.
    ``stopped_by`` is the id or the stop text that ended it; ``ended`` is false when the limit of tokens cut it off.
    """

    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    text: str
    ended: bool
    stopped_by: int | str | None


@dataclass(frozen=True)
class Start:
    """A prompt to go on from: its prefilled state, last token, seed, and for how many tokens there is room."""

    state: Prefilled
    last_token: int
    seed: int
    room: int


class Writer(Protocol):
    """Writes on in all rows at once. Row ``i`` of the batch belongs to completion ``rows[i]``."""

    rows: list[int]

    def write(self) -> tuple[list[list[int]], list[list[float]]]:
        """Some more tokens for each row, at least one, and their log-probabilities."""
        ...

    def keep(self, alive: Sequence[int]) -> None:
        """These completions are still being written; the others' rows may go, and ``rows`` says which have gone."""
        ...


class EagerWriter:
    """One token at a time with any decoder."""

    def __init__(
        self,
        decoder: Decoder,
        tokens: Tensor,
        chance: Tensor,
        sampling: Sampling,
        *,
        allowed: int,
        rows: Sequence[int],
        at: int = 0,
    ) -> None:
        self.rows = list(rows)
        self._decoder = decoder
        self._tokens = tokens
        self._chance = chance  # [B, T, R]; the first of T, and ``at`` more, are spent already
        self._sampling = sampling
        self._allowed = allowed
        self._at = at

    def write(self) -> tuple[list[list[int]], list[list[float]]]:
        """One token for each row."""
        self._at += 1
        logits = self._decoder.step(self._tokens)
        self._tokens, logprobs = drawn(logits, self._chance[:, self._at], self._sampling, allowed=self._allowed)
        return self._tokens[:, None].tolist(), logprobs[:, None].tolist()

    def keep(self, alive: Sequence[int]) -> None:
        """Rows go when enough of them have ended that it pays."""
        kept = [row for row, completion in enumerate(self.rows) if completion in set(alive)]
        if not kept or len(self.rows) - len(kept) < max(1, len(self.rows) // _DROP):
            return
        self._decoder.keep(kept)
        index = torch.tensor(kept, device=self._tokens.device)
        self._tokens, self._chance = self._tokens.index_select(0, index), self._chance.index_select(0, index)
        self.rows = [self.rows[row] for row in kept]


@dataclass
class _Completion:
    """One while it is being written."""

    room: int
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    stopped_by: int | str | None = None

    @property
    def done(self) -> bool:
        return self.stopped_by is not None or len(self.ids) >= self.room

    def take(self, ids: Sequence[int], logprobs: Sequence[float], ends: Ends) -> None:
        """Tokens in order, up to the one that ends it; a writer may have gone on beyond that."""
        for token, logprob in zip(ids, logprobs, strict=True):
            if self.done:
                return
            self.ids.append(token)
            self.logprobs.append(logprob)
            self.stopped_by = ends.found(self.ids)


def drawn(logits: Tensor, chance: Tensor, sampling: Sampling, *, allowed: int) -> tuple[Tensor, Tensor]:
    """:func:`draw` with settings, waiting for the result."""
    return draw(
        logits, chance, sampling.temperature, sampling.top_p, allowed=allowed, greedy=sampling.greedy, wait=True
    )


@torch.inference_mode()
def generate(
    starts: Sequence[Start],
    *,
    n: int,
    tokens: int,
    sampling: Sampling,
    ends: Ends,
    allowed: int,
    begin: Callable[[Tensor, Tensor], Writer],
) -> list[list[Drawn]]:
    """``n`` completions of each prompt, of at most ``tokens`` tokens (and the prompt's room).

    ``begin`` makes the writer that goes on from the first tokens [B] with the uniform numbers [B, T, R]; rows are in order,
    the completions of a prompt together. Tokens from ``allowed`` on are never drawn.
    """
    device = starts[0].state.logits.device
    chance = torch.cat([uniforms(s.seed, n=n, tokens=tokens, rounds=sampling.rounds) for s in starts]).to(device)
    logits = torch.stack([s.state.logits for s in starts]).repeat_interleave(n, dim=0)
    first, logprobs = drawn(logits, chance[:, 0], sampling, allowed=allowed)
    written = [_Completion(min(s.room, tokens)) for s in starts for _ in range(n)]
    for completion, token, logprob in zip(written, first.tolist(), logprobs.tolist(), strict=True):
        completion.take([token], [logprob], ends)
    if any(not c.done for c in written):
        writer = begin(first, chance)
        while alive := [i for i, c in enumerate(written) if not c.done]:
            writer.keep(alive)
            ids, logs = writer.write()
            for row, i in enumerate(writer.rows):
                written[i].take(ids[row], logs[row], ends)
    return [[_told(written[p * n + j], ends, start.last_token) for j in range(n)] for p, start in enumerate(starts)]


def _told(completion: _Completion, ends: Ends, before: int) -> Drawn:
    by = completion.stopped_by
    text = ends.text(completion.ids, by=by, before=before)
    return Drawn(tuple(completion.ids), tuple(completion.logprobs), text, by is not None, by)
