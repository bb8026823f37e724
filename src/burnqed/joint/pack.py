"""An exported model and its head made small, to be handed on: weights in float16, and the head's card written for them.

A head knows the encoder that it was trained on by a hash of its weights, so rounding the weights makes another encoder of them.
It gets a card of its own once it is measured that its embeddings are the same but for rounding.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from burnqed.core.encoder_card import EncoderCard
from burnqed.core.errors import BadInput, ModelError
from burnqed.core.state import Goal, ProofState, Variable
from burnqed.joint.ebm_head import GoalConditionedEnergyHead
from burnqed.joint.energy_head import ABOUT, WEIGHTS, EnergyHead, load_trained, save_head
from burnqed.models.language_model import LanguageModel
from burnqed.prompts.formats import PromptFormat
from burnqed.train.card import CARD

MOST_EMBEDDING_CHANGE = 1e-2
MOST_ENERGY_CHANGE = 1e-3
_PAIRS = 2048
_COPIED = (
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "chat_template.jinja",
)
_INDEX = "model.safetensors.index.json"
_WEIGHTS = "model.safetensors"
_STATES = (
    ((("n", "Nat"),), "n + 0 = n"),
    ((("p", "Prop"), ("q", "Prop"), ("h", "p ∧ q")), "q ∧ p"),
    ((("a", "Int"), ("b", "Int"), ("h", "a < b"), ("h'", "¬b ≤ 2 * a")), "∃ x, a ≤ x ∧ x < b"),
    ((("α", "Type"), ("xs", "List α"), ("ys", "List α")), "(xs ++ ys).length = ys.length + xs.length"),
    ((("f", "Nat → Nat"), ("hf", "∀ m n, f (m + n) = f m + f n"), ("k", "Nat")), "f (3 * k) = f k + f k + f k"),
    ((("x", "Rat"), ("y", "Rat"), ("h", "x * y = 1")), "(x + y) ^ 2 ≥ 4"),
    ((), "∀ (b : Bool), (b && !b) = false"),
    ((("s", "Nat → Prop"), ("h0", "s 0"), ("hs", "∀ n, s n → s (n + 1)")), "∀ n, s (2 * n)"),
)
"""Names and types of hypotheses, and a target."""


@dataclass(frozen=True)
class Packed:
    """What came of it. Changes are relative: the largest of an embedding by its length, the root mean square
    of energies by their standard deviation.

    ``energy_change`` is what float16 would have done to the head or has done, as ``head_dtype`` says; None without a head.
    """

    parameters: int
    embedding_change: float
    energy_change: float | None = None
    head_dtype: str | None = None


def pack(model: Path, head: Path | None, *, model_out: Path, head_out: Path, form: PromptFormat) -> Packed:
    """Write ``model_out``, and ``head_out`` if there is a head, for proofs in float32. Neither folder may be there yet.

    The head stays in float32 if its energies would change by more than :data:`MOST_ENERGY_CHANGE`. Raises ModelMismatch when
    the head belongs to another model, BadInput when float16 is too coarse for the weights, ModelError for what is damaged.
    """
    trained = load_trained(head) if head is not None else None
    before, card = _embeddings(model, form, max_tokens=trained[1].max_tokens if trained else None)
    if trained is not None:
        trained[1].require(card, what=f"the energy head in {head}", accepted=("dtype",))
    parameters = _pack_model(model, model_out, form)
    after, card = _embeddings(model_out, form, max_tokens=card.max_tokens)
    change = float(((after - before).norm(dim=1) / before.norm(dim=1)).max())
    if not change <= MOST_EMBEDDING_CHANGE:  # also when it is no number
        raise BadInput(
            f"float16 is too coarse for {model}: embeddings change by {change:.1e} of their length, "
            f"and {MOST_EMBEDDING_CHANGE:g} is the most"
        )
    if head is None or trained is None:
        return Packed(parameters, change)
    module, _, calibration = trained
    rounded, _, _ = load_trained(head)
    for p in rounded.parameters():
        if p.dim() > 1:
            p.data = p.data.half().float()
    energy_change = _energy_change(module, rounded, card, after)
    small = energy_change <= MOST_ENERGY_CHANGE
    about = portable(json.loads((head / ABOUT).read_text(encoding="utf-8")).get("about") or {})
    save_head(head_out, rounded if small else module, card, calibration=calibration, about=about)
    if small:
        _save(
            {n: _half(n, t) if t.dim() > 1 else t for n, t in load_file(head_out / WEIGHTS).items()}, head_out / WEIGHTS
        )
    (head_out / WEIGHTS).chmod(0o644)
    parameters += sum(p.numel() for p in module.parameters())
    return Packed(parameters, change, energy_change, "float16" if small else "float32")


def portable(value: Any) -> Any:
    """The same JSON with the last part of every absolute path in place of the path: where it lay is nobody's business."""
    if isinstance(value, Mapping):
        return {name: portable(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [portable(inner) for inner in value]
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value


def _pack_model(model: Path, out: Path, form: PromptFormat) -> int:
    """Write the model in float16; returns how many numbers it has. Weights that are tied are stored once, as they were."""
    out.mkdir(parents=True)
    tensors: dict[str, Tensor] = {}
    for file in _weight_files(model):
        try:
            tensors |= load_file(file)
        except (OSError, SafetensorError) as error:
            raise ModelError(f"{file} cannot be read: {error}") from error
    _save({name: _half(name, t) for name, t in tensors.items()}, out / _WEIGHTS)
    config = _json(model / "config.json")
    for name in ("torch_dtype", "_name_or_path"):
        config.pop(name, None)
    _write_json(out / "config.json", {**config, "dtype": "float16"})
    for name in _COPIED:
        if (model / name).exists():
            shutil.copyfile(model / name, out / name)
    tokenizer = out / "tokenizer_config.json"
    if tokenizer.exists():
        _write_json(tokenizer, {k: v for k, v in _json(tokenizer).items() if k != "name_or_path"})
    _write_json(out / "burnqed.json", {"prompt_format": form.name})
    if (model / CARD).exists():
        _write_json(out / CARD, portable(_json(model / CARD)))
    return sum(t.numel() for t in tensors.values())


def _weight_files(model: Path) -> list[Path]:
    if (model / _INDEX).exists():
        return sorted({model / name for name in _json(model / _INDEX).get("weight_map", {}).values()})
    return sorted(model.glob("*.safetensors"))


def _half(name: str, tensor: Tensor) -> Tensor:
    if not tensor.is_floating_point():
        return tensor
    half = tensor.half()
    if not torch.isfinite(half).all():
        raise BadInput(f"{name} holds numbers that float16 cannot hold; this model cannot be packed")
    return half


def _save(tensors: Mapping[str, Tensor], path: Path) -> None:
    save_file(dict(tensors), path, metadata={"format": "pt"})
    path.chmod(0o644)


def _embeddings(folder: Path, form: PromptFormat, *, max_tokens: int | None) -> tuple[Tensor, EncoderCard]:
    """Embeddings of some states, computed in float32 as a processor does, and the card of that."""
    model = LanguageModel.load(folder, device="cpu", dtype="float32")
    try:
        model.check(form)
        states = [ProofState((Goal(tuple(Variable(*v) for v in names), target),)) for names, target in _STATES]
        ids = [model.token_ids(form.prompt(state)) for state in states]
        return model.embed(ids), model.card(form, max_tokens=max_tokens)
    finally:
        model.close()


def _energy_change(
    head: GoalConditionedEnergyHead, rounded: GoalConditionedEnergyHead, card: EncoderCard, like: Tensor
) -> float:
    """The root mean square change of energies, over random pairs that are spread as the embeddings ``like`` are."""
    draw = torch.Generator().manual_seed(0)
    middle, spread = like.mean(dim=0), like.std(dim=0)
    z = [middle + spread * torch.randn(_PAIRS, like.shape[1], generator=draw) for _ in range(2)]
    before, after = (EnergyHead(h, card).energies(z[0], z[1]) for h in (head, rounded))
    return float((after - before).square().mean().sqrt() / before.std())


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise ModelError(f"{path} is damaged: it holds no JSON object")
    return found


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
