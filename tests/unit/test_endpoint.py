"""The client of model servers: what it survives, and what it says when it cannot."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx2
import pytest

from burnqed.core.errors import BadInput, ModelError, ServerUnavailable
from burnqed.core.tally import Tally
from burnqed.remote.config import EndpointConfig
from burnqed.remote.endpoint import Endpoint
from burnqed.testing.fakes import ManualClock

Answer = Callable[[httpx2.Request], httpx2.Response | Awaitable[httpx2.Response]]


class Scripted:
    """Answers in turn, the last one for ever; notes every request and every wait."""

    def __init__(self, *answers: Answer | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[httpx2.Request] = []
        self.waits: list[float] = []
        self.clock = ManualClock()

    async def handle(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        response = answer(request)
        return response if isinstance(response, httpx2.Response) else await response

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.clock.time_s += seconds

    def endpoint(self, **settings: object) -> Endpoint:
        return Endpoint(
            "http://127.0.0.1:30000/",
            EndpointConfig.model_validate(settings),
            rng=random.Random(1),
            tally=Tally(),
            transport=httpx2.MockTransport(self.handle),
            now_s=self.clock.now_s,
            sleep=self.sleep,
        )


def said(status: int, body: object = None, **headers: str) -> Answer:
    """A fresh answer each time."""
    return lambda request: httpx2.Response(
        status, json=body, headers={k.replace("_", "-"): v for k, v in headers.items()}
    )


DOWN = httpx2.ConnectError("connection refused")


async def test_the_answer_comes_back_and_the_token_goes_out():
    server = Scripted(said(200, {"a": [1]}))
    async with server.endpoint(token="secret") as endpoint:
        assert await endpoint.post("/generate", {"text": "∀"}) == {"a": [1]}
        assert "secret" not in endpoint.config.model_dump_json()
    (request,) = server.requests
    assert str(request.url) == "http://127.0.0.1:30000/generate"
    assert request.headers["authorization"] == "Bearer secret"


async def test_an_empty_body_is_an_answer():
    async with Scripted(lambda request: httpx2.Response(200)).endpoint() as endpoint:
        assert await endpoint.get("/health") is None


@pytest.mark.parametrize("trouble", [DOWN, httpx2.ReadError("reset"), said(503), said(429), said(502), said(504)])
async def test_it_tries_again_with_growing_waits(trouble):
    server = Scripted(trouble, trouble, trouble, said(200, 7))
    async with server.endpoint(retries=3, backoff_s=1) as endpoint:
        assert await endpoint.get("/x") == 7
    assert [low <= wait <= 2 * low for low, wait in zip([0.5, 1, 2], server.waits, strict=True)] == [True] * 3
    assert endpoint.tally.counts["requests sent again"] == 3


async def test_the_jitter_comes_from_the_given_source():
    first, second = Scripted(DOWN), Scripted(DOWN)
    for server in (first, second):
        async with server.endpoint() as endpoint:
            with pytest.raises(ServerUnavailable):
                await endpoint.get("/x")
    assert first.waits == second.waits != []


async def test_it_waits_as_long_as_the_server_asks_but_not_for_ever():
    server = Scripted(said(503, None, retry_after="7"), said(429, None, retry_after="3600"), said(200, 1))
    async with server.endpoint(backoff_max_s=20) as endpoint:
        await endpoint.get("/x")
    assert server.waits == [7, 20]


async def test_a_server_that_is_down_is_one_sentence():
    async with Scripted(DOWN).endpoint(retries=2) as endpoint:
        with pytest.raises(ServerUnavailable) as error:
            await endpoint.get("/health")
    assert str(error.value) == (
        "http://127.0.0.1:30000/health cannot be reached (connection refused) (3 attempts); "
        "check that the model server runs and is not overloaded"
    )


async def test_a_server_that_drips_is_given_up_in_time():
    async def drip() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0.01)
            yield b" "

    server = Scripted(lambda request: httpx2.Response(200, content=drip()))
    async with server.endpoint(timeout_s=0.1, retries=0) as endpoint:
        with pytest.raises(ServerUnavailable, match=r"did not answer within 0\.1 s"):
            await endpoint.get("/x")


async def test_an_answer_without_end_is_given_up():
    async def flood() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 2**16

    server = Scripted(lambda request: httpx2.Response(200, content=flood()))
    async with server.endpoint(max_answer_mb=0.5) as endpoint:
        with pytest.raises(ServerUnavailable, match=r"more than 0\.5 MB"):
            await endpoint.get("/x")
    assert len(server.requests) == 1, "the next one would be as long"


@pytest.mark.parametrize("content", [b'{"text": "si', b"<html>", b"\xff\xfe", b"[" * 200_000])
async def test_what_is_not_json_is_tried_again_and_named(content):
    server = Scripted(lambda request: httpx2.Response(200, content=content))
    async with server.endpoint(retries=1) as endpoint:
        with pytest.raises(ServerUnavailable, match="not JSON") as error:
            await endpoint.get("/x")
    assert len(server.requests) == 2
    assert len(str(error.value)) < 400


async def test_a_connection_cut_in_the_middle_of_the_body():
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"text": "si')
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(half, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        config = EndpointConfig(retries=1, backoff_s=0)
        async with Endpoint(url, config, rng=random.Random(1), tally=Tally()) as endpoint:
            with pytest.raises(ServerUnavailable, match=r"broke off in the middle.*2 attempts"):
                await endpoint.get("/x")


async def test_nobody_listens():
    config = EndpointConfig(retries=0)
    async with Endpoint("http://127.0.0.1:9", config, rng=random.Random(1), tally=Tally()) as endpoint:
        with pytest.raises(ServerUnavailable, match="cannot be reached"):
            await endpoint.get("/x")


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (400, {"error": {"message": "unknown field `max_tokens`"}}, "unknown field `max_tokens`"),
        (400, {"message": "prompt too long"}, "prompt too long"),
        (404, {"detail": "Not Found"}, "Not Found"),
        (401, None, "refuses the token"),
        (307, None, "answered 307"),
    ],
)
async def test_a_refusal_is_the_callers_fault_and_not_tried_again(status, body, says):
    server = Scripted(said(status, body))
    async with server.endpoint() as endpoint:
        with pytest.raises(ModelError, match=says) as error:
            await endpoint.get("/x")
    assert not isinstance(error.value, ServerUnavailable)
    assert len(server.requests) == 1


async def test_a_path_that_may_be_missing():
    async with Scripted(said(404, {"detail": "Not Found"})).endpoint() as endpoint:
        assert await endpoint.get("/model_info", optional=True) is None
        with pytest.raises(ModelError, match="has no /model_info: Not Found"):
            await endpoint.get("/model_info")


async def test_an_internal_error_is_not_tried_again():
    server = Scripted(said(500, {"error": {"message": "CUDA error"}}))
    async with server.endpoint() as endpoint:
        with pytest.raises(ServerUnavailable, match="answered 500 CUDA error"):
            await endpoint.get("/x")
    assert len(server.requests) == 1


async def test_the_breaker_opens_and_closes():
    server = Scripted(DOWN)
    async with server.endpoint(retries=0, breaker_failures=2, breaker_pause_s=10) as endpoint:
        for _ in range(2):
            with pytest.raises(ServerUnavailable, match="cannot be reached"):
                await endpoint.get("/x")
        with pytest.raises(ServerUnavailable, match="left alone for another 10 s"):
            await endpoint.get("/x")
        assert len(server.requests) == 2, "no request was made"
        server.clock.time_s += 10
        with pytest.raises(ServerUnavailable, match="cannot be reached"):
            await endpoint.get("/x")  # one is let through, and fails
        with pytest.raises(ServerUnavailable, match="left alone"):
            await endpoint.get("/x")
        server.clock.time_s += 10
        server.answers = [said(200, 1)]
        assert await endpoint.get("/x") == 1
        server.answers = [DOWN]
        with pytest.raises(ServerUnavailable, match="cannot be reached"):
            await endpoint.get("/x")  # closed: one failure does not open it
        server.answers = [said(200, 2)]
        assert await endpoint.get("/x") == 2
    assert endpoint.tally.counts == {
        "times the server was left alone": 2,
        "calls not made, the server was left alone": 2,
    }


async def test_while_one_call_tries_the_others_do_not():
    release = asyncio.Event()

    async def slow(request: httpx2.Request) -> httpx2.Response:
        await release.wait()
        return httpx2.Response(200, json=1)

    server = Scripted(DOWN)
    endpoint = server.endpoint(retries=0, breaker_failures=1, breaker_pause_s=5)
    with pytest.raises(ServerUnavailable):
        await endpoint.get("/x")
    server.clock.time_s += 5
    server.answers = [slow]
    trial = asyncio.ensure_future(endpoint.get("/x"))
    await asyncio.sleep(0)
    with pytest.raises(ServerUnavailable, match="left alone"):
        await endpoint.get("/x")
    trial.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trial
    release.set()
    assert await endpoint.get("/x") == 1, "a trial that was cancelled does not block the next"
    await endpoint.aclose()


async def test_no_more_requests_in_flight_than_allowed():
    now = most = 0

    async def count(request: httpx2.Request) -> httpx2.Response:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.005)
        now -= 1
        return httpx2.Response(200, json=1)

    config = EndpointConfig(max_in_flight=3)
    transport = httpx2.MockTransport(count)
    async with Endpoint("http://x", config, rng=random.Random(1), tally=Tally(), transport=transport) as endpoint:
        await asyncio.gather(*(endpoint.get("/x") for _ in range(12)))
    assert most == 3


@pytest.mark.parametrize("url", ["127.0.0.1:30000", "ftp://x", "http://", "", "http://[::1"])
def test_a_url_that_is_none(url):
    with pytest.raises(BadInput, match="URL"):
        Endpoint(url, rng=random.Random(1), tally=Tally())
