"""A comparison as files: a page of HTML that needs nothing but itself, the same in Markdown, and all of it as JSON."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import msgspec

from burnqed.core.errors import RunError
from burnqed.evaluate.compare_figures import (
    BINS,
    Table,
    percent,
    tables,
    told_pair,
    trivial_rank_1,
    what_was_compared,
)
from burnqed.evaluate.compare_markdown import markdown
from burnqed.evaluate.compare_targets import Planned, rank_1_interval
from burnqed.evaluate.comparison import Comparison, Pair, Question, Side
from burnqed.evaluate.record import NO_VALUE, EncoderFigures, Evaluation
from burnqed.evaluate.verdict import Finding, Verdict, corrected, judged, p_value, points, rule, verdicts
from burnqed.report import forest as forests
from burnqed.report import lines
from burnqed.report.forest import Estimate, forest
from burnqed.report.page import card, document, table, tile
from burnqed.report.risers import Riser, riser_chart
from burnqed.trajectory.files import write_text

HTML, MARKDOWN, JSON = "compare.html", "compare.md", "compare.json"
_COLOURS = (4, 2, 5, 0, 1, 7, 6)
_KINDS: Mapping[Finding, str] = {"more": "good", "fewer": "bad", "open": "", "too few": "", "disagree": ""}
_STYLE = (
    lines.STYLE
    + forests.STYLE
    + ".verdict h3 { color: var(--ink); font-size: 15.5px; } .verdict ul { margin: 0; padding-left: 20px; } "
    + ".verdict li.good::marker { color: var(--good); } .verdict li.bad::marker { color: var(--bad); } "
    + ".verdict li { margin: 0 0 5px; } .verdict p, .card p.note { font-size: 13px; margin: 8px 0 0; } "
    + "td.fact { text-align: left; overflow-wrap: anywhere; } summary { cursor: pointer; } td.left { text-align: left; }"
    + "p.names { overflow-wrap: anywhere; font-size: 13.5px; }"
)
_QUESTIONS: Mapping[Question, str] = {
    "systems": "Systems",
    "systems, other value": "The same with other values",
    "worth of the value": "What the value is worth",
}


def write_comparison(
    folder: Path, comparison: Comparison, named: Mapping[str, Evaluation], planned: Planned, *, title: str
) -> Path:
    """Write ``compare.html``, ``compare.md`` and ``compare.json`` into a folder; returns the page."""
    said, found = verdicts(comparison), tables(comparison, named, planned)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"the folder {folder} cannot be made: {error.strerror or error}") from error
    stored = msgspec.json.format(msgspec.json.encode(as_plain(comparison, planned)), indent=1)
    write_text(folder / JSON, stored.decode() + "\n")
    write_text(folder / MARKDOWN, markdown(title, comparison, said, found))
    write_text(folder / HTML, page(title, comparison, named, said, found))
    return folder / HTML


def as_plain(comparison: Comparison, planned: Planned) -> dict[str, Any]:
    """Everything as JSON can hold it. Of the systems their settings and hashes are told, not the list of theorems."""
    systems = {}
    for label, spec in comparison.specs.items():
        systems[label] = msgspec.to_builtins(spec)
        del systems[label]["benchmark"]["theorems"]
    goals = [{**msgspec.to_builtins(t), "status": t.status, "sure": t.sure} for t in planned.targets]
    return {
        "verdicts": msgspec.to_builtins(verdicts(comparison)),
        "systems": systems,
        "encoders": msgspec.to_builtins(dict(comparison.encoders)),
        "theorems": comparison.theorems,
        "arm": comparison.arm,
        "shares": [{**msgspec.to_builtins(share), "label": s.label, "arm": s.arm} for s, share in comparison.shares],
        "pairs": [{**msgspec.to_builtins(pair), "finding": judged(pair)} for pair in comparison.pairs],
        "changes": msgspec.to_builtins(comparison.changes),
        "targets": goals,
        "notes": [*comparison.notes, *planned.notes],
        "resamples": comparison.resamples,
        "seed": comparison.seed,
    }


def page(
    title: str,
    comparison: Comparison,
    named: Mapping[str, Evaluation],
    said: Sequence[Verdict],
    found: Sequence[Table],
) -> str:
    """The page of HTML."""
    seeds = len(next(iter(comparison.specs.values())).seeds)
    body = [_tiles(comparison), "<h2>Verdict</h2>", _notes([rule(seeds)]), *map(_verdict, said)]
    body.append(f"<h2>Solved by budget</h2>{_curves(comparison, named)}")
    drawn = {"Who proves what": _forest(comparison.pairs), "Embeddings and head": _rank_1(comparison.encoders)}
    for section, group in itertools.groupby(found, key=lambda t: t.section):
        body.append(f"<h2>{escape(section)}</h2>{drawn.get(section, '')}")
        body += [card(t.title, table(t.heads, t.rows) + _notes(t.notes)) for t in group]
    body += ["<h2>Gained and lost</h2>", *_names(comparison.pairs)]
    body.append(f"<h2>What was compared</h2>{_facts(comparison)}")
    return document(title, "".join(body), style=_STYLE)


def _tiles(comparison: Comparison) -> str:
    found = [tile(f"{comparison.theorems:,}", "theorems")]
    shares = dict(comparison.shares)
    for label in comparison.specs:
        share = shares[Side(label, comparison.arm)]
        span = f"{100 * share.interval.low:.1f} to {100 * share.interval.high:.1f} %"
        found.append(tile(percent(share.proved / share.theorems), f"{label} proves, {span}"))
    for pair in comparison.pairs:
        if pair.question == "systems":
            said = f"points, {told_pair(pair)}, {p_value(pair.p)}"
            found.append(tile(points(pair.difference), said, _KINDS[judged(pair)] if corrected(pair) else ""))
    return f'<div class="tiles">{"".join(found)}</div>'


def _verdict(verdict: Verdict) -> str:
    answers = "".join(f'<li class="{_KINDS[a.finding]}">{escape(a.text)}</li>' for a in verdict.answers)
    note = _notes([verdict.note] if verdict.note else [])
    return f'<div class="card verdict"><h3>{escape(verdict.question)}</h3><ul>{answers}</ul>{note}</div>'


def _curves(comparison: Comparison, named: Mapping[str, Evaluation]) -> str:
    spec = next(iter(comparison.specs.values()))
    limits = {"tactics": spec.budget.tactics, "nodes": spec.budget.nodes, "seconds": spec.budget.seconds}
    units = {"tactics": "tactics tried", "nodes": "nodes expanded", "seconds": "seconds"}
    charts = []
    for what, limit in limits.items():
        risers = []
        for arm in dict.fromkeys((comparison.arm, NO_VALUE)):
            for at, (label, evaluation) in enumerate(named.items()):
                if arm not in evaluation.spec.arms:
                    continue
                costs = [float(getattr(r, what)) for r in evaluation.all_results(arm) if r.status == "proved"]
                told = label if arm == comparison.arm else f"{label}, no value"
                tries = comparison.theorems * len(spec.seeds)
                risers.append(Riser(told, costs, tries, _COLOURS[at % len(_COLOURS)], arm != comparison.arm))
        if drawn := riser_chart(risers, unit=units[what], budget=limit or None):
            charts.append(card(f"By {units[what]}", drawn))
    if not charts:
        return '<p class="note">Nothing was proved.</p>'
    note = "Shares of all searches, over theorems and seeds. Dashed: the same system without a value." if charts else ""
    return f'<div class="grid">{"".join(charts)}</div>{_notes([note])}'


def _forest(pairs: Sequence[Pair]) -> str:
    groups = []
    for question, title in _QUESTIONS.items():
        rows = []
        for pair in pairs:
            if pair.question == question:
                other = question == "systems, other value"
                name = told_pair(pair) + (f", {str(pair.second).split(' with ', 1)[1]}" if other else "")
                beside = f"{points(pair.difference)}, {p_value(pair.p)}"
                value, low, high = (100 * v for v in (pair.difference, pair.interval.low, pair.interval.high))
                colour = {"more": 0, "fewer": 1}.get(judged(pair), 3)
                rows.append(Estimate(name, value, low, high, beside, colour, not corrected(pair)))
        groups.append((title, rows))
    drawn = forest(groups, unit="points more (right) or fewer (left)", symmetric=True)
    note = "Green and red: shown by the interval and by McNemar's test with its p corrected. Grey: not shown, or not by both."
    return card("Differences with their 95 % intervals", drawn + _notes([note]))


def _rank_1(encoders: Mapping[str, EncoderFigures]) -> str:
    groups = []
    for within, depth in BINS.items():
        rows = []
        for at, (label, encoder) in enumerate(encoders.items()):
            value = encoder.figures.get(f"ebm.{within}rank_1")
            if value is None:
                continue
            interval = rank_1_interval(encoder.figures, f"ebm.{within}rank_1")
            chance = encoder.figures.get(f"ebm.{within}chance")
            marks = [] if chance is None else [("chance", 100 * chance)]
            marks += [(name, 100 * share) for name, share in trivial_rank_1(encoder.figures, within)]
            low, high = (100 * interval.low, 100 * interval.high) if interval else (None, None)
            beside = percent(value) + ("" if chance is None else f", chance {percent(chance)}")
            colour = _COLOURS[at % len(_COLOURS)]
            rows.append(Estimate(label, 100 * value, low, high, beside, colour, marks=tuple(marks)))
        groups.append(("all depths" if not within else f"depth {depth}", rows))
    drawn = forest(groups, unit="rank-1 in per cent")
    note = "Hollow: chance, and energies that need no learning."
    return card("Rank-1 of the head by depth", drawn + _notes([note])) if drawn else ""


def _names(pairs: Sequence[Pair]) -> Iterator[str]:
    for pair in pairs:
        if pair.question == "systems":
            parts = []
            for what, names in (("gained", pair.gained), ("lost", pair.lost)):
                listed = ", ".join(map(escape, names)) or "none"
                parts.append(
                    f'<details><summary>{what}: {len(names):,}</summary><p class="names">{listed}</p></details>'
                )
            yield card(told_pair(pair), "".join(parts))


def _facts(comparison: Comparison) -> str:
    rows = "".join(
        f'<tr><td>{escape(what)}</td><td class="fact">{escape(text)}</td></tr>'
        for what, text in what_was_compared(comparison)
    )
    return f'<div class="card"><div class="wide"><table>{rows}</table></div>{_notes(comparison.notes)}</div>'


def _notes(notes: Sequence[str]) -> str:
    return "".join(f'<p class="note">{escape(note)}</p>' for note in notes if note)
