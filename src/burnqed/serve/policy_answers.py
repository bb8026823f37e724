"""What the policy server answers, in SGLang's and in the OpenAI API's shape."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Sequence

from burnqed.models.language_model import Drawn
from burnqed.serve.policy_requests import CompletionBody, GenerateBody
from burnqed.serve.policy_service import PolicyService
from burnqed.serve.sampling_queue import Done

Json = dict[str, object]


def generate_answer(
    service: PolicyService, body: GenerateBody, done: Sequence[Done], *, seconds: float
) -> Json | list[Json]:
    """The answer of ``/generate``: an object for one prompt by itself, else a flat list, prompt by prompt."""
    items = [
        _generated(service, body, index, sample, one, drawn, seconds)
        for index, one in enumerate(done)
        for sample, drawn in enumerate(one.drawn)
    ]
    return items[0] if body.single else items


def _generated(
    service: PolicyService, body: GenerateBody, index: int, sample: int, done: Done, drawn: Drawn, seconds: float
) -> Json:
    params = body.params[index]
    text = drawn.text if params.skip_special_tokens is False else service.without_special(drawn.text)
    info: Json = {
        "id": body.name(index, sample) or uuid.uuid4().hex,
        "finish_reason": _finish(drawn, params.max_new_tokens),
        "prompt_tokens": len(done.prompt_ids),
        "completion_tokens": len(drawn.ids),
        "cached_tokens": 0,
        "reasoning_tokens": 0,
        "weight_version": "default",
        "e2e_latency": seconds,
    }
    if body.wants_logprobs(index):
        texts = done.token_texts if body.return_text_in_logprobs else {}
        start = len(done.prompt_ids) - len(done.prompt_logprobs)
        prompt = zip(done.prompt_logprobs, done.prompt_ids[start:], strict=True)
        info["input_token_logprobs"] = [[_number(value), i, texts.get(i)] for value, i in prompt]
        info["output_token_logprobs"] = [
            [_number(value), i, texts.get(i)] for value, i in zip(drawn.logprobs, drawn.ids, strict=True)
        ]
        info["output_token_logprobs_length"] = len(drawn.ids)
    answer: Json = {"text": text, "output_ids": list(drawn.ids), "meta_info": info}
    if body.return_prompt_token_ids:
        answer["prompt_token_ids"] = list(done.prompt_ids)
    return answer


def _finish(drawn: Drawn, max_new_tokens: int) -> Json:
    if drawn.ended:
        return {"type": "stop", "matched": drawn.stopped_by}
    return {"type": "length", "length": max_new_tokens}


def completion_answer(service: PolicyService, body: CompletionBody, done: Sequence[Done]) -> Json:
    """The answer of ``/v1/completions``: choices prompt by prompt."""
    pairs = [(one, drawn) for one in done for drawn in one.drawn]
    prompt_tokens = sum(len(one.prompt_ids) for one in done)
    completion_tokens = sum(len(drawn.ids) for _, drawn in pairs)
    return {
        "id": f"cmpl-{uuid.uuid4().hex}",
        "object": "text_completion",
        "created": int(time.time()),
        "model": service.model.name,
        "choices": [_choice(service, body, index, one, drawn) for index, (one, drawn) in enumerate(pairs)],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        },
    }


def _choice(service: PolicyService, body: CompletionBody, index: int, done: Done, drawn: Drawn) -> Json:
    text = service.without_special(drawn.text) if body.skip_special_tokens else drawn.text
    prompt = "".join(done.token_texts[i] for i in done.prompt_ids) if body.echo else ""
    choice: Json = {
        "index": index,
        "text": prompt + text,
        "logprobs": _logprobs(body, done, drawn) if body.logprobs is not None else None,
        "finish_reason": "stop" if drawn.ended else "length",
    }
    if body.return_token_ids:
        choice |= {"token_ids": list(drawn.ids), "prompt_token_ids": list(done.prompt_ids)}
    return choice


def _logprobs(body: CompletionBody, done: Done, drawn: Drawn) -> Json:
    """Tokens and their log-probabilities, with ``echo`` the prompt's before them; the first of a text has none.

    The most probable other tokens are not known to this server: ``top_logprobs`` is null.
    """
    ids = [*(done.prompt_ids if body.echo else ()), *drawn.ids]
    values = [*(done.prompt_logprobs if body.echo else ()), *drawn.logprobs]
    tokens = [done.token_texts[i] for i in ids]
    offsets = [0]
    for token in tokens:
        offsets.append(offsets[-1] + len(token))
    return {
        "tokens": tokens,
        "token_logprobs": [_number(value) for value in values],
        "text_offset": offsets[:-1],
        "top_logprobs": None,
    }


def _number(value: float | None) -> float | None:
    """JSON has no NaN."""
    return value if value is not None and math.isfinite(value) else None
