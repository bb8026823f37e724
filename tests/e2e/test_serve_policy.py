"""`burnqed serve policy` as a process, and a policy that talks to it over a real connection."""

from __future__ import annotations

import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from burnqed.core.errors import ModelError
from burnqed.core.tally import Tally
from burnqed.policy.config import PolicyConfig, SamplingConfig
from burnqed.policy.remote import RemotePolicy
from burnqed.policy.sglang import SGLangClient
from burnqed.prompts.formats import prompt_format
from burnqed.remote.config import EndpointConfig
from burnqed.remote.endpoint import Endpoint
from burnqed.testing.fakes import state_of
from burnqed.testing.tiny_model import make_tiny_model

COMMAND = [sys.executable, "-m", "burnqed", "serve", "policy"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("serve") / "tiny")


@pytest.fixture
def server(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [*COMMAND, str(folder), "--port", "0", "--token", "secret", "--scaled-logprobs"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        lines = [process.stderr.readline(), process.stderr.readline()]
        assert "loading" in lines[0]
        assert "tiny at http://127.0.0.1:" in lines[1], lines[1] + process.stderr.read()
        yield process, lines[1].split(" at ")[1].split(",")[0]
        process.kill()


async def test_served_asked_and_stopped(server):
    process, url = server
    sampling = SamplingConfig(samples=4, temperature=0.7, max_new_tokens=8, keep_unended=True)
    config = EndpointConfig(token="secret")
    async with Endpoint(url, config, rng=random.Random(1), tally=Tally()) as endpoint:
        client = SGLangClient(endpoint, PolicyConfig(), seed=1, tally=Tally())
        found = await RemotePolicy(client, prompt_format("markers"), sampling).propose(
            [state_of("n = n"), state_of("a ∧ b", "c")], 3
        )
        assert [len(candidates) for candidates in found] == [3, 3]
    async with Endpoint(url, rng=random.Random(1), tally=Tally()) as endpoint:
        with pytest.raises(ModelError, match="refuses the token"):
            await SGLangClient(endpoint, PolicyConfig(), seed=1, tally=Tally()).ready()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (130, "")


def refused(*arguments: str) -> str:
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 2
    assert done.stdout == ""
    return done.stderr


def test_what_cannot_be_served_is_one_sentence(folder, tmp_path):
    assert "give a token" in refused(str(folder), "--host", "0.0.0.0")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "choose another --host or --port" in refused(str(folder), "--port", str(taken.getsockname()[1]))
    told = refused(str(tmp_path / "nothing"), "--port", "0").splitlines()
    assert "no model folder" in told[-1]
    assert len(told) == 2
