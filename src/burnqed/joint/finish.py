"""What a finished run leaves behind for proving: a merged model, and the head that was trained with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoConfig

from burnqed.core.errors import ModelMismatch
from burnqed.joint.ebm_head import GoalConditionedEnergyHead, HeadConfig
from burnqed.joint.energy_head import save_head
from burnqed.joint.state import HEAD
from burnqed.train.checkpoint import Checkpoint
from burnqed.train.export import export_model, exported_card

MODEL = "model"
HEAD_FOLDER = "head"


@dataclass(frozen=True)
class Finished:
    """Folders for ``burnqed prove --policy`` and ``--value``; ``head`` is None when none was trained."""

    model: Path
    head: Path | None


def finish(checkpoint: Checkpoint, out: Path, *, dtype: str = "auto", base: Path | None = None) -> Finished:
    """Export a checkpoint's model to ``out/model`` and its head to ``out/head``. Errors are those of ``export_model``."""
    model = export_model(checkpoint, out / MODEL, dtype=dtype, base=base)
    head = checkpoint_head(checkpoint)
    if head is None:
        return Finished(model, None)
    card = checkpoint.state["card"]
    settings: Any = AutoConfig.from_pretrained(model, local_files_only=True)
    contrastive, batch = card["config"]["contrastive"], card["config"]["batch"]
    encoder = exported_card(
        model,
        prompt_format=card["prompt_format"],
        dim=head.config.dim,
        max_tokens=min(contrastive["max_tokens"] or batch["max_tokens"], int(settings.max_position_embeddings)),
        dtype=card["compute"],
    )
    about = {name: card[name] for name in ("kind", "commit", "base", "data", "metrics", "step")}
    save_head(out / HEAD_FOLDER, head, encoder, about=about)
    return Finished(model, out / HEAD_FOLDER)


def checkpoint_head(checkpoint: Checkpoint) -> GoalConditionedEnergyHead | None:
    """The energy head in a checkpoint; None when it has none. Raises ModelMismatch when it does not fit its own settings."""
    tensors = {n.removeprefix(HEAD): t for n, t in checkpoint.tensors().items() if n.startswith(HEAD)}
    if not tensors:
        return None
    try:
        head = GoalConditionedEnergyHead(HeadConfig.model_validate(checkpoint.state["card"]["head"]))
        head.load_state_dict(tensors)
    except (KeyError, ValueError, RuntimeError) as error:
        raise ModelMismatch(
            f"{checkpoint.folder}: the head does not fit: {' '.join(str(error).split())[:300]}"
        ) from error
    return head.eval()
