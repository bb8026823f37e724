"""A small Llama and its tokenizer from nothing, as a model folder to start from."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
import transformers

from burnqed.core.seeding import child_seed
from burnqed.prompts.formats import GOAL, PROOFSTEP
from burnqed.train.checkpoint import whole_folder
from burnqed.train.config import FreshConfig

EOS, PAD = "</s>", "<pad>"


def make_fresh(folder: Path, config: FreshConfig, texts: Iterable[str], *, prompt_format: str, seed: int) -> Path:
    """Write a model with random weights and a byte-level BPE tokenizer trained on ``texts``; returns the folder.

    The markers are tokens of their own. Same texts, configuration and seed give the same folder.
    """
    tokenizer = train_tokenizer(texts, vocab=config.vocab)
    make: Any = transformers.LlamaConfig
    shape = make(
        vocab_size=-(-len(tokenizer) // 64) * 64,
        hidden_size=config.hidden,
        intermediate_size=config.intermediate,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.kv_heads,
        max_position_embeddings=config.max_positions,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(child_seed(seed, "fresh") % (1 << 63))
        model: Any = transformers.LlamaForCausalLM(shape)
    with whole_folder(folder) as part:
        save_model(part, model, tokenizer, prompt_format=prompt_format)
    return folder


def train_tokenizer(texts: Iterable[str], *, vocab: int) -> Any:
    """A byte-level BPE tokenizer of at most ``vocab`` tokens; digits stand alone, so that numbers are read alike."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    special = [PAD, EOS, GOAL, PROOFSTEP]
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\d|\n"), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(texts, trainer)
    make: Any = transformers.PreTrainedTokenizerFast
    return make(
        tokenizer_object=inner,
        eos_token=EOS,
        pad_token=PAD,
        extra_special_tokens=[GOAL, PROOFSTEP],
        clean_up_tokenization_spaces=False,
    )


def save_model(
    folder: Path, model: Any, tokenizer: Any, *, prompt_format: str, card: dict[str, Any] | None = None
) -> None:
    """Weights, tokenizer and ``burnqed.json`` into a folder that is there."""
    logging: Any = transformers.utils.logging
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        model.save_pretrained(folder)
    finally:
        if shown:
            logging.enable_progress_bar()
    tokenizer.save_pretrained(folder)
    about = {"prompt_format": prompt_format, **(card or {})}
    (folder / "burnqed.json").write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
