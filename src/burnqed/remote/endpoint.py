"""One model server over HTTP: time limits, retries, a circuit breaker, back-pressure, and one sentence when all is lost."""

from __future__ import annotations

import asyncio
import email.utils
import ipaddress
import json
import math
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType

import httpx2

from burnqed.core.errors import BadInput, ModelError, ServerUnavailable
from burnqed.core.tally import Tally
from burnqed.remote.breaker import Breaker
from burnqed.remote.config import EndpointConfig

BUSY = frozenset({429, 502, 503, 504})
"""Answers that say: try again."""


class _Trouble(Exception):
    """Why one attempt failed; ``wait_s`` is what the server asked for, ``final`` that another try is of no use."""

    def __init__(self, what: str, *, wait_s: float | None = None, final: bool = False) -> None:
        super().__init__(what)
        self.what = what
        self.wait_s = wait_s
        self.final = final


class _Absent(Exception):
    """The server has no such path."""


class Endpoint:
    """A client of the server at ``url``. Use it as an asynchronous context manager, or call :meth:`aclose`.

    ``rng`` gives the jitter of the waits. ``transport``, ``now_s`` and ``sleep`` are for tests. What was survived (retries,
    pauses) is counted in ``tally``.
    """

    def __init__(
        self,
        url: str,
        config: EndpointConfig | None = None,
        *,
        rng: random.Random,
        tally: Tally,
        transport: httpx2.AsyncBaseTransport | None = None,
        now_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.config = config or EndpointConfig()
        self.url = url.rstrip("/")
        self.tally = tally
        self._rng = rng
        self._sleep = sleep
        self._breaker = Breaker(failures=self.config.breaker_failures, pause_s=self.config.breaker_pause_s, now_s=now_s)
        self._places = asyncio.Semaphore(self.config.max_in_flight)
        token = self.config.token.get_secret_value()
        self._client = httpx2.AsyncClient(
            transport=transport,
            timeout=httpx2.Timeout(self.config.timeout_s, connect=self.config.connect_timeout_s),
            limits=httpx2.Limits(max_connections=self.config.max_in_flight),
            headers={"Authorization": f"Bearer {token}"} if token else None,
            # A proxy from the environment is for the world outside, not for a server on this machine.
            trust_env=not _on_this_machine(self.url),
        )

    async def __aenter__(self) -> Endpoint:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def post(self, path: str, body: Mapping[str, object], *, optional: bool = False) -> object:
        """The JSON that the server answers to ``body``; ``None`` for an empty answer.

        Raises ServerUnavailable when no attempt gave an answer that can be read, and ModelError with the server's own message
        when it refuses the request. With ``optional``, ``None`` also stands for a server that has no such path.
        """
        return await self._call("POST", path, body, optional)

    async def get(self, path: str, *, optional: bool = False) -> object:
        """The JSON at ``path``; as :meth:`post`."""
        return await self._call("GET", path, None, optional)

    async def _call(self, method: str, path: str, body: Mapping[str, object] | None, optional: bool) -> object:
        async with self._places:
            trial = not self._breaker.closed
            if not self._breaker.admit():
                self.tally.count("calls not made, the server was left alone", f"{self.url}{path}")
                raise ServerUnavailable(
                    f"{self.url} failed {self.config.breaker_failures} times in a row and is left alone for another "
                    f"{self._breaker.wait_s:.0f} s; check that the model server runs"
                )
            try:
                # What is let through after a pause is one attempt: it shall tell soon.
                answer = await self._with_retries(method, path, body, retries=0 if trial else self.config.retries)
            except ServerUnavailable:
                if self._breaker.failed():
                    self.tally.count("times the server was left alone", self.url)
                raise
            except _Absent as absent:
                self._breaker.succeeded()
                if optional:
                    return None
                raise ModelError(str(absent)) from None
            except ModelError:
                self._breaker.succeeded()  # it lives, it only did not like the request
                raise
            except BaseException:
                self._breaker.abandoned()
                raise
            self._breaker.succeeded()
            return answer

    async def _with_retries(self, method: str, path: str, body: Mapping[str, object] | None, *, retries: int) -> object:
        for attempt in range(retries + 1):
            try:
                return await self._attempt(method, path, body)
            except _Trouble as trouble:
                if trouble.final or attempt == retries:
                    tries = f" ({attempt + 1} attempts)" if attempt else ""
                    raise ServerUnavailable(
                        f"{self.url}{path} {trouble.what}{tries}; check that the model server runs and is not overloaded"
                    ) from trouble.__cause__
                self.tally.count("requests sent again", f"{self.url}{path} {trouble.what}")
                await self._sleep(self._wait_s(attempt, trouble.wait_s))
        raise AssertionError("the last attempt returns or raises")

    def _wait_s(self, attempt: int, asked_s: float | None) -> float:
        """Exponential back-off with equal jitter: between half and the whole of ``backoff_s · 2^attempt``."""
        wait_s = self.config.backoff_s * 2.0**attempt * (0.5 + 0.5 * self._rng.random())
        return min(self.config.backoff_max_s, max(wait_s, asked_s or 0.0))

    async def _attempt(self, method: str, path: str, body: Mapping[str, object] | None) -> object:
        try:
            # httpx2's own limit is for each read: a server that sends a byte now and then would hold us for ever.
            async with asyncio.timeout(self.config.timeout_s):
                async with self._client.stream(method, self.url + path, json=body) as response:
                    content = await self._read(response)
        except TimeoutError as error:
            raise _Trouble(f"did not answer within {self.config.timeout_s:g} s") from error
        except httpx2.ConnectTimeout as error:
            raise _Trouble(f"could not be reached within {self.config.connect_timeout_s:g} s") from error
        except httpx2.TimeoutException as error:
            raise _Trouble(f"did not answer within {self.config.timeout_s:g} s") from error
        except httpx2.ConnectError as error:
            raise _Trouble(f"cannot be reached ({error})") from error
        except httpx2.TransportError as error:
            raise _Trouble(f"broke off in the middle ({error})") from error
        except httpx2.HTTPError as error:
            raise _Trouble(f"sent what cannot be read ({error})") from error
        return self._judge(path, response, content)

    async def _read(self, response: httpx2.Response) -> bytes:
        limit = int(self.config.max_answer_mb * 2**20)
        content = bytearray()
        async for chunk in response.aiter_bytes():
            content += chunk
            if len(content) > limit:
                raise _Trouble(f"answered with more than {self.config.max_answer_mb:g} MB", final=True)
        return bytes(content)

    def _judge(self, path: str, response: httpx2.Response, content: bytes) -> object:
        status = response.status_code
        if status in BUSY:
            raise _Trouble(f"answered {status} {_message(content)}".rstrip(), wait_s=_asked_wait_s(response))
        if status >= 500:
            raise _Trouble(f"answered {status} {_message(content)}".rstrip(), final=True)
        if status in (401, 403):
            raise ModelError(
                f"{self.url}{path} refuses the token ({status}); give the one that the server was started with"
            )
        if status in (404, 405):
            raise _Absent(f"{self.url} has no {path}: {_message(content) or response.reason_phrase}")
        if status >= 300:
            raise ModelError(f"{self.url}{path} answered {status}: {_message(content) or response.reason_phrase}")
        if not content.strip():
            return None
        try:
            # The standard library reads NaN and Infinity, which some servers write; who uses the numbers checks them.
            return json.loads(content)
        except (ValueError, RecursionError) as error:
            raise _Trouble(f"answered what is not JSON: {_start(content)}") from error


def _on_this_machine(url: str) -> bool:
    """Whether the URL names this machine. Raises BadInput when it is no http URL."""
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL as error:
        raise BadInput(f"{url} is not a URL ({error}); a model server's looks like http://127.0.0.1:30000") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise BadInput(f"{url} is not a URL of a model server; one looks like http://127.0.0.1:30000")
    try:
        return ipaddress.ip_address(parsed.host).is_loopback
    except ValueError:
        return parsed.host == "localhost"


def _asked_wait_s(response: httpx2.Response) -> float | None:
    """What ``Retry-After`` says, as seconds or as a date (RFC 9110, 10.2.3)."""
    text = response.headers.get("retry-after", "")
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
        except ValueError:
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _message(content: bytes) -> str:
    """The server's own sentence: ``error.message``, ``message`` or ``detail`` of its JSON, or how its text begins."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return _start(content)
    if isinstance(body, dict):
        inner = body.get("error")
        if isinstance(inner, dict):
            body = inner
        for key in ("message", "detail", "error"):
            if isinstance(body.get(key), str):
                return _start(body[key].encode())
    return _start(content)


def _start(content: bytes) -> str:
    text = " ".join(content[:400].decode(errors="replace").split())
    return text if len(text) <= 200 else text[:199] + "…"
