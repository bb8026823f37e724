"""The encode server: embeddings and energies over HTTP. docs/serving.md shows requests and answers."""

from __future__ import annotations

import base64
import resource
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any, Literal, TypeVar

import msgspec
import numpy as np
import torch
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from burnqed.core.errors import BadInput, BurnqedError
from burnqed.models.encoder import Encoder
from burnqed.serve.encode_service import EncodeLimits, EncodeService, Found, Head
from burnqed.serve.http import MAX_REQUEST_BYTES, new_app

Body = TypeVar("Body", bound="_Asked")


class _Asked(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What every request may hold: the digest of the encoder card that the client counts on."""

    encoder: str | None = None


class _Encode(_Asked):
    text: str | list[str]
    format: Literal["json", "base64"] = "json"


class _Count(_Asked):
    text: list[str]


class _Energy(_Asked):
    pairs: list[tuple[str, str]]


def create_encode_app(
    encoder: Encoder,
    head: Head | None = None,
    *,
    name: str = "",
    limits: EncodeLimits | None = None,
    token: str = "",
    max_request_bytes: int = MAX_REQUEST_BYTES,
) -> FastAPI:
    """The server over an encoder, and a head that was trained on it. ``name`` is what /model_info calls the model.

    Texts are embedded as they stand, so clients send prompts in the format that the encoder card names. The model's thread
    starts with the first request and ends with the application.
    """
    assert head is None or head.card.dim == encoder.card.dim, "load_head compares the cards"
    service = EncodeService(encoder, head, limits or EncodeLimits())

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await service.close()

    app = new_app("burnqed encode", token=token, max_request_bytes=max_request_bytes, lifespan=lifespan)

    @app.post("/encode")
    async def encode(request: Request) -> Response:
        asked = await _read(request, _Encode, encoder)
        texts = [asked.text] if isinstance(asked.text, str) else asked.text
        by_text = await service.vectors(texts)
        found = [by_text[text] for text in texts]
        if asked.format == "base64":
            body = _as_base64(found, encoder.card.dim)
        else:
            body = {"embeddings": [None if isinstance(one, BurnqedError) else one.tolist() for one in found]}
            body |= _errors(found)
        if not isinstance(asked.text, str):
            return _json(body)
        if "errors" in body:
            raise BadInput(body["errors"][0]["message"])
        return _json({"embedding": body["embeddings"][0]} if asked.format == "json" else body)

    @app.post("/energy")
    async def energy(request: Request) -> Response:
        asked = await _read(request, _Energy, encoder)
        if head is None:
            raise HTTPException(
                404, "this server has no energy head: start it with --head FOLDER, or ask /encode and score elsewhere"
            )
        found = await service.energies(asked.pairs)
        return _json({"energies": [one if isinstance(one, float) else None for one in found], **_errors(found)})

    @app.post("/count")
    async def count(request: Request) -> Response:
        asked = await _read(request, _Count, encoder)
        return _json({"tokens": await service.counts(asked.text)})

    @app.get("/health")
    async def health() -> Response:
        state = "stopping" if service.closing else "ok"
        return _json({"status": state, "queued_texts": service.queued}, 503 if service.closing else 200)

    @app.get("/model_info")
    async def model_info() -> Response:
        return _json(_about(service, name, max_request_bytes))

    return app


def _about(service: EncodeService, name: str, max_request_bytes: int) -> dict[str, object]:
    encoder, head = service.encoder, service.head
    calibration = head.calibration if head else None
    return {
        "model": name,
        "encoder": asdict(encoder.card),
        "digest": encoder.card.digest,
        "dtype": encoder.card.dtype,
        "quantization": encoder.card.quantization,
        "device": str(encoder.model.device),
        "head": {"calibration": asdict(calibration) if calibration else None} if head else None,
        "limits": {
            **service.limits.model_dump(),
            "request_bytes": max_request_bytes,
            "batch_tokens": encoder.max_batch_tokens,
        },
        "memory_mb": memory_mb(encoder.model.device),
        "texts": service.rows,
        "texts_per_batch": round(service.rows_per_batch, 2),
        "cache": {"hits": encoder.cache.hits, "misses": encoder.cache.misses} if encoder.cache else None,
        "troubles": dict(encoder.tally.counts),
    }


def memory_mb(device: torch.device) -> dict[str, float]:
    """Megabytes (10⁶ bytes) in use and at most so far: tensors of the GPU, or the whole process on a processor."""
    if device.type == "cuda":
        used, peak = torch.cuda.memory_allocated(device), torch.cuda.max_memory_allocated(device)
    else:
        import psutil

        used = psutil.Process().memory_info().rss
        # Kilobytes, but for macOS; and the kernel notes it now and then only.
        peak = max(used, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024))
    return {"used": round(used / 1e6, 1), "peak": round(peak / 1e6, 1)}


async def _read(request: Request, kind: type[Body], encoder: Encoder) -> Body:
    """The request's body. Refuses with 409 a client that counts on another encoder."""
    try:
        asked = msgspec.json.decode(await request.body(), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"the request cannot be read: {error}") from error
    if asked.encoder is not None and asked.encoder != encoder.card.digest:
        raise HTTPException(
            409, f"this server's encoder is {encoder.card.digest}, not {asked.encoder}; GET /model_info says what it is"
        )
    return asked


def _errors(found: Sequence[object]) -> dict[str, Any]:
    """``{"errors": [{"index", "message"}]}`` for what could not be done; nothing when all could."""
    errors = [{"index": i, "message": str(one)} for i, one in enumerate(found) if isinstance(one, BurnqedError)]
    return {"errors": errors} if errors else {}


def _as_base64(found: Sequence[Found], dim: int) -> dict[str, Any]:
    """Rows of little-endian fp16: three significant digits, more than a bf16 model has. NaN where there is no vector."""
    rows = np.full((len(found), dim), np.nan, "<f2")
    told = list(found)
    for i, one in enumerate(found):
        if not isinstance(one, BurnqedError):
            with np.errstate(over="ignore"):
                rows[i] = one
            if not np.isfinite(rows[i]).all():
                rows[i] = np.nan
                told[i] = BadInput("the embedding holds a number beyond the range of fp16; ask for the format json")
    body = {"embeddings_b64": base64.b64encode(rows.tobytes()).decode(), "shape": rows.shape, "dtype": "float16"}
    return body | _errors(told)


def _json(content: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")
