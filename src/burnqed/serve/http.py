"""What both model servers share: a token, a limit on requests, errors as one sentence, a clean start and stop."""

from __future__ import annotations

import ipaddress
import secrets
import socket
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from burnqed.core.errors import BadInput, ModelError, ServerUnavailable

MAX_REQUEST_BYTES = 16 * 2**20
"""The default limit: a thousand states of 16 KB."""

OPEN_PATHS = frozenset({"/health"})
"""What answers without a token, so that a supervisor can look."""


def error_response(status: int, message: str) -> JSONResponse:
    """``{"error": {"message": …}}``, as SGLang and the OpenAI API say it."""
    headers = {"Retry-After": "1"} if status == 503 else None
    return JSONResponse({"error": {"message": message, "code": status}}, status_code=status, headers=headers)


def new_app(
    title: str,
    *,
    token: str = "",
    max_request_bytes: int = MAX_REQUEST_BYTES,
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]] | None = None,
) -> FastAPI:
    """An application whose requests are guarded and whose errors are sentences.

    A handler may raise BadInput (400), ServerUnavailable (503), another ModelError (500), or HTTPException. A body that does not
    fit the handler's model is a 400 that names the field.
    """
    # No pages with the API's documentation: FastAPI's own fetch their scripts from the internet.
    app = FastAPI(title=title, docs_url=None, redoc_url=None, lifespan=lifespan)
    app.add_middleware(Guard, token=token, max_request_bytes=max_request_bytes)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        return error_response(error.status_code, str(error.detail))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return error_response(400, _told(error))

    @app.exception_handler(BadInput)
    async def bad_input(request: Request, error: BadInput) -> JSONResponse:
        return error_response(400, str(error))

    @app.exception_handler(ServerUnavailable)
    async def busy(request: Request, error: ServerUnavailable) -> JSONResponse:
        return error_response(503, str(error))

    @app.exception_handler(ModelError)
    async def model_error(request: Request, error: ModelError) -> JSONResponse:
        return error_response(500, str(error))

    return app


class Guard:
    """ASGI middleware: requests without the token are refused with 401, longer ones than allowed with 413."""

    def __init__(self, app: ASGIApp, *, token: str, max_request_bytes: int) -> None:
        self._app = app
        self._token = token.encode()
        self._limit = max_request_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or let the application do it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name: value for name, value in scope["headers"] if name in (b"authorization", b"content-length")}
        if self._token and scope["path"] not in OPEN_PATHS and not self._knows(headers.get(b"authorization", b"")):
            await error_response(401, "a bearer token is needed, the one that this server was started with")(
                scope, receive, send
            )
            return
        length = headers.get(b"content-length", b"0")
        body = await self._body(receive) if length.isdigit() and int(length) <= self._limit else None
        if body is None:
            await error_response(413, f"the request is longer than {self._limit} bytes; send fewer texts at once")(
                scope, receive, send
            )
            return
        await self._app(scope, _replayed(body, receive), send)

    def _knows(self, authorization: bytes) -> bool:
        kind, _, given = authorization.partition(b" ")
        return kind.lower() == b"bearer" and secrets.compare_digest(given.strip(), self._token)

    async def _body(self, receive: Receive) -> bytes | None:
        """The whole body, or nothing when it is too long; every handler reads it whole anyway."""
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return bytes(body)  # gone already; the handler's answer will go nowhere
            body += message.get("body", b"")
            if len(body) > self._limit:
                return None
            if not message.get("more_body", False):
                return bytes(body)


def _replayed(body: bytes, receive: Receive) -> Receive:
    first = True

    async def replay() -> Message:
        nonlocal first
        if first:
            first = False
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return replay


def check_exposure(host: str, token: str) -> None:
    """Raise BadInput when other machines could reach the server and no token protects it."""
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = host == "localhost"
    if not local and not token:
        raise BadInput(
            f"on {host} other machines can reach the server: give a token (--token or BURNQED_TOKEN), "
            "or stay on 127.0.0.1 and tunnel"
        )


def run_app(
    app: FastAPI, *, host: str, port: int, token: str = "", started: Callable[[str], None] = lambda url: None
) -> None:
    """:func:`open_listener` and :func:`serve_on` in one."""
    with open_listener(host, port, token=token) as listener:
        serve_on(app, listener, started=started)


def open_listener(host: str, port: int, *, token: str = "") -> socket.socket:
    """A socket that listens; ``port`` 0 takes a free one. Open it before a model is loaded, to fail early.

    Raises BadInput when the address cannot be had, or other machines could reach it and there is no token.
    """
    check_exposure(host, token)
    listener: socket.socket | None = None
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(1024)
    except (OSError, OverflowError) as error:
        if listener is not None:
            listener.close()
        raise BadInput(f"cannot listen on {host}:{port} ({error}); choose another --host or --port") from error
    return listener


def serve_on(app: FastAPI, listener: socket.socket, *, started: Callable[[str], None] = lambda url: None) -> None:
    """Serve until Ctrl-C or SIGTERM; requests that are under way are answered first. ``started`` is given the address."""
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=10)
    host, port = listener.getsockname()[:2]
    started(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")
    uvicorn.Server(config).run(sockets=[listener])


def _told(error: RequestValidationError) -> str:
    """What is wrong with a body, each field by its name. Where a field may be of several types, a check's own words say most."""
    errors = error.errors()
    if errors[0]["type"] == "json_invalid":
        return f"the body is not JSON: {errors[0].get('ctx', {}).get('error', 'it cannot be read')}"
    chosen = [e for e in errors if e["type"] == "value_error"] or errors
    return "; ".join(f"{_place(e['loc'])}: {e['msg'].removeprefix('Value error, ')}" for e in chosen[:3])


def _place(location: tuple[int | str, ...]) -> str:
    """``("body", "sampling_params", "SamplingParams", "n")`` as ``sampling_params.n``."""
    shown = [str(part) for part in location if part != "body" and not _names_a_type(str(part))]
    return ".".join(shown) or "the body"


def _names_a_type(part: str) -> bool:
    return "[" in part or part[:1].isupper() or part in ("str", "int", "bool", "float")
