"""Client and server against the types that SGLang publishes for its HTTP interface (``make contract`` fetches them)."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx2
import pytest
from tests.unit.policy_lab import PROMPTS, Wire, sglang, tiny_app, tiny_model

from burnqed.policy.config import SamplingConfig

FILE = Path(__file__).parent.parent.parent / ".cache" / "contract" / "api_types.py"
SAMPLING = SamplingConfig(samples=3, temperature=0.7, top_p=0.9, max_new_tokens=5)


@pytest.fixture(scope="module")
def types() -> ModuleType:
    if not FILE.exists():
        pytest.skip("SGLang's types are not here; `make contract` fetches them")
    spec = importlib.util.spec_from_file_location("sglang_api_types", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # msgspec looks its annotations up there
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("settings", [{}, {"deterministic_server": True}, {"logprobs": "raw", "tokenizer_here": True}])
async def test_what_the_client_sends_and_what_the_server_answers(types, settings):
    tokenizer = tiny_model() if settings.pop("tokenizer_here", False) else None
    wire = Wire(tiny_app(scaled_logprobs=True))
    client = sglang(wire, tokenizer=tokenizer, **settings)
    await client.ready()
    await client.draw(PROMPTS, SAMPLING, stop=["\n\n", "```"])
    bodies = wire.bodies("/generate")
    assert len(bodies) >= 2
    for body in bodies:
        request = types.GenerateRequest.from_json_value(body)
        known = set(types.GenerateRequest.__struct_fields__)
        assert body.keys() <= known, "an unknown key would be ignored without a word"
        assert (request.text is None) != (request.input_ids is None)
    last = types.GenerateRequest.from_json_value(wire.bodies("/generate")[1])
    assert last.return_logprob is True
    for answer in wire.answers("/generate"):
        for item in answer:
            response = types.GenerateResponse.from_json_value(item)
            info = response.meta_info
            assert info.prompt_tokens > 0
            assert info.finish_reason is not None
            assert info.completion_tokens == len(response.output_ids)
            assert info.output_token_logprobs_length == len(info.output_token_logprobs)
            assert [entry.token_id for entry in info.output_token_logprobs] == list(response.output_ids)


def body(**changes: Any) -> dict[str, Any]:
    return {"text": "a", "sampling_params": {"max_new_tokens": 2}, **changes}


@pytest.mark.parametrize(
    "wrong",
    [
        body(sampling_params={"max_tokens": 2}),
        body(sampling_params={"max_new_tokens": "2"}),
        body(sampling_params={"stop": 3}),
        body(sampling_params={"temperature": "hot"}),
        body(sampling_params={"n": 1.5}),
        body(sampling_params={"stop_token_ids": ["a"]}),
        body(text=7),
        body(text=[7]),
        body(text=None, input_ids=["a"]),
        body(return_logprob="yes"),
        body(logprob_start_len=0.5),
        body(stream="no"),
    ],
)
async def test_what_the_contract_refuses_the_server_refuses(types, wrong):
    with pytest.raises(types.JsonContractError):
        types.GenerateRequest.from_json_value(wrong)
    transport = httpx2.ASGITransport(tiny_app())
    async with httpx2.AsyncClient(transport=transport, base_url="http://server") as client:
        answer = await client.post("/generate", json=wrong)
        assert answer.status_code == 400
        types.ErrorBody.from_json_value(answer.json()["error"])


async def test_the_other_answers(types):
    transport = httpx2.ASGITransport(tiny_app())
    async with httpx2.AsyncClient(transport=transport, base_url="http://server") as client:
        info = types.GetModelInfoResponse.from_json_value((await client.get("/model_info")).json())
        assert info.is_generation
        assert info.model_path == "tiny"
        (card,) = (await client.get("/v1/models")).json()["data"]
        assert types.ModelCard.from_json_value(card).max_model_len == 512


async def test_every_parameter_of_the_contract_is_known_to_the_server(types):
    names = types.SamplingParams.__struct_fields__
    transport = httpx2.ASGITransport(tiny_app())
    async with httpx2.AsyncClient(transport=transport, base_url="http://server") as client:
        nulls = {name: None for name in names if name not in ("logit_bias", "choice")}
        answer = await client.post(
            "/generate", json=body(sampling_params={**nulls, "max_new_tokens": 1, "logit_bias": {}, "choice": []})
        )
        assert answer.status_code == 200, answer.text
        for name in set(names) - {"max_new_tokens", "n"}:
            unknown = await client.post("/generate", json=body(sampling_params={"max_new_tokens": 1, name: None}))
            assert "unknown field" not in unknown.text
