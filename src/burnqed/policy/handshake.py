"""Is it the right server: its model, its context, its tokenizer."""

from __future__ import annotations

from burnqed.core.errors import ModelMismatch
from burnqed.policy.remote import Tokenizer
from burnqed.remote.endpoint import Endpoint

UNKNOWN_CONTEXT = 10**9


async def check_model(endpoint: Endpoint, expected: str) -> None:
    """Raise ModelMismatch unless ``/model_info`` names ``expected`` (a path or a served name; empty = any) and it generates."""
    info = await endpoint.get("/model_info", optional=True) or await endpoint.get("/get_model_info", optional=True)
    if not isinstance(info, dict):
        raise ModelMismatch(f"{endpoint.url} has no /model_info; is it an SGLang server?")
    if info.get("is_generation") is False:
        raise ModelMismatch(f"{endpoint.url} serves embeddings, not text; start it with a generation model")
    names = {str(info[key]).rstrip("/") for key in ("model_path", "served_model_name") if info.get(key)}
    if expected and expected.rstrip("/") not in names:
        raise ModelMismatch(
            f"{endpoint.url} serves {' or '.join(sorted(names)) or 'a model without a name'}, not {expected}; "
            "start the server with that model, or change policy.served_model"
        )


async def served_models(endpoint: Endpoint) -> list[dict[str, object]]:
    """The models of ``/v1/models``; none when the server does not list them."""
    answer = await endpoint.get("/v1/models", optional=True)
    data = answer.get("data") if isinstance(answer, dict) else None
    return [model for model in data if isinstance(model, dict)] if isinstance(data, list) else []


async def context_tokens(endpoint: Endpoint) -> int:
    """The context of the models that the server lists, the smallest of them; very large when it does not say."""
    lengths = [model.get("max_model_len") for model in await served_models(endpoint)]
    return min((n for n in lengths if isinstance(n, int) and n > 0), default=UNKNOWN_CONTEXT)


async def tokens_of(endpoint: Endpoint, text: str, *, model: str) -> list[int] | None:
    """The tokens of a text by the server's ``/tokenize``; ``None`` when it has none.

    SGLang, vLLM and burnqed read ``prompt``, llama.cpp's own server reads ``content``; each ignores the other's words.
    """
    body: dict[str, object] = {"prompt": text, "add_special_tokens": True, "content": text, "add_special": True}
    answer = await endpoint.post("/tokenize", {**body, "model": model} if model else body, optional=True)
    tokens = answer.get("tokens") if isinstance(answer, dict) else None
    return tokens if isinstance(tokens, list) and all(type(t) is int for t in tokens) else None


async def token_count(endpoint: Endpoint, text: str, *, model: str) -> int | None:
    """How many tokens the server counts in a text; ``None`` when it cannot say."""
    if tokens := await tokens_of(endpoint, text, model=model):
        return len(tokens)
    # llama-cpp-python's server counts elsewhere.
    answer = await endpoint.post("/extras/tokenize/count", {"input": text}, optional=True)
    count = answer.get("count") if isinstance(answer, dict) else None
    return count if type(count) is int else None


async def check_tokenizer(
    endpoint: Endpoint, tokenizer: Tokenizer, text: str, count: object, *, model: str = ""
) -> None:
    """Raise ModelMismatch unless the server's tokens of ``text`` are the local tokenizer's.

    ``count`` is how many it reported for a request with this text; the ids are compared where ``/tokenize`` shows them.
    """
    mine = tokenizer.token_ids(text)
    theirs = await tokens_of(endpoint, text, model=model)
    if theirs is not None and theirs != mine:
        wrong = next(
            (i for i, (a, b) in enumerate(zip(mine, theirs, strict=False)) if a != b), min(len(mine), len(theirs))
        )
        raise ModelMismatch(
            f"the tokenizer of {endpoint.url} is another one than policy.tokenizer: token {wrong} of {text!r} differs; "
            "give the tokenizer of the model that is served"
        )
    if type(count) is int and count != len(mine):
        raise ModelMismatch(
            f"the tokenizer of {endpoint.url} is another one than policy.tokenizer: it makes {count} tokens of {text!r}, "
            f"not {len(mine)}; give the tokenizer of the model that is served"
        )
