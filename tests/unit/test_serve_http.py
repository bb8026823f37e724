"""What both model servers share: who may ask, how much, what an error looks like, starting and stopping."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from pydantic import BaseModel, Field

from burnqed.core.errors import BadInput, ModelError, ServerUnavailable
from burnqed.serve.http import new_app, open_listener


class Body(BaseModel):
    text: str = Field(min_length=1)


def client(**settings: Any) -> httpx2.AsyncClient:
    app = new_app("test", **settings)

    @app.get("/health")
    async def health() -> str:
        return "well"

    @app.post("/echo")
    async def echo(body: Body) -> str:
        troubles = {"bad": BadInput("too bad"), "busy": ServerUnavailable("later"), "model": ModelError("no memory")}
        if trouble := troubles.get(body.text):
            raise trouble
        return body.text

    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://server")


async def test_a_token_is_asked_for_everywhere_but_for_health():
    async with client(token="s€cret") as c:
        assert (await c.get("/health")).status_code == 200
        for wrong in ({}, {"authorization": "Bearer s"}, {"authorization": "Basic s€cret".encode()}):
            answer = await c.post("/echo", json={"text": "a"}, headers=wrong)
            assert answer.status_code == 401
            assert "bearer token" in answer.json()["error"]["message"]
        right = await c.post("/echo", json={"text": "a"}, headers={"authorization": "Bearer s€cret".encode()})
        assert right.json() == "a"


async def test_a_request_that_is_too_long_is_refused_whether_it_says_so_or_not():
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 100

    async with client(max_request_bytes=1000) as c:
        for content in (b" " * 1001, chunks()):
            answer = await c.post("/echo", content=content)
            assert answer.status_code == 413
            assert "longer than 1000 bytes" in answer.json()["error"]["message"]
        assert (await c.post("/echo", json={"text": "a" * 900})).status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"text": "bad"}, 400, "too bad"),
        ({"text": "busy"}, 503, "later"),
        ({"text": "model"}, 500, "no memory"),
        ({"text": ""}, 400, "text: String should have at least 1 character"),
        ({}, 400, "text: Field required"),
    ],
)
async def test_errors_are_sentences(body, status, says):
    async with client() as c:
        answer = await c.post("/echo", json=body)
        assert (await c.get("/nothing")).json()["error"]["message"] == "Not Found"
    assert answer.status_code == status
    assert answer.json()["error"]["message"] == says
    assert ("retry-after" in answer.headers) is (status == 503)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_no_other_machine_can_reach_it_without_a_token(host):
    with pytest.raises(BadInput, match="give a token"):
        open_listener(host, 0)


def test_addresses_that_cannot_be_had():
    with open_listener("127.0.0.1", 0) as taken, pytest.raises(BadInput, match="choose another --host or --port"):
        open_listener("127.0.0.1", taken.getsockname()[1])
    with pytest.raises(BadInput, match="cannot listen on"):
        open_listener("192.0.2.1", 0, token="t")


def test_with_a_token_it_may_listen_everywhere():
    with open_listener("0.0.0.0", 0, token="t") as listener:
        assert listener.getsockname()[0] == "0.0.0.0"


SLOW_SERVER = """
import asyncio, sys
from burnqed.serve.http import new_app, run_app
app = new_app("slow")
@app.get("/slow")
async def slow():
    print("asked", flush=True)
    await asyncio.sleep(1)
    return "done"
run_app(app, host="127.0.0.1", port=0, started=lambda url: print(url, flush=True))
"""


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_cleanly_and_answers_first_what_is_under_way(stop):
    with subprocess.Popen([sys.executable, "-c", SLOW_SERVER], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        host, _, port = server.stdout.readline().strip().removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n")
            assert server.stdout.readline() == "asked\n"
            os.kill(server.pid, stop)
            began = time.monotonic()
            answer = connection.recv(4096)
            while b"done" not in answer and time.monotonic() < began + 10:
                answer += connection.recv(4096)
        assert b"200 OK" in answer
        assert server.wait(timeout=10) in (-stop, 1, 130)
