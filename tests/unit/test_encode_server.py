"""The encode server over a real tiny model: answers, limits, batching, and what one client cannot do to another."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from burnqed.core.calibration import Calibration
from burnqed.core.errors import ServerUnavailable
from burnqed.joint.ebm_head import GoalConditionedEnergyHead, HeadConfig
from burnqed.joint.energy_head import EnergyHead, save_head
from burnqed.models.embedding_cache import EmbeddingCache
from burnqed.models.encoder import Encoder
from burnqed.models.language_model import LanguageModel
from burnqed.prompts.formats import prompt_format
from burnqed.serve.batching import Batcher, closest
from burnqed.serve.encode_app import create_encode_app
from burnqed.serve.encode_service import EncodeLimits
from burnqed.testing.tiny_model import LEAN_LINES, make_tiny_model

FORM = prompt_format("markers")


class Watched:
    """The tiny model; it can be held up, and fail on demand."""

    def __init__(self, inner: LanguageModel) -> None:
        self.inner = inner
        self.dim, self.max_tokens, self.device = inner.dim, inner.max_tokens, inner.device
        self.card, self.token_ids = inner.card, inner.token_ids
        self.batches: list[list[int]] = []
        self.threads: set[str] = set()
        self.may_go = threading.Event()
        self.may_go.set()
        self.spoils: int | None = None
        self.huge: int | None = None
        self.broken = False

    def embed(self, prompts: Sequence[Sequence[int]], *, keep: bool = False) -> Tensor:
        self.batches.append([len(p) for p in prompts])
        self.threads.add(threading.current_thread().name)
        assert self.may_go.wait(20)
        if self.broken:
            raise RuntimeError("CUDA error: device-side assert triggered")
        if self.huge is not None and any(len(p) == self.huge for p in prompts):
            raise torch.OutOfMemoryError("CUDA out of memory")
        vectors = self.inner.embed(prompts).clone()
        for p, vector in zip(prompts, vectors, strict=True):
            if len(p) == self.spoils:
                vector[3] = 1e6
        return vectors


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="module")
def tiny(folder: Path) -> LanguageModel:
    return LanguageModel.load(folder, device="cpu")


@pytest.fixture
def model(tiny: LanguageModel) -> Watched:
    return Watched(tiny)


def head_module(tiny: LanguageModel) -> GoalConditionedEnergyHead:
    torch.manual_seed(0)
    return GoalConditionedEnergyHead(HeadConfig(dim=tiny.dim, hidden=(16, 8)))


@pytest.fixture
def head(tiny: LanguageModel) -> EnergyHead:
    return EnergyHead(head_module(tiny), tiny.card(FORM), calibration=Calibration(0.25, 1.5))


@contextlib.asynccontextmanager
async def serving(
    model: Watched | LanguageModel, head: EnergyHead | None = None, *, cache: EmbeddingCache | None = None, **more: Any
) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of a server in this process, which is shut down at the end as uvicorn would do it."""
    limits = EncodeLimits(**{name: more.pop(name) for name in list(more) if name in EncodeLimits.model_fields})
    encoder = Encoder(model, FORM, cache=cache, max_batch_tokens=more.pop("max_batch_tokens", 1024))
    app = create_encode_app(encoder, head, name="tiny", limits=limits, **more)
    transport = httpx2.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx2.AsyncClient(transport=transport, base_url="http://t") as client:
        yield client


def texts(n: int, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    return [f"[GOAL]{i} {' '.join(rng.choices(LEAN_LINES, k=rng.randint(0, 6)))}[PROOFSTEP]" for i in range(n)]


def vectors_of(answer: httpx2.Response) -> np.ndarray:
    body = answer.json()
    assert answer.status_code == 200, body
    data = base64.b64decode(body["embeddings_b64"])
    return np.frombuffer(data, "<f2").reshape(body["shape"]).astype(np.float32)


def error(answer: httpx2.Response) -> str:
    return str(answer.json()["error"]["message"])


async def test_answers_are_the_vectors_of_the_encoder(model, tiny):
    asked = texts(30)
    expected = Encoder(tiny, FORM).encode(asked).numpy()
    async with serving(model) as client:
        listed = await client.post("/encode", json={"text": asked})
        single = await client.post("/encode", json={"text": asked[7]})
        packed = await client.post("/encode", json={"text": asked, "format": "base64"})
        none = await client.post("/encode", json={"text": []})
    assert np.allclose(listed.json()["embeddings"], expected, atol=1e-4)
    assert np.allclose(single.json()["embedding"], expected[7], atol=1e-4)
    assert packed.json()["dtype"] == "float16"
    assert np.allclose(vectors_of(packed), expected, rtol=2**-11, atol=1e-4)
    assert none.json() == {"embeddings": []}
    assert len(packed.content) < len(listed.content) / 4


async def test_energies_are_those_of_the_head(model, tiny, head):
    asked = texts(9)
    pairs = [(text, asked[0]) for text in asked]
    encoder = Encoder(tiny, FORM)
    z = encoder.encode(asked)
    expected = head.energies(z, z[:1].expand_as(z))
    async with serving(model, head) as client:
        answer = await client.post("/energy", json={"pairs": pairs})
        assert (await client.post("/energy", json={"pairs": []})).json() == {"energies": []}
    assert answer.json()["energies"] == pytest.approx(expected.tolist(), abs=1e-4)
    assert sum(len(b) for b in model.batches) == 9  # the goal once


async def test_a_server_without_a_head_says_so(model):
    async with serving(model) as client:
        answer = await client.post("/energy", json={"pairs": [["a", "b"]]})
    assert answer.status_code == 404
    assert "no energy head: start it with --head" in error(answer)


async def test_model_info_tells_what_a_client_must_know(model, head):
    async with serving(model, head, texts=77) as client:
        await client.post("/encode", json={"text": ["a b", "a c", "b a", "c a"]})
        info = (await client.get("/model_info")).json()
        health = await client.get("/health")
    card = model.card(FORM)
    assert info["encoder"]["model"] == card.model
    assert (info["model"], info["digest"], info["dtype"], info["device"]) == ("tiny", card.digest, "float32", "cpu")
    assert info["head"] == {"calibration": vars(Calibration(0.25, 1.5))}
    assert info["limits"]["texts"] == 77
    assert (info["texts"], info["texts_per_batch"]) == (4, 4.0)
    assert info["memory_mb"]["peak"] >= info["memory_mb"]["used"] > 10
    assert health.json() == {"status": "ok", "queued_texts": 0}


async def test_tokens_are_counted_without_being_cut(model):
    long = " ".join(LEAN_LINES * 4)
    async with serving(model) as client:
        answer = await client.post("/count", json={"text": ["[GOAL]a[PROOFSTEP]", long]})
    assert answer.json() == {"tokens": [3, len(model.token_ids(long))]}
    assert len(model.token_ids(long)) > model.max_tokens


async def test_a_client_of_another_encoder_is_refused(model, head):
    card = model.card(FORM)
    async with serving(model, head) as client:
        right = await client.post("/encode", json={"text": "a", "encoder": card.digest})
        wrong = await client.post("/encode", json={"text": "a", "encoder": "0123456789abcdef"})
        energy = await client.post("/energy", json={"pairs": [], "encoder": "0123456789abcdef"})
    assert right.status_code == 200
    assert (wrong.status_code, energy.status_code) == (409, 409)
    assert f"this server's encoder is {card.digest}, not 0123456789abcdef" in error(wrong)


async def test_fifty_requests_at_once_share_batches_on_one_thread(model, tiny):
    asked = texts(50)
    expected = Encoder(tiny, FORM).encode(asked).numpy()
    async with serving(model) as client:
        answers = await asyncio.gather(*(client.post("/encode", json={"text": text}) for text in asked))
    assert np.allclose([a.json()["embedding"] for a in answers], expected, atol=1e-4)
    assert model.threads == {"model"}
    assert len(model.batches) < 25
    assert all(max(b) * len(b) <= 1024 for b in model.batches)


async def test_while_a_batch_runs_the_next_gathers(model):
    model.may_go.clear()
    async with serving(model, linger_ms=0) as client:
        first = asyncio.create_task(client.post("/encode", json={"text": "first"}))
        await until(lambda: model.batches)
        others = [asyncio.create_task(client.post("/encode", json={"text": f"other {i}"})) for i in range(20)]
        assert (await client.get("/health")).json()["status"] == "ok"
        await asyncio.sleep(0.1)
        assert (await client.get("/health")).json()["queued_texts"] == 21
        model.may_go.set()
        await asyncio.gather(first, *others)
    assert [len(b) for b in model.batches] == [1, 20]


async def test_a_lone_request_waits_for_company_and_not_for_long(model):
    async with serving(model, linger_ms=100) as client:
        began = time.monotonic()
        await client.post("/encode", json={"text": "alone"})
        assert 0.1 <= time.monotonic() - began < 2.0
        await asyncio.gather(client.post("/encode", json={"text": "one"}), client.post("/encode", json={"text": "two"}))
    assert [len(b) for b in model.batches] == [1, 2]


async def test_a_text_that_two_ask_for_is_computed_once(model):
    model.may_go.clear()
    async with serving(model, linger_ms=0) as client:
        asking = [asyncio.create_task(client.post("/encode", json={"text": ["same", f"own {i}"]})) for i in range(5)]
        await asyncio.sleep(0.1)
        model.may_go.set()
        answers = [(await a).json()["embeddings"] for a in asking]
    assert all(a[0] == answers[0][0] for a in answers)
    assert sum(len(b) for b in model.batches) == 6


async def test_a_client_that_gives_up_does_not_take_the_text_from_another(model):
    model.may_go.clear()
    async with serving(model, linger_ms=0) as client:
        impatient = asyncio.create_task(client.post("/encode", json={"text": "same"}))
        await until(lambda: model.batches)
        patient = asyncio.create_task(client.post("/encode", json={"text": "same"}))
        await asyncio.sleep(0.05)
        impatient.cancel()
        await asyncio.gather(impatient, return_exceptions=True)
        model.may_go.set()
        assert (await patient).status_code == 200
        assert (await client.get("/health")).json()["queued_texts"] == 0
    assert len(model.batches) == 1


async def test_a_bad_text_spoils_neither_its_request_nor_its_batch(model, tiny):
    asked = texts(6)
    model.huge = len(tiny.token_ids(asked[2]))
    model.spoils = len(tiny.token_ids(asked[4]))
    bad = {2, 4} | {i for i, t in enumerate(asked) if len(tiny.token_ids(t)) in (model.huge, model.spoils)}
    mixed = [*asked, "", "x" * 3000]
    expected = Encoder(tiny, FORM).encode(asked).numpy()
    async with serving(model, characters=2000) as client:
        packed, listed, single, other = await asyncio.gather(
            client.post("/encode", json={"text": mixed, "format": "base64"}),
            client.post("/encode", json={"text": mixed}),
            client.post("/encode", json={"text": ""}),
            client.post("/encode", json={"text": ["another client's"]}),
        )
    good = [i for i in range(6) if i not in bad]
    found = vectors_of(packed)
    assert np.allclose(found[good], expected[good], rtol=2**-11, atol=1e-4)
    assert np.isnan(found[[2, 4, 6, 7]]).all()
    messages = {e["index"]: e["message"] for e in packed.json()["errors"]}
    assert messages.keys() == bad | {6, 7}
    assert "memory does not suffice" in messages[2]
    assert "beyond the range of fp16" in messages[4]
    assert "empty" in messages[6]
    assert "3000 characters" in messages[7]
    assert listed.json()["embeddings"][2] is None
    assert max(listed.json()["embeddings"][4]) == 1e6  # JSON has the range
    assert (single.status_code, error(single)) == (400, "an empty text has no embedding")
    assert "errors" not in other.json()


async def test_a_pair_with_a_bad_text_has_no_energy_and_the_others_have(model, head):
    async with serving(model, head) as client:
        answer = (await client.post("/energy", json={"pairs": [["a", "b"], ["", "b"], ["a", ""], ["c", "b"]]})).json()
    assert [energy is None for energy in answer["energies"]] == [False, True, True, False]
    assert [e["index"] for e in answer["errors"]] == [1, 2]


async def test_a_broken_model_is_an_error_of_the_server(model):
    model.broken = True
    async with serving(model) as client:
        answers = await asyncio.gather(*(client.post("/encode", json={"text": t}) for t in ("a", "b")))
        assert [a.status_code for a in answers] == [500, 500]
        assert "device-side assert" in error(answers[0])
        model.broken = False
        assert (await client.post("/encode", json={"text": "a"})).status_code == 200


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "cannot be read"),
        (b'{"text": "\xff"}', "cannot be read"),
        (b'{"text": 7}', "text"),
        (b'{"text": ["a", null]}', "$.text[1]"),
        (b'{"texts": ["a"]}', "unknown field `texts`"),
        (b'{"text": "a", "format": "fp32"}', "Invalid enum value 'fp32'"),
        (b"{}", "missing required field `text`"),
        (b'{"text": "\\ud800"}', "cannot be read"),
        (json.dumps({"text": ["a"] * 33}).encode(), "33 texts in one request; at most 32"),
    ],
)
async def test_a_request_that_makes_no_sense_is_a_400_that_says_why(model, body, message):
    async with serving(model, texts=32) as client:
        answer = await client.post("/encode", content=body)
        assert answer.status_code == 400
        assert message in error(answer)
        assert (await client.post("/encode", json={"text": "a"})).status_code == 200


async def test_requests_beyond_the_limits_of_bytes_and_queue_are_turned_away(model):
    model.may_go.clear()
    async with serving(model, queue_texts=10, max_request_bytes=5000) as client:
        assert (await client.post("/encode", json={"text": "x" * 6000})).status_code == 413
        asking = asyncio.create_task(client.post("/encode", json={"text": texts(8)}))
        await until(lambda: model.batches)
        busy = await client.post("/encode", json={"text": texts(3)})
        small = asyncio.create_task(client.post("/encode", json={"text": "there is room for one"}))
        await asyncio.sleep(0.05)
        model.may_go.set()
        assert (busy.status_code, busy.headers["retry-after"]) == (503, "1")
        assert "8 texts wait already" in error(busy)
        assert [(await a).status_code for a in (asking, small)] == [200, 200]


async def test_with_a_token_only_health_is_open(model):
    async with serving(model, token="secret") as client:
        assert (await client.get("/health")).status_code == 200
        for answer in (
            await client.post("/encode", json={"text": "a"}),
            await client.get("/model_info"),
            await client.post("/encode", json={"text": "a"}, headers={"Authorization": "Bearer wrong"}),
        ):
            assert answer.status_code == 401
        good = await client.post("/encode", json={"text": "a"}, headers={"Authorization": "Bearer secret"})
        assert good.status_code == 200


async def test_what_the_cache_knows_is_not_computed_again_even_after_a_restart(model, tmp_path):
    asked = texts(5)
    async with serving(model, cache=EmbeddingCache(file=tmp_path / "cache")) as client:
        first = (await client.post("/encode", json={"text": asked})).json()
    assert sum(len(b) for b in model.batches) == 5
    async with serving(model, cache=EmbeddingCache(file=tmp_path / "cache")) as client:
        again = (await client.post("/encode", json={"text": asked})).json()
        info = (await client.get("/model_info")).json()
    assert again == first
    assert info["cache"] == {"hits": 5, "misses": 0}
    assert sum(len(b) for b in model.batches) == 5


async def test_shutting_down_finishes_what_was_begun_and_takes_nothing_new(model):
    model.may_go.clear()
    encoder = Encoder(model, FORM)
    app = create_encode_app(encoder)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://t") as client:
        async with app.router.lifespan_context(app):
            asking = asyncio.create_task(client.post("/encode", json={"text": ["a b", "b a"]}))
            await until(lambda: model.batches)
            threading.Timer(0.1, model.may_go.set).start()
        assert (await asking).status_code == 200
        late = await client.post("/encode", json={"text": "a"})
        assert (late.status_code, error(late)) == (503, "the server is shutting down")
        assert (await client.get("/health")).status_code == 503


LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=40)


@given(LENGTHS, st.integers(1, 400), st.sampled_from([0, 64, 10**9]))
def test_a_batch_is_the_oldest_and_those_closest_to_it(lengths, max_tokens, cost_tokens):
    chosen = closest(lengths, max_tokens, cost_tokens=cost_tokens)
    assert 0 in chosen
    assert len(set(chosen)) == len(chosen)
    got = [lengths[i] for i in chosen]
    assert got == sorted(got)
    assert max(got) * len(got) <= max_tokens or got == [lengths[0]]
    left = sorted(lengths[i] for i in range(len(lengths)) if i not in set(chosen))
    assert not [n for n in left if min(got) < n < max(got)]  # nothing between them was passed over
    assert sum(got) / (max(got) * len(got) + cost_tokens) >= lengths[0] / (lengths[0] + cost_tokens) - 1e-9
    if cost_tokens > 10**6 and [n for n in left if n <= min(got)]:
        assert max(got) * (len(got) + 1) > max_tokens  # where only size counts, the batch is full


def test_a_batch_is_not_filled_with_padding():
    lengths = [100, 98, 12, 300, 100, 11, 97, 290]
    assert sorted(closest(lengths, 4096, cost_tokens=64)) == [0, 1, 4, 6]
    assert sorted(closest(lengths, 4096, cost_tokens=10**9)) == [0, 1, 2, 3, 4, 5, 6, 7]
    assert len(closest(lengths, 300, cost_tokens=64)) == 3


async def test_a_run_that_gives_the_wrong_number_of_results_is_an_error_of_all():
    batcher = Batcher[int](lambda rows: [1], max_batch_tokens=lambda: 100, linger_s=0.01)
    found = await asyncio.gather(*batcher.submit([[1], [2]]), return_exceptions=True)
    assert all(isinstance(one, AssertionError) for one in found)
    assert await asyncio.gather(*batcher.submit([[3]])) == [1]
    batcher.close()
    batcher.close()
    with pytest.raises(ServerUnavailable):
        batcher.submit([[4]])


async def test_rows_that_wait_when_it_closes_are_given_up_and_the_running_batch_is_not():
    may_go = threading.Event()

    def run(rows: list[Sequence[int]]) -> list[int]:
        assert may_go.wait(20)
        return [len(row) for row in rows]

    batcher = Batcher[int](run, max_batch_tokens=lambda: 1, linger_s=0)
    running, waiting = *batcher.submit([[1]]), *batcher.submit([[1, 2]])
    await asyncio.sleep(0.05)
    closing = asyncio.create_task(asyncio.to_thread(batcher.close))
    with pytest.raises(ServerUnavailable, match="shutting down"):
        await waiting
    may_go.set()
    await closing
    assert await running == 1


@pytest.fixture
def process(
    folder: Path, tiny: LanguageModel, head: EnergyHead, tmp_path: Path
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """`burnqed serve encode` in a process of its own, and its address."""
    save_head(tmp_path / "head", head_module(tiny), tiny.card(FORM), calibration=head.calibration)
    command = [sys.executable, "-m", "burnqed", "serve", "encode", str(folder), "--head", str(tmp_path / "head")]
    command += ["--port", "0", "--device", "cpu", "--linger-ms", "400", "--cache", str(tmp_path / "vectors.sqlite")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as started:
        try:
            assert started.stderr is not None
            told = [started.stderr.readline(), started.stderr.readline()]
            found = re.search(r"at (http://127\.0\.0\.1:\d+); stop with Ctrl-C", told[1])
            assert found, told
            yield found[1], started
        finally:
            started.kill()


async def test_the_command_serves_over_a_socket_and_ends_when_it_has_answered(process, tiny, head):
    url, started = process
    asked = texts(3)
    encoder = Encoder(tiny, FORM)
    z = encoder.encode(asked)
    async with httpx2.AsyncClient(base_url=url, trust_env=False, timeout=30) as client:
        info = (await client.get("/model_info")).json()
        assert info["digest"] == encoder.card.digest
        assert info["head"]["calibration"]["slope"] == 1.5
        energies = (await client.post("/energy", json={"pairs": [[t, asked[0]] for t in asked]})).json()["energies"]
        assert energies == pytest.approx(head.energies(z, z[:1].expand_as(z)).tolist(), abs=1e-4)
        lingering = asyncio.create_task(client.post("/encode", json={"text": "under way"}))
        await asyncio.sleep(0.1)
        started.send_signal(signal.SIGTERM)
        assert (await lingering).status_code == 200
    assert await asyncio.to_thread(started.wait, 20) in (0, -signal.SIGTERM)
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{url}/health", trust_env=False)


async def until(happened: Any) -> None:
    for _ in range(1000):
        if happened():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never happened")
