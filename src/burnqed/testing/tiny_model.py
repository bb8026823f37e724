"""A random Llama with a tokenizer trained on a few lines of Lean: small enough that a test makes its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

GOAL, PROOFSTEP = "[GOAL]", "[PROOFSTEP]"
EOS, PAD, BOS = "</s>", "<pad>", "<s>"

LEAN_LINES = (
    "n : Nat\n⊢ n + 0 = n",
    "n m : ℕ\nh : n ≤ m\n⊢ m ≥ n",
    "α : Type u\ns : Set α\nx y : α\nhx : x ∈ s\n⊢ ∃ z, z ∈ s ∧ z ≠ y ∨ x = y",
    "f : ℝ → ℝ\nhf : ∀ ε > 0, ∃ δ > 0, ∀ x, |x| < δ → |f x| < ε\n⊢ f 0 = 0",
    "case succ\nk : ℕ\nih : k * 2 = k + k\n⊢ (k + 1) * 2 = k + 1 + (k + 1)",
    "intro x hx",
    "simp [Nat.add_comm, Nat.mul_comm]",
    "rw [← Nat.add_assoc, ih]",
    "induction n with\n| zero => rfl\n| succ k ih => omega",
    "exact fun h => h.elim",
    "rcases h with ⟨a, hb | hc⟩",
    "linarith",
    "obtain ⟨δ, hδ, hx⟩ := hf ε hε",
    "refine ⟨x, hx, ?_⟩",
    "norm_num at *",
    "have h : a ≤ b := by positivity",
)


def make_tiny_model(
    folder: Path,
    *,
    markers: bool = True,
    bos: bool = False,
    hidden: int = 32,
    layers: int = 2,
    heads: int = 4,
    kv_heads: int = 2,
    vocab: int = 400,
    extra_rows: int = 0,
    extra_words: tuple[str, ...] = (),
    max_positions: int = 512,
    seed: int = 0,
) -> Path:
    """Write a causal language model to ``folder`` as ``save_pretrained`` does, and return the folder.

    ``markers``: ``[GOAL]`` and ``[PROOFSTEP]`` are tokens of their own (else they fall into pieces). ``bos``: the tokenizer puts
    ``<s>`` before every text. ``extra_rows``: the embedding has so many rows more than the tokenizer has tokens, as padded
    checkpoints do. ``extra_words`` are learned by the tokenizer as well, so that two models differ in their vocabularies.
    The weights are random, spread widely enough that the model has opinions.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM
    from transformers.utils import logging as transformers_logging

    logging: Any = transformers_logging
    tokenizer = make_tokenizer(vocab=vocab, markers=markers, bos=bos, extra_words=extra_words)
    config = LlamaConfig(
        vocab_size=len(tokenizer) + extra_rows,
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        max_position_embeddings=max_positions,
        initializer_range=0.2,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if shown:
        logging.enable_progress_bar()
    return folder


def make_tokenizer(
    *, vocab: int = 400, markers: bool = True, bos: bool = False, extra_words: tuple[str, ...] = ()
) -> Any:
    """A byte-level BPE tokenizer of at most ``vocab`` tokens (256 bytes and the special ones are always there)."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    make: Any = PreTrainedTokenizerFast

    special = [PAD, EOS, *((BOS,) if bos else ()), *((GOAL, PROOFSTEP) if markers else ())]
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator([*LEAN_LINES, *extra_words * 20], trainer)
    if bos:
        inner.post_processor = processors.TemplateProcessing(
            single=f"{BOS} $A", special_tokens=[(BOS, inner.token_to_id(BOS))]
        )
    return make(
        tokenizer_object=inner,
        eos_token=EOS,
        pad_token=PAD,
        bos_token=BOS if bos else None,
        extra_special_tokens=[GOAL, PROOFSTEP] if markers else [],
        clean_up_tokenization_spaces=False,
    )
