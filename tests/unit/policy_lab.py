"""A tiny model behind the policy server, in this process, and a wire on which answers can be spoilt."""

from __future__ import annotations

import functools
import json
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import torch
from fastapi import FastAPI

from burnqed.core.tally import Tally
from burnqed.models.language_model import LanguageModel
from burnqed.policy.completions import CompletionsClient
from burnqed.policy.config import PolicyConfig
from burnqed.policy.remote import Tokenizer
from burnqed.policy.sglang import SGLangClient
from burnqed.remote.config import EndpointConfig
from burnqed.remote.endpoint import Endpoint
from burnqed.serve.policy_app import create_policy_app
from burnqed.testing.tiny_model import make_tiny_model

PROMPTS = ["[GOAL]n : ℕ\n⊢ n + 0 = n[PROOFSTEP]", "[GOAL]⊢ ∀ x, x ∈ s[PROOFSTEP]"]


@functools.cache
def tiny_model(**settings: Any) -> LanguageModel:
    """A random model; the same one each time."""
    with tempfile.TemporaryDirectory() as folder:
        return LanguageModel.load(make_tiny_model(Path(folder) / "tiny", **settings))


def tiny_app(**settings: Any) -> FastAPI:
    return create_policy_app(tiny_model(), **settings)


@functools.cache
def other_tokenizer() -> LanguageModel:
    """One that puts a token before every text."""
    return tiny_model(bos=True)


def plain_logprob(prompt: str, ids: list[int]) -> float:
    """The sum of the log-probabilities of ids after a prompt, by one plain forward pass of transformers' model."""
    model = tiny_model()
    before = model.token_ids(prompt)
    with torch.inference_mode():
        logs = model.model(torch.tensor([before + ids])).logits[0].double().log_softmax(-1)
    return float(sum(logs[len(before) - 1 + k, i] for k, i in enumerate(ids)))


Spoil = Callable[[str, Any, Any], Any]
"""(path, body of the request, answer) -> the answer, or a response that takes its place."""


class Wire(httpx2.AsyncBaseTransport):
    """A transport to an application that notes requests and answers, and lets a test spoil them.

    ``also`` is put into every request that has a body.
    """

    def __init__(
        self, app: FastAPI, spoil: Spoil = lambda path, body, answer: answer, *, also: dict[str, Any] | None = None
    ) -> None:
        self._inner = httpx2.ASGITransport(app)
        self.spoil = spoil
        self._also = also
        self.calls: list[tuple[str, Any, Any]] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        body = json.loads(request.content) if request.content else None
        if body is not None and self._also:
            request = httpx2.Request(request.method, request.url, json={**body, **self._also})
        response = await self._inner.handle_async_request(request)
        content = await response.aread()
        if response.status_code != 200:
            return httpx2.Response(response.status_code, content=content)
        answer = self.spoil(request.url.path, body, json.loads(content))
        self.calls.append((request.url.path, body, answer))
        if isinstance(answer, httpx2.Response):
            return answer
        return httpx2.Response(200, content=json.dumps(answer).encode())

    def bodies(self, path: str) -> list[Any]:
        return [body for called, body, _ in self.calls if called == path]

    def answers(self, path: str) -> list[Any]:
        return [answer for called, _, answer in self.calls if called == path]


async def no_sleep(seconds: float) -> None:
    """Waits are not waited for in tests."""


def endpoint(transport: httpx2.AsyncBaseTransport, **settings: Any) -> Endpoint:
    return Endpoint(
        "http://127.0.0.1:30000",
        EndpointConfig(**settings),
        rng=random.Random(1),
        tally=Tally(),
        transport=transport,
        sleep=no_sleep,
    )


def sglang(
    transport: httpx2.AsyncBaseTransport, *, tokenizer: Tokenizer | None = None, seed: int = 1, **settings: Any
) -> SGLangClient:
    return SGLangClient(endpoint(transport), PolicyConfig(**settings), seed=seed, tally=Tally(), tokenizer=tokenizer)


def completions(
    transport: httpx2.AsyncBaseTransport, *, tokenizer: Tokenizer | None = None, seed: int = 1, **settings: Any
) -> CompletionsClient:
    return CompletionsClient(
        endpoint(transport), PolicyConfig(**settings), seed=seed, tally=Tally(), tokenizer=tokenizer
    )
