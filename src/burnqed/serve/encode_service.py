"""What the encode server does, without HTTP: vectors and energies of texts, batched over all that ask at the same time."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar, TypeVarTuple

import numpy as np
import torch
from pydantic import BaseModel, Field
from torch import Tensor

from burnqed.core.calibration import Calibration
from burnqed.core.encoder_card import EncoderCard
from burnqed.core.errors import BadInput, BurnqedError, ModelError, ServerUnavailable
from burnqed.models.embedding_cache import Vector
from burnqed.models.encoder import Encoder
from burnqed.serve.batching import Batcher

_COST_TOKENS = {"cpu": 24, "cuda": 512}
"""What a batch costs by itself, as if it held so many tokens more (measured: a 25M-parameter model on two cores)."""

Result = TypeVar("Result")
Given = TypeVarTuple("Given")

Found = Vector | BurnqedError
"""A vector, or why this one text has none."""


class Head(Protocol):
    """What the server needs of an energy head."""

    @property
    def card(self) -> EncoderCard:
        """The encoder that it was trained on."""
        ...

    @property
    def calibration(self) -> Calibration | None:
        """What turns its energies into probabilities, if that was fitted."""
        ...

    def energies(self, z_state: Tensor, z_goal: Tensor) -> Tensor:
        """Energies [B] of embeddings [B, D] and [B, D]."""
        ...


class EncodeLimits(BaseModel, frozen=True, extra="forbid"):
    """How much one client may ask, and how long requests gather."""

    texts: int = Field(1024, ge=1, description="texts (of pairs: both) in one request")
    characters: int = Field(200_000, ge=1, description="characters of one text")
    queue_texts: int = Field(8192, ge=1, description="texts that may wait; a request that would be over it is a 503")
    linger_ms: float = Field(5.0, ge=0, description="how long the first text waits for others when the model is idle")


class EncodeService:
    """Vectors and energies for many requests at once.

    Texts are looked up in the cache and cut into tokens on a thread of their own; what has to be computed goes to the
    batcher, whose thread owns the model. A text that several requests ask for at the same time is computed once. That a
    text cannot be embedded is a value, so that it spoils neither the batch nor the other texts of its request.
    """

    def __init__(self, encoder: Encoder, head: Head | None, limits: EncodeLimits) -> None:
        self.encoder = encoder
        self.head = head
        self.limits = limits
        self._batcher = Batcher[Found](
            self._embed,
            max_batch_tokens=lambda: encoder.max_batch_tokens,
            linger_s=limits.linger_ms / 1000,
            cost_tokens=_COST_TOKENS.get(encoder.model.device.type, 512),
        )
        self._preparing = ThreadPoolExecutor(1, "tokens")
        self._scoring = ThreadPoolExecutor(1, "head")
        self._running: dict[str, asyncio.Future[Found]] = {}
        self.queued = 0
        self.closing = False

    async def vectors(self, texts: Sequence[str]) -> dict[str, Found]:
        """The embedding [D] of each text, or why it has none.

        Raises BadInput when there are too many texts, ServerUnavailable when too many wait, ModelError when the model is broken.
        """
        self._admit(texts)
        self.queued += len(texts)
        try:
            found, rows = await self._on(self._preparing, self._prepare, texts)
            begun = self._begin({text: ids for text, ids in rows.items() if text not in self._running})
            futures = begun | {text: self._running[text] for text in rows if text not in begun}
            if futures:
                # Not awaited one by one: if this request is given up, another may still want what was begun for it.
                await asyncio.wait(futures.values())
        finally:
            self.queued -= len(texts)
        fresh = {text: future.result() for text, future in futures.items()}
        if self.encoder.cache is not None and begun:
            mine = {t: one for t, one in fresh.items() if t in begun and not isinstance(one, BurnqedError)}
            with contextlib.suppress(RuntimeError):  # the thread has ended, as the server does
                self._preparing.submit(self.encoder.cache.put, self.encoder.card, mine)
        return found | fresh

    async def energies(self, pairs: Sequence[tuple[str, str]]) -> list[float | BurnqedError]:
        """The energy of each pair of texts (state, goal), or why it has none; the server must have a head. Raises as above."""
        assert self.head is not None
        found = await self.vectors([text for pair in pairs for text in pair])
        energies: list[float | BurnqedError] = []
        good: list[tuple[Vector, Vector]] = []
        for pair in pairs:
            state, goal = (found[text] for text in pair)
            if isinstance(state, BurnqedError):
                energies.append(state)
            elif isinstance(goal, BurnqedError):
                energies.append(goal)
            else:
                energies.append(0.0)
                good.append((state, goal))
        scored = iter(await self._on(self._scoring, self._score, self.head, good) if good else [])
        return [next(scored) if isinstance(one, float) else one for one in energies]

    async def counts(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text has, before it is cut. Raises BadInput when there are too many texts, or too long ones."""
        self._admit(texts)
        for text in texts:
            if (refusal := self._refusal(text)) is not None:
                raise refusal
        return await self._on(self._preparing, lambda: [self.encoder.count(text) for text in texts])

    async def close(self) -> None:
        """Finish what was begun, end the threads."""
        self.closing = True
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._batcher.close)
        for executor in (self._scoring, self._preparing):
            await loop.run_in_executor(None, executor.shutdown)
        if self.encoder.cache is not None:
            self.encoder.cache.close()

    @property
    def rows_per_batch(self) -> float:
        """The mean size of a batch so far."""
        return self._batcher.rows / max(1, self._batcher.batches)

    @property
    def rows(self) -> int:
        """Texts embedded so far, those from the cache not counted."""
        return self._batcher.rows

    def _admit(self, texts: Sequence[str]) -> None:
        if self.closing:
            raise ServerUnavailable("the server is shutting down")
        if len(texts) > self.limits.texts:
            raise BadInput(f"{len(texts)} texts in one request; at most {self.limits.texts} are allowed")
        if self.queued and self.queued + len(texts) > self.limits.queue_texts:
            raise ServerUnavailable(f"{self.queued} texts wait already; ask again in a moment")

    def _prepare(self, texts: Sequence[str]) -> tuple[dict[str, Found], dict[str, list[int]]]:
        """What is known or refused, and the tokens of the rest. Runs on the thread for tokens."""
        cache = self.encoder.cache
        found: dict[str, Found] = {}
        if cache is not None:
            found.update(cache.get(self.encoder.card, texts))
        rows: dict[str, list[int]] = {}
        for text in texts:
            if text in found or text in rows:
                continue
            if (refusal := self._refusal(text)) is not None:
                found[text] = refusal
                continue
            try:
                rows[text] = self.encoder.tokens(text)
            except BadInput as error:
                found[text] = error
        return found, rows

    def _refusal(self, text: str) -> BadInput | None:
        if len(text) <= self.limits.characters:
            return None
        return BadInput(f"the text has {len(text)} characters; at most {self.limits.characters} are allowed")

    def _begin(self, rows: dict[str, list[int]]) -> dict[str, asyncio.Future[Found]]:
        futures = dict(zip(rows, self._batcher.submit(list(rows.values())), strict=True)) if rows else {}
        self._running.update(futures)
        for text, future in futures.items():
            future.add_done_callback(functools.partial(self._finished, text))
        return futures

    def _finished(self, text: str, future: asyncio.Future[Found]) -> None:
        del self._running[text]
        future.cancelled() or future.exception()  # seen, though nobody may be left who waits

    async def _on(self, executor: ThreadPoolExecutor, work: Callable[[*Given], Result], *given: *Given) -> Result:
        try:
            return await asyncio.get_running_loop().run_in_executor(executor, work, *given)
        except RuntimeError as error:
            if self.closing:
                raise ServerUnavailable("the server is shutting down") from error
            raise ModelError(f"the model failed: {' '.join(str(error).split())[:300]}") from error

    def _embed(self, rows: list[Sequence[int]]) -> list[Found]:
        found = self.encoder.embed_each(rows)
        return [one if isinstance(one, ModelError) else one.numpy() for one in found]

    def _score(self, head: Head, pairs: list[tuple[Vector, Vector]]) -> list[float]:
        z_state, z_goal = (torch.from_numpy(np.stack(side)) for side in zip(*pairs, strict=True))
        found: list[float] = head.energies(z_state, z_goal).tolist()
        return found
