"""One prefill for value and policy: nothing changes but the work that is done. And decoding as it is recorded on a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from burnqed.core.tally import Tally
from burnqed.models.draw import Sampling
from burnqed.models.ends import Ends
from burnqed.models.generate import Drawn, Start, generate
from burnqed.models.language_model import LanguageModel
from burnqed.models.prefill import Prefiller, Shelf
from burnqed.models.recorded import NOT_RECORDED, Recorder
from burnqed.testing.tiny_model import make_tiny_model

TEXTS = ("[GOAL]n : ℕ\n⊢ n + 0 = n[PROOFSTEP]", "[GOAL]⊢ True[PROOFSTEP]", "[GOAL]x y : ℝ\n⊢ ∃ z, z > x[PROOFSTEP]")
PLENTY = 1 << 24


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("tiny"))


def fresh(folder: Path, **options: Any) -> LanguageModel:
    loaded = LanguageModel.load(folder, device="cpu")
    return LanguageModel(loaded.model, loaded.tokenizer, name="tiny", **options)


def prompts(model: LanguageModel) -> list[list[int]]:
    return [model.token_ids(text) for text in TEXTS]


def sample(model: LanguageModel, rows: list[list[int]]) -> list[list[Drawn]]:
    seeds = list(range(len(rows)))
    return model.sample(rows, n=4, temperature=1.0, top_p=0.95, max_new_tokens=20, seeds=seeds)


def same(first: list[list[Drawn]], second: list[list[Drawn]]) -> None:
    for a, b in zip(first, second, strict=True):
        for x, y in zip(a, b, strict=True):
            assert (x.ids, x.text, x.stopped_by) == (y.ids, y.text, y.stopped_by)
            assert x.logprobs == pytest.approx(y.logprobs, abs=1e-5)


# --- sharing


def test_embed_then_sample_runs_each_prompt_once_and_gives_the_same(folder):
    apart, shared = fresh(folder), fresh(folder)
    rows = prompts(shared)
    total = sum(map(len, rows))
    vectors = shared.embed(rows, keep=True)
    assert shared.savings.tokens_run == total
    found = sample(shared, rows)
    assert shared.savings.tokens_run == shared.savings.tokens_saved == total
    assert (shared.savings.state_hits, shared.savings.state_misses) == (3, 0)
    same(found, sample(apart, rows))
    torch.testing.assert_close(vectors, apart.embed(rows), atol=1e-5, rtol=0)


def test_sample_then_embed_is_free(folder):
    model = fresh(folder)
    rows = prompts(model)
    sample(model, rows)
    before = model.savings.tokens_run
    vectors = model.embed(rows)
    assert model.savings.tokens_run == before == sum(map(len, rows))
    assert (model.savings.vector_hits, model.savings.vector_misses) == (3, 0)
    torch.testing.assert_close(vectors, fresh(folder).embed(rows), atol=1e-5, rtol=0)


def test_without_keep_a_sampling_runs_the_prompt_again(folder):
    model = fresh(folder)
    rows = prompts(model)
    model.embed(rows)
    sample(model, rows)
    assert model.savings.tokens_run == 2 * sum(map(len, rows))


def test_an_order_of_other_prompts_in_between_changes_nothing(folder):
    model = fresh(folder)
    rows = prompts(model)
    model.embed([rows[0]], keep=True)
    model.embed([rows[2], [50, 51, 52]], keep=True)
    found = sample(model, rows)
    assert (model.savings.state_hits, model.savings.state_misses) == (2, 1)
    same(found, sample(fresh(folder), rows))


def test_too_little_room_costs_work_and_nothing_else(folder):
    rows = prompts(fresh(folder))
    for keep_bytes in (0, 10_000):
        model = fresh(folder, keep_bytes=keep_bytes)
        vectors = model.embed(rows, keep=True)
        same(sample(model, rows), sample(fresh(folder), rows))
        assert model.savings.state_misses > 0
        torch.testing.assert_close(vectors, fresh(folder).embed(rows), atol=1e-5, rtol=0)


def test_forgetting_lets_everything_go(folder):
    model = fresh(folder)
    rows = prompts(model)
    model.embed(rows, keep=True)
    model.forget()
    sample(model, rows)
    assert model.savings.state_hits == 0


def test_what_was_sampled_from_goes_before_what_waits(folder):
    model = fresh(folder)
    keys = [tuple(row) for row in prompts(model)]
    (size,) = {
        s.num_bytes for s in Prefiller(model.model, not_content=frozenset(), keep_bytes=PLENTY).states([keys[0]])
    }
    small = Prefiller(model.model, not_content=frozenset(), keep_bytes=3 * size)
    used, waiting, new = ((5, 6, 7, k) * (len(keys[0]) // 4 + 1) for k in (8, 9, 10))
    used, waiting, new = (row[: len(keys[0])] for row in (used, waiting, new))
    small.vectors([waiting], keep=True)
    small.states([used])  # newer, but spent
    small.vectors([new, new[::-1]], keep=True)
    before = small.savings.state_hits
    small.states([waiting])
    assert small.savings.state_hits == before + 1
    small.states([used])
    assert small.savings.state_hits == before + 1


def test_prompts_are_run_in_batches_of_limited_size(folder):
    model = fresh(folder).model
    seen = []
    hook = model.get_input_embeddings().register_forward_pre_hook(lambda _, inputs: seen.append(tuple(inputs[0].shape)))
    rows = [tuple(range(40, 40 + k)) for k in (30, 2, 31, 3, 29)]
    limited = Prefiller(model, not_content=frozenset(), keep_bytes=PLENTY, max_batch_tokens=64)
    found = limited.vectors(rows, keep=False)
    hook.remove()
    assert seen == [(2, 3), (2, 30), (1, 31)]
    whole = Prefiller(model, not_content=frozenset(), keep_bytes=PLENTY).vectors(rows, keep=False)
    torch.testing.assert_close(found, whole, atol=1e-5, rtol=0)


def test_a_shelf_keeps_the_last_used_within_its_bytes():
    shelf = Shelf(10, len)
    shelf.put((1,), "aaaa")
    shelf.put((2,), "bbbb")
    assert shelf.get((1,)) == "aaaa"
    shelf.put((3,), "cccc")
    assert (shelf.get((2,)), len(shelf), shelf.num_bytes) == (None, 2, 8)
    shelf.put((4,), "x" * 11)
    assert shelf.get((4,)) is None
    shelf.put((3,), "c")
    assert shelf.num_bytes == 5
    shelf.age((1,))
    shelf.put((5,), "eeeeee")
    assert shelf.get((1,)) is None
    shelf.clear()
    assert (len(shelf), shelf.num_bytes) == (0, 0)


# --- recorded decoding, here without a graph


def recorded(model: LanguageModel, rows: list[list[int]], *, tokens: int, limit_bytes: int, top_p: float = 0.9) -> Any:
    """As ``LanguageModel.sample`` does it on a GPU; the tally tells what was not recorded."""
    tally = Tally()
    recorder = Recorder(
        model.model, allowed=len(model.tokenizer), limit=512, limit_bytes=limit_bytes, tally=tally, record=False
    )
    states = Prefiller(model.model, not_content=frozenset(), keep_bytes=PLENTY).states([tuple(r) for r in rows])
    sampling = Sampling(1.0, top_p)

    def begin(first: torch.Tensor, chance: torch.Tensor) -> Any:
        writer = recorder.writer(states, first, chance, sampling, n=4)
        if writer is None:
            pytest.skip("not recorded")
        return writer

    found = generate(
        [Start(s, r[-1], seed, 512 - len(r)) for seed, (s, r) in enumerate(zip(states, rows, strict=True))],
        n=4,
        tokens=tokens,
        sampling=sampling,
        ends=Ends(model.text, ids=model.eos_ids, texts=["in"]),
        allowed=len(model.tokenizer),
        begin=begin,
    )
    return found, tally


@pytest.mark.parametrize("tokens", [2, 20, 65, 150])
@pytest.mark.parametrize("count", [1, 3])
def test_a_recorded_step_writes_what_the_eager_one_does(folder, tokens, count):
    model = fresh(folder)
    rows = prompts(model)[:count]
    found, tally = recorded(model, rows, tokens=tokens, limit_bytes=1 << 30)
    eager = model.sample(
        rows, n=4, temperature=1.0, top_p=0.9, max_new_tokens=tokens, stop=["in"], seeds=list(range(count))
    )
    same(found, eager)
    assert not tally.counts


def test_what_has_no_room_for_larger_buffers_goes_on_without_a_graph(folder):
    model = fresh(folder)
    rows = prompts(model)
    found, tally = recorded(model, rows, tokens=150, limit_bytes=600_000)
    assert tally.counts == {NOT_RECORDED: 1}
    eager = model.sample(rows, n=4, temperature=1.0, top_p=0.9, max_new_tokens=150, stop=["in"], seeds=[0, 1, 2])
    same(found, eager)


def test_a_bucket_is_used_again_and_the_oldest_goes_for_a_new_one(folder):
    model = fresh(folder)
    states = Prefiller(model.model, not_content=frozenset(), keep_bytes=PLENTY).states(
        [tuple(r) for r in prompts(model)]
    )
    recorder = Recorder(model.model, allowed=400, limit=512, limit_bytes=700_000, tally=Tally(), record=False)

    def step(count: int, n: int) -> Any:
        return recorder.step(states[:count], n=n, columns=30, sampling=Sampling(1.0, 0.9))

    first = step(3, 2)
    assert step(3, 2) is first
    assert step(1, 2) is not first
    assert step(3, 2) is first
    step(3, 3)
    assert step(3, 2) is not first


def test_a_tiny_nucleus_is_not_recorded(folder):
    model = fresh(folder)
    states = Prefiller(model.model, not_content=frozenset(), keep_bytes=PLENTY).states([tuple(prompts(model)[0])])
    recorder = Recorder(model.model, allowed=400, limit=512, limit_bytes=PLENTY, tally=Tally(), record=False)
    chance = torch.rand(4, 10, Sampling(1.0, 0.05).rounds)
    assert recorder.writer(states, torch.tensor([5] * 4), chance, Sampling(1.0, 0.05), n=4) is None


# --- on a GPU


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("tokens", [20, 150])
def test_a_graph_writes_exact_log_probabilities(folder, tokens):
    model = LanguageModel.load(folder, device="cuda", dtype="float32")
    rows = prompts(model)
    settings = {"n": 4, "temperature": 1.0, "top_p": 0.9, "stop": ["in"], "seeds": [0, 1, 2], "max_new_tokens": tokens}
    for _ in range(2):  # recorded, then replayed
        found = model.sample(rows, **settings)
        for row, each in zip(rows, found, strict=True):
            for one in each:
                (plain,) = model.logprobs([[*row, *one.ids]], [len(row)])
                assert one.logprobs == pytest.approx(plain, abs=1e-4)
    assert NOT_RECORDED not in model.tally.counts, model.tally.examples
    model._recorder = None
    model.forget()
    same(found, model.sample(rows, **settings))
