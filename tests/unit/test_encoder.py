"""The encoder over a real tiny model: what it computes, in which batches, and what it does when it cannot."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from burnqed.core.errors import BadInput, ModelError
from burnqed.core.state import Goal, ProofState, Variable
from burnqed.models.embedding_cache import EmbeddingCache
from burnqed.models.encoder import CUT, HALVED, Encoder, drop_output_layer
from burnqed.models.language_model import LanguageModel
from burnqed.prompts.fit import CUT as STATE_CUT
from burnqed.prompts.formats import prompt_format
from burnqed.testing.tiny_model import LEAN_LINES, make_tiny_model

FORM = prompt_format("markers")


class Watched:
    """The tiny model, with every batch written down and troubles on demand."""

    def __init__(self, inner: LanguageModel) -> None:
        self.inner = inner
        self.dim, self.max_tokens, self.device = inner.dim, inner.max_tokens, inner.device
        self.card, self.token_ids = inner.card, inner.token_ids
        self.batches: list[list[int]] = []
        self.fits_tokens = 10**9
        self.no_memory: Exception = torch.OutOfMemoryError("CUDA out of memory")
        self.hates: tuple[int, ...] | None = None
        self.spoils: tuple[int, ...] | None = None

    def embed(self, prompts: Sequence[Sequence[int]], *, keep: bool = False) -> Tensor:
        lengths = [len(p) for p in prompts]
        self.batches.append(lengths)
        if max(lengths) * len(lengths) > self.fits_tokens:
            raise self.no_memory
        if self.hates is not None and any(tuple(p) == self.hates for p in prompts):
            raise IndexError("index out of range in self")
        vectors = self.inner.embed(prompts, keep=keep).clone()
        for p, vector in zip(prompts, vectors, strict=True):
            if tuple(p) == self.spoils:
                vector[0] = float("nan")
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


def texts(n: int, seed: int = 0) -> list[str]:
    """Texts of many lengths, each different."""
    rng = random.Random(seed)
    return [f"[GOAL]{i} {' '.join(rng.choices(LEAN_LINES, k=rng.randint(0, 6)))}[PROOFSTEP]" for i in range(n)]


def plain(model: LanguageModel, text: str) -> Tensor:
    """The mean of the last hidden state over all tokens, by transformers alone."""
    ids = torch.tensor([model.token_ids(text)])
    with torch.inference_mode():
        states = model.model(ids, output_hidden_states=True).hidden_states[-1]
    return states[0].mean(dim=0)


def test_vectors_are_the_mean_of_the_last_hidden_state_in_the_order_asked(model, tiny):
    asked = texts(40)
    found = Encoder(model, FORM, max_batch_tokens=300).encode(asked)
    assert found.dtype == torch.float32
    assert not found.is_inference()  # a head may be trained on it
    assert torch.allclose(found, torch.stack([plain(tiny, t) for t in asked]), atol=1e-5)


def test_batches_hold_like_lengths_and_no_more_tokens_than_allowed(model):
    Encoder(model, FORM, max_batch_tokens=300).encode(texts(60))
    assert all(max(b) * len(b) <= 300 or len(b) == 1 for b in model.batches)
    padded = sum(max(b) * len(b) for b in model.batches)
    assert padded <= 1.15 * sum(sum(b) for b in model.batches)
    assert len(model.batches) < 30


def test_a_text_asked_twice_is_computed_once(model):
    encoder = Encoder(model, FORM)
    found = encoder.encode(["[GOAL]a[PROOFSTEP]", "[GOAL]bb[PROOFSTEP]", "[GOAL]a[PROOFSTEP]"])
    assert [len(b) for b in model.batches] == [2]
    assert torch.equal(found[0], found[2])
    assert encoder.encode([]).shape == (0, encoder.card.dim)


def test_out_of_memory_halves_the_batch_and_the_size_is_remembered(model):
    asked = texts(32)
    expected = Encoder(model, FORM).encode(asked)
    model.fits_tokens = 700
    model.batches.clear()
    encoder = Encoder(model, FORM, max_batch_tokens=8192)
    assert torch.allclose(encoder.encode(asked), expected, atol=1e-5)
    failed = sum(max(b) * len(b) > 700 for b in model.batches)
    assert encoder.tally.counts[HALVED] == failed > 0
    model.batches.clear()
    encoder.encode(texts(32, seed=1))
    assert model.batches
    assert all(max(b) * len(b) <= 700 for b in model.batches)


@pytest.mark.parametrize(
    "error",
    [MemoryError(), RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 1 bytes.")],
    ids=["MemoryError", "torch on a processor"],
)
def test_memory_of_a_processor_counts_as_well(model, error):
    model.fits_tokens, model.no_memory = 700, error
    assert len(Encoder(model, FORM).encode(texts(32))) == 32


def test_a_text_that_does_not_fit_alone_is_named_and_the_others_come(model):
    asked = texts(8)
    longest = max(range(8), key=lambda i: len(model.token_ids(asked[i])))
    length = len(model.token_ids(asked[longest]))
    model.fits_tokens = length - 1
    encoder = Encoder(model, FORM)
    with pytest.raises(
        ModelError, match=f"memory does not suffice to embed a text of {length} tokens; lower the limit"
    ):
        encoder.encode(asked)
    each = encoder.embed_each([encoder.tokens(t) for t in asked])
    assert [i for i, one in enumerate(each) if isinstance(one, ModelError)] == [longest]


def test_one_text_that_the_model_fails_on_does_not_spoil_its_batch(model):
    asked = texts(6)
    model.hates = tuple(model.token_ids(asked[4]))
    encoder = Encoder(model, FORM)
    each = encoder.embed_each([encoder.tokens(t) for t in asked])
    assert [isinstance(one, ModelError) for one in each] == [False] * 4 + [True, False]
    assert f"a text of {len(model.hates)} tokens: index out of range" in str(each[4])


def test_a_model_that_fails_on_everything_is_an_error(model):
    model.fits_tokens, model.no_memory = 0, RuntimeError("CUDA error: an illegal memory access was encountered")
    with pytest.raises(ModelError, match="illegal memory access"):
        Encoder(model, FORM).embed_each([[5, 6], [7]])


def test_numbers_that_are_not_finite_are_an_error_of_that_text(model):
    asked = texts(5)
    model.spoils = tuple(model.token_ids(asked[1]))
    encoder = Encoder(model, FORM)
    each = encoder.embed_each([encoder.tokens(t) for t in asked])
    assert [isinstance(one, ModelError) for one in each] == [False, True, False, False, False]
    with pytest.raises(ModelError, match="not finite"):
        encoder.encode(asked)


def test_a_text_too_long_keeps_both_ends_and_is_counted(model, tiny):
    encoder = Encoder(model, FORM, max_tokens=31)
    text = f"[GOAL]{' '.join(LEAN_LINES)}[PROOFSTEP]"
    whole = tiny.token_ids(text)
    assert encoder.tokens(text) == whole[:16] + whole[-15:]
    assert encoder.card.max_tokens == 31
    encoder.encode([text])
    assert model.batches == [[31]]
    assert encoder.tally.counts[CUT] == 2


def test_the_limit_is_never_beyond_the_context_of_the_model(model):
    assert Encoder(model, FORM, max_tokens=10**6).card.max_tokens == model.max_tokens


@pytest.mark.parametrize(("text", "message"), [("", "empty"), ("⊢ \ud800", "lone surrogate at character 2")])
def test_what_is_no_text_is_refused(model, text, message):
    with pytest.raises(BadInput, match=message):
        Encoder(model, FORM).encode(["fine", text])


def test_states_are_put_into_the_format_and_shortened_by_what_they_mean(model):
    small = ProofState((Goal((), "a = b"),))
    many = tuple(Variable(f"h{i}", f"x{i} ≤ y{i} + {i}") for i in range(40))
    large = ProofState((Goal(many, "x ≤ y"), Goal((), "c = d")))
    encoder = Encoder(model, FORM, max_tokens=64)
    assert encoder.text(small) == "[GOAL]⊢ a = b[PROOFSTEP]"
    kept = encoder.text(large)
    assert kept.endswith("h39 : x39 ≤ y39 + 39\n⊢ x ≤ y[PROOFSTEP]")
    assert torch.allclose(encoder.encode_states([small, large]), encoder.encode([encoder.text(small), kept]))
    assert encoder.tally.counts == {STATE_CUT: 2}


def test_the_cache_is_asked_first_and_gives_the_same_numbers(model, tmp_path):
    asked = texts(12)
    first = Encoder(model, FORM, cache=EmbeddingCache(file=tmp_path / "cache"))
    expected = first.encode(asked)
    model.batches.clear()
    assert torch.equal(first.encode(asked[:6]), expected[:6])
    first.cache.close()
    second = Encoder(model, FORM, cache=EmbeddingCache(file=tmp_path / "cache"))
    assert torch.equal(second.encode(asked), expected)
    assert model.batches == []
    assert second.cache.hits == 12
    third = Encoder(model, FORM, max_tokens=100, cache=second.cache)
    third.encode(asked[:1])  # another card
    assert len(model.batches) == 1
    second.cache.close()


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a usual size (the tiny model's are larger, and small errors grow in it), wide enough for nf4's kernel."""
    folder = make_tiny_model(tmp_path_factory.mktemp("usual") / "model", hidden=128)
    weights = load_file(folder / "model.safetensors")
    for name, weight in weights.items():
        if "proj" in name:
            weight *= 0.25
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize("quantization", ["int8", "nf4"])
def test_a_quantized_model_embeds_nearly_the_same(usual, quantization):
    asked = texts(10)
    whole = Encoder(LanguageModel.load(usual, device="cpu"), FORM)
    quantized = Encoder(LanguageModel.load(usual, device="cpu", quantization=quantization), FORM)
    cosine = torch.cosine_similarity(quantized.encode(asked), whole.encode(asked))
    assert 0.97 < cosine.min() < 1 - 1e-6
    assert quantized.card.digest != whole.card.digest


def test_without_its_output_layer_a_model_embeds_the_same_in_less_memory(folder, tiny):
    bare = LanguageModel.load(folder, device="cpu")
    before = sum(p.numel() for p in bare.model.parameters())
    drop_output_layer(bare)
    assert sum(p.numel() for p in bare.model.parameters()) == before - len(tiny.tokenizer) * tiny.dim
    assert torch.allclose(Encoder(bare, FORM).encode(texts(5)), Encoder(tiny, FORM).encode(texts(5)), atol=1e-5)
