"""What a folder is that training made or starts from, told from its small files: no weight is read, only their headings."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from burnqed.core.errors import BadInput
from burnqed.data.manifest import NAME, Manifest
from burnqed.joint.embeddings import INDEX, PLAN
from burnqed.joint.energy_head import ABOUT, WEIGHTS
from burnqed.joint.finish import HEAD_FOLDER, MODEL
from burnqed.train.card import CARD
from burnqed.train.card_facts import Fact, data_facts, encoder_facts, facts
from burnqed.train.checkpoint import STATE, TENSORS, latest_checkpoint, read_state
from burnqed.train.journal import METRICS, read_journal
from burnqed.train.report import CHECKPOINTS, HTML

_SHAPE = {
    "architectures": "architecture",
    "hidden_size": "width",
    "num_hidden_layers": "layers",
    "num_attention_heads": "attention heads",
    "vocab_size": "rows of the vocabulary",
    "max_position_embeddings": "context",
    "dtype": "stored in",
}


@dataclass(frozen=True)
class Shown:
    """A folder: its kind, what there is to say, and the card as it is stored (None for one without).

    ``numbers`` counts the numbers in its tensors, by the first part of their names where they are of several kinds.
    """

    path: Path
    kind: str
    facts: list[Fact]
    card: dict[str, Any] | None
    numbers: dict[str, int] = field(default_factory=dict)
    size_bytes: int = 0


def show(path: Path) -> Shown:
    """Find out what a folder is. Raises BadInput or RunError for one that is nothing of burnqed's, or damaged."""
    if not path.is_dir():
        raise BadInput(
            f"{path} is a file; give the folder that it is in" if path.exists() else f"there is no folder {path}"
        )
    for name, kind in (
        (STATE, _checkpoint),
        (ABOUT, _head),
        (INDEX, _embeddings),
        (PLAN, _embeddings),
        ("config.json", _model),
        (METRICS, _run),
        (CHECKPOINTS, _run),
    ):
        if (path / name).exists():
            return kind(path)
    if (path / "adapter_config.json").exists():
        raise BadInput(f"{path} holds an adapter of another program; burnqed works with merged models")
    raise BadInput(f"{path} is no run, checkpoint, model, energy head or folder of embeddings")


def _run(path: Path) -> Shown:
    steps = [row["step"] for row in read_journal(path)]
    found = [("measured", f"{len(steps):,} times, up to step {max(steps, default=0):,}")]
    found += [
        (what, str(path / name))
        for name, what in ((MODEL, "model"), (HEAD_FOLDER, "energy head"), (HTML, "report"))
        if (path / name).exists()
    ]
    folders = sorted((path / CHECKPOINTS).glob("step-*"))
    if not folders:
        return Shown(path, "run without a checkpoint", found, None)
    checkpoint = latest_checkpoint(path / CHECKPOINTS)
    assert checkpoint is not None
    last = _checkpoint(checkpoint.folder)
    found.append(("checkpoints", "\n".join(map(str, folders))))
    found += [("damaged", text) for text in checkpoint.skipped]
    return Shown(path, "run", [*found, *last.facts], last.card, last.numbers, last.size_bytes)


def _checkpoint(path: Path) -> Shown:
    step, state = read_state(path)
    numbers, size = _tensors([path / TENSORS], by_kind=True)
    stored = state.get("card")
    card = dict(stored) if isinstance(stored, Mapping) else {}
    if "kind" in card:
        return Shown(path, "checkpoint", facts({**card, "step": step}), card, numbers, size)
    # A head that is trained alone keeps its encoder's card and its own settings.
    known = [("kind", "energy head on frozen embeddings"), ("step", f"{step:,}"), *encoder_facts(card)]
    return Shown(
        path, "checkpoint of an energy head", known, {"encoder": card, "config": state.get("config")}, numbers, size
    )


def _head(path: Path) -> Shown:
    stored = _json(path / ABOUT)
    about = dict(stored.get("about") or {})
    about.setdefault("data", {"pairs": about["pairs"]} if "pairs" in about else {})
    about.setdefault("metrics", about.get("valid"))
    about.setdefault("step", about.get("best_step"))
    shape = stored.get("head") or {}
    calibration = stored.get("calibration")
    found: list[Fact] = [
        ("shape", f"3 × {shape.get('dim')} → {' → '.join(map(str, shape.get('hidden') or []))} → 1"),
        *encoder_facts(stored.get("encoder")),
        ("calibration", _pairs(calibration) if calibration else "none; `burnqed calibrate` makes one"),
        *facts(about),
    ]
    return Shown(path, "energy head", found, stored, *_tensors([path / WEIGHTS]))


def _embeddings(path: Path) -> Shown:
    done = (path / INDEX).exists()
    stored = _json(path / (INDEX if done else PLAN))
    plan = stored["plan"] if done else stored
    numbers, size = _tensors(sorted(path.glob("vectors-*.safetensors")))
    count = (
        f"{stored['vectors']:,} vectors of {stored['texts']:,} texts" if done else f"{plan['count']:,} texts planned"
    )
    found: list[Fact] = [("texts", count), ("stored in", str(plan.get("stored_as"))), *encoder_facts(plan.get("card"))]
    if (path / NAME).exists():
        manifest = Manifest.read(path)
        files = [{"path": c.path, "sha256": c.sha256} for c in manifest.inputs]
        account = {"files": files, "rows_in": manifest.rows_in, "rows_out": manifest.rows_out}
        found += data_facts({"pairs": account})
    return Shown(path, "embeddings" if done else "embeddings, not finished", found, stored, numbers, size)


def _model(path: Path) -> Shown:
    config = _json(path / "config.json")
    found = [(what, _plain(config[name])) for name, what in _SHAPE.items() if config.get(name) is not None]
    files = sorted(path.glob("*.safetensors"))
    numbers, size = _tensors(files)
    if (path / CARD).exists():
        card = _json(path / CARD)
        return Shown(path, "model", [*found, *facts(card)], card, numbers, size)
    if (path / "burnqed.json").exists():
        found.append(("prompt format", str(_json(path / "burnqed.json").get("prompt_format") or "not said")))
    found.append(("card", f"none: there is no {CARD}, so it is not known how this model was trained"))
    return Shown(path, "model without a card", found, None, numbers, size)


def _tensors(files: Iterable[Path], *, by_kind: bool = False) -> tuple[dict[str, int], int]:
    """How many numbers the tensors of safetensors files hold, and the files' bytes."""
    numbers: dict[str, int] = {}
    size = 0
    for file in files:
        try:
            size += file.stat().st_size
            with safe_open(file, framework="pt") as opened:
                for name in opened.keys():  # noqa: SIM118  # it is no mapping
                    kind = name.partition(".")[0] if by_kind else "parameters"
                    numbers[kind] = numbers.get(kind, 0) + math.prod(opened.get_slice(name).get_shape())
        except (OSError, SafetensorError) as error:
            raise BadInput(f"{file} cannot be read: {error}") from error
    return numbers, size


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise BadInput(f"{path} is damaged: it holds no JSON object")
    return found


def _plain(value: object) -> str:
    return (
        ", ".join(map(str, value))
        if isinstance(value, list)
        else f"{value:,}"
        if isinstance(value, int)
        else str(value)
    )


def _pairs(values: Mapping[str, object]) -> str:
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in values.items()
    )
