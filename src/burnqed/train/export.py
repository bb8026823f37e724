"""From a checkpoint to a model folder: LoRA merged into the base, in a form that every server loads.

SGLang skips trained token rows of an adapter without a word, so what is served is merged. The base is loaded anew, in float32,
and the merged weights are rounded once.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig

from burnqed.core.encoder_card import EncoderCard
from burnqed.core.errors import BadInput, ModelMismatch
from burnqed.models.fingerprint import folder_hash
from burnqed.models.loading import DTYPES
from burnqed.prompts.formats import prompt_format
from burnqed.train.backbone import Backbone, load_backbone, trainable
from burnqed.train.card import CARD
from burnqed.train.checkpoint import Checkpoint, whole_folder
from burnqed.train.config import LoraConfig
from burnqed.train.fresh import save_model
from burnqed.train.workers import put

_MODEL = "model."


def export_model(checkpoint: Checkpoint, out: Path, *, dtype: str = "auto", base: Path | None = None) -> Path:
    """Write the merged model of a checkpoint to ``out``; returns it.

    ``dtype`` is a name of ``models.loading.DTYPES``, or ``auto`` for the base's own; ``base`` is where the base model is now, if
    it has moved. Raises BadInput or ModelMismatch when the base is not the one that the checkpoint was made from.
    """
    if dtype not in ("auto", *DTYPES):
        raise BadInput(f"there is no dtype {dtype!r}; choose auto, {', '.join(DTYPES)}")
    backbone = restored_backbone(checkpoint, base=base)
    card = checkpoint.state["card"]
    causal = backbone.causal if backbone.model is backbone.causal else backbone.model.merge_and_unload()
    kind = _dtype(dtype, backbone.base)
    causal = causal.to(kind)
    causal.config.use_cache = True
    with whole_folder(out) as part:
        save_model(part, causal, backbone.tokenizer, prompt_format=card["prompt_format"])
        (part / CARD).write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return out


def restored_backbone(checkpoint: Checkpoint, *, base: Path | None = None) -> Backbone:
    """The backbone of a checkpoint with its trained weights, in float32 on the CPU, in evaluation mode."""
    card = _model_card(checkpoint)
    folder = base or Path(card["base"]["folder"])
    if not folder.is_dir():
        raise BadInput(f"the base model {folder} of {checkpoint.folder} is not there; say with --base where it is now")
    backbone = load_backbone(
        folder,
        form=prompt_format(card["prompt_format"]),
        device="cpu",
        dtype="float32",
        lora=LoraConfig.model_validate(card["config"]["lora"]),
        seed=0,
    )
    for name, what in (("base_hash", "model"), ("tokenizer_hash", "tokenizer")):
        if getattr(backbone, name) != card["base"][what]:
            raise ModelMismatch(f"{checkpoint.folder} was made from another {what} than the one in {folder}")
    tensors = checkpoint.tensors()
    for name, p in trainable(backbone.model).items():
        saved = tensors.get(_MODEL + name)
        if saved is None or saved.shape != p.shape:
            raise ModelMismatch(f"{checkpoint.folder} has no {name} of shape {tuple(p.shape)}")
        put(p, saved)
    backbone.model.eval()
    return backbone


def exported_card(folder: Path, *, prompt_format: str, dim: int, max_tokens: int, dtype: str) -> EncoderCard:
    """The encoder card of a model folder, as serving works it out (``models/language_model.py``)."""
    return EncoderCard(
        model=folder_hash(folder, ("config.json", "*.safetensors")),
        tokenizer=folder_hash(folder, ("tokenizer.json", "tokenizer_config.json", "tokenizer.model")),
        prompt_format=prompt_format,
        dim=dim,
        max_tokens=max_tokens,
        dtype=dtype,
    )


def _dtype(dtype: str, base: Path) -> torch.dtype:
    if dtype == "auto":
        settings: Any = AutoConfig.from_pretrained(base, local_files_only=True)
        own = settings.dtype
        return own if isinstance(own, torch.dtype) else torch.float32
    return DTYPES[dtype]


def _model_card(checkpoint: Checkpoint) -> dict[str, Any]:
    card = checkpoint.state.get("card")
    if not isinstance(card, dict) or "base" not in card:
        raise ModelMismatch(
            f"{checkpoint.folder} holds no language model; it is of an energy head that was trained alone"
        )
    return card
