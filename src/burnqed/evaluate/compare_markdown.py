"""A comparison as Markdown."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from burnqed.evaluate.compare_figures import Table, told_pair, what_was_compared
from burnqed.evaluate.comparison import Comparison
from burnqed.evaluate.verdict import Verdict, rule

_MOST_NAMES = 30


def markdown(title: str, comparison: Comparison, said: Sequence[Verdict], tables: Sequence[Table]) -> str:
    """The verdict first, then all tables, who gained and lost what, and what was compared."""
    seeds = len(next(iter(comparison.specs.values())).seeds)
    lines = [f"# {title}", "", "## Verdict", "", rule(seeds), ""]
    for verdict in said:
        lines += [f"**{verdict.question}**", "", *(f"- {answer.text}" for answer in verdict.answers)]
        lines += ["", verdict.note] if verdict.note else []
        lines.append("")
    for section, group in itertools.groupby(tables, key=lambda table: table.section):
        lines += [f"## {section}", ""]
        for table in group:
            lines += [f"### {table.title}", "", *_table(table.heads, table.rows), ""]
            lines += [line for note in table.notes for line in (note, "")]
    lines += [*_names(comparison), "## What was compared", ""]
    lines += _table(("what", "which"), what_was_compared(comparison))
    lines += ["", *(f"- {note}" for note in comparison.notes)] if comparison.notes else []
    return "\n".join(lines).rstrip("\n") + "\n"


def _names(comparison: Comparison) -> Iterator[str]:
    yield from ("## Gained and lost", "")
    for pair in comparison.pairs:
        if pair.question != "systems":
            continue
        for what, names in (("gained", pair.gained), ("lost", pair.lost)):
            more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
            listed = ", ".join(f"`{name}`" for name in names[:_MOST_NAMES]) or "none"
            yield f"- {told_pair(pair)}, {what} {len(names)}: {listed}{more}"
    yield ""


def _table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    return lines + [f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows]


def _cell(value: object) -> str:
    """Text that cannot end a cell or a row."""
    text = f"{value:,}" if isinstance(value, int) else str(value)
    return " ".join(text.replace("|", "\\|").split())
