"""A training run as a page: made from stored files alone, at any time, also of a run that is still going on or was killed."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from burnqed.core.errors import RunError
from burnqed.report.bars import bars
from burnqed.report.lines import STYLE, level, line_chart, short
from burnqed.report.page import card as framed
from burnqed.report.page import document, table, tile
from burnqed.train.card_facts import encoder_facts, facts
from burnqed.train.checkpoint import latest_state
from burnqed.train.journal import read_journal, read_red_lines
from burnqed.train.panels import Filled, Series, filled
from burnqed.trajectory.files import write_text

HTML, MARKDOWN = "report.html", "report.md"
CHECKPOINTS = "checkpoints"
_STYLE = (
    STYLE
    + "td.fact { white-space: pre-line; text-align: left; } details { margin: 0 0 14px; } summary { cursor: pointer; }"
    + ".card p.note { font-size: 12.5px; margin: 6px 0 0; }"
)
_TILES = {
    "loss.sft": "tactics’ loss, smoothed",
    "valid.loss": "held-out loss",
    "loss.contrastive": "contrastive loss, smoothed",
    "loss.chance": "its chance",
    "ebm.rank_1": "rank-1, held out",
    "temperature": "temperature",
    "probe.centroid_l2": "distance of centroids",
    "probe.linear_probe": "linear probe",
}
_MOST_CROSSINGS = 50
_NOISY = ("loss.sft", "loss.contrastive")


def write_report(folder: Path, *, title: str) -> Path:
    """Write ``report.html`` (one page without script or network) and ``report.md`` into a run's folder; returns the page.

    A run without measurements, or without a checkpoint, gets a page that says so. Raises RunError for a damaged journal.
    """
    series = all_series(read_journal(folder))
    about = _about(folder)
    red_lines = read_red_lines(folder)
    write_text(folder / MARKDOWN, markdown(series, about, title=title, red_lines=red_lines))
    write_text(folder / HTML, page(series, about, title=title, red_lines=red_lines))
    return folder / HTML


def all_series(rows: Sequence[Mapping[str, Any]]) -> dict[str, tuple[list[int], list[float]]]:
    """Steps and values by name, in the order in which names first appear; only what has a value."""
    found: dict[str, tuple[list[int], list[float]]] = {}
    for row in rows:
        for name, value in row.items():
            if name != "step" and isinstance(value, int | float) and math.isfinite(value):
                steps, values = found.setdefault(name, ([], []))
                steps.append(int(row["step"]))
                values.append(float(value))
    return found


def page(series: Series, about: Mapping[str, Any], *, title: str, red_lines: Sequence[Mapping[str, Any]] = ()) -> str:
    """The page of HTML. ``about`` is what the last checkpoint says of itself, empty when there is none."""
    body = [_tiles(series, about)]
    if red_lines:
        rows = [(f"{r['step']:,}", r["reaction"], r["sentence"]) for r in red_lines]
        body.append(
            framed(f"Red lines crossed: {len(rows)}", table(("step", "reaction", "what"), rows[-_MOST_CROSSINGS:]))
        )
    if not series:
        body.append('<p class="note">Nothing has been measured: the journal of this run is empty.</p>')
    for section, charts in itertools.groupby(filled(series), key=lambda f: f.panel.section):
        body.append(f'<h2>{escape(section)}</h2><div class="grid">{"".join(map(_chart, charts))}</div>')
    body += [_card(about), _table(series), _settings(about)]
    return document(title, "".join(body), style=_STYLE)


def markdown(
    series: Series, about: Mapping[str, Any], *, title: str, red_lines: Sequence[Mapping[str, Any]] = ()
) -> str:
    """The same in plain text: the figures as a table, the red lines that were crossed, and the card."""
    lines = [f"# {title}", ""]
    if series:
        lines += ["| measured | first | lowest | highest | last | at step |", "|---|---|---|---|---|---|"]
        lines += [
            f"| {name} | {' | '.join(short(v) for v in (vs[0], min(vs), max(vs), vs[-1]))} | {steps[-1]:,} |"
            for name, (steps, vs) in series.items()
        ]
    else:
        lines.append("Nothing has been measured: the journal of this run is empty.")
    if red_lines:
        lines += ["", f"## Red lines crossed: {len(red_lines)}", ""]
        lines += [f"- {r['reaction']}: {r['sentence']}" for r in red_lines[-_MOST_CROSSINGS:]]
    lines += ["", "## What it was made of", ""]
    known = [(name, text) for name, text in _facts(about) if name != "measured last"]
    lines += [f"- {name + ': ' if name else ''}{'; '.join(text.splitlines())}" for name, text in known]
    lines += [] if known else ["There is no checkpoint yet, so there is no card."]
    return "\n".join(lines) + "\n"


def _about(folder: Path) -> dict[str, Any]:
    """What the last checkpoint says of itself, or the model that was exported; empty when there is neither."""
    try:
        if (found := latest_state(folder / CHECKPOINTS)) is not None:
            return found[1]
        stored = folder / "model" / "card.json"
        return {"card": json.loads(stored.read_text(encoding="utf-8"))} if stored.exists() else {}
    except (OSError, ValueError) as error:
        raise RunError(f"the card of {folder} cannot be read: {error}") from error


def _facts(about: Mapping[str, Any]) -> list[tuple[str, str]]:
    stored = about.get("card")
    if not isinstance(stored, Mapping):
        return []
    # A head that was trained alone stores the card of its encoder.
    return facts(stored) if "kind" in stored else encoder_facts(stored)


def _tiles(series: Series, about: Mapping[str, Any]) -> str:
    steps = [steps[-1] for steps, _ in series.values()]
    stored = about.get("card") or {}
    found = [tile(f"{max(steps, default=0):,}", "steps measured")]
    found += [tile(str(stored["kind"]), "kind of training")] if stored.get("kind") else []
    for name, what in _TILES.items():
        if name in series:
            values = series[name][1]
            found.append(tile(short(level(values)[-1] if name in _NOISY else values[-1]), what))
    return f'<div class="tiles">{"".join(found)}</div>'


def _chart(chart: Filled) -> str:
    panel = chart.panel
    note = f'<p class="note">{escape(panel.note)}</p>' if panel.note else ""
    return framed(panel.title, line_chart(chart.lines, unit=panel.unit, band=panel.band) + note)


def _card(about: Mapping[str, Any]) -> str:
    known = _facts(about)
    head = "<h2>What it was made of</h2>"
    if not known:
        return f'{head}<p class="note">There is no checkpoint yet, so there is no card.</p>'
    rows = "".join(
        f'<tr><td>{escape(name)}</td><td class="fact">{escape(text)}</td></tr>'
        for name, text in known
        if name != "measured last"
    )
    accounts = (about.get("card") or {}).get("data") or {}
    left = {f"{name}: {why}": n for name, a in accounts.items() for why, n in (a.get("dropped") or {}).items()}
    gone = (
        f'<div class="grid">{framed("Rows that left, and why", bars(left, limit=30))}<div></div></div>' if left else ""
    )
    return f'{head}<div class="card"><div class="wide"><table>{rows}</table></div></div>{gone}'


def _table(series: Series) -> str:
    if not series:
        return ""
    rows = [
        [name, len(vs), short(vs[0]), short(min(vs)), short(max(vs)), short(vs[-1]), steps[-1]]
        for name, (steps, vs) in series.items()
    ]
    heads = ["measured", "times", "first", "lowest", "highest", "last", "at step"]
    return f'<h2>All figures</h2><div class="card">{table(heads, rows)}</div>'


def _settings(about: Mapping[str, Any]) -> str:
    config = (about.get("card") or {}).get("config") or about.get("config")
    if not config:
        return ""
    text = escape(json.dumps(config, indent=2, ensure_ascii=False))
    return f"<h2>Settings</h2><details><summary>All of them</summary><pre>{text}</pre></details>"
