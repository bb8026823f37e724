"""The language model that is trained: loaded or made, its vocabulary grown, its LoRA put on, its layers checkpointed."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from burnqed.core.errors import ModelMismatch
from burnqed.models.loading import load_folder
from burnqed.models.tokenizer import check_tokenizer, grow_vocabulary
from burnqed.prompts.formats import PromptFormat
from burnqed.train.config import LoraConfig
from burnqed.train.lora import with_lora


@dataclass
class Backbone:
    """A causal language model ready to be trained.

    ``model`` may be a PEFT model around ``causal``; ``grown`` are ids of tokens that were added. ``base_hash`` and
    ``tokenizer_hash`` are those of the folder it came from. Weights that learn are float32, the others ``dtype``.
    """

    model: Any
    causal: Any
    tokenizer: Any
    base: Path
    base_hash: str
    tokenizer_hash: str
    dtype: torch.dtype
    device: torch.device
    grown: list[int] = field(default_factory=list)

    @property
    def dim(self) -> int:
        """Length of a hidden state."""
        return int(self.causal.config.hidden_size)

    @property
    def max_positions(self) -> int:
        """Length of the context."""
        return int(getattr(self.causal.config, "max_position_embeddings", 0) or 1 << 30)

    @property
    def half(self) -> bool:
        """Whether products are computed in bfloat16: on a GPU, and where the frozen weights are in it."""
        return self.device.type == "cuda" or self.dtype == torch.bfloat16

    @property
    def not_content(self) -> frozenset[int]:
        """Tokens that no embedding is made of: BOS and those that end a text, as the encoder has it."""
        config = self.causal.generation_config
        named = config.eos_token_id if config is not None else None
        many = named if isinstance(named, list | tuple) else [named]
        ids = [*many, self.tokenizer.eos_token_id, self.tokenizer.bos_token_id]
        return frozenset(int(i) for i in ids if i is not None)

    @property
    def decoder(self) -> Any:
        """The stack of layers with the final norm; its output is what the head and the embeddings see."""
        return self.causal.base_model

    @property
    def lm_head(self) -> Any:
        """What makes logits of a hidden state."""
        return self.causal.get_output_embeddings()


def load_backbone(base: Path, *, form: PromptFormat, device: str, dtype: str, lora: LoraConfig, seed: int) -> Backbone:
    """Load a model folder for training. Raises BadInput or ModelMismatch for one that cannot be used.

    With LoRA the base is frozen in ``dtype`` (``auto``: bfloat16 on a GPU, float32 on a processor); without, everything learns
    in float32. Markers of the format that the vocabulary lacks become tokens, whose rows learn too.
    """
    everything = lora.rank == 0
    loaded = load_folder(base, device=device, dtype=_dtype(dtype, device, everything=everything))
    causal, tokenizer = loaded.model, loaded.tokenizer
    grown = [] if _has_markers(tokenizer, form) else grow_vocabulary(causal, tokenizer, form.single_tokens)
    rows = int(causal.get_input_embeddings().weight.shape[0])
    check_tokenizer(tokenizer, form, rows=rows, name=str(base))
    causal.config.use_cache = False
    model = causal
    if everything:
        causal.requires_grad_(True)
    else:
        model = with_lora(causal, lora, grown, seed)
    return Backbone(
        model=model.train(),
        causal=causal,
        tokenizer=tokenizer,
        base=base,
        base_hash=loaded.model_hash,
        tokenizer_hash=loaded.tokenizer_hash,
        dtype=causal.get_input_embeddings().weight.dtype,
        device=causal.device,
        grown=grown,
    )


def checkpoint_layers(causal: Any, count: int) -> int:
    """Compute the insides of the first ``count`` decoder layers again in the backward pass; returns how many there are.

    Only their inputs are kept, so each needs a fraction of the memory and a third more time.
    """
    layers = decoder_layers(causal)
    for layer in layers[:count]:
        plain = layer.forward
        layer.forward = functools.wraps(plain)(
            lambda *args, _plain=plain, **kwargs: (
                checkpoint(_plain, *args, use_reentrant=False, preserve_rng_state=True, **kwargs)
                if torch.is_grad_enabled()
                else _plain(*args, **kwargs)
            )
        )
    return min(count, len(layers))


def decoder_layers(causal: Any) -> list[Any]:
    """The decoder layers, first to last. Raises ModelMismatch when the architecture keeps them elsewhere."""
    layers = getattr(causal.base_model, "layers", None)
    if not isinstance(layers, nn.ModuleList):
        raise ModelMismatch(f"{type(causal).__name__} keeps its layers in an unknown place; it cannot be trained here")
    return list(layers)


def trainable(module: nn.Module) -> dict[str, nn.Parameter]:
    """The weights that learn, by name."""
    return {name: p for name, p in module.named_parameters() if p.requires_grad}


@contextlib.contextmanager
def swapped(parameters: dict[str, nn.Parameter], values: dict[str, Tensor]) -> Iterator[None]:
    """Other values in place of parameters for a while; the tensors change hands, nothing is copied."""
    held = {name: p.data for name, p in parameters.items()}
    for name, p in parameters.items():
        p.data = values[name]
    try:
        yield
    finally:
        for name, p in parameters.items():
            p.data = held[name]


def _has_markers(tokenizer: Any, form: PromptFormat) -> bool:
    return all(len(tokenizer.encode(m, add_special_tokens=False)) == 1 for m in form.single_tokens)


def _dtype(dtype: str, device: str, *, everything: bool) -> str:
    if everything:
        return "float32"
    if dtype != "auto":
        return dtype
    on_gpu = torch.cuda.is_available() if device == "auto" else device.startswith("cuda")
    return "bfloat16" if on_gpu else "float32"


def stored_format(base: Path) -> str:
    """The prompt format that a model folder names as its own; empty when it names none."""
    about = base / "burnqed.json"
    if not about.exists():
        return ""
    try:
        return str(json.loads(about.read_text(encoding="utf-8")).get("prompt_format", ""))
    except (OSError, ValueError, AttributeError) as error:
        raise ModelMismatch(f"{about} is damaged: {error}") from error
