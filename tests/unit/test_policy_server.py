"""The policy server by its wire: what it answers, what it refuses, and that many can ask at once."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import pytest
from tests.unit.policy_lab import PROMPTS, plain_logprob, tiny_app, tiny_model

from burnqed.core.errors import ModelError, ServerUnavailable
from burnqed.serve.sampling_queue import Done, Drawing, Job, PolicyLimits, SamplingQueue


def client(app: Any = None, **settings: Any) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(app or tiny_app(**settings), raise_app_exceptions=False)
    return httpx2.AsyncClient(transport=transport, base_url="http://server")


async def post(path: str, body: Any, **settings: Any) -> Any:
    async with client(**settings) as c:
        answer = await c.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def refused(path: str, body: Any, status: int = 400, **settings: Any) -> str:
    async with client(**settings) as c:
        answer = await c.post(path, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()["error"]["message"]


def drawing(**params: Any) -> dict[str, Any]:
    return {"max_new_tokens": 6, "sampling_seed": 5, **params}


async def test_one_prompt_one_object_and_many_a_flat_list_prompt_by_prompt():
    one = await post("/generate", {"text": PROMPTS[0], "sampling_params": drawing(), "rid": "mine"})
    assert one["meta_info"]["id"] == "mine"
    assert one["meta_info"]["finish_reason"] == {"type": "length", "length": 6}
    assert one["meta_info"]["prompt_tokens"] == len(tiny_model().token_ids(PROMPTS[0]))
    assert len(one["output_ids"]) == one["meta_info"]["completion_tokens"] == 6
    assert "output_token_logprobs" not in one["meta_info"], "not asked for"
    two = await post("/generate", {"text": PROMPTS[0], "sampling_params": drawing(n=2)})
    assert len(two) == 2
    assert two[0]["output_ids"] != two[1]["output_ids"]
    many = await post("/generate", {"text": PROMPTS, "sampling_params": drawing(n=2), "rid": ["a", "b"]})
    assert [item["meta_info"]["id"] for item in many] == ["a_0", "a_1", "b_0", "b_1"]
    sizes = [len(tiny_model().token_ids(prompt)) for prompt in PROMPTS]
    assert [item["meta_info"]["prompt_tokens"] for item in many] == [sizes[0], sizes[0], sizes[1], sizes[1]]
    assert [item["output_ids"] for item in many[:2]] == [item["output_ids"] for item in two], "one seed, one answer"


async def test_texts_and_their_tokens_are_the_same_prompt():
    ids = [tiny_model().token_ids(prompt) for prompt in PROMPTS]
    by_text = await post("/generate", {"text": PROMPTS, "sampling_params": drawing()})
    by_ids = await post("/generate", {"input_ids": ids, "sampling_params": drawing(), "return_prompt_token_ids": True})
    assert [item["output_ids"] for item in by_text] == [item["output_ids"] for item in by_ids]
    assert [item["prompt_token_ids"] for item in by_ids] == ids
    alone = await post("/generate", {"input_ids": ids[0], "sampling_params": drawing()})
    assert alone["output_ids"] == by_text[0]["output_ids"]


@pytest.mark.parametrize("scaled", [False, True])
async def test_logprobs_of_the_output(scaled):
    body = {"text": PROMPTS[0], "sampling_params": drawing(temperature=0.5), "return_logprob": True}
    answer = await post("/generate", body, scaled_logprobs=scaled)
    info = answer["meta_info"]
    assert info["input_token_logprobs"] == []
    assert [entry[1:] for entry in info["output_token_logprobs"]] == [[i, None] for i in answer["output_ids"]]
    own = plain_logprob(PROMPTS[0], answer["output_ids"])
    reported = sum(entry[0] for entry in info["output_token_logprobs"])
    assert (reported == pytest.approx(own, abs=1e-4)) is not scaled


async def test_scoring_starts_with_a_null_where_it_was_told_to():
    model = tiny_model()
    before, after = model.token_ids(PROMPTS[0]), [40, 41, 42]
    body = {
        "input_ids": [before + after, before],
        "sampling_params": {"max_new_tokens": 0},
        "return_logprob": True,
        "logprob_start_len": [len(before) - 1, len(before)],
        "return_text_in_logprobs": True,
    }
    scored, none = await post("/generate", body)
    entries = scored["meta_info"]["input_token_logprobs"]
    assert [entry[1] for entry in entries] == [before[-1], *after]
    assert entries[0][0] is None
    assert sum(entry[0] for entry in entries[1:]) == pytest.approx(plain_logprob(PROMPTS[0], after), abs=1e-4)
    assert entries[1][2] == model.text([40])
    assert scored["output_ids"] == []
    assert none["meta_info"]["input_token_logprobs"] == []


async def test_what_ends_a_completion_is_named_and_cut_off():
    long = await post("/generate", {"text": PROMPTS[0], "sampling_params": drawing(max_new_tokens=40)})
    by_token = await post(
        "/generate",
        {"text": PROMPTS[0], "sampling_params": drawing(max_new_tokens=40, stop_token_ids=[long["output_ids"][3]])},
    )
    assert by_token["meta_info"]["finish_reason"] == {"type": "stop", "matched": long["output_ids"][3]}
    assert by_token["output_ids"] == long["output_ids"][:4]
    assert by_token["text"] == tiny_model().text(long["output_ids"][:3])
    letter = next(c for c in long["text"] if c.isalpha() and c.isascii())
    by_text = await post(
        "/generate", {"text": PROMPTS[0], "sampling_params": drawing(max_new_tokens=40, stop=["", letter])}
    )
    assert by_text["meta_info"]["finish_reason"] == {"type": "stop", "matched": letter}
    assert by_text["text"] == long["text"].split(letter)[0]


async def test_special_tokens_are_written_only_when_wanted():
    markers = [i for i, t in enumerate(tiny_model().tokenizer.all_special_tokens) if t]
    body = {"tokens": [tiny_model().token_ids("[GOAL]a[PROOFSTEP]")]}
    assert markers
    assert (await post("/detokenize", body))["text"] == ["a"]
    assert (await post("/detokenize", {**body, "skip_special_tokens": False}))["text"] == ["[GOAL]a[PROOFSTEP]"]


async def test_tokens():
    ids = tiny_model().token_ids(PROMPTS[0])
    assert await post("/tokenize", {"prompt": PROMPTS[0]}) == {"tokens": ids, "count": len(ids), "max_model_len": 512}
    assert (await post("/tokenize", {"prompt": PROMPTS}))["count"][0] == len(ids)
    assert (await post("/detokenize", {"tokens": tiny_model().token_ids("⊢ n")}))["text"] == "⊢ n"


async def test_information():
    async with client() as c:
        info = (await c.get("/model_info")).json()
        assert info == (await c.get("/get_model_info")).json()
        assert (info["model_path"], info["is_generation"]) == ("tiny", True)
        (model,) = (await c.get("/v1/models")).json()["data"]
        assert (model["id"], model["max_model_len"]) == ("tiny", 512)
        assert (await c.get("/health")).status_code == (await c.get("/health_generate")).status_code == 200


async def test_completions_with_echo_and_logprobs():
    ids = tiny_model().token_ids("n + 0")
    body = {
        "prompt": "n + 0",
        "max_tokens": 4,
        "n": 2,
        "logprobs": 1,
        "echo": True,
        "seed": 3,
        "return_token_ids": True,
    }
    answer = await post("/v1/completions", body)
    assert [choice["index"] for choice in answer["choices"]] == [0, 1]
    assert answer["usage"] == {"prompt_tokens": len(ids), "completion_tokens": 8, "total_tokens": len(ids) + 8}
    for choice in answer["choices"]:
        logprobs = choice["logprobs"]
        assert choice["text"].startswith("n + 0")
        assert choice["prompt_token_ids"] == ids
        assert (
            len(logprobs["tokens"]) == len(logprobs["token_logprobs"]) == len(logprobs["text_offset"]) == len(ids) + 4
        )
        assert logprobs["token_logprobs"][0] is None
        own = plain_logprob("n + 0", choice["token_ids"])
        assert sum(logprobs["token_logprobs"][len(ids) :]) == pytest.approx(own, abs=1e-4)
        assert "".join(logprobs["tokens"][: len(ids)]) == "n + 0"
    scored = await post("/v1/completions", {"prompt": [ids], "max_tokens": 0, "echo": True, "logprobs": 0})
    assert scored["choices"][0]["text"] == "n + 0"
    assert (await post("/v1/completions", {"prompt": ["a", "b"], "max_tokens": 1}))["choices"][1]["logprobs"] is None


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (
            {"text": "a", "sampling_params": {"max_tokens": 4}},
            "sampling_params: unknown field `max_tokens`, expected one of",
        ),
        ({"text": "a", "sampling_params": {"top_k": 5}}, "`top_k` is not supported"),
        ({"text": "a", "sampling_params": {"regex": "[a-z]"}}, "`regex` is not supported"),
        ({"text": "a", "sampling_params": {"n": 0}}, "sampling_params.n: Input should be greater than or equal to 1"),
        ({"text": "a", "sampling_params": {"temperature": -1}}, "sampling_params.temperature"),
        ({"text": "a", "sampling_params": {"n": "4"}}, "valid integer"),
        ({"text": "a", "stream": True}, "does not stream"),
        ({"text": "a", "lora_path": "mine"}, "`lora_path` is not supported"),
        ({"text": "a", "lora_path": [None, "mine"]}, "`lora_path` is not supported"),
        ({"text": "a", "top_logprobs_num": 3}, "`top_logprobs_num` is not supported"),
        ({"prompt": "a"}, "either text or input_ids"),
        ({"text": "a", "input_ids": [1]}, "either text or input_ids"),
        ({"text": []}, "there is no prompt"),
        ({"input_ids": []}, "there is no prompt"),
        ({"input_ids": [[]]}, "the prompt has no token"),
        ({"text": ""}, "the prompt has no token"),
        ({"input_ids": [0, 10_000]}, "the model has no token 10000"),
        ({"input_ids": [-1]}, "the model has no token -1"),
        ({"text": ["a", "b"], "sampling_params": [{}]}, "`sampling_params` has 1 entries for 2 prompts"),
        ({"text": ["a", "b"], "sampling_params": [{"n": 1}, {"n": 2}]}, "`n` must be the same"),
        ({"text": "a " * 600}, "more than the 512 of the model's context"),
        ({"text": "a", "sampling_params": {"max_new_tokens": 512}}, "more than the 512 of the model's context"),
        ({"text": "a", "return_logprob": True, "logprob_start_len": 7}, "logprob_start_len is 7"),
        ({"text": "a", "sampling_params": {"n": 5000}}, "at most 4096 are allowed"),
        ([1, 2], "the body"),
    ],
)
async def test_what_is_refused_is_told(body, says):
    assert says in await refused("/generate", body)


async def test_one_bad_prompt_does_not_spoil_the_batch_of_another_request():
    app = tiny_app()
    async with client(app) as c:
        good, bad = await asyncio.gather(
            c.post("/generate", json={"text": PROMPTS[0], "sampling_params": drawing()}),
            c.post("/generate", json={"input_ids": [99_999], "sampling_params": drawing()}),
        )
    assert (good.status_code, bad.status_code) == (200, 400)
    assert app.state.service.queue.batches == 1


@pytest.mark.parametrize(
    ("body", "says", "status"),
    [
        ({"prompt": "a", "model": "gpt-4"}, "the model gpt-4 is not served here, but tiny", 404),
        ({"prompt": "a", "stream": True}, "does not stream", 400),
        ({"prompt": ""}, "there is no prompt", 400),
        ({"prompt": "a", "logprobs": 9}, "logprobs: Input should be less than or equal to 5", 400),
        ({"max_tokens": 3}, "prompt: Field required", 400),
    ],
)
async def test_completions_that_are_refused(body, says, status):
    assert says in await refused("/v1/completions", body, status)


@pytest.mark.parametrize(
    ("path", "content", "says"),
    [
        ("/generate", b'{"text": ', "the body is not JSON"),
        ("/generate", b'{"text": "\\ud800"}', "half of a character"),
        ("/tokenize", b'{"prompt": "a\\udfff"}', "half of a character"),
        ("/generate", b'{"text": "a", "sampling_params": {"temperature": NaN}}', "finite number"),
        ("/generate", b"[" * 100_000, "the body"),
    ],
)
async def test_a_body_that_cannot_be_read(path, content, says):
    async with client() as c:
        answer = await c.post(path, content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert says in answer.json()["error"]["message"]


async def test_requests_that_come_together_are_one_batch_and_answered_as_if_alone():
    app = tiny_app()
    bodies = [{"text": f"[GOAL]⊢ {k} = {k}[PROOFSTEP]", "sampling_params": drawing(sampling_seed=k)} for k in range(8)]
    async with client(app) as c:
        together = await asyncio.gather(*(c.post("/generate", json=body) for body in bodies))
        assert app.state.service.queue.batches == 1
        alone = [await c.post("/generate", json=body) for body in bodies]
    assert app.state.service.queue.batches == 9
    assert [a.json()["output_ids"] for a in together] == [a.json()["output_ids"] for a in alone]


def job(n: int = 1, temperature: float = 1.0) -> Job:
    return Job(prompt="a", drawing=Drawing(temperature, 1.0, 4, (), frozenset(), n), seed=0)


class Machine:
    """In place of a model: notes each batch, waits until it may go on."""

    def __init__(self) -> None:
        self.batches: list[list[Job]] = []
        self.go = asyncio.Event()

    async def __call__(self, jobs: Any) -> Any:
        self.batches.append(list(jobs))
        await self.go.wait()
        return [Done((1,), (), (), {}) for _ in jobs]


async def test_while_a_batch_runs_the_next_gathers_what_is_drawn_alike():
    machine = Machine()
    queue = SamplingQueue(machine, PolicyLimits(batch_samples=4, linger_ms=0))
    first = asyncio.ensure_future(queue.submit([job()]))
    await asyncio.sleep(0.01)
    rest = [asyncio.ensure_future(queue.submit([j])) for j in (job(2), job(1, 0.5), job(2), job(2), job(9))]
    machine.go.set()
    await asyncio.gather(first, *rest)
    sizes = [[(j.drawing.n, j.drawing.temperature) for j in batch] for batch in machine.batches]
    assert sizes == [[(1, 1.0)], [(2, 1.0), (2, 1.0)], [(1, 0.5)], [(2, 1.0)], [(9, 1.0)]]


async def test_a_full_queue_is_a_503_and_an_abandoned_request_is_not_run():
    machine = Machine()
    queue = SamplingQueue(machine, PolicyLimits(queue_samples=10, linger_ms=0))
    running = asyncio.ensure_future(queue.submit([job(4)]))
    await asyncio.sleep(0.01)
    waiting = asyncio.ensure_future(queue.submit([job(6)]))
    await asyncio.sleep(0.01)
    with pytest.raises(ServerUnavailable, match="10 completions wait already"):
        await queue.submit([job(1)])
    waiting.cancel()
    machine.go.set()
    await running
    await queue.aclose()
    assert len(machine.batches) == 1
    with pytest.raises(ServerUnavailable, match="shutting down"):
        await queue.submit([job()])


async def test_a_model_that_fails_costs_its_batch_and_not_the_next():
    async def run(jobs: Any) -> Any:
        if jobs[0].drawing.temperature == 0.5:
            raise RuntimeError("CUDA error: device-side assert")
        return [Done((1,), (), (), {}) for _ in jobs]

    queue = SamplingQueue(run, PolicyLimits())
    with pytest.raises(ModelError, match="the model failed: CUDA error"):
        await queue.submit([job(1, 0.5)])
    assert await queue.submit([job()])
