"""A language model in process: what is sampled, with which log-probabilities, and what is pooled."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy import stats
from transformers import BloomConfig, BloomForCausalLM, MambaConfig, MambaForCausalLM, MistralConfig, MistralForCausalLM

from burnqed.core.errors import ModelError
from burnqed.models.draw import Sampling, draw
from burnqed.models.language_model import NOT_SHARED, Drawn, LanguageModel
from burnqed.prompts.formats import FORMATS
from burnqed.testing.tiny_model import make_tiny_model, make_tokenizer

TEXTS = (
    "[GOAL]n : ℕ\n⊢ n + 0 = n[PROOFSTEP]",
    "[GOAL]⊢ True[PROOFSTEP]",
    "[GOAL]x y : ℝ\nh : x < y\n⊢ ∃ z, z > x ∧ z < y[PROOFSTEP]",
)


ROOT: list[Path] = []


@pytest.fixture(scope="module", autouse=True)
def root(tmp_path_factory: pytest.TempPathFactory) -> None:
    ROOT.append(tmp_path_factory.mktemp("models"))


def tiny(**options: Any) -> LanguageModel:
    path = ROOT[-1] / repr(sorted(options.items()))
    return LanguageModel.load(path if path.exists() else make_tiny_model(path, **options), device="cpu")


def unlike_llama(cls: Any, config: Any, **options: Any) -> LanguageModel:
    tokenizer = make_tokenizer()
    small = {"vocab_size": len(tokenizer), "hidden_size": 32, "eos_token_id": 1, "bos_token_id": None}
    torch.manual_seed(0)
    model = cls(config(**small, **options)).eval().requires_grad_(False)
    return LanguageModel(model, tokenizer, name=cls.__name__)


def sliding_window() -> LanguageModel:
    """Its attention sees the last eight tokens only, which no shared prefix is for."""
    return unlike_llama(
        MistralForCausalLM,
        MistralConfig,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        sliding_window=8,
        initializer_range=0.2,
    )


def ids_of(model: LanguageModel) -> list[list[int]]:
    return [model.token_ids(text) for text in TEXTS]


def drawn(model: LanguageModel, prompts: list[list[int]], **options: Any) -> list[list[Drawn]]:
    settings = {"n": 4, "temperature": 1.0, "top_p": 0.95, "max_new_tokens": 24, "seeds": [1, 2, 3][: len(prompts)]}
    return model.sample(prompts, **{**settings, **options})


@torch.no_grad()
def plain(model: LanguageModel, prompt: list[int], ids: tuple[int, ...]) -> list[float]:
    """Log-probabilities by one forward pass over a single text, with nothing of burnqed in between."""
    logs = model.model(torch.tensor([[*prompt, *ids]])).logits[0].double().log_softmax(-1)
    return [float(logs[len(prompt) + k - 1, token]) for k, token in enumerate(ids)]


def same(first: list[list[Drawn]], second: list[list[Drawn]]) -> None:
    """The same completions, and log-probabilities but for rounding."""
    assert [[d.ids for d in each] for each in first] == [[d.ids for d in each] for each in second]
    assert [[(d.text, d.ended, d.stopped_by) for d in each] for each in first] == [
        [(d.text, d.ended, d.stopped_by) for d in each] for each in second
    ]
    for a, b in zip(first, second, strict=True):
        for x, y in zip(a, b, strict=True):
            assert x.logprobs == pytest.approx(y.logprobs, abs=1e-5)


# --- log-probabilities


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"temperature": 0.6, "top_p": 0.8},
        {"temperature": 2.0, "top_p": 1.0},
        {"temperature": 0.0},
        {"stop": ["in", "⟩", " "]},
        {"stop_ids": list(range(60, 90))},
        {"max_new_tokens": 1},
        {"n": 1},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "make", [tiny, lambda: tiny(bos=True), lambda: tiny(kv_heads=4, extra_rows=30), sliding_window],
    ids=["llama", "bos", "padded", "sliding"],
)  # fmt: skip
def test_logprobs_are_those_of_a_plain_forward_pass(make, options):
    model = make()
    prompts = ids_of(model)
    found = drawn(model, prompts, **options)
    for prompt, each in zip(prompts, found, strict=True):
        assert len(each) == options.get("n", 4)
        for one in each:
            assert one.logprobs == pytest.approx(plain(model, prompt, one.ids), abs=1e-4)


def test_rows_that_end_leave_the_batch_and_change_nothing():
    model = tiny()
    prompts = ids_of(model)
    found = drawn(model, prompts, n=16, max_new_tokens=90, stop_ids=list(range(60, 66)))
    lengths = {len(one.ids) for each in found for one in each}
    assert len(lengths) > 8  # they end at many different times
    for prompt, each in zip(prompts, found, strict=True):
        for one in each:
            assert one.logprobs == pytest.approx(plain(model, prompt, one.ids), abs=1e-4)


def test_logprobs_of_given_texts():
    model = tiny(bos=True)
    rows = [[*prompt, 40, 41, 42][: len(prompt) + k] for k, prompt in enumerate(ids_of(model), start=1)]
    starts = [len(row) - k for k, row in enumerate(rows, start=1)]
    found = model.logprobs(rows, starts)
    for row, start, logs in zip(rows, starts, found, strict=True):
        assert logs == pytest.approx(plain(model, row[:start], tuple(row[start:])), abs=1e-5)
    assert model.logprobs([rows[0]], [1])[0][-1] == pytest.approx(found[0][-1], abs=1e-5)


# --- independence and determinism


@pytest.mark.parametrize("make", [tiny, sliding_window], ids=["shared", "expanded"])
def test_samples_do_not_depend_on_the_batch(make):
    model = make()
    prompts = ids_of(model)
    together = drawn(model, prompts, n=6)
    for number, prompt in enumerate(prompts):
        model.forget()
        alone = drawn(model, [prompt], n=3, seeds=[number + 1])
        same(alone, [together[number][:3]])
    turned = drawn(model, prompts[::-1], n=6, seeds=[3, 2, 1])
    same(turned[::-1], together)


def test_a_limit_of_rows_changes_nothing():
    whole = tiny()
    found = drawn(whole, ids_of(whole), n=5)
    for max_rows in (1, 5, 10):
        model = LanguageModel(whole.model, whole.tokenizer, name="few", max_rows=max_rows)
        same(drawn(model, ids_of(model), n=5), found)


def test_the_seed_decides():
    model = tiny()
    prompts = ids_of(model)
    same(drawn(model, prompts), drawn(tiny(), prompts))
    assert drawn(model, prompts, seeds=[4, 5, 6]) != drawn(model, prompts)


def test_a_prompt_twice_in_a_batch_with_two_seeds():
    model = tiny()
    prompt = ids_of(model)[0]
    both = drawn(model, [prompt, prompt], seeds=[1, 9])
    same(both, [*drawn(model, [prompt], seeds=[1]), *drawn(model, [prompt], seeds=[9])])
    assert both[0] != both[1]


# --- the distribution


def nucleus(model: LanguageModel, prompt: list[int], temperature: float, top_p: float) -> torch.Tensor:
    """Probabilities of the first token by sorting, as the paper has it."""
    with torch.no_grad():
        p = (model.model(torch.tensor([prompt])).logits[0, -1, : len(model.tokenizer)].double() / temperature).softmax(
            0
        )
    order = p.argsort(descending=True)
    inside = p[order].cumsum(0) - p[order] < top_p
    kept = torch.zeros_like(p)
    kept[order[inside]] = p[order[inside]]
    return kept / kept.sum()


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (1.0, 0.9), (0.7, 0.5), (1.5, 0.05)])
def test_first_tokens_follow_the_tempered_nucleus(temperature, top_p):
    model = tiny(extra_rows=30)
    prompt = ids_of(model)[0]
    count = 6000
    (found,) = drawn(model, [prompt], n=count, max_new_tokens=1, temperature=temperature, top_p=top_p, seeds=[7])
    counts = torch.bincount(torch.tensor([one.ids[0] for one in found]), minlength=len(model.tokenizer)).double()
    p = nucleus(model, prompt, temperature, top_p)
    assert counts[p == 0].sum() == 0
    often = p * count >= 5
    observed = [*counts[often].tolist(), *([float(counts[~often].sum())] if (p[~often].sum() * count) >= 1 else [])]
    expected = [
        *(p[often] * count).tolist(),
        *([float(p[~often].sum() * count)] if (p[~often].sum() * count) >= 1 else []),
    ]
    if len(observed) > 1:
        total = sum(observed) / sum(expected)
        assert stats.chisquare(observed, [e * total for e in expected]).pvalue > 1e-3


def test_a_row_that_no_token_owns_is_never_drawn():
    model = tiny(extra_rows=200)
    found = drawn(model, ids_of(model), n=100, temperature=5.0, top_p=1.0)
    assert max(max(one.ids) for each in found for one in each) < len(model.tokenizer)


def test_draws_that_wait_and_draws_that_do_not_agree():
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(64, 300, generator=random) * 3
    for top_p in (1.0, 0.95, 0.5, 0.1):
        chance = torch.rand(64, Sampling(1.0, top_p).rounds, generator=random)
        a, b = (draw(logits, chance, 0.8, top_p, allowed=290, greedy=False, wait=wait) for wait in (True, False))
        assert torch.equal(a[0], b[0])
        assert torch.equal(a[1], b[1])


def test_more_rounds_are_planned_for_a_smaller_nucleus():
    rounds = [Sampling(1.0, p).rounds for p in (1.0, 0.99, 0.95, 0.5, 0.1)]
    assert rounds == sorted(rounds)
    assert rounds[0] == Sampling(0.0, 0.5).rounds == 1


def test_temperature_zero_takes_the_most_probable_token_each_time():
    model = tiny(extra_rows=30)
    prompts = ids_of(model)
    found = drawn(model, prompts, temperature=0.0, n=3, max_new_tokens=10)
    for prompt, each in zip(prompts, found, strict=True):
        assert each[0] == each[1] == each[2]
        ids = list(prompt)
        for token in each[0].ids:
            with torch.no_grad():
                assert token == int(model.model(torch.tensor([ids])).logits[0, -1, : len(model.tokenizer)].argmax())
            ids.append(token)


# --- ends


def test_a_token_that_the_model_names_as_end_is_a_terminator():
    model = tiny()
    (free,) = drawn(model, ids_of(model)[:1], temperature=0.0, n=1, max_new_tokens=6)
    token = free[0].ids[3]
    first = free[0].ids.index(token)
    model.model.generation_config.eos_token_id = [1, token]
    again = LanguageModel(model.model, model.tokenizer, name="ends")
    assert again.eos_ids == {1, token}
    ((one,),) = drawn(again, ids_of(model)[:1], temperature=0.0, n=1, max_new_tokens=6)
    assert one.ids == free[0].ids[: first + 1]
    assert one.logprobs == pytest.approx(free[0].logprobs[: first + 1], abs=1e-5)
    assert one.ended
    assert one.stopped_by == token
    assert one.text == model.text(one.ids[:-1])


def test_the_limit_of_tokens_is_no_end():
    model = tiny()
    found = drawn(model, ids_of(model), max_new_tokens=3, n=8)
    assert {len(one.ids) for each in found for one in each if not one.ended} == {3}
    for each in found:
        for one in each:
            assert one.ended == (one.stopped_by is not None) == (one.ids[-1] in model.eos_ids)


def test_a_stop_text_ends_at_the_token_that_completes_it():
    model = tiny()
    prompts = ids_of(model)
    free = drawn(model, prompts, max_new_tokens=40, n=6)
    # Texts that lie across two tokens of some completion, and some that no completion has.
    across = {
        model.text(one.ids[k : k + 2])[1:-1] for each in free for one in each for k in (3, 9) if len(one.ids) > 11
    }
    stops = [text for text in across if len(text) > 1 and "\ufffd" not in text][:3]
    assert stops
    found = drawn(model, prompts, max_new_tokens=40, n=6, stop=[*stops, "never in a completion"])
    assert any(isinstance(one.stopped_by, str) for each in found for one in each)
    for before, after in zip(free, found, strict=True):
        for a, b in zip(before, after, strict=True):
            assert b.ids == a.ids[: len(b.ids)]
            assert b.logprobs == pytest.approx(a.logprobs[: len(b.ids)], abs=1e-5)
            assert not any(stop in b.text for stop in stops)
            assert not any(stop in model.text(b.ids[:-1]) for stop in stops)
            if isinstance(b.stopped_by, str):
                assert b.ended
                assert model.text(b.ids).startswith(b.text + b.stopped_by)
            else:
                assert b == Drawn(a.ids, b.logprobs, a.text, a.ended, a.stopped_by)


def test_a_stop_text_of_the_prompt_does_not_count():
    model = tiny()
    prompt = model.token_ids("[GOAL]⊢ True")
    free = drawn(model, [prompt], seeds=[1])
    same(drawn(model, [prompt], seeds=[1], stop=["True", "⊢ True" + free[0][0].text[:1]]), free)


# --- the context


def test_prompt_and_completion_fit_into_the_context():
    model = tiny(max_positions=64)
    prompt = [40 + k % 50 for k in range(61)]
    short = [40, 41]
    found = drawn(model, [prompt, short], n=8, max_new_tokens=10, seeds=[1, 2])
    assert max(len(one.ids) for one in found[0]) == 3
    assert max(len(one.ids) for one in found[1]) == 10
    for one in found[0]:
        assert one.logprobs == pytest.approx(plain(model, prompt, one.ids), abs=1e-4)


def test_a_prompt_without_room_is_an_error():
    model = tiny(max_positions=64)
    assert model.max_tokens == 64
    with pytest.raises(ModelError, match=r"a prompt of 64 tokens leaves no room in the context of .*, which has 64"):
        drawn(model, [[40] * 64], seeds=[1])
    assert model.embed([[40] * 64]).shape == (1, 32)
    with pytest.raises(ModelError, match="65 tokens"):
        model.embed([[40] * 65])
    with pytest.raises(ModelError, match="without tokens"):
        drawn(model, [[]], seeds=[1])


# --- architectures


def test_an_attention_that_is_not_plain_is_decoded_its_own_way_and_that_is_told():
    for model in (
        sliding_window(),
        unlike_llama(BloomForCausalLM, BloomConfig, n_layer=2, n_head=4),  # positions by a bias on attention
    ):
        prompts = ids_of(model)
        for prompt, each in zip(prompts, drawn(model, prompts), strict=True):
            for one in each:
                assert one.logprobs == pytest.approx(plain(model, prompt, one.ids), abs=1e-4)
        assert model.tally.counts == {NOT_SHARED: 1}


def test_a_model_with_a_recurrence_embeds_and_says_that_it_cannot_sample():
    model = unlike_llama(MambaForCausalLM, MambaConfig, num_hidden_layers=2)
    prompts = ids_of(model)
    assert torch.allclose(model.embed(prompts)[1], model.embed(prompts[1:2])[0], atol=1e-5)
    with pytest.raises(ModelError, match="MambaForCausalLM keeps more of a text than keys and values"):
        drawn(model, prompts)


# --- pooling


@torch.no_grad()
def mean_of_last(model: LanguageModel, prompt: list[int], content: list[int]) -> torch.Tensor:
    return model.model(torch.tensor([prompt]), output_hidden_states=True).hidden_states[-1][0][content].double().mean(0)


@pytest.mark.parametrize("keep", [False, True])
def test_a_pooled_vector_is_the_mean_over_content(keep):
    model = tiny(bos=True)
    prompts = ids_of(model)
    for prompt, vector in zip(prompts, model.embed(prompts, keep=keep), strict=True):
        assert vector.dtype == torch.float32
        expected = mean_of_last(model, prompt, list(range(1, len(prompt))))  # without BOS
        torch.testing.assert_close(vector.double(), expected, atol=1e-5, rtol=0)


def test_eos_inside_a_prompt_is_no_content():
    model = tiny()
    prompt = model.token_ids("[GOAL]⊢ True</s>x")
    end = prompt.index(1)
    content = [k for k in range(len(prompt)) if k != end]
    torch.testing.assert_close(
        model.embed([prompt])[0].double(), mean_of_last(model, prompt, content), atol=1e-5, rtol=0
    )


def test_pooling_does_not_see_the_padding():
    model = tiny()
    prompts = [*ids_of(model), [50] * 200]
    together = model.embed(prompts)
    for prompt, vector in zip(prompts, together, strict=True):
        model.forget()
        torch.testing.assert_close(model.embed([prompt])[0], vector, atol=1e-5, rtol=0)


def test_vectors_are_in_order_and_may_be_trained_on():
    model = tiny()
    prompts = ids_of(model)
    vectors = model.embed([prompts[2], prompts[0], prompts[2]])
    torch.testing.assert_close(vectors[0], vectors[2])
    assert not torch.allclose(vectors[0], vectors[1], atol=1e-3)
    weight = torch.ones(32, requires_grad=True)
    (vectors @ weight).sum().backward()
    assert weight.grad is not None


def test_a_prompt_without_content_has_no_vector():
    model = tiny(bos=True)
    with pytest.raises(ModelError, match="content"):
        model.embed([model.token_ids("")])
    assert model.embed([]).shape == (0, 32)


# --- the rest of the surface


def test_the_card_names_what_an_embedding_depends_on():
    model = tiny()
    card = model.card(FORMATS["markers"])
    assert (card.prompt_format, card.dim, card.max_tokens) == ("markers", 32, 512)
    assert (card.dtype, card.quantization, card.layer, card.pooling) == ("float32", "none", -1, "mean")
    assert model.card(FORMATS["markers"], max_tokens=99).max_tokens == 99
    assert model.card(FORMATS["markers"], max_tokens=9999).max_tokens == 512
    retrained = tiny(seed=1).card(FORMATS["markers"])
    assert retrained.differences(card) == [f"model is {card.model}, not {retrained.model}"]
    other = tiny(extra_words=("monotone",)).card(FORMATS["markers"])
    assert other.tokenizer != card.tokenizer


async def test_work_from_many_tasks_happens_one_after_the_other_in_one_thread():
    model = tiny()
    busy = threading.Lock()
    threads = set()

    def work(number: int) -> int:
        assert busy.acquire(blocking=False), "two at once"
        threads.add(threading.get_ident())
        drawn(model, ids_of(model), n=2, max_new_tokens=2)
        busy.release()
        return number

    assert await asyncio.gather(*(model.run(work, k) for k in range(5))) == list(range(5))
    assert len(threads) == 1
    assert threading.get_ident() not in threads
    with pytest.raises(ModelError):
        await model.run(model.embed, [[]])
    model.close()
