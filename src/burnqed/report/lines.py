"""Measurements over steps as inline SVG: lines with axes, units and a legend. Colours come from the report's style sheet."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from statistics import median
from typing import Literal

Style = Literal["line", "noisy", "dashed"]
"""``noisy`` is drawn as a smoothed line over pale raw points; ``dashed`` is something to compare with."""

STYLE = """
svg .curve { fill: none; stroke-width: 1.8; stroke-linejoin: round; } svg .dashed { stroke-dasharray: 5 4; stroke-width: 1.4; }
svg .band { fill: var(--c0); opacity: .1; } svg .raw { opacity: .22; } svg .strip { opacity: .16; }
.dash { display: inline-block; width: 16px; height: 0; border-top: 2px dashed; background: none !important; margin: 0 6px 4px 0; }
""" + "".join(f"svg .s{i} {{ stroke: var(--c{i}); }} .b{i} {{ border-color: var(--c{i}); }}\n" for i in range(12))
"""What the page's style needs besides the sheet that all reports share."""

_WIDTH, _HEIGHT = 460, 236
_LEFT, _RIGHT, _TOP, _BASE = 54, 448, 22, 196
_POINTS = 400  # of a line; more would only make the page large
_SPREAD = 200.0  # the largest value over the median, from which on a scale is logarithmic


@dataclass(frozen=True)
class Line:
    """A named series; ``colour`` is a number of the style sheet's colours, 0 to 11."""

    label: str
    steps: Sequence[int]
    values: Sequence[float]
    colour: int = 4
    style: Style = "line"


@dataclass(frozen=True)
class _Scale:
    """Where a step and a value are on the page."""

    first: float
    last: float
    low: float
    high: float
    log: bool

    def x(self, step: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * (step - self.first) / (self.last - self.first)

    def y(self, value: float) -> float:
        at, low, high = (math.log10(max(v, 1e-300)) if self.log else v for v in (value, self.low, self.high))
        return _BASE - (_BASE - _TOP) * (at - low) / (high - low)


def line_chart(lines: Sequence[Line], *, unit: str, band: tuple[float, float] | None = None) -> str:
    """A chart of lines that have at least one point each, with its legend; ``band`` shades a range of values.

    The scale is logarithmic when the largest value is far beyond all others. Empty when no line has a point.
    """
    lines = [line for line in lines if line.steps]
    if not lines:
        return ""
    scale = _scale(lines, band)
    parts = [_axes(scale, unit)]
    if band is not None:
        low, high = (scale.y(min(max(v, scale.low), scale.high)) for v in band)
        parts.append(
            f'<rect class="band" x="{_LEFT}" y="{high:.1f}" width="{_RIGHT - _LEFT}" height="{low - high:.1f}"/>'
        )
    # What is compared with lies below, so that it never hides a measurement.
    parts += [_drawn(line, scale) for line in sorted(lines, key=lambda line: line.style != "dashed")]
    svg = f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" preserveAspectRatio="xMinYMin meet">{"".join(parts)}</svg>'
    return f'{svg}<ul class="legend">{"".join(map(_entry, lines))}</ul>'


def smoothed(values: Sequence[float], *, over: int) -> list[float]:
    """Exponential moving average over about so many points, its weights made to sum to 1 from the first point on."""
    keep = 1 - 1 / max(1, over)
    total = weight = 0.0
    found = []
    for value in values:
        total, weight = keep * total + (1 - keep) * value, keep * weight + (1 - keep)
        found.append(total / weight)
    return found


def level(values: Sequence[float]) -> list[float]:
    """The smoothed course that a noisy series is drawn with: over a thirtieth of its points."""
    return smoothed(values, over=max(2, len(values) // 30))


def ticks(low: float, high: float, *, most: int = 5) -> list[float]:
    """Round numbers (1, 2, 2.5 or 5 times a power of ten) from ``low`` to ``high``, at most ``most`` or so of them."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    width = next(power * k for k in (1, 2, 2.5, 5, 10) if power * k >= rough * 0.999)
    first = math.ceil(low / width - 1e-9)
    return [n * width for n in range(first, math.floor(high / width + 1e-9) + 1)]


def short(value: float) -> str:
    """A number in a few characters: ``0.35``, ``12k``, ``2e-05``."""
    size = abs(value)
    for unit, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if size >= unit:
            return f"{value / (1e3 if letter == 'k' else unit):.4g}{letter}"
    return "0" if value == 0 else f"{value:.3g}" if size < 100 else f"{value:.4g}"


def _scale(lines: Sequence[Line], band: tuple[float, float] | None) -> _Scale:
    values = [v for line in lines for v in line.values]
    first, last = (f(s for line in lines for s in line.steps) for f in (min, max))
    low, high = min(values), max(values)
    log = low > 0 and high > _SPREAD * median(values)
    if log:
        low, high = 10 ** math.floor(math.log10(low)), 10 ** math.ceil(math.log10(high))
    else:
        if band is not None:
            low, high = min(low, band[0]), max(high, band[1])
        if low > 0 and low < 0.4 * high:
            low = 0.0
        room = 0.06 * (high - low) or abs(high) * 0.1 or 1.0
        low, high = low if low == 0 else low - room, high + room
    if log and low == high:
        high = 10 * low
    return _Scale(first, last if last > first else first + 1, low, high, log)


def _axes(scale: _Scale, unit: str) -> str:
    parts = [
        f'<text class="axis" x="{_LEFT - 46}" y="11">{escape(unit + (", logarithmic" if scale.log else ""))}</text>'
    ]
    for value in _powers(scale) if scale.log else ticks(scale.low, scale.high):
        y = scale.y(value)
        parts.append(
            f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{_RIGHT}" y2="{y:.1f}"/>'
            f'<text class="axis" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{short(value)}</text>'
        )
    parts += [
        f'<text class="axis" x="{scale.x(step):.1f}" y="{_BASE + 16}" text-anchor="middle">{short(step)}</text>'
        for step in ticks(scale.first, scale.last)
        if step == int(step)
    ]
    parts.append(
        f'<text class="axis" x="{(_LEFT + _RIGHT) / 2:.0f}" y="{_BASE + 34}" text-anchor="middle">steps</text>'
    )
    return "".join(parts)


def _powers(scale: _Scale) -> list[float]:
    low, high = round(math.log10(scale.low)), round(math.log10(scale.high))
    return [10.0**n for n in range(low, high + 1, max(1, (high - low) // 5))]


def _drawn(line: Line, scale: _Scale) -> str:
    points = list(zip(line.steps, line.values, strict=True))
    told = f"<title>{escape(line.label)}: {short(line.values[-1])} at step {line.steps[-1]:,}</title>"
    if line.style == "noisy":
        smooth = level(line.values)
        over = _path(_thinned(list(zip(line.steps, smooth, strict=True))), scale, f"curve s{line.colour}", told)
        return _raw(points, scale, line.colour) + over
    kind = f"curve s{line.colour}" + (" dashed" if line.style == "dashed" else "")
    drawn = _path(_thinned(points), scale, kind, told)
    if line.style == "line" and len(points) <= 40:
        drawn += _dots(points, scale, f"c{line.colour}", radius=2.2)
    return drawn


def _raw(points: Sequence[tuple[int, float]], scale: _Scale, colour: int) -> str:
    """The points themselves; of very many the strip between the lowest and the highest nearby."""
    if len(points) <= _POINTS:
        return _dots(points, scale, f"raw c{colour}", radius=1.6)
    size = -(-len(points) // (_POINTS // 2))
    pieces = [points[at : at + size] for at in range(0, len(points), size)]
    edges = [(piece[len(piece) // 2][0], max(v for _, v in piece)) for piece in pieces]
    edges += [(piece[len(piece) // 2][0], min(v for _, v in piece)) for piece in reversed(pieces)]
    around = " ".join(f"{scale.x(s):.1f},{scale.y(v):.1f}" for s, v in edges)
    return f'<polygon class="strip c{colour}" points="{around}"/>'


def _thinned(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """At most so many points as are drawn, the last one among them."""
    every = -(-len(points) // _POINTS)
    found = list(points[::every])
    return found if found[-1] == points[-1] else [*found, points[-1]]


def _path(points: Sequence[tuple[int, float]], scale: _Scale, kind: str, told: str) -> str:
    if len(points) == 1:
        points = [points[0], points[0]]
    along = " ".join(f"{scale.x(s):.1f},{scale.y(v):.1f}" for s, v in points)
    return f'<polyline class="{kind}" points="{along}">{told}</polyline>'


def _dots(points: Sequence[tuple[int, float]], scale: _Scale, kind: str, *, radius: float) -> str:
    return "".join(
        f'<circle class="{kind}" cx="{scale.x(s):.1f}" cy="{scale.y(v):.1f}" r="{radius}"/>' for s, v in points
    )


def _entry(line: Line) -> str:
    mark = f'<span class="dash b{line.colour}"></span>' if line.style == "dashed" else ""
    mark = mark or f'<span class="dot c{line.colour}"></span>'
    last = level(line.values)[-1] if line.style == "noisy" else line.values[-1]
    return f"<li>{mark}{escape(line.label)} <b>{short(last)}</b></li>"


def colours(first: int = 4) -> itertools.cycle[int]:
    """Numbers of colours, one after the other."""
    return itertools.cycle([*range(first, 12), *range(first)])
