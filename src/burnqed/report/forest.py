"""Estimates with their intervals, one below the other, as inline SVG (a forest plot)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from burnqed.report.lines import ticks

_WIDTH, _LEFT, _RIGHT, _ROW = 940, 380, 760, 22
STYLE = (
    "svg .whisker { stroke: var(--ink); stroke-width: 1.6; } svg .open { stroke: var(--soft); } "
    "svg .zero { stroke: var(--ink); stroke-width: 1; } svg .head { font-weight: 600; } "
    "svg .hollow { fill: var(--card); stroke: var(--soft); stroke-width: 1.4; }"
)
"""What the page's style needs besides the sheet that all reports share."""


@dataclass(frozen=True)
class Estimate:
    """A row: a name, a value, both ends of its interval if it has one, and what is written beside it.

    ``colour`` is a number of the style sheet's colours; ``open`` estimates are drawn pale. ``marks`` are values to compare
    with, as hollow dots, each with its name.
    """

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    beside: str = ""
    colour: int = 4
    open: bool = False
    marks: tuple[tuple[str, float], ...] = ()


def forest(
    groups: Sequence[tuple[str, Sequence[Estimate]]], *, unit: str, zero: bool = True, symmetric: bool = False
) -> str:
    """A forest plot of named groups; empty without an estimate. ``zero`` shows 0 and a line at it, ``symmetric`` centres it."""
    rows = [row for _, group in groups for row in group]
    if not rows:
        return ""
    low, high = _reach(rows, zero=zero, symmetric=symmetric)

    def x(value: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * (value - low) / (high - low)

    parts, y = [], 8.0
    for title, group in groups:
        if title and group:
            y += _ROW
            parts.append(f'<text class="head" x="0" y="{y - 6:.1f}">{escape(title)}</text>')
        for row in group:
            y += _ROW
            parts.append(_drawn(row, y - _ROW / 2, x))
    return (
        f'<svg viewBox="0 0 {_WIDTH} {y + 40:.0f}" role="img" preserveAspectRatio="xMinYMin meet">'
        f"{_axis(low, high, y + 4, unit, x, zero=zero)}{''.join(parts)}</svg>"
    )


def _reach(rows: Sequence[Estimate], *, zero: bool, symmetric: bool) -> tuple[float, float]:
    """The values at both ends of the axis."""
    ends = [
        end for row in rows for end in (row.value, row.low, row.high, *(v for _, v in row.marks)) if end is not None
    ]
    if zero:
        ends.append(0.0)
    low, high = min(ends), max(ends)
    if symmetric:
        high = max(-low, high)
        low = -high
    room = 0.04 * (high - low) or 1.0
    return (low if low == 0 and not symmetric else low - room), high + room


def _drawn(row: Estimate, y: float, x: Callable[[float], float]) -> str:
    pale = " open" if row.open else ""
    parts = [f'<text class="name" x="{_LEFT - 14}" y="{y + 4:.1f}" text-anchor="end">{escape(_cut(row.name))}</text>']
    if row.low is not None and row.high is not None:
        one, two = x(row.low), x(row.high)
        parts.append(f'<line class="whisker{pale}" x1="{one:.1f}" y1="{y:.1f}" x2="{two:.1f}" y2="{y:.1f}"/>')
        parts += [
            f'<line class="whisker{pale}" x1="{end:.1f}" y1="{y - 4:.1f}" x2="{end:.1f}" y2="{y + 4:.1f}"/>'
            for end in (one, two)
        ]
    parts += [
        f'<circle class="hollow" cx="{x(value):.1f}" cy="{y:.1f}" r="4"><title>{escape(name)}</title></circle>'
        for name, value in row.marks
    ]
    colour = 3 if row.open else row.colour
    parts.append(
        f'<circle class="c{colour}" cx="{x(row.value):.1f}" cy="{y:.1f}" r="4.5"><title>{escape(row.name)}: '
        f"{escape(row.beside)}</title></circle>"
        f'<text class="share" x="{_RIGHT + 12}" y="{y + 4:.1f}">{escape(row.beside)}</text>'
    )
    return "".join(parts)


def _axis(low: float, high: float, base: float, unit: str, x: Callable[[float], float], *, zero: bool) -> str:
    parts = []
    for value in ticks(low, high, most=8):
        at = x(value)
        nought = zero and abs(value) < 1e-12
        parts.append(
            f'<line class="{"zero" if nought else "grid"}" x1="{at:.1f}" y1="6" x2="{at:.1f}" y2="{base:.1f}"/>'
            f'<text class="axis" x="{at:.1f}" y="{base + 16:.1f}" text-anchor="middle">{_tick(value)}</text>'
        )
    middle = (_LEFT + _RIGHT) / 2
    parts.append(f'<text class="axis" x="{middle:.0f}" y="{base + 32:.1f}" text-anchor="middle">{escape(unit)}</text>')
    return "".join(parts)


def _tick(value: float) -> str:
    return f"{0.0 if abs(value) < 1e-12 else value:g}".replace("-", "−")


def _cut(text: str, most: int = 62) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
