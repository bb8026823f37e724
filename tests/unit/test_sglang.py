"""SGLang's protocol from the client's side: log-probabilities on the model's scale, and whatever a server can get wrong."""

from __future__ import annotations

import math
from typing import Any

import httpx2
import pytest
from tests.unit.policy_lab import PROMPTS, Wire, other_tokenizer, plain_logprob, sglang, tiny_app, tiny_model

from burnqed.core.errors import ModelError, ModelMismatch, ServerUnavailable
from burnqed.core.state import Goal, ProofState, Variable
from burnqed.core.tally import Tally
from burnqed.policy.answers import ABORTED, INCOMPLETE, NO_LOGPROBS
from burnqed.policy.config import SamplingConfig
from burnqed.policy.mixed import MixedPolicy
from burnqed.policy.prompting import ESTIMATED
from burnqed.policy.remote import REFUSED, RESCORED, TOO_FEW, RemotePolicy, RemoteProofWriter
from burnqed.prompts.fit import CUT
from burnqed.prompts.formats import prompt_format
from burnqed.testing.fakes import ScriptedPolicy, state_of

SAMPLING = SamplingConfig(samples=5, temperature=0.7, top_p=0.9, max_new_tokens=10, keep_unended=True)
MARKERS = prompt_format("markers")


@pytest.mark.parametrize("with_tokenizer", [False, True])
@pytest.mark.parametrize("scaled", [False, True])
async def test_logprobs_are_those_of_a_plain_forward_pass(scaled, with_tokenizer):
    wire = Wire(tiny_app(scaled_logprobs=scaled))
    client = sglang(wire, tokenizer=tiny_model() if with_tokenizer else None)
    await client.ready()
    wire.calls.clear()
    drawn = await client.draw(PROMPTS, SAMPLING, stop=["zzz"])
    first, *more = wire.answers("/generate")
    assert len(more) == scaled, "one request, and one more where the scale is another"
    assert client.tally.counts[RESCORED] == (10 if scaled else 0)
    for k, (sample, answer) in enumerate(zip([s for found in drawn for s in found], first, strict=True)):
        ids = answer["output_ids"]
        assert sample.text == answer["text"]
        assert sample.num_tokens == len(ids)
        assert sample.first_token == ids[0]
        assert sample.logprob_nats == pytest.approx(plain_logprob(PROMPTS[k // 5], ids), abs=1e-4)
        if scaled:
            reported = sum(entry[0] for entry in answer["meta_info"]["output_token_logprobs"])
            assert abs(reported - sample.logprob_nats) > 0.01, "there was something to correct"


@pytest.mark.parametrize(("temperature", "top_p"), [(0.0, 0.9), (1.0, 1.0)])
async def test_nothing_is_scored_again_where_no_scale_can_differ(temperature, top_p):
    wire = Wire(tiny_app(scaled_logprobs=True))
    client = sglang(wire)
    await client.ready()
    wire.calls.clear()
    sampling = SAMPLING.model_copy(update={"temperature": temperature, "top_p": top_p})
    ((sample, *others),) = await client.draw(PROMPTS[:1], sampling, stop=[])
    assert len(others) == (0 if temperature == 0 else 4), "at temperature 0 there is one"
    (answers,) = wire.answers("/generate")
    assert sample.logprob_nats == pytest.approx(plain_logprob(PROMPTS[0], answers[0]["output_ids"]), abs=1e-4)


@pytest.mark.parametrize(("said", "requests"), [("raw", 1), ("scaled", 2)])
async def test_the_scale_can_be_told(said, requests):
    wire = Wire(tiny_app())
    client = sglang(wire, logprobs=said)
    await client.ready()
    await client.draw(PROMPTS, SAMPLING, stop=[])
    assert len(wire.answers("/generate")) == requests


async def test_candidates_are_ranked_limited_and_different():
    policy = RemotePolicy(sglang(Wire(tiny_app())), MARKERS, SAMPLING)
    first, none, second = await policy.propose([state_of("n = n"), ProofState(()), state_of("a", "b")], 3)
    assert none == []
    for found in (first, second):
        assert len({c.text for c in found}) == len(found) == 3
        assert [c.logprob_nats for c in found] == sorted((c.logprob_nats for c in found), reverse=True)


async def test_the_writer_asks_for_as_many_proofs_as_are_wanted():
    wire = Wire(tiny_app())
    client = sglang(wire)
    await client.ready()
    wire.calls.clear()
    ((*scripts,),) = await RemoteProofWriter(client, prompt_format("proof-text"), SAMPLING).write(
        [state_of("n = n")], 2
    )
    (body,) = wire.bodies("/generate")
    assert body["sampling_params"]["n"] == 2
    assert "\ntheorem" in body["sampling_params"]["stop"]
    assert all(script.steps for script in scripts)


async def test_samples_of_a_deterministic_server_follow_from_the_seed_and_differ():
    async def draw(seed: int) -> list[str]:
        wire = Wire(tiny_app(seed=seed + 100))
        client = sglang(wire, deterministic_server=True, seed=seed, logprobs="raw")
        await client.ready()
        ((*samples,),) = await client.draw(PROMPTS[:1], SAMPLING, stop=[])
        (body,) = wire.bodies("/generate")
        assert [params["n"] for params in body["sampling_params"]] == [1] * 5
        return [s.text for s in samples]

    first = await draw(1)
    assert first == await draw(1)
    assert len(set(first)) == 5
    assert set(first).isdisjoint(await draw(2))


def spoilt(change: Any) -> Any:
    """Changes the second completion of every real draw: probes and scores, which are single samples, are left alone."""

    def spoil(path: str, body: Any, answer: Any) -> Any:
        if path == "/generate" and isinstance(body["sampling_params"], dict) and body["sampling_params"].get("n") == 5:
            answer[1] = change(answer[1]) or answer[1]
        return answer

    return spoil


def first_logprob(value: Any) -> Any:
    def change(item: Any) -> None:
        item["meta_info"]["output_token_logprobs"][0][0] = value

    return change


def without(key: str) -> Any:
    return lambda item: item["meta_info"].pop(key) and None


def finished(reason: Any) -> Any:
    return lambda item: item["meta_info"].update(finish_reason=reason)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (first_logprob(math.nan), "log-probability is not a number"),
        (first_logprob(None), "log-probability is not a number"),
        (first_logprob(-math.inf), "log-probability is not a number"),
        (first_logprob("-0.1"), "log-probability is not a number"),
        (first_logprob(2.5), "log-probability is not a number"),
        (without("output_token_logprobs"), NO_LOGPROBS),
        (lambda item: item["meta_info"].update(output_token_logprobs=[0.1, 0.2]), NO_LOGPROBS),
        (lambda item: item["meta_info"].update(output_token_logprobs=[[-0.1, "a", None]]), NO_LOGPROBS),
        (finished({"type": "abort", "message": "out of memory"}), ABORTED),
        (finished(None), INCOMPLETE),
        (without("finish_reason"), INCOMPLETE),
        (lambda item: item.pop("text") and None, INCOMPLETE),
        (lambda item: item.pop("meta_info") and None, INCOMPLETE),
        (lambda item: "no object", INCOMPLETE),
        (lambda item: [], None),
        (lambda item: item.update(text=""), "empty completion"),
        (lambda item: item.update(text="  \n"), "empty completion"),
        (lambda item: item.update(text="simp " * 10_000), "completion too long"),
    ],
)
async def test_a_spoilt_completion_costs_itself_and_is_counted(change, kind):
    wire = Wire(tiny_app(), spoilt(change))
    policy = RemotePolicy(sglang(wire), MARKERS, SAMPLING)
    (found,) = await policy.propose([state_of("n = n")], 5)
    if kind is not None:
        assert policy.tally.counts[kind] == 1
        assert len(found) == 4
    assert all(math.isfinite(c.logprob_nats) and c.text for c in found)


async def test_fewer_completions_than_asked():
    def spoil(path: str, body: Any, answer: Any) -> Any:
        return answer[:3] if path == "/generate" and isinstance(answer, list) and len(answer) == 5 else answer

    policy = RemotePolicy(sglang(Wire(tiny_app(), spoil)), MARKERS, SAMPLING)
    (found,) = await policy.propose([state_of("n = n")], 5)
    assert len(found) == 3
    assert policy.tally.counts[TOO_FEW] == 2


async def test_completions_that_cannot_be_told_apart_are_asked_for_one_by_one():
    def spoil(path: str, body: Any, answer: Any) -> Any:
        return answer[:7] if path == "/generate" and len(answer) == 10 else answer

    wire = Wire(tiny_app(), spoil)
    client = sglang(wire)
    await client.ready()
    wire.calls.clear()
    drawn = await client.draw(PROMPTS, SAMPLING, stop=[])
    assert [body["text"] for body in wire.bodies("/generate")] == [PROMPTS, PROMPTS[:1], PROMPTS[1:]]
    assert [len(found) for found in drawn] == [5, 5]


async def test_a_state_that_the_server_refuses_does_not_cost_the_others():
    def spoil(path: str, body: Any, answer: Any) -> Any:
        if path == "/generate" and any("bad" in text for text in body.get("text", ())):
            return httpx2.Response(400, json={"error": {"message": "The input is longer than the context."}})
        return answer

    policy = RemotePolicy(sglang(Wire(tiny_app(), spoil)), MARKERS, SAMPLING)
    good, bad, fine = await policy.propose([state_of("n = n"), state_of("bad"), state_of("m = m")], 2)
    assert (len(good), bad, len(fine)) == (2, [], 2)
    assert policy.tally.counts[REFUSED] == 1
    assert "longer than the context" in policy.tally.examples[REFUSED]


@pytest.mark.parametrize("answer", [None, "x", 7])
async def test_an_answer_of_another_kind_altogether(answer):
    wire = Wire(tiny_app())
    client = sglang(wire)
    await client.ready()
    wire.spoil = lambda path, body, old: answer if path == "/generate" else old
    with pytest.raises(ModelError, match="is it an SGLang server"):
        await client.draw(PROMPTS, SAMPLING, stop=[])


async def test_scores_of_other_tokens_are_not_taken():
    def spoil(path: str, body: Any, answer: Any) -> Any:
        if path == "/generate" and "input_ids" in body:
            answer[0]["meta_info"]["input_token_logprobs"][-1][1] += 1
        return answer

    client = sglang(Wire(tiny_app(scaled_logprobs=True), spoil), logprobs="scaled")
    await client.ready()
    ((first, *others),) = await client.draw(PROMPTS[:1], SAMPLING, stop=[])
    assert math.isnan(first.logprob_nats)
    assert all(math.isfinite(other.logprob_nats) for other in others)


async def test_another_model_is_named():
    client = sglang(Wire(tiny_app()), served_model="deepseek-ai/DeepSeek-Prover-V2-7B")
    with pytest.raises(ModelMismatch, match=r"serves tiny, not deepseek-ai/DeepSeek-Prover-V2-7B"):
        await client.ready()
    await sglang(Wire(tiny_app()), served_model="tiny").ready()


async def test_a_server_of_embeddings_is_named():
    wire = Wire(tiny_app(), lambda path, body, answer: {**answer, "is_generation": False} if "info" in path else answer)
    with pytest.raises(ModelMismatch, match="serves embeddings"):
        await sglang(wire).ready()


async def test_an_older_name_of_the_information():
    def spoil(path: str, body: Any, answer: Any) -> Any:
        return httpx2.Response(404, json={"detail": "Not Found"}) if path == "/model_info" else answer

    await sglang(Wire(tiny_app(), spoil), served_model="tiny").ready()


async def test_a_server_of_another_kind_is_named():
    def spoil(path: str, body: Any, answer: Any) -> Any:
        return httpx2.Response(404, json={}) if "model_info" in path else answer

    with pytest.raises(ModelMismatch, match="is it an SGLang server"):
        await sglang(Wire(tiny_app(), spoil)).ready()


@pytest.mark.parametrize("ids_shown", [True, False])
async def test_another_tokenizer_is_named(ids_shown):
    def spoil(path: str, body: Any, answer: Any) -> Any:
        return httpx2.Response(404, json={}) if path == "/tokenize" and not ids_shown else answer

    with pytest.raises(ModelMismatch, match=r"tokenizer of http://127\.0\.0\.1:30000 is another one") as error:
        await sglang(Wire(tiny_app(), spoil), tokenizer=other_tokenizer()).ready()
    assert ("token" if ids_shown else "tokens of") in str(error.value)
    await sglang(Wire(tiny_app(), spoil), tokenizer=tiny_model()).ready()


async def test_an_adapter_that_the_server_does_not_have():
    with pytest.raises(ModelError, match="lora_path"):
        await sglang(Wire(tiny_app()), lora="mine").ready()


def long_state(size: int) -> ProofState:
    variables = tuple(Variable(f"hypothesis_{i}", f"x + {i} ≤ {i}") for i in range(size))
    return ProofState((Goal(variables, "x ≤ 9"),))


@pytest.mark.parametrize("counted", [True, False])
async def test_a_state_longer_than_the_context_is_cut_and_counted(counted):
    def spoil(path: str, body: Any, answer: Any) -> Any:
        return httpx2.Response(404, json={}) if path == "/tokenize" and not counted else answer

    wire = Wire(tiny_app(), spoil)
    policy = RemotePolicy(sglang(wire, logprobs="raw"), MARKERS, SAMPLING)
    await policy.propose([long_state(200)], 3)
    assert policy.tally.counts[CUT] == 1
    assert policy.tally.counts[ESTIMATED] == (0 if counted else 1)
    if counted:
        (text,) = wire.bodies("/generate")[-1]["text"]
        assert 300 < len(tiny_model().token_ids(text)) <= 512 - 10 - 1, "the server's context, well filled"
        assert "hypothesis_199" in text, "the latest hypotheses stay"
        assert policy.tally.counts[REFUSED] == 0


async def test_no_room_for_a_prompt():
    policy = RemotePolicy(sglang(Wire(tiny_app())), MARKERS, SAMPLING.model_copy(update={"max_new_tokens": 600}))
    with pytest.raises(ModelMismatch, match="leave no room for a prompt in the 512 tokens"):
        await policy.propose([state_of("a")], 1)


async def test_a_server_that_is_still_loading():
    answers = [503, 503]

    def spoil(path: str, body: Any, answer: Any) -> Any:
        return httpx2.Response(answers.pop(), json={}) if path == "/health" and answers else answer

    await sglang(Wire(tiny_app(), spoil)).ready()
    assert answers == []


async def test_a_server_that_is_gone_leaves_the_menu():
    def down(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused")

    policy = RemotePolicy(sglang(httpx2.MockTransport(down)), MARKERS, SAMPLING)
    with pytest.raises(ServerUnavailable, match=r"127\.0\.0\.1:30000/health cannot be reached"):
        await policy.propose([state_of("a")], 2)
    mixed = MixedPolicy(policy, ScriptedPolicy(default=[("simp", -0.5)]), share=0.5, tally=Tally())
    ((candidate,),) = await mixed.propose([state_of("a")], 2)
    assert candidate.text == "simp"
