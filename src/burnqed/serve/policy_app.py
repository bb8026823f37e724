"""The policy server: SGLang's ``/generate`` and ``/v1/completions`` over a language model in this process.

It stands in for SGLang where there is none: on a laptop, in a test. What it does not support it says, with status 400.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException

from burnqed.models.language_model import LanguageModel
from burnqed.serve.http import MAX_REQUEST_BYTES, new_app
from burnqed.serve.policy_answers import Json, completion_answer, generate_answer
from burnqed.serve.policy_requests import (
    CompletionBody,
    DetokenizeBody,
    GenerateBody,
    TokenizeBody,
    as_prompts,
    stop_texts,
)
from burnqed.serve.policy_service import PolicyService
from burnqed.serve.sampling_queue import Done, Drawing, Job, PolicyLimits

_LOOK_FOR_CLIENT_S = 1.0


def create_policy_app(
    model: LanguageModel,
    *,
    limits: PolicyLimits | None = None,
    seed: int = 0,
    scaled_logprobs: bool = False,
    token: str = "",
    max_request_bytes: int = MAX_REQUEST_BYTES,
) -> FastAPI:
    """The application; ``app.state.service`` is the PolicyService behind it.

    ``seed`` is that of requests without one. ``scaled_logprobs`` reports log-probabilities after temperature, as SGLang does by
    default; without it they are the model's own, as SGLang's with SGLANG_RETURN_ORIGINAL_LOGPROB=1.
    """
    service = PolicyService(model, limits=limits or PolicyLimits(), seed=seed, scaled_logprobs=scaled_logprobs)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await service.queue.aclose()

    app = new_app("burnqed policy server", token=token, max_request_bytes=max_request_bytes, lifespan=lifespan)
    app.state.service = service
    _add_generation(app, service)
    _add_information(app, service)
    return app


def _add_generation(app: FastAPI, service: PolicyService) -> None:
    @app.post("/generate", response_model=None)
    async def generate(body: GenerateBody, request: Request) -> Json | list[Json]:
        began_s = time.monotonic()
        jobs = [
            Job(
                prompt=prompt,
                drawing=Drawing(
                    temperature=params.temperature,
                    top_p=params.top_p,
                    max_new_tokens=params.max_new_tokens,
                    stop=params.stops,
                    stop_ids=frozenset(params.stop_token_ids or ()),
                    n=params.n,
                ),
                seed=service.seed_for(params.sampling_seed),
                score_from=body.start(index),
                with_texts=bool(body.return_text_in_logprobs),
            )
            for index, (prompt, params) in enumerate(zip(body.prompts, body.params, strict=True))
        ]
        done = await _while_wanted(request, service, jobs)
        return generate_answer(service, body, done, seconds=time.monotonic() - began_s)

    @app.post("/v1/completions", response_model=None)
    async def completions(body: CompletionBody, request: Request) -> Json:
        if body.model not in ("default", "", service.model.name):
            raise HTTPException(404, f"the model {body.model} is not served here, but {service.model.name}")
        drawing = Drawing(
            temperature=body.temperature,
            top_p=body.top_p,
            max_new_tokens=body.max_tokens,
            stop=stop_texts(body.stop),
            stop_ids=frozenset(),
            n=body.n,
        )
        scoring = body.echo and body.logprobs is not None
        jobs = [
            Job(
                prompt=prompt,
                drawing=drawing,
                seed=service.seed_for(body.seed),
                score_from=0 if scoring else None,
                with_texts=body.echo or body.logprobs is not None,
            )
            for prompt in as_prompts(body.prompt)
        ]
        return completion_answer(service, body, await _while_wanted(request, service, jobs))


def _add_information(app: FastAPI, service: PolicyService) -> None:
    model = service.model

    @app.get("/health", response_model=None)
    async def health() -> Json:
        return {"status": "ok", "batches": service.queue.batches, "samples": service.queue.samples}

    @app.get("/health_generate", response_model=None)
    async def health_generate() -> Json:
        drawing = Drawing(temperature=0.0, top_p=1.0, max_new_tokens=1, stop=(), stop_ids=frozenset(), n=1)
        await service.queue.submit([Job(prompt="a", drawing=drawing, seed=0)])
        return {"status": "ok"}

    @app.get("/model_info", response_model=None)
    @app.get("/get_model_info", response_model=None)
    async def model_info() -> Json:
        config = model.model.config
        return {
            "model_path": model.name,
            "served_model_name": model.name,
            "tokenizer_path": model.name,
            "is_generation": True,
            "preferred_sampling_params": None,
            "weight_version": "default",
            "model_type": config.model_type,
            "architectures": config.architectures,
        }

    @app.get("/v1/models", response_model=None)
    async def models() -> Json:
        card: Json = {"id": model.name, "object": "model", "created": 0, "owned_by": "burnqed", "root": model.name}
        return {"object": "list", "data": [{**card, "max_model_len": model.max_tokens}]}

    @app.post("/tokenize", response_model=None)
    async def tokenize(body: TokenizeBody) -> Json:
        texts = [body.prompt] if isinstance(body.prompt, str) else body.prompt
        rows = await service.tokens(texts, add_special_tokens=body.add_special_tokens)
        if isinstance(body.prompt, str):
            return {"tokens": rows[0], "count": len(rows[0]), "max_model_len": model.max_tokens}
        return {"tokens": rows, "count": [len(row) for row in rows], "max_model_len": model.max_tokens}

    @app.post("/detokenize", response_model=None)
    async def detokenize(body: DetokenizeBody) -> Json:
        rows = [row for row in as_prompts(body.tokens) if not isinstance(row, str)]
        texts = await service.texts(rows or [()])
        texts = [service.without_special(text) for text in texts] if body.skip_special_tokens else texts
        return {"text": texts if body.tokens and isinstance(body.tokens[0], list) else texts[0]}


async def _while_wanted(request: Request, service: PolicyService, jobs: Sequence[Job]) -> list[Done]:
    """The jobs' results; when the client goes away before, what still waits of them is given up."""
    work = asyncio.ensure_future(service.queue.submit(jobs))
    try:
        while not (await asyncio.wait([work], timeout=_LOOK_FOR_CLIENT_S))[0]:
            if await request.is_disconnected():
                raise HTTPException(499, "the client has gone")
        return work.result()
    finally:
        work.cancel()
