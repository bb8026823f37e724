"""What a tokenizer must be, and how a vocabulary grows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from burnqed.core.errors import ModelMismatch
from burnqed.models.tokenizer import LEAN_PROBE, check_tokenizer, decoded, grow_vocabulary, prompt_ids, set_padding
from burnqed.prompts.formats import FORMATS, GOAL, PROOFSTEP
from burnqed.testing.tiny_model import EOS, make_tokenizer

MARKERS, TEXT = FORMATS["markers"], FORMATS["marker-text"]
PROMPT = f"{GOAL}n : ℕ\n⊢ n + 0 = n{PROOFSTEP}"


def check(tokenizer: Any, form: Any = MARKERS, rows: int = 1000) -> None:
    check_tokenizer(tokenizer, form, rows=rows, name="tiny")


def small_model(rows: int, *, tied: bool = False) -> LlamaForCausalLM:
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=rows,
            hidden_size=8,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            tie_word_embeddings=tied,
        )
    )


# --- prompts


@pytest.mark.parametrize("bos", [False, True])
def test_a_prompt_has_its_markers_as_tokens_and_bos_only_if_the_tokenizer_says_so(bos):
    tokenizer = make_tokenizer(bos=bos)
    ids = prompt_ids(tokenizer, PROMPT)
    expected = [tokenizer.bos_token_id] if bos else []
    assert ids[: len(expected) + 1] == [*expected, tokenizer.convert_tokens_to_ids(GOAL)]
    assert ids[-1] == tokenizer.convert_tokens_to_ids(PROOFSTEP)
    assert decoded(tokenizer, ids[len(expected) :]) == PROMPT


def test_a_prompt_never_ends_in_eos_that_the_text_has_not():
    tokenizer = make_tokenizer()
    plain = prompt_ids(tokenizer, PROMPT)
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {EOS}", special_tokens=[(EOS, tokenizer.eos_token_id)]
    )
    assert tokenizer(PROMPT)["input_ids"][-1] == tokenizer.eos_token_id
    assert prompt_ids(tokenizer, PROMPT) == plain


def test_blanks_before_punctuation_survive_decoding():
    tokenizer = make_tokenizer()
    tokenizer.clean_up_tokenization_spaces = True
    text = "refine ⟨x , ?_ ⟩ . 1 n't !"
    assert decoded(tokenizer, prompt_ids(tokenizer, text)) == text


def test_padding_is_left_and_has_a_token():
    tokenizer = make_tokenizer()
    tokenizer.padding_side = "right"
    tokenizer.pad_token = None
    set_padding(tokenizer)
    assert tokenizer.pad_token == EOS
    rows = tokenizer(["n : ℕ", "n"], padding=True)["input_ids"]
    assert rows[1][0] == tokenizer.pad_token_id
    assert rows[1][-1] != tokenizer.pad_token_id


# --- checks


@pytest.mark.parametrize("bos", [False, True])
def test_a_good_tokenizer_passes(bos):
    check(make_tokenizer(bos=bos))
    check(make_tokenizer(bos=bos), TEXT)


def test_markers_in_pieces_are_refused_where_they_must_be_tokens():
    tokenizer = make_tokenizer(markers=False)
    with pytest.raises(
        ModelMismatch, match=r"\[GOAL\] is 6 tokens in the vocabulary of tiny, and must be one.*markers"
    ):
        check(tokenizer)
    check(tokenizer, TEXT)


def test_more_tokens_than_rows_are_refused():
    tokenizer = make_tokenizer()
    check(tokenizer, rows=len(tokenizer))
    with pytest.raises(ModelMismatch, match=rf"{len(tokenizer)} tokens, its model only {len(tokenizer) - 1} rows"):
        check(tokenizer, rows=len(tokenizer) - 1)


def test_a_tokenizer_that_loses_symbols_is_refused():
    words = {"?": 0, "</s>": 1, **{c: i for i, c in enumerate("abcdefghijklmnopqrstuvwxyz :_.", start=2)}}
    inner = Tokenizer(models.WordLevel(words, unk_token="?"))
    inner.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    inner.decoder = decoders.Fuse()
    lossy = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="</s>", unk_token="?")
    with pytest.raises(ModelMismatch, match="loses symbols of Lean"):
        check(lossy, TEXT)


def test_a_tokenizer_that_changes_case_is_refused():
    tokenizer = make_tokenizer()
    tokenizer.backend_tokenizer.normalizer = normalizers.Lowercase()
    with pytest.raises(ModelMismatch, match="loses symbols of Lean"):
        check(tokenizer, TEXT)


def test_the_probe_holds_what_lean_text_needs():
    for symbol in "⊢ℕℝαβ✝∀∃δε≥≠⁻¹₁∧‖≤⟨⟩∈∪\n":
        assert symbol in LEAN_PROBE
    assert "\n  " in LEAN_PROBE


# --- growing


def test_a_padded_matrix_is_not_cut():
    tokenizer = make_tokenizer(markers=False)
    rows = len(tokenizer) + 100
    model = small_model(rows)
    before = model.get_input_embeddings().weight.detach().clone()
    ids = grow_vocabulary(model, tokenizer, [GOAL, PROOFSTEP])
    assert ids == [len(tokenizer) - 2, len(tokenizer) - 1]
    assert model.get_input_embeddings().weight.shape[0] == model.config.vocab_size == rows
    kept = [i for i in range(rows) if i not in ids]
    assert torch.equal(model.get_input_embeddings().weight[kept], before[kept])
    check(tokenizer, rows=rows)


@pytest.mark.parametrize("tied", [False, True])
def test_a_full_matrix_grows_to_a_multiple_of_64_and_keeps_its_rows(tied):
    tokenizer = make_tokenizer(markers=False)
    old = len(tokenizer)
    model = small_model(old, tied=tied)
    before = [m.weight.detach().clone() for m in (model.get_input_embeddings(), model.get_output_embeddings())]
    ids = grow_vocabulary(model, tokenizer, [GOAL, PROOFSTEP])
    for matrix, was in zip((model.get_input_embeddings(), model.get_output_embeddings()), before, strict=True):
        assert matrix.weight.shape[0] == -(-(old + 2) // 64) * 64
        assert torch.equal(matrix.weight[:old], was)
        torch.testing.assert_close(matrix.weight[ids], was.mean(dim=0).expand(2, -1))
        assert torch.isfinite(matrix.weight).all()
    assert tokenizer.encode(f"x{GOAL}", add_special_tokens=False)[-1] == ids[0]


def test_a_new_token_is_as_likely_as_an_average_one():
    tokenizer = make_tokenizer(markers=False)
    old = len(tokenizer)
    model = small_model(old)
    prompt = torch.tensor([[5, 6, 7]])
    before = model(prompt).logits[0, -1]
    ids = grow_vocabulary(model, tokenizer, [GOAL])
    after = model(prompt).logits[0, -1]
    torch.testing.assert_close(after[:old], before)
    torch.testing.assert_close(after[ids[0]], before.mean())


def test_growing_twice_changes_nothing():
    tokenizer = make_tokenizer(markers=False)
    model = small_model(len(tokenizer))
    ids = grow_vocabulary(model, tokenizer, [GOAL, PROOFSTEP])
    weights = model.get_input_embeddings().weight.detach().clone()
    assert grow_vocabulary(model, tokenizer, [GOAL, PROOFSTEP]) == ids
    assert torch.equal(model.get_input_embeddings().weight, weights)


def test_old_special_tokens_stay_special():
    tokenizer = make_tokenizer()
    model = small_model(len(tokenizer))
    grow_vocabulary(model, tokenizer, ["[TACTIC]"])
    for text in (GOAL, PROOFSTEP, "[TACTIC]"):
        assert len(tokenizer.encode(text, add_special_tokens=False)) == 1
        assert tokenizer.convert_tokens_to_ids(text) in tokenizer.all_special_ids


def test_a_grown_tokenizer_survives_its_file(tmp_path: Path):
    tokenizer = make_tokenizer(markers=False)
    model = small_model(len(tokenizer))
    ids = grow_vocabulary(model, tokenizer, [GOAL, PROOFSTEP])
    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    assert again.convert_tokens_to_ids([GOAL, PROOFSTEP]) == ids
    check(again)
