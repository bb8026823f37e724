"""What a run of head training leaves behind: the head itself, and a report of what it is worth."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from burnqed.data.manifest import Manifest
from burnqed.joint.decoupled import Ended, HeadTraining
from burnqed.joint.energy_head import save_head
from burnqed.joint.head_step import spectral_norms
from burnqed.trajectory.files import write_text

HEAD = "head"
REPORT = "report.json"


def leave(training: HeadTraining, ended: Ended, out: Path, *, reading: Manifest, embeddings: Path) -> dict[str, Any]:
    """Write the best head (``head/``) and the report into a folder; returns the report. Raises RunError.

    ``reading`` is the account of the files of pairs. The head carries the settings and the held-out metrics with it.
    """
    head = training.best_head
    report: dict[str, Any] = {
        "ended": ended.why,
        "step": ended.step,
        "steps": ended.total,
        "best_step": ended.best_step,
        "chance": ended.chance,
        "valid": ended.metrics,
        "baselines": training.held_out.baselines() if training.held_out else {},
        "temperature": head.temperature.item(),
        "spectral_norms": spectral_norms(head),
        "groups": {"train": training.groups, "valid": training.valid_groups},
        "red_lines": [crossing.sentence for crossing in ended.crossings],
        "troubles": dict(training.tally.counts),
        "held_out_troubles": dict(training.held_out.tally.counts) if training.held_out else {},
        "pairs": {
            "files": [{"path": card.path, "sha256": card.sha256} for card in reading.inputs],
            "rows_in": reading.rows_in,
            "rows_out": reading.rows_out,
            "dropped": {f"{s}: {r}": c.count for s, reasons in reading.dropped.items() for r, c in reasons.items()},
        },
        "embeddings": str(embeddings),
        "encoder": asdict(training.card),
        "config": training.config.model_dump(mode="json"),
    }
    about = {
        "kind": "decoupled",
        **{name: report[name] for name in ("best_step", "valid", "chance", "pairs", "config")},
    }
    save_head(out / HEAD, head, training.card, about=about)
    write_text(out / REPORT, json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    return report
