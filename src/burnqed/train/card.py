"""The card of a trained model: what it was made of and how, stored with every checkpoint, model and head."""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import transformers

from burnqed import __version__
from burnqed.core.errors import ModelMismatch
from burnqed.data.manifest import Manifest
from burnqed.train.backbone import Backbone

CARD = "card.json"
VERSION = 1


def training_card(
    *, kind: str, backbone: Backbone, prompt_format: str, config: Mapping[str, Any], manifests: Mapping[str, Manifest]
) -> dict[str, Any]:
    """What is known before the first step; :func:`with_metrics` adds the rest.

    ``config`` is the full effective configuration; of each manifest the files with their hashes and the counts are kept.
    """
    return {
        "version": VERSION,
        "kind": kind,
        "burnqed": __version__,
        "commit": commit(),
        "base": {
            "folder": str(backbone.base),
            "model": backbone.base_hash,
            "tokenizer": backbone.tokenizer_hash,
            "grown_tokens": backbone.grown,
            "dtype": str(backbone.dtype).removeprefix("torch."),
        },
        "compute": "bfloat16" if backbone.half else "float32",
        "prompt_format": prompt_format,
        "config": dict(config),
        "data": {name: _account(manifest) for name, manifest in manifests.items()},
        "software": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
    }


def with_metrics(card: Mapping[str, Any], *, step: int, metrics: Mapping[str, float | None]) -> dict[str, Any]:
    """The card at a step, with what was measured last."""
    return {**card, "step": step, "metrics": dict(sorted(metrics.items()))}


def require_same_run(stored: Mapping[str, Any], card: Mapping[str, Any], *, where: Path) -> None:
    """Raise ModelMismatch when a checkpoint was made from another base, on other rows or with other settings."""
    for name, what in (("model", "base model"), ("tokenizer", "tokenizer")):
        if stored["base"][name] != card["base"][name]:
            raise ModelMismatch(
                f"{where} was made from another {what} ({stored['base']['folder']}); resume with the one it was made from"
            )
    if stored["prompt_format"] != card["prompt_format"]:
        raise ModelMismatch(f"{where} was trained on the prompt format {stored['prompt_format']}")
    if stored["data"] != card["data"]:
        changed = [n for n in {*stored["data"], *card["data"]} if stored["data"].get(n) != card["data"].get(n)]
        raise ModelMismatch(f"{where} was trained on other data: {', '.join(sorted(changed))} has changed since")
    before, now = _flat(stored["config"]), _flat(card["config"])
    free = ("keep", "save_every", "export", "memory_gib", "checkpoint_layers", "model.device")
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name) and name not in free:
            raise ModelMismatch(
                f"{where} was made with {name} = {before.get(name)}, not {now.get(name)}; resume with the same settings"
            )


def read_card(folder: Path) -> dict[str, Any]:
    """The card in a folder. Raises ModelMismatch when there is none to read."""
    path = folder / CARD
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelMismatch(f"{folder} has no {CARD}: it was not trained by burnqed") from None
    except (OSError, ValueError) as error:
        raise ModelMismatch(f"{path} cannot be read: {error}") from error
    if not isinstance(card, dict) or card.get("version") != VERSION:
        raise ModelMismatch(f"{path} is not of version {VERSION}; it comes from another burnqed")
    return card


def commit() -> str:
    """The commit of the code that runs, with ``+`` when files have changed since; empty where git does not know."""
    here = Path(__file__).parent
    try:
        found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, timeout=10)
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no"],
            cwd=here,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    if found.returncode:
        return ""
    return found.stdout.strip() + ("+" if changed.stdout.strip() else "")


def _account(manifest: Manifest) -> dict[str, Any]:
    return {
        "files": [{"path": c.path, "sha256": c.sha256} for c in manifest.inputs],
        "rows_in": manifest.rows_in,
        "rows_out": manifest.rows_out,
        "dropped": {f"{s}: {r}": c.count for s, rs in manifest.dropped.items() for r, c in rs.items()},
    }


def _flat(tree: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{above}{name}.")
        else:
            found[f"{above}{name}"] = value
    return found
