"""Requests of many clients, put together into batches that one model can sample or score at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, Field

from burnqed.core.errors import BadInput, ModelError, ServerUnavailable
from burnqed.models.language_model import Drawn

_LINGER_ROUNDS = 5


class PolicyLimits(BaseModel, frozen=True, extra="forbid"):
    """How much a client may ask of the policy server, and how requests gather."""

    samples: int = Field(4096, ge=1, description="completions of one request, all its prompts together")
    queue_samples: int = Field(16_384, ge=1, description="completions that may wait; a request beyond that is a 503")
    batch_samples: int = Field(256, ge=1, description="completions that are drawn at once")
    linger_ms: float = Field(
        3.0,
        ge=0,
        description="so long a request waits for others when the model is idle; 5 times as long while they come",
    )


@dataclass(frozen=True)
class Drawing:
    """How to draw. Prompts that are drawn alike can share a batch."""

    temperature: float
    top_p: float
    max_new_tokens: int
    stop: tuple[str, ...]
    stop_ids: frozenset[int]
    n: int


@dataclass(frozen=True)
class Job:
    """One prompt: draw from it, score it, or both.

    ``score_from``: the prompt's tokens behind this index get log-probabilities; ``None`` = none of them. ``with_texts``: the text
    of each token is wanted.
    """

    prompt: str | tuple[int, ...]
    drawing: Drawing
    seed: int
    score_from: int | None = None
    with_texts: bool = False
    add_special_tokens: bool = True


@dataclass(frozen=True)
class Done:
    """What came of a job. ``prompt_logprobs`` starts at ``score_from``, whose own entry is ``None``."""

    prompt_ids: tuple[int, ...]
    prompt_logprobs: tuple[float | None, ...]
    drawn: tuple[Drawn, ...]
    token_texts: dict[int, str]


Runner = Callable[[Sequence[Job]], Awaitable[Sequence[Done | Exception]]]


@dataclass
class _Waiting:
    job: Job
    future: asyncio.Future[Done]


class SamplingQueue:
    """First come, first served, but whoever waits for the same kind of drawing comes along.

    While a batch runs, further requests gather. ``run`` gives a result or an exception for each job; what it raises is the fate
    of the whole batch. A job whose request was given up before its batch began is not run.
    """

    def __init__(self, run: Runner, limits: PolicyLimits) -> None:
        self._run = run
        self._limits = limits
        self._waiting: list[_Waiting] = []
        self._running = 0
        self._worker: asyncio.Task[None] | None = None
        self._closing = False
        self.batches = 0
        self.samples = 0

    async def submit(self, jobs: Sequence[Job]) -> list[Done]:
        """What came of each job, in order.

        Raises BadInput for a request that is too large or a prompt that cannot be used, ServerUnavailable when too many wait.
        """
        wanted = sum(job.drawing.n for job in jobs)
        if wanted > self._limits.samples:
            raise BadInput(f"{wanted} completions in one request; at most {self._limits.samples} are allowed")
        queued = self._running + sum(one.job.drawing.n for one in self._waiting)
        if self._closing:
            raise ServerUnavailable("the server is shutting down")
        if queued and queued + wanted > self._limits.queue_samples:
            raise ServerUnavailable(f"{queued} completions wait already; ask again in a moment")
        loop = asyncio.get_running_loop()
        added = [_Waiting(job, loop.create_future()) for job in jobs]
        self._waiting += added
        if self._worker is None:
            self._worker = loop.create_task(self._work())
        try:
            return list(await asyncio.gather(*(one.future for one in added)))
        finally:
            for one in added:
                one.future.cancel()

    async def aclose(self) -> None:
        """Take no more requests; finish those that wait."""
        self._closing = True
        if self._worker is not None:
            await self._worker

    async def _work(self) -> None:
        await self._linger()
        while batch := self._next():
            self._running = sum(one.job.drawing.n for one in batch)
            try:
                results = await self._run([one.job for one in batch])
            except Exception as error:
                results = [ModelError(f"the model failed: {' '.join(str(error).split())[:300]}")] * len(batch)
            self.batches += 1
            self.samples += self._running
            self._running = 0
            for one, result in zip(batch, results, strict=True):
                if one.future.done():
                    continue
                if isinstance(result, Exception):
                    one.future.set_exception(result)
                else:
                    one.future.set_result(result)
        self._worker = None

    async def _linger(self) -> None:
        """Wait for company as long as it keeps coming, a few times ``linger_ms`` at most."""
        for _ in range(_LINGER_ROUNDS):
            before = len(self._waiting)
            await asyncio.sleep(self._limits.linger_ms / 1000)
            if len(self._waiting) == before:
                return

    def _next(self) -> list[_Waiting]:
        """The job that waits longest, and those behind it that are drawn alike, as many as go together."""
        self._waiting = [one for one in self._waiting if not one.future.done()]
        batch: list[_Waiting] = []
        rest: list[_Waiting] = []
        room = self._limits.batch_samples
        for one in self._waiting:
            fits = not batch or (one.job.drawing == batch[0].job.drawing and one.job.drawing.n <= room)
            (batch if fits else rest).append(one)
            room -= one.job.drawing.n if fits else 0
        self._waiting = rest
        return batch
