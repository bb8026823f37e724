"""Shares that rise as a budget grows, as inline SVG: a step at each cost at which something more is done."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from burnqed.report.lines import short, ticks

_WIDTH, _HEIGHT = 460, 250
_LEFT, _RIGHT, _TOP, _BASE = 54, 448, 22, 206
_POINTS = 400
_WIDE = 30.0  # how often the least cost goes into the budget, from which on the axis is logarithmic


@dataclass(frozen=True)
class Riser:
    """A curve: what each success cost, out of ``total`` tries; ``dashed`` for what is compared with."""

    label: str
    costs: Sequence[float]
    total: int
    colour: int = 4
    dashed: bool = False

    def share(self, budget: float) -> float:
        """The share that is done within a budget."""
        return bisect_right(sorted(self.costs), budget) / self.total if self.total else 0.0


def riser_chart(risers: Sequence[Riser], *, unit: str, budget: float | None = None) -> str:
    """A chart in per cent with its legend; empty when nothing has a cost. ``budget`` ends the axis, and every curve goes there.

    The axis of costs is logarithmic when they are wide apart; costs below its start are drawn at it.
    """
    every = sorted(cost for riser in risers for cost in riser.costs)
    if not every:
        return ""
    last = max(every[-1], budget or 0.0) or 1.0
    positive = [cost for cost in every if cost > 0]
    log = bool(positive) and last / positive[0] > _WIDE
    first = positive[0] * 0.9 if log else 0.0
    most = max(riser.share(last) for riser in risers)
    top = min(1.0, most * 1.08)

    def x(cost: float) -> float:
        if not log:
            return _LEFT + (_RIGHT - _LEFT) * cost / last
        return _LEFT + (_RIGHT - _LEFT) * math.log(max(cost, first) / first) / math.log(last / first)

    def y(share: float) -> float:
        return _BASE - (_BASE - _TOP) * share / top

    parts = [f'<text class="axis" x="{_LEFT - 46}" y="11">% proved</text>']
    for share in ticks(0.0, 100 * top):
        at = y(share / 100)
        parts.append(
            f'<line class="grid" x1="{_LEFT}" y1="{at:.1f}" x2="{_RIGHT}" y2="{at:.1f}"/>'
            f'<text class="axis" x="{_LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{short(share)}</text>'
        )
    parts += [
        f'<text class="axis" x="{x(cost):.1f}" y="{_BASE + 16}" text-anchor="middle">{short(cost)}</text>'
        for cost in (_decades(first, last) if log else ticks(0.0, last))
    ]
    scale = f"{unit}{', logarithmic' if log else ''}"
    parts.append(
        f'<text class="axis" x="{(_LEFT + _RIGHT) / 2:.0f}" y="{_BASE + 34}" text-anchor="middle">{escape(scale)}</text>'
    )
    for riser in sorted(risers, key=lambda r: not r.dashed):
        along = " ".join(f"{x(cost):.1f},{y(share):.1f}" for cost, share in _corners(riser, first, last))
        told = (
            f"<title>{escape(riser.label)}: {100 * riser.share(last):.1f} % within {short(last)} {escape(unit)}</title>"
        )
        kind = f"curve s{riser.colour}{' dashed' if riser.dashed else ''}"
        parts.append(f'<polyline class="{kind}" points="{along}">{told}</polyline>')
    legend = "".join(_entry(riser, last) for riser in risers)
    svg = f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" preserveAspectRatio="xMinYMin meet">{"".join(parts)}</svg>'
    return f'{svg}<ul class="legend">{legend}</ul>'


def _corners(riser: Riser, first: float, last: float) -> list[tuple[float, float]]:
    """The corners of the steps from the start of the axis to its end, thinned where there are very many."""
    costs = sorted(riser.costs)
    level = riser.share(first)
    points = [(first, level)]
    every = -(-len(costs) // _POINTS) or 1
    for done in dict.fromkeys([*range(every, len(costs), every), len(costs)]):
        if done and costs[done - 1] > first:
            points.append((costs[done - 1], level))
            level = done / riser.total
            points.append((costs[done - 1], level))
    return [*points, (last, level)]


def _decades(first: float, last: float) -> list[float]:
    """Powers of ten within the axis; with few of them also their doubles and halves."""
    powers = [10.0**n for n in range(math.floor(math.log10(first)), math.floor(math.log10(last)) + 1)]
    steps = (1,) if len(powers) > 3 else (1, 2, 5)
    return [k * power for power in powers for k in steps if first <= k * power <= last]


def _entry(riser: Riser, last: float) -> str:
    mark = "dash b" if riser.dashed else "dot c"
    return f'<li><span class="{mark}{riser.colour}"></span>{escape(riser.label)} <b>{100 * riser.share(last):.1f} %</b></li>'
