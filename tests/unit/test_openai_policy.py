"""``/v1/completions`` from the client's side, in the dialects of several servers."""

from __future__ import annotations

import math
from typing import Any

import httpx2
import pytest
from tests.unit.policy_lab import (
    PROMPTS,
    Wire,
    completions,
    other_tokenizer,
    plain_logprob,
    tiny_app,
    tiny_model,
)

from burnqed.core.errors import ModelError, ModelMismatch, ServerUnavailable
from burnqed.core.tactic import Sample
from burnqed.policy.answers import ABORTED, INCOMPLETE, NO_LOGPROBS, Completion
from burnqed.policy.choices import echoed_logprobs
from burnqed.policy.completions import UNCHECKED
from burnqed.policy.config import SamplingConfig
from burnqed.policy.remote import RESCORED, TOO_FEW, RemotePolicy
from burnqed.prompts.formats import prompt_format
from burnqed.testing.fakes import state_of

PATH = "/v1/completions"
SAMPLING = SamplingConfig(samples=5, temperature=0.7, top_p=0.9, max_new_tokens=10, keep_unended=True)
MARKERS = prompt_format("markers")


@pytest.mark.parametrize("scaled", [False, True])
async def test_logprobs_are_those_of_a_plain_forward_pass(scaled):
    def hiding_ids(path: str, body: Any, answer: Any) -> Any:
        """The client sees the ids only when it asks for them."""
        for choice in answer["choices"] if path == PATH else ():
            choice["ids"] = choice["token_ids"]
            if not body.get("return_token_ids"):
                del choice["token_ids"], choice["prompt_token_ids"]
        return answer

    wire = Wire(tiny_app(scaled_logprobs=scaled), hiding_ids, also={"return_token_ids": True})
    client = completions(wire)
    await client.ready()
    wire.calls.clear()
    drawn = await client.draw(PROMPTS, SAMPLING, stop=["zzz"])
    assert client.tally.counts[RESCORED] == (10 if scaled else 0)
    assert not client.tally.counts[UNCHECKED]
    answers = {body["prompt"]: answer for path, body, answer in wire.calls if body.get("n") == 5}
    for prompt, samples in zip(PROMPTS, drawn, strict=True):
        for sample, choice in zip(samples, answers[prompt]["choices"], strict=True):
            assert sample.text == choice["text"]
            assert sample.num_tokens == len(choice["ids"])
            assert sample.logprob_nats == pytest.approx(plain_logprob(prompt, choice["ids"]), abs=1e-4)
            if scaled:
                assert abs(sum(choice["logprobs"]["token_logprobs"]) - sample.logprob_nats) > 0.01


async def test_a_server_that_ignores_n_is_asked_one_by_one_with_seeds():
    def spoil(path: str, body: Any, answer: Any) -> Any:
        return {**answer, "choices": answer["choices"][:1]} if path == PATH else answer

    wire = Wire(tiny_app(), spoil)
    client = completions(wire, logprobs="raw")
    await client.ready()
    first = await client.draw(PROMPTS[:1], SAMPLING, stop=[])
    assert [body.get("n", 1) for body in wire.bodies(PATH)] == [5, 1, 1, 1, 1]
    assert len({body["seed"] for body in wire.bodies(PATH)[1:]}) == 4
    assert len({s.text for s in first[0]}) == 5
    wire.calls.clear()
    await client.draw(PROMPTS[1:], SAMPLING, stop=[])
    assert [body.get("n", 1) for body in wire.bodies(PATH)] == [1] * 5, "it is remembered"
    assert not client.tally.counts[TOO_FEW]


async def test_fewer_choices_than_asked():
    def spoil(path: str, body: Any, answer: Any) -> Any:
        return {**answer, "choices": answer["choices"][:3]} if path == PATH and body.get("n") == 5 else answer

    client = completions(Wire(tiny_app(), spoil), logprobs="raw")
    ((*samples,),) = await client.draw(PROMPTS[:1], SAMPLING, stop=[])
    assert len(samples) == 3
    assert client.tally.counts[TOO_FEW] == 2


async def test_samples_of_a_deterministic_server_follow_from_the_seed():
    async def draw(seed: int) -> list[str]:
        client = completions(Wire(tiny_app(seed=seed)), deterministic_server=True, logprobs="raw")
        return [s.text for s in (await client.draw(PROMPTS[:1], SAMPLING, stop=[]))[0]]

    assert await draw(1) == await draw(2), "the server's own seed does not matter"


def as_llama_cpp(path: str, body: Any, answer: Any) -> Any:
    """llama-cpp-python without a beginning-of-text token: echo is off by one, the most probable tokens are shown."""
    if path == PATH:
        for choice in answer["choices"]:
            choice["logprobs"]["token_logprobs"].append(-1.0)
            if body.get("echo"):
                values = choice["logprobs"]["token_logprobs"]
                choice["logprobs"]["token_logprobs"] = [None, *values[2:], -1.0]
            else:
                tops = [{"a": -1.0, "b": -2.0}, *({} for _ in choice["logprobs"]["tokens"][1:])]
                choice["logprobs"]["top_logprobs"] = tops
    return answer


async def test_where_echo_is_wrong_the_first_tokens_tell_the_scale():
    raw = completions(Wire(tiny_app(), as_llama_cpp))
    await raw.ready()
    (samples,) = await raw.draw(PROMPTS[:1], SAMPLING, stop=[])
    assert len(samples) == 5
    assert not raw.tally.counts[RESCORED]
    assert not raw.tally.counts[UNCHECKED]


def echo(tokens: list[str], values: list[float | None], added: int = 1) -> dict[str, Any]:
    logprobs = {"tokens": tokens, "token_logprobs": values}
    return {"choices": [{"text": "", "logprobs": logprobs}], "usage": {"completion_tokens": added}}


def test_an_echo_is_read_from_its_end_and_only_for_the_same_tokens():
    drawn = Completion("simp", (-9.0, -9.0), True, tokens=("si", "mp"))
    assert echoed_logprobs(echo(["a", "si", "mp", "!"], [None, -1.0, -2.0, -3.0]), drawn) == [-1.0, -2.0]
    for answer in (
        echo(["a", "simp", "!"], [None, -1.0, -3.0]),
        echo(["a", "s", "imp", "!"], [None, -1.0, -2.0, -3.0]),
        echo(["si", "mp"], [None, -1.0]),
        {"choices": []},
        {"choices": [{"logprobs": None}], "usage": {"completion_tokens": 1}},
        {**echo(["si", "mp", "!"], [-1.0, -2.0, -3.0]), "usage": None},
    ):
        assert all(math.isnan(value) for value in echoed_logprobs(answer, drawn))


async def test_a_scale_that_cannot_be_set_right_is_refused():
    def spoil(path: str, body: Any, answer: Any) -> Any:
        answer = as_llama_cpp(path, body, answer)
        if path == PATH and body["temperature"] == 2.0:
            for choice in answer["choices"]:
                choice["logprobs"]["top_logprobs"][0] = {"a": -1.9, "b": -2.4}
        return answer

    client = completions(Wire(tiny_app(scaled_logprobs=True), spoil))
    await client.ready()
    with pytest.raises(ModelMismatch, match="after temperature or top-p and cannot score a text again"):
        await client.draw(PROMPTS, SAMPLING, stop=[])
    (samples,) = await client.draw(PROMPTS[:1], SAMPLING.model_copy(update={"temperature": 1.0}), stop=[])
    assert len(samples) == 5


async def test_a_scale_that_cannot_be_found_out_is_counted():
    def spoil(path: str, body: Any, answer: Any) -> Any:
        if path == PATH and body.get("echo"):
            return httpx2.Response(400, json={"error": {"message": "echo is not supported"}})
        if path == PATH:
            for choice in answer["choices"]:
                choice["logprobs"] |= {"tokens": ["�"] * len(choice["logprobs"]["tokens"]), "top_logprobs": None}
            if body["temperature"] == body["top_p"] == 1.0 and body["max_tokens"] == 1:
                answer["choices"][0]["logprobs"]["tokens"] = ["a"]
        return answer

    client = completions(Wire(tiny_app(), spoil))
    await client.ready()
    assert client.tally.counts[UNCHECKED] == 1


def spoilt(change: Any) -> Any:
    def spoil(path: str, body: Any, answer: Any) -> Any:
        if path == PATH and body.get("n") == 5:
            answer["choices"][1] = change(answer["choices"][1]) or answer["choices"][1]
        return answer

    return spoil


def logprobs(**changes: Any) -> Any:
    return lambda choice: choice["logprobs"].update(changes)


NOT_A_NUMBER = "log-probability is not a number"


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda c: c.update(logprobs=None), NO_LOGPROBS),
        (lambda c: c.pop("logprobs") and None, NO_LOGPROBS),
        (logprobs(token_logprobs=[]), NO_LOGPROBS),
        (logprobs(tokens=[], token_logprobs=[]), NO_LOGPROBS),
        (logprobs(token_logprobs=[math.nan] * 20), NOT_A_NUMBER),
        (logprobs(token_logprobs=[None] * 20), NOT_A_NUMBER),
        (lambda c: c.update(logprobs={"content": [{"token": "a", "logprob": "b"}]}), NOT_A_NUMBER),
        (lambda c: c.update(finish_reason="content_filter"), ABORTED),
        (lambda c: c.update(finish_reason=None), INCOMPLETE),
        (lambda c: c.pop("text") and None, INCOMPLETE),
        (lambda c: "no object", INCOMPLETE),
        (lambda c: c.update(text=""), "empty completion"),
        (lambda c: c.update(text="", logprobs={"tokens": [], "token_logprobs": []}), "empty completion"),
        (lambda c: c.update(text="simp " * 10_000), "completion too long"),
    ],
)
async def test_a_spoilt_choice_costs_itself_and_is_counted(change, kind):
    policy = RemotePolicy(completions(Wire(tiny_app(), spoilt(change)), logprobs="raw"), MARKERS, SAMPLING)
    (found,) = await policy.propose([state_of("n = n")], 5)
    assert policy.tally.counts[kind] == 1
    assert len(found) == 4
    assert all(math.isfinite(c.logprob_nats) and c.text for c in found)


async def test_the_newer_form_of_logprobs_is_read_and_what_is_too_much_is_left():
    def spoil(path: str, body: Any, answer: Any) -> Any:
        if path == PATH:
            answer["choices"][0] |= {
                "text": "simp",
                "finish_reason": "stop",
                "logprobs": {"content": [{"token": "si", "logprob": -0.5}, {"token": "mp", "logprob": -0.25}]},
            }
            answer["choices"][1] |= {
                "text": "rfl",
                "finish_reason": "length",
                "logprobs": {"tokens": ["rfl"], "token_logprobs": [-1.5, -9.0]},
            }
        return answer

    client = completions(Wire(tiny_app(), spoil), logprobs="raw")
    ((first, second, *_),) = await client.draw(PROMPTS[:1], SAMPLING, stop=[])
    assert first == Sample("simp", -0.75, 2, "si", True)
    assert second == Sample("rfl", -1.5, 1, "rfl", False)


async def test_a_server_without_logprobs_is_refused():
    def spoil(path: str, body: Any, answer: Any) -> Any:
        if path == PATH:
            for choice in answer["choices"]:
                choice["logprobs"] = None
        return answer

    with pytest.raises(ModelMismatch, match=r"gives no log-probabilities.*--logits_all true"):
        await completions(Wire(tiny_app(), spoil)).ready()


async def test_models_context_and_tokenizer_are_checked():
    with pytest.raises(ModelMismatch, match="serves tiny, not 7b"):
        await completions(Wire(tiny_app()), served_model="7b").ready()
    with pytest.raises(ModelMismatch, match=r"is another one than policy\.tokenizer"):
        await completions(Wire(tiny_app()), tokenizer=other_tokenizer(), logprobs="raw").ready()
    wire = Wire(tiny_app())
    client = completions(wire, tokenizer=tiny_model(), logprobs="raw")
    await client.ready()
    assert {body["model"] for body in wire.bodies(PATH)} == {"tiny"}, "the first that is listed"
    with pytest.raises(ModelMismatch, match="leave no room for a prompt in the 512 tokens"):
        await client.prompts([state_of("a")], MARKERS, max_new_tokens=600)


async def test_a_server_that_lists_no_models():
    def spoil(path: str, body: Any, answer: Any) -> Any:
        return httpx2.Response(404, json={}) if path == "/v1/models" else answer

    wire = Wire(tiny_app(), spoil)
    await completions(wire, logprobs="raw", served_model="tiny").ready()


async def test_another_protocol_and_a_server_that_is_gone():
    wire = Wire(tiny_app())
    client = completions(wire, logprobs="raw")
    await client.ready()
    wire.spoil = lambda path, body, answer: [1]
    with pytest.raises(ModelError, match="does it speak the OpenAI protocol"):
        await client.draw(PROMPTS, SAMPLING, stop=[])
    wire.spoil = lambda path, body, answer: httpx2.Response(503)
    with pytest.raises(ServerUnavailable, match=r"/v1/completions answered 503 \(4 attempts\)"):
        await client.draw(PROMPTS[:1], SAMPLING, stop=[])
