"""The value over an encode server: a real one over a tiny model, and servers that are down, slow, wrong or talk nonsense."""

from __future__ import annotations

import asyncio
import base64
import json
import math
import random
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
import torch

from burnqed.core.calibration import Calibration
from burnqed.core.encoder_card import EncoderCard
from burnqed.core.errors import ModelError, ModelMismatch, ServerUnavailable
from burnqed.core.state import Goal, ProofState, Variable
from burnqed.core.tally import Tally
from burnqed.joint.ebm_head import GoalConditionedEnergyHead, HeadConfig
from burnqed.joint.energy_head import EnergyHead
from burnqed.models.encoder import Encoder
from burnqed.models.language_model import LanguageModel
from burnqed.prompts.fit import CUT
from burnqed.prompts.formats import prompt_format
from burnqed.remote.config import EndpointConfig
from burnqed.remote.endpoint import Endpoint
from burnqed.serve.encode_app import create_encode_app
from burnqed.serve.encode_service import EncodeLimits
from burnqed.testing.fakes import state_of
from burnqed.testing.tiny_model import make_tiny_model
from burnqed.value.encode_client import NOT_EMBEDDED, UNUSABLE
from burnqed.value.remote import NO_NUMBER, RemoteValue

FORM = prompt_format("markers")
ROOT = state_of("a + b = b + a")
STATES = [state_of(f"x{i} ≤ y{i}", *(["c"] * (i % 3))) for i in range(7)]
PAIRS = [(state, ROOT) for state in STATES]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    folder: Path = make_tiny_model(tmp_path_factory.mktemp("tiny") / "model")
    return LanguageModel.load(folder, device="cpu")


@pytest.fixture
def head(tiny: LanguageModel) -> EnergyHead:
    torch.manual_seed(0)
    module = GoalConditionedEnergyHead(HeadConfig(dim=tiny.dim, hidden=(16, 8)))
    return EnergyHead(module, tiny.card(FORM), calibration=Calibration(0.25, 1.5))


async def no_wait(seconds: float) -> None:
    pass


def endpoint(transport: httpx2.AsyncBaseTransport, **settings: object) -> Endpoint:
    config = EndpointConfig.model_validate({"retries": 1, **settings})
    return Endpoint("http://t", config, rng=random.Random(0), tally=Tally(), transport=transport, sleep=no_wait)


class Traffic(httpx2.AsyncBaseTransport):
    """A real server's transport; bodies of requests are noted, and answers may be changed on their way."""

    def __init__(self, app: Any) -> None:
        self.inner = httpx2.ASGITransport(app)
        self.bodies: list[tuple[str, dict[str, Any]]] = []
        self.change: dict[str, Callable[[Any], Any]] = {}
        self.times = 10**9

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        body = await request.aread()
        path = request.url.path
        self.bodies.append((path, json.loads(body) if body else {}))
        response = await self.inner.handle_async_request(request)
        if path not in self.change or self.times <= 0:
            return response
        self.times -= 1
        answer = json.loads(await response.aread())
        changed = self.change[path](answer)
        if isinstance(changed, bytes | httpx2.Response):
            return changed if isinstance(changed, httpx2.Response) else httpx2.Response(200, content=changed)
        return httpx2.Response(response.status_code, content=json.dumps(changed))

    def asked(self, path: str) -> list[dict[str, Any]]:
        return [body for to, body in self.bodies if to == path]


def served(
    tiny: LanguageModel, head: EnergyHead | None = None, *, max_tokens: int | None = None, **limits: int
) -> Traffic:
    encoder = Encoder(tiny, FORM, max_tokens=max_tokens)
    return Traffic(create_encode_app(encoder, head, limits=EncodeLimits.model_validate(limits)))


def expected(tiny: LanguageModel, head: EnergyHead, *, max_tokens: int | None = None) -> list[float]:
    encoder = Encoder(tiny, FORM, max_tokens=max_tokens)
    return head.energies(encoder.encode_states(STATES), encoder.encode_states([ROOT] * len(STATES))).tolist()


async def test_energies_of_the_servers_head_are_those_in_process(tiny, head):
    traffic = served(tiny, head)
    value = RemoteValue(endpoint(traffic), FORM, expected=tiny.card(FORM))
    assert await value.energies(PAIRS) == pytest.approx(expected(tiny, head), abs=1e-4)
    assert await value.calibration() == Calibration(0.25, 1.5)
    assert await value.energies([]) == []
    assert not value.tally.counts


async def test_a_head_here_scores_what_the_server_embeds(tiny, head):
    traffic = served(tiny)
    value = RemoteValue(endpoint(traffic), FORM, head=head)
    assert await value.energies(PAIRS) == pytest.approx(expected(tiny, head), abs=2e-3)
    assert await value.calibration() is None
    assert [body["format"] for body in traffic.asked("/encode")] == ["base64"]
    assert not traffic.asked("/energy")


async def test_what_was_asked_is_not_asked_again_and_the_goal_once(tiny, head):
    for local in (None, head):
        traffic = served(tiny, None if local else head)
        value = RemoteValue(endpoint(traffic), FORM, head=local)
        first = await value.energies([*PAIRS, PAIRS[0]])
        assert first[0] == first[-1]
        assert await value.energies(PAIRS[::-1]) == first[6::-1]
        await value.energies([(state_of("new"), ROOT)])
        texts = [text for body in traffic.asked("/encode") for text in body["text"]]
        pairs = [tuple(pair) for body in traffic.asked("/energy") for pair in body["pairs"]]
        assert len(texts) == len(set(texts)) == (9 if local else 0)
        assert len(pairs) == len(set(pairs)) == (0 if local else 8)
        assert len(traffic.asked("/model_info")) == 1


async def test_more_than_the_server_takes_goes_in_parts(tiny, head):
    traffic = served(tiny, head, texts=4)
    value = RemoteValue(endpoint(traffic), FORM)
    assert await value.energies(PAIRS) == pytest.approx(expected(tiny, head), abs=1e-4)
    assert [len(body["pairs"]) for body in traffic.asked("/energy")] == [2, 2, 2, 1]


async def test_no_request_is_larger_than_the_server_takes(tiny, head):
    states = [state_of(f"{i} = {'x' * 300}") for i in range(20)]
    for local in (None, head):
        app = create_encode_app(Encoder(tiny, FORM), None if local else head, max_request_bytes=4000)
        traffic = Traffic(app)
        value = RemoteValue(endpoint(traffic), FORM, head=local)
        assert len(await value.energies([(state, ROOT) for state in states])) == 20
        assert max(len(json.dumps(body)) for _, body in traffic.bodies) < 4000
        assert len(traffic.asked("/energy") + traffic.asked("/encode")) < 8


async def test_a_long_state_is_cut_as_in_process(tiny, head):
    hypotheses = tuple(Variable(f"h{i}", f"x{i} ≤ y{i} + {i}") for i in range(60))
    long = ProofState((Goal(hypotheses, "x ≤ y"), Goal((), "c = d")))
    here = Encoder(tiny, FORM, max_tokens=64)
    traffic = served(tiny, head, max_tokens=64, characters=300)
    value = RemoteValue(endpoint(traffic), FORM)
    await value.energies([(long, ROOT)])
    await value.energies([(ROOT, long)])
    assert [body["pairs"][0] for body in traffic.asked("/energy")] == [
        [here.text(long), here.text(ROOT)],
        [here.text(ROOT), here.text(long)],
    ]
    assert value.tally.counts == {CUT: 1}
    assert 0 < len(traffic.asked("/count")) < 20


@pytest.mark.parametrize("field", ["model", "tokenizer", "dtype", "quantization"])
async def test_a_head_of_another_encoder_is_refused_at_first_use(tiny, head, field):
    other = EnergyHead.__new__(EnergyHead)
    other.__dict__.update(head.__dict__ | {"card": replace(head.card, **{field: "other"})})
    traffic = served(tiny)
    value = RemoteValue(endpoint(traffic), FORM, head=other)
    with pytest.raises(ModelMismatch, match=f"the energy head was made for another encoder: {field} is "):
        await value.energies(PAIRS)
    assert not traffic.asked("/encode")
    accepting = RemoteValue(endpoint(served(tiny)), FORM, head=other, accepted=(field,))
    assert len(await accepting.energies(PAIRS)) == 7


async def test_a_server_that_is_not_the_expected_one_is_refused(tiny, head):
    value = RemoteValue(endpoint(served(tiny, head)), FORM, expected=replace(tiny.card(FORM), model="another"))
    with pytest.raises(ModelMismatch, match="this run was made for another encoder: model is"):
        await value.energies(PAIRS)
    value = RemoteValue(endpoint(served(tiny, head)), prompt_format("marker-text"))
    with pytest.raises(ModelMismatch, match="is for prompts of the format markers, not marker-text"):
        await value.energies(PAIRS)
    value = RemoteValue(endpoint(served(tiny)), FORM)
    with pytest.raises(ModelMismatch, match="has no energy head; start it with --head"):
        await value.energies(PAIRS)


async def test_a_server_that_is_replaced_under_way_is_noticed(tiny, head):
    traffic = served(tiny, head)
    value = RemoteValue(endpoint(traffic), FORM)
    await value.energies(PAIRS[:1])
    traffic.inner = served(tiny, head, max_tokens=100).inner
    with pytest.raises(ModelMismatch, match="max_tokens is 100, not 512"):
        await value.energies(PAIRS[1:])


@pytest.mark.parametrize("refusal", [httpx2.ConnectError("refused"), httpx2.ReadTimeout("slow")])
async def test_a_server_that_is_down_or_slow_is_unavailable(refusal):
    def answer(request: httpx2.Request) -> httpx2.Response:
        raise refusal

    value = RemoteValue(endpoint(httpx2.MockTransport(answer)), FORM)
    with pytest.raises(ServerUnavailable, match="http://t/model_info"):
        await value.energies(PAIRS)


async def test_a_server_that_does_not_answer_is_given_up(tiny, head):
    traffic = served(tiny, head)
    value = RemoteValue(endpoint(traffic, timeout_s=0.3, retries=0), FORM)
    await value.check()

    async def never(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(30)

    traffic.inner = httpx2.ASGITransport(never)
    with pytest.raises(ServerUnavailable, match=r"did not answer within 0\.3 s"):
        await value.energies(PAIRS)


@pytest.mark.parametrize("info", [{}, [], None, {"encoder": 7}, {"model_path": "a policy server"}])
async def test_a_server_of_another_kind_is_named(info):
    value = RemoteValue(endpoint(httpx2.MockTransport(lambda request: httpx2.Response(200, json=info))), FORM)
    with pytest.raises(ServerUnavailable, match="does not describe an encode server"):
        await value.energies(PAIRS)


def info_without(tiny: LanguageModel, *missing: str) -> Callable[[httpx2.Request], httpx2.Response]:
    info = {
        "encoder": asdict(tiny.card(FORM)),
        "head": None,
        "limits": {"texts": 8, "characters": 9, "request_bytes": 99},
    }
    for name in missing:
        (info if name in info else info["encoder"]).pop(name)  # type: ignore[union-attr]
    return lambda request: httpx2.Response(200, json=info)


async def test_a_description_that_lacks_something_is_named(tiny, head):
    value = RemoteValue(endpoint(httpx2.MockTransport(info_without(tiny, "pooling"))), FORM, head=head)
    with pytest.raises(ModelMismatch, match="http://t/model_info: the encoder card lacks pooling"):
        await value.check()
    value = RemoteValue(endpoint(httpx2.MockTransport(info_without(tiny, "limits"))), FORM, head=head)
    with pytest.raises(ServerUnavailable, match="cannot be read"):
        await value.check()


NONSENSE: list[tuple[str, Any]] = [
    ("half", lambda answer: {"energies": answer["energies"][:3]}),
    ("more", lambda answer: {"energies": answer["energies"] * 2}),
    ("none", lambda answer: {}),
    ("another shape", lambda answer: [1, 2]),
    ("text", lambda answer: {"energies": ["low"] * 7}),
    ("not a list", lambda answer: {"energies": 7}),
]


@pytest.mark.parametrize("change", [c for _, c in NONSENSE], ids=[name for name, _ in NONSENSE])
async def test_an_answer_that_cannot_be_used_is_asked_for_once_more(tiny, head, change):
    traffic = served(tiny, head)
    traffic.change, traffic.times = {"/energy": change}, 1
    value = RemoteValue(endpoint(traffic), FORM)
    assert await value.energies(PAIRS) == pytest.approx(expected(tiny, head), abs=1e-4)
    assert value.tally.counts == {UNUSABLE: 1}
    traffic.times = 2
    with pytest.raises(ServerUnavailable, match="answered twice what cannot be used"):
        await value.energies([(state, STATES[0]) for state in STATES])


async def test_an_answer_that_breaks_off_is_asked_for_again(tiny, head):
    traffic = served(tiny, head)
    traffic.change, traffic.times = {"/energy": lambda answer: json.dumps(answer)[:20].encode()}, 1
    value = RemoteValue(endpoint(traffic), FORM)
    assert await value.energies(PAIRS) == pytest.approx(expected(tiny, head), abs=1e-4)


def other_shape(answer: Any) -> Any:
    return answer | {"shape": [answer["shape"][0], 2 * answer["shape"][1]]}


def other_dtype(answer: Any) -> Any:
    return answer | {"dtype": "float32"}


def shorter(answer: Any) -> Any:
    return answer | {"embeddings_b64": answer["embeddings_b64"][: len(answer["embeddings_b64"]) // 8 * 4]}


def no_base64(answer: Any) -> Any:
    return answer | {"embeddings_b64": "*" + answer["embeddings_b64"][1:]}


@pytest.mark.parametrize("change", [other_shape, other_dtype, shorter, no_base64])
async def test_vectors_that_cannot_be_used_are_asked_for_once_more(tiny, head, change):
    traffic = served(tiny)
    traffic.change, traffic.times = {"/encode": change}, 1
    value = RemoteValue(endpoint(traffic), FORM, head=head)
    assert await value.energies(PAIRS) == pytest.approx(expected(tiny, head), abs=2e-3)
    assert value.tally.counts == {UNUSABLE: 1}


@pytest.mark.parametrize("bad", [None, math.nan, math.inf])
async def test_a_state_without_an_energy_gets_nan_is_counted_and_asked_about_again(tiny, head, bad):
    def spoil(answer: Any) -> Any:
        answer["energies"][2] = bad
        return answer

    traffic = served(tiny, head)
    traffic.change = {"/energy": spoil}
    value = RemoteValue(endpoint(traffic), FORM)
    found = await value.energies(PAIRS)
    good = expected(tiny, head)
    assert math.isnan(found[2])
    assert found[:2] + found[3:] == pytest.approx(good[:2] + good[3:], abs=1e-4)
    assert value.tally.counts == {NO_NUMBER: 1}
    traffic.change = {}
    assert (await value.energies(PAIRS))[2] == pytest.approx(good[2], abs=1e-4)


async def test_a_state_that_cannot_be_embedded_gets_nan_by_either_way(tiny, head):
    too_long = state_of("x" * 200)
    for local in (None, head):
        traffic = served(tiny, None if local else head, characters=150)
        value = RemoteValue(endpoint(traffic), FORM, head=local)
        found = await value.energies([(STATES[0], ROOT), (too_long, ROOT), (STATES[1], ROOT)])
        assert [math.isnan(energy) for energy in found] == [False, True, False]
        assert value.tally.counts == {NOT_EMBEDDED: 1, NO_NUMBER: 1}
        assert "characters" in value.tally.examples[NOT_EMBEDDED]


async def test_vectors_that_are_not_numbers_are_not_remembered(tiny, head):
    def spoil(answer: Any) -> Any:
        rows = np.frombuffer(base64.b64decode(answer["embeddings_b64"]), "<f2").copy().reshape(answer["shape"])
        rows[0] = np.nan
        return answer | {"embeddings_b64": base64.b64encode(rows.tobytes()).decode()}

    traffic = served(tiny)
    traffic.change, traffic.times = {"/encode": spoil}, 1
    value = RemoteValue(endpoint(traffic), FORM, head=head)
    assert math.isnan((await value.energies(PAIRS))[0])
    assert await value.energies(PAIRS) == pytest.approx(expected(tiny, head), abs=2e-3)


async def test_a_refused_token_ends_it_with_a_sentence(tiny, head):
    app = create_encode_app(Encoder(tiny, FORM), head, token="secret")
    value = RemoteValue(endpoint(httpx2.ASGITransport(app)), FORM)
    with pytest.raises(ModelError, match="refuses the token"):
        await value.energies(PAIRS)
    value = RemoteValue(endpoint(httpx2.ASGITransport(app), token="secret"), FORM)
    assert len(await value.energies(PAIRS)) == 7


def test_a_value_over_the_servers_head_needs_no_torch():
    import subprocess
    import sys

    code = "import sys, burnqed.value.remote; print(*sorted({'torch', 'numpy', 'fastapi'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


def test_a_card_is_read_back_as_it_was_told(tiny):
    card = tiny.card(FORM)
    assert EncoderCard.from_json(json.loads(json.dumps(asdict(card))), source="test") == card
