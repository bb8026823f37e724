"""The report of an evaluation, ``report.html`` and ``report.md``: made from stored files alone, at any time."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from burnqed.core.outcome import SearchStatus
from burnqed.evaluate.record import NO_VALUE, OWN, Evaluation, read_evaluation
from burnqed.evaluate.sessions import read_sessions
from burnqed.evaluate.summary import ERROR, ArmSummary, Summary, summarize, write_summary
from burnqed.report.bars import bars, shares
from burnqed.report.lines import STYLE, short
from burnqed.report.page import card, document, table, tile
from burnqed.report.risers import Riser, riser_chart
from burnqed.trajectory.files import write_text

HTML, MARKDOWN = "report.html", "report.md"
ENDINGS = {
    SearchStatus.EXHAUSTED: "everything tried",
    SearchStatus.OUT_OF_NODES: "nodes spent",
    SearchStatus.OUT_OF_TIME: "seconds spent",
    SearchStatus.OUT_OF_TACTICS: "tactics spent",
    SearchStatus.OUT_OF_TOKENS: "tokens spent",
    SearchStatus.STOPPED: "stopped",
    ERROR: "error",
}
_UNITS = {"nodes": "states expanded", "tactics": "tactics tried", "seconds": "seconds", "tokens": "tokens proposed"}
_COLOURS = (4, 2, 5, 6, 7)
_MARKS = {"proved": "✓", "not_proved": "–", "error": "✗"}
_STYLE = STYLE + (
    "details { margin: 14px 0; } summary { cursor: pointer; } td.fact { white-space: pre-line; text-align: left;"
    " overflow-wrap: anywhere; } .card p.note { font-size: 12.5px; margin: 6px 0 0; }"
)


def write_reports(folder: Path) -> tuple[Evaluation, Summary]:
    """Write ``summary.json``, ``report.html`` and ``report.md`` into an evaluation's folder; searches may be missing.

    Raises BadInput for a folder without an evaluation, or whose searches are about another benchmark; RunError for damage.
    """
    found = read_evaluation(folder, complete=False)
    summary = summarize(found, read_sessions(folder))
    write_summary(folder, summary)
    write_text(folder / MARKDOWN, markdown(found, summary))
    write_text(folder / HTML, page(found, summary))
    return found, summary


def arm_told(arm: str, found: Evaluation) -> str:
    """An arm in words."""
    if arm == OWN and found.spec.system.value != NO_VALUE:
        return f"own value ({found.spec.system.value})"
    return "policy alone" if arm in (OWN, NO_VALUE) else f"value: {arm}"


def share_told(arm: ArmSummary) -> str:
    """The share proved, with its interval."""
    return f"{100 * arm.share:.1f} % ({100 * arm.low:.1f} to {100 * arm.high:.1f})"


def facts(found: Evaluation) -> list[tuple[str, str]]:
    """What another person needs to get the same number."""
    spec, benchmark, system = found.spec, found.spec.benchmark, found.spec.system
    models = {key: value for key, value in system.models.items() if value}
    known = [
        ("command", spec.command),
        ("benchmark", f"{benchmark.name}, {len(benchmark.theorems):,} theorems, revision {benchmark.revision}"),
        ("file", f"{benchmark.path}, SHA-256 {benchmark.sha256}"),
        ("split", benchmark.split),
        ("origin", benchmark.origin),
        ("licence", benchmark.licence),
        ("to be known of it", "\n".join(benchmark.notes)),
        ("left out, not readable", "\n".join(benchmark.skipped)),
        ("policy", system.policy),
        ("value", system.value),
        ("prompt format", system.prompt_format),
        ("hashes", json.dumps(models, ensure_ascii=False) if models else ""),
        ("budget of a search", spec.budget.told()),
        ("seeds", ", ".join(map(str, spec.seeds))),
        ("arms", ", ".join(arm_told(arm, found) for arm in spec.arms)),
        ("Lean", spec.lean),
        ("burnqed", f"{spec.burnqed}, commit {spec.commit}" if spec.commit else spec.burnqed),
        ("machine", spec.machine),
    ]
    return [(name, text) for name, text in known if text]


def page(found: Evaluation, summary: Summary) -> str:
    """The page of HTML, which needs nothing but itself."""
    body = [
        f'<p class="note">{escape(summary.benchmark)}; {escape(found.spec.budget.told())} a search. A theorem counts as '
        "proved when an independent Lean process has accepted its proof.</p>",
        _tiles(found, summary),
        _errors(summary),
        f'<h2>Proved</h2><div class="card">{table(_heads(summary), _rows(found, summary))}'
        f'<p class="note">{escape(_how(summary))}</p></div>',
        f'<h2>Proved within a budget</h2><div class="grid">{_curves(found, summary)}</div>',
    ]
    if any(arm.ended for arm in summary.arms.values()):
        body.append(f'<h2>How the other searches ended</h2><div class="grid">{_endings(found, summary)}</div>')
    body.append(f'<h2>Cost</h2><div class="card">{table(_COST_HEADS, _cost_rows(found, summary))}</div>')
    body.append(f'<h2>Where the time went</h2><div class="grid">{_times(found, summary)}</div>')
    if summary.encoder:
        rows = [(name, short(value)) for name, value in sorted(summary.encoder.items())]
        of = found.encoder.pairs if found.encoder else ""
        body.append(
            f"<h2>Encoder and head on held-out pairs</h2><details><summary>{len(rows)} figures, of {escape(of)}</summary>"
            f'<div class="card">{table(("figure", "value"), rows)}</div></details>'
        )
    body += [_theorems(found), _repeat(found)]
    return document(f"Evaluation of {summary.name}", "".join(body), style=_STYLE)


def markdown(found: Evaluation, summary: Summary) -> str:
    """The same in plain text, without charts."""
    lines = [f"# Evaluation of {summary.name}", "", f"{summary.benchmark}; {found.spec.budget.told()} a search.", ""]
    if summary.missing:
        lines += [
            f"**Not complete: {summary.missing:,} of {summary.searches:,} searches are missing**, and count as not proved.",
            "",
        ]
    if summary.failed:
        lines += [f"## Could not be tried: {len(summary.failed)}, counted as not proved", ""]
        lines += [f"- {f.theorem} ({_which(f.arm, f.seeds)}): {' '.join(f.reason.split())}" for f in summary.failed]
        lines.append("")
    lines += _md_table("## Proved", _heads(summary), _rows(found, summary))
    lines += [_how(summary), ""]
    lines += _md_table("## Cost", _COST_HEADS, _cost_rows(found, summary))
    ended = [
        (arm_told(arm, found), f"{count:,} {ENDINGS.get(kind, kind)}")
        for arm, of in summary.arms.items()
        for kind, count in of.ended.items()
    ]
    lines += _md_table("## How the other searches ended", ("arm", "searches"), ended) if ended else []
    rows = [
        (arm_told(arm, found), *(f"{s:.1f}" for s in of.spent_s.values()), _busy(of))
        for arm, of in summary.arms.items()
    ]
    lines += _md_table("## Where the time went, in seconds", ("arm", *_spent_names(summary), "workers at work"), rows)
    for arm, of in summary.arms.items():
        lines += [f"Survived on the way, {arm_told(arm, found)}: {_troubles(of)}", ""] if of.troubles else []
    if summary.encoder:
        lines += _md_table(
            "## Encoder and head on held-out pairs",
            ("figure", "value"),
            [(name, short(value)) for name, value in sorted(summary.encoder.items())],
        )
    lines += ["## To get the same number", ""]
    lines += [f"- {name}: {'; '.join(text.splitlines())}" for name, text in facts(found)]
    return "\n".join(lines) + "\n"


_COST_HEADS = ("arm", "of a proof", "mean", "median", "of all searches, for each proof")


def _tiles(found: Evaluation, summary: Summary) -> str:
    tiles = []
    if summary.missing:
        tiles.append(tile(f"{summary.missing:,}", f"of {summary.searches:,} searches are missing: not complete", "bad"))
    for arm, of in summary.arms.items():
        tiles.append(tile(f"{100 * of.share:.1f} %", f"proved, {arm_told(arm, found)}"))
    if summary.failed:
        tiles.append(tile(f"{len(summary.failed):,}", "could not be tried", "bad"))
    tiles.append(tile(f"{summary.theorems:,}", "theorems"))
    tiles.append(tile(f"{len(summary.seeds)}", "seed" if len(summary.seeds) == 1 else "seeds"))
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _errors(summary: Summary) -> str:
    if not summary.failed:
        return ""
    rows = [(f.theorem, _which(f.arm, f.seeds), " ".join(f.reason.split())) for f in summary.failed]
    return card(
        f"Could not be tried, and counted as not proved: {len(rows)}", table(("theorem", "where", "reason"), rows)
    )


def _which(arm: str, seeds: Sequence[int]) -> str:
    return f"{arm}, seed {', '.join(map(str, seeds))}"


def _heads(summary: Summary) -> tuple[str, ...]:
    attempts = [f"pass@{k}" for k in range(1, len(summary.seeds) + 1)] if len(summary.seeds) > 1 else []
    return ("arm", "proved", "share (95 % interval)", *attempts)


def _rows(found: Evaluation, summary: Summary) -> list[tuple[str, ...]]:
    rows = []
    for arm, of in summary.arms.items():
        proved = f"{', '.join(map(str, of.proved))} of {summary.theorems:,}"
        attempts = [f"{100 * value:.1f} %" for value in of.pass_at_k] if len(summary.seeds) > 1 else []
        rows.append((arm_told(arm, found), proved, share_told(of), *attempts))
    return rows


def _how(summary: Summary) -> str:
    how = "; ".join(dict.fromkeys(of.interval for of in summary.arms.values()))
    axioms: dict[str, int] = {}
    for of in summary.arms.values():
        for name, count in of.axioms.items():
            axioms[name] = axioms.get(name, 0) + count
    told = (
        ", ".join(f"{name} ({count:,})" for name, count in axioms.items()) or "none beyond the library's own theorems"
    )
    return f"Intervals: {how}. Axioms that proofs reach: {told}."


def _curves(found: Evaluation, summary: Summary) -> str:
    budget = found.spec.budget
    ends: Mapping[str, float] = {"nodes": budget.nodes, "seconds": budget.seconds} | (
        {"tactics": budget.tactics} if budget.tactics else {}
    )
    total = summary.theorems * len(summary.seeds)
    charts = []
    for unit, told in _UNITS.items():
        risers = [
            Riser(arm_told(arm, found), of.curves[unit], total, _colour(at), dashed=arm != OWN)
            for at, (arm, of) in enumerate(summary.arms.items())
            if unit in of.curves
        ]
        if chart := riser_chart(risers, unit=told, budget=ends.get(unit)):
            charts.append(card(f"By {told}", chart))
    return "".join(charts) or '<p class="note">Nothing was proved.</p>'


def _endings(found: Evaluation, summary: Summary) -> str:
    return "".join(
        card(arm_told(arm, found), bars({ENDINGS.get(kind, kind): n for kind, n in of.ended.items()}))
        for arm, of in summary.arms.items()
        if of.ended
    ) + ("<div></div>" if sum(bool(of.ended) for of in summary.arms.values()) == 1 else "")


def _cost_rows(found: Evaluation, summary: Summary) -> list[tuple[str, ...]]:
    return [
        (arm_told(arm, found), _UNITS[unit], short(cost.mean), short(cost.median), short(cost.per_proof))
        for arm, of in summary.arms.items()
        for unit, cost in of.costs.items()
    ]


def _times(found: Evaluation, summary: Summary) -> str:
    charts = []
    for arm, of in summary.arms.items():
        spent = {part: round(seconds) for part, seconds in of.spent_s.items() if seconds >= 0.5}
        chart = shares(spent) if spent else '<p class="note">Less than a second.</p>'
        note = f"{of.seconds:,.0f} s of search; what is not waiting for Lean, gate or models is own."
        note += f" Survived on the way: {_troubles(of)}." if of.troubles else ""
        note += f" The Lean processes had a theorem for {_busy(of)}." if of.busy is not None else ""
        charts.append(card(arm_told(arm, found), f'{chart}<p class="note">{escape(note)}</p>'))
    return "".join(charts) + ("<div></div>" if len(charts) == 1 else "")


def _troubles(of: ArmSummary) -> str:
    return ", ".join(f"{kind}: {count:,}" for kind, count in of.troubles.items())


def _busy(of: ArmSummary) -> str:
    return "not noted" if of.busy is None else f"{100 * of.busy:.0f} % of {of.wall_s:,.0f} s"


def _spent_names(summary: Summary) -> list[str]:
    return list(next(iter(summary.arms.values())).spent_s)


def _theorems(found: Evaluation) -> str:
    columns = [(arm, seed) for arm in found.spec.arms for seed in found.spec.seeds]
    rows = []
    for item in found.spec.benchmark.theorems:
        results = [found.results.get(arm, {}).get(seed, {}).get(item.name) for arm, seed in columns]
        rows.append(
            (item.name, *(f"{_MARKS[r.status]} {r.nodes:,} / {r.seconds:.1f} s" if r else "missing" for r in results))
        )
    heads = ("theorem", *(f"{arm}, seed {seed}" for arm, seed in columns))
    return (
        f"<h2>Theorems</h2><details><summary>All {len(rows):,}: proved ✓, not proved –, could not be tried ✗; states expanded"
        f' and seconds</summary><div class="card">{table(heads, rows)}</div></details>'
    )


def _repeat(found: Evaluation) -> str:
    rows = "".join(
        f'<tr><td>{escape(name)}</td><td class="fact">{escape(text)}</td></tr>' for name, text in facts(found)
    )
    config = escape(json.dumps(found.spec.system.config, indent=2, ensure_ascii=False))
    return (
        f'<h2>To get the same number</h2><div class="card"><div class="wide"><table>{rows}</table></div></div>'
        f"<details><summary>All settings</summary><pre>{config}</pre></details>"
    )


def _md_table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    cells = [" | ".join(cell.replace("|", "\\|") for cell in row) for row in (heads, *rows)]
    return [title, "", f"| {cells[0]} |", "|" + "---|" * len(heads), *(f"| {row} |" for row in cells[1:]), ""]


def _colour(at: int) -> int:
    return _COLOURS[at % len(_COLOURS)]
