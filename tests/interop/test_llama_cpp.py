"""A server that others wrote: llama.cpp with a random model, against which ``/v1/completions`` is checked end to end.

It lives in an environment of its own (``make llama-server`` builds it; BURNQED_LLAMA_PYTHON names another). Where it is not
there, these tests are skipped.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import torch
from tests.interop.tiny_gguf import write_gguf

from burnqed.core.errors import ModelMismatch
from burnqed.core.tally import Tally
from burnqed.models.language_model import LanguageModel
from burnqed.policy.completions import UNCHECKED, CompletionsClient
from burnqed.policy.config import PolicyConfig, SamplingConfig
from burnqed.policy.remote import RESCORED, RemotePolicy
from burnqed.prompts.formats import prompt_format
from burnqed.remote.config import EndpointConfig
from burnqed.remote.endpoint import Endpoint
from burnqed.testing.fakes import state_of
from burnqed.testing.tiny_model import make_tiny_model

PROMPT = "[GOAL]n : ℕ\n⊢ n + 0 = n[PROOFSTEP]"
HERE = Path(__file__).parent.parent.parent / ".cache" / "llama" / "bin" / "python"


@pytest.fixture(scope="module")
def python() -> str:
    found = os.environ.get("BURNQED_LLAMA_PYTHON") or (str(HERE) if HERE.exists() else "")
    if not found:
        pytest.skip("no llama.cpp server is here; `make llama-server` builds one")
    tried = subprocess.run([found, "-c", "import llama_cpp.server.app"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"llama.cpp's server does not start: {(tried.stderr.strip().splitlines() or ['?'])[-1]}")
    return found


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    return LanguageModel.load(make_tiny_model(tmp_path_factory.mktemp("llama") / "tiny"))


@pytest.fixture(scope="module")
def url(python: str, model: LanguageModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("gguf")
    model.model.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)
    gguf = write_gguf(folder, folder / "tiny.gguf")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = ["--model", str(gguf), "--logits_all", "true", "--n_ctx", "256", "--port", str(port)]
    # Keys and values in float32 (type 0), as transformers keeps them here.
    options += ["--type_k", "0", "--type_v", "0", "--n_threads", "1", "--n_threads_batch", "1", "--verbose", "false"]
    log = folder / "log"
    with (
        log.open("wb") as out,
        subprocess.Popen([python, "-m", "llama_cpp.server", *options], stdout=out, stderr=out) as server,
    ):
        try:
            _wait(f"http://127.0.0.1:{port}/v1/models", server, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def _wait(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        assert server.poll() is None, log.read_text(errors="replace")[-2000:]
        try:
            httpx2.get(url, timeout=5)
        except httpx2.TransportError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("llama.cpp's server did not start within a minute")


class Recording(httpx2.AsyncHTTPTransport):
    """The real transport, and what came over it."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[Any] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await super().handle_async_request(request)
        content = await response.aread()
        if request.url.path == "/v1/completions":
            self.answers.append(httpx2.Response(200, content=content).json())
        return httpx2.Response(response.status_code, headers={"content-type": "application/json"}, content=content)


@contextlib.asynccontextmanager
async def client(
    url: str, transport: Recording | None = None, *, tokenizer: Any = None, **settings: Any
) -> AsyncIterator[CompletionsClient]:
    wire = transport or Recording()
    async with Endpoint(url, EndpointConfig(), rng=random.Random(1), tally=Tally(), transport=wire) as endpoint:
        config = PolicyConfig(context_tokens=256, **settings)
        yield CompletionsClient(endpoint, config, seed=1, tally=Tally(), tokenizer=tokenizer)


def plain_logprobs(model: LanguageModel, ids: list[int]) -> list[float]:
    before = model.token_ids(PROMPT)
    with torch.inference_mode():
        logs = model.model(torch.tensor([before + ids])).logits[0].double().log_softmax(-1)
    return [float(logs[len(before) - 1 + k, i]) for k, i in enumerate(ids)]


async def test_greedy_text_and_logprobs_are_those_of_transformers(url, model):
    (drawn,) = model.sample([model.token_ids(PROMPT)], n=1, temperature=0.0, top_p=1.0, max_new_tokens=8, seeds=[1])[0]
    wire = Recording()
    sampling = SamplingConfig(samples=4, temperature=0.0, max_new_tokens=8, keep_unended=True)
    async with client(url, wire, tokenizer=model) as llama:
        await llama.ready()
        ((sample,),) = await llama.draw([PROMPT], sampling, stop=[])
    assert not drawn.ended
    assert sample.text.startswith(drawn.text.replace("\ufffd", "")), "parts of characters are left out there"
    values = wire.answers[-1]["choices"][0]["logprobs"]["token_logprobs"]
    assert len(values) >= 8, "there may be more, to complete a character"
    assert values[:8] == pytest.approx(drawn.logprobs, abs=1e-4)
    assert sample.logprob_nats == pytest.approx(sum(values))
    assert sample.num_tokens == len(values)


async def test_sampled_logprobs_are_the_models_own_whatever_the_temperature(url, model):
    # Parts of characters are left out of a token's text there, so that several tokens may have one text.
    texts = [model.text([i]).replace("\ufffd", "") for i in range(len(model.tokenizer))]
    ids = {text: i for i, text in enumerate(texts) if texts.count(text) == 1}
    wire = Recording()
    sampling = SamplingConfig(samples=64, temperature=0.6, top_p=0.9, max_new_tokens=3, keep_unended=True)
    async with client(url, wire) as llama:
        await llama.ready()
        assert not llama.tally.counts[UNCHECKED], "its scale was found out"
        wire.answers.clear()
        (samples,) = await llama.draw([PROMPT], sampling, stop=[])
    assert len(samples) == len(wire.answers) == 64, "it answers one choice, and the rest is asked for"
    assert len({s.text for s in samples}) > 40, "each with a seed of its own"
    assert llama.tally.counts[RESCORED] == 0
    compared = 0
    choices = [answer["choices"][0] for answer in wire.answers]
    tokens_of = {(c["text"], sum(c["logprobs"]["token_logprobs"])): c["logprobs"]["tokens"] for c in choices}
    for sample in samples:
        tokens = tokens_of[sample.text, sample.logprob_nats]
        if all(token in ids for token in tokens):
            own = plain_logprobs(model, [ids[token] for token in tokens])
            assert sample.logprob_nats == pytest.approx(sum(own), abs=1e-4)
            compared += 1
    assert compared >= 4


async def test_as_a_policy(url, model):
    sampling = SamplingConfig(samples=8, temperature=0.8, max_new_tokens=6, keep_unended=True)
    async with client(url, tokenizer=model) as llama:
        proposed = await RemotePolicy(llama, prompt_format("markers"), sampling).propose(
            [state_of("n = n"), state_of("a", "b")], 3
        )
    for found in proposed:
        assert 1 <= len(found) <= 3
        assert [c.logprob_nats for c in found] == sorted((c.logprob_nats for c in found), reverse=True)


async def test_another_tokenizer_is_noticed(url, tmp_path):
    other = LanguageModel.load(make_tiny_model(tmp_path / "other", bos=True))
    async with client(url, tokenizer=other) as llama:
        with pytest.raises(ModelMismatch, match="is another one"):
            await llama.ready()
