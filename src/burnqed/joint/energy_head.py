"""A trained head in use: loaded whole or not at all, for the encoder that it was trained on, and fast.

A head is a folder: ``head.safetensors`` (weights) and ``head.json`` (shape, encoder card, calibration, what was trained how).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.utils import parametrize

from burnqed.core.calibration import Calibration
from burnqed.core.encoder_card import EncoderCard
from burnqed.core.errors import ModelMismatch
from burnqed.joint.ebm_head import GoalConditionedEnergyHead, HeadConfig, features

VERSION = 2
WEIGHTS = "head.safetensors"
ABOUT = "head.json"


class EnergyHead:
    """Scores pairs. The spectral norms are worked out once, at the start; nothing is dropped out."""

    def __init__(
        self,
        head: GoalConditionedEnergyHead,
        card: EncoderCard,
        *,
        calibration: Calibration | None = None,
        device: str | torch.device = "cpu",
        batch: int = 4096,
    ) -> None:
        self.card = card
        self.calibration = calibration
        self.device = torch.device(device)
        self._batch = batch
        was_training = head.training
        head.eval()
        with torch.no_grad(), parametrize.cached():
            self._layers = [_plain(layer).to(self.device) for layer in head.layers]
            self.temperature = head.temperature.item()
            self._scale = head.scale.item()
        head.train(was_training)

    @torch.inference_mode()
    def energies(self, z_state: Tensor, z_goal: Tensor) -> Tensor:
        """Energies [B] (float32, on the CPU) of embeddings [B, D] and [B, D], lower = more provable."""
        parts = [
            self._score(*(z[at : at + self._batch].to(self.device, torch.float32) for z in (z_state, z_goal)))
            for at in range(0, len(z_state), self._batch)
        ]
        return torch.cat(parts).cpu() if parts else torch.empty(0)

    def _score(self, z_state: Tensor, z_goal: Tensor) -> Tensor:
        x = features(z_state, z_goal) * self._scale
        for layer in self._layers[:-1]:
            x = nn.functional.silu(layer(x))
        return self._layers[-1](x).squeeze(-1) / self.temperature  # type: ignore[no-any-return]  # untyped call


def save_head(
    folder: Path,
    head: GoalConditionedEnergyHead,
    card: EncoderCard,
    *,
    calibration: Calibration | None = None,
    about: dict[str, Any] | None = None,
) -> None:
    """Write a head. The folder is there whole or not at all; one that was there before is replaced."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        save_file({name: t.detach().cpu().contiguous() for name, t in head.state_dict().items()}, part / WEIGHTS)
        described = {
            "version": VERSION,
            "head": head.config.model_dump(),
            "encoder": asdict(card),
            "calibration": asdict(calibration) if calibration else None,
            "about": about or {},
        }
        (part / ABOUT).write_text(_as_json(described), encoding="utf-8")
        for path in part.iterdir():
            with path.open("rb+") as handle:
                os.fsync(handle.fileno())
        old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
        if folder.exists():
            folder.rename(old)
        part.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def load_trained(folder: Path) -> tuple[GoalConditionedEnergyHead, EncoderCard, Calibration | None]:
    """The head as a module, its encoder card and its calibration. Raises ModelMismatch naming the file that is at fault."""
    about = folder / ABOUT
    try:
        described = json.loads(about.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelMismatch(f"{folder} holds no energy head: there is no {ABOUT} in it") from None
    except (OSError, ValueError) as error:
        raise ModelMismatch(f"{about} cannot be read: {error}") from error
    if not isinstance(described, dict) or described.get("version") != VERSION:
        raise ModelMismatch(f"{about} is not of version {VERSION}; it comes from another burnqed")
    try:
        head = GoalConditionedEnergyHead(HeadConfig.model_validate(described["head"]))
        card = EncoderCard.from_json(described["encoder"], source=str(about))
        stored = described.get("calibration")
        calibration = Calibration(**stored) if stored else None
    except (KeyError, TypeError, ValidationError) as error:
        raise ModelMismatch(f"{about} is damaged: {' '.join(str(error).split())}") from error
    if card.dim != head.config.dim:
        raise ModelMismatch(f"{about}: the head takes {head.config.dim} numbers, its encoder gives {card.dim}")
    try:
        weights = load_file(folder / WEIGHTS)
        head.load_state_dict(weights)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ModelMismatch(
            f"{folder / WEIGHTS} does not fit its {ABOUT}: {' '.join(str(error).split())[:300]}"
        ) from error
    if bad := [name for name, tensor in weights.items() if not torch.isfinite(tensor).all()]:
        raise ModelMismatch(f"{folder / WEIGHTS}: {bad[0]} holds numbers that are not finite")
    return head, card, calibration


def store_calibration(folder: Path, calibration: Calibration | None) -> None:
    """Put a calibration into a head's folder, in place of the one that was there; None takes it out.

    Raises ModelMismatch for a damaged head.
    """
    load_trained(folder)
    about = folder / ABOUT
    described = json.loads(about.read_text(encoding="utf-8"))
    described["calibration"] = asdict(calibration) if calibration else None
    part = about.with_name(f".{ABOUT}.{os.getpid()}.part")
    part.write_text(_as_json(described), encoding="utf-8")
    part.replace(about)


def load_head(
    folder: Path,
    *,
    card: EncoderCard | None = None,
    device: str | torch.device = "cpu",
    accepted: Collection[str] = (),
) -> EnergyHead:
    """A head for use. Raises ModelMismatch when ``card``, the encoder at hand, is not the one it was trained on.

    Fields of the card named in ``accepted`` may differ (``dtype``, say).
    """
    head, trained_on, calibration = load_trained(folder)
    if card is not None:
        trained_on.require(card, what=f"the energy head in {folder}", accepted=accepted)
    return EnergyHead(head, trained_on, calibration=calibration, device=device)


def _as_json(described: dict[str, Any]) -> str:
    return json.dumps(described, indent=2, ensure_ascii=False) + "\n"


def _plain(layer: nn.Module) -> nn.Linear:
    """The same layer with the weight that its spectral norm gives, in float32."""
    assert isinstance(layer, nn.Linear)
    plain = nn.Linear(layer.in_features, layer.out_features)
    plain.weight.data.copy_(layer.weight)
    plain.bias.data.copy_(layer.bias)
    return plain
