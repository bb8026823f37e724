"""A calibration as files: ``calibration.json`` with everything, and ``calibration.html`` to look at."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from burnqed.evaluate.reliability import STYLE, Reliability, limit_of, reliability_chart
from burnqed.report.lines import short
from burnqed.report.page import card, document, table, tile
from burnqed.trajectory.files import write_text

if TYPE_CHECKING:
    from burnqed.evaluate.held_out import Shown
    from burnqed.value.calibrate import Fit

HTML, JSON = "calibration.html", "calibration.json"
_TITLES = {"policy": "The policy alone", "value": "The value alone", "both": "Both, weighted"}
_COLOURS = {"policy": 2, "value": 5, "both": 4}


def write_calibration(
    folder: Path, fit: Fit, shown: Shown, *, runs: Sequence[str], check: Sequence[str] = (), theorems: int
) -> Path:
    """Write both files into a folder, which is made; returns the page. ``runs`` were fitted on, ``check`` were looked at."""
    folder.mkdir(parents=True, exist_ok=True)
    stored = {**asdict(fit), "runs": [*runs], "check": [*check], "theorems": theorems, "shown": asdict(shown)}
    write_text(folder / JSON, json.dumps(stored, indent=1) + "\n")
    write_text(folder / HTML, page(fit, shown, runs=runs, check=check, theorems=theorems))
    return folder / HTML


def page(fit: Fit, shown: Shown, *, runs: Sequence[str], check: Sequence[str] = (), theorems: int) -> str:
    """The page of HTML: the fit, three reliability diagrams, and the figures."""
    c = fit.calibration
    any_one = shown.by["value"]
    limit = limit_of([shown.by[name] for name in _TITLES])
    tiles = [
        tile(f"{fit.total:,}", f"states fitted, of {theorems:,} searches"),
        tile(f"{fit.proved:,}", "of them proved"),
        tile(f"{any_one.states:,}", f"states shown, of {shown.theorems:,} theorems"),
        *(tile(short(shown.by[name].ece), f"calibration error, {name}") for name in _TITLES),
    ]
    note = (
        f"P(proved | energy) = sigmoid({c.intercept:.3f} − {c.slope:.3f} · energy); in a search the value weighs "
        f"{c.value_weight:.2f} times as much as the policy. Shown on {shown.how}"
        + (f"; {shown.left_out:,} states are left out." if shown.left_out else ".")
        + ("" if shown.fair else " This is better than it will be on other theorems.")
    )
    reading = (
        "A point is about a tenth of the states: its place to the right is the probability said, its height the share that was "
        "proved. Above the dashed line too little was said, below it too much. Whiskers are 95 % intervals that take states as "
        "independent; states of one theorem are not, so the truth is wider. Proved means by this search within its budget. "
        "Both are added with the weights of the fit."
    )
    charts = "".join(
        card(title, reliability_chart(shown.by[name], limit=limit, colour=_COLOURS[name]))
        for name, title in _TITLES.items()
    )
    where = [("fitted on", ", ".join(runs)), *([("shown on", ", ".join(check))] if check else [])]
    body = (
        f'<div class="tiles">{"".join(tiles)}</div><p class="note">{escape(note)}</p><div class="three">{charts}</div>'
        f'<p class="note">{escape(reading)}</p><h2>Figures</h2>{card("Lower is better", _figures(shown.by))}'
        f"<h2>Points</h2>{''.join(_points(name, shown.by[name]) for name in _TITLES)}"
        f'<h2>Runs</h2><div class="card">{table(("", "folders"), where)}</div>'
    )
    return document("Calibration", body, style=STYLE)


def _figures(by: dict[str, Reliability]) -> str:
    heads = ("what speaks", "log-loss, nats a state", "Brier score", "calibration error")
    rows = [(name, f"{r.log_loss:.4f}", f"{r.brier:.4f}", f"{r.ece:.4f}") for name, r in by.items()]
    return table(heads, rows)


def _points(name: str, found: Reliability) -> str:
    heads = ("said", "proved", "95 % interval", "states")
    rows = [(f"{b.said:.4f}", f"{b.was:.4f}", f"{b.low:.4f} to {b.high:.4f}", b.states) for b in found.bins]
    return f"<details><summary>{escape(_TITLES[name])}</summary>{table(heads, rows)}</details>"
