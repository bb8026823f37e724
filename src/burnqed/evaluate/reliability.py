"""How far foretold probabilities agree with what happened: the usual figures, and the diagram that shows them.

Only the standard library is used, so that any report can draw one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from burnqed.evaluate.statistics import wilson
from burnqed.report.lines import short, ticks

BINS = 10

_LEAST = 1e-12  # how near to 0 and 1 a probability may be for the log-loss
_SIZE, _LEFT, _RIGHT, _TOP, _BASE = (340, 318), 44, 330, 20, 274
_LIMITS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75)

STYLE = """
svg .ideal { stroke: var(--soft); stroke-dasharray: 4 4; } svg .whisker { stroke-width: 1.6; }
.three { display: grid; gap: 14px; grid-template-columns: repeat(auto-fit, minmax(min(100%, 290px), 1fr)); margin: 14px 0; }
.three > .card { margin: 0; }
""" + "".join(f"svg .s{i} {{ stroke: var(--c{i}); }}\n" for i in range(12))
"""What a page with diagrams needs besides the sheet that all reports share."""


@dataclass(frozen=True)
class Bin:
    """States of similar probability: the mean that was said, the share that was proved with its 95 % interval, their number."""

    said: float
    was: float
    low: float
    high: float
    states: int


@dataclass(frozen=True)
class Reliability:
    """``ece`` is the expected calibration error, ``log_loss`` in nats a state, ``brier`` the mean squared error."""

    states: int
    proved: int
    ece: float
    brier: float
    log_loss: float
    bins: tuple[Bin, ...]


def reliability(said: Sequence[float], proved: Sequence[bool], *, bins: int = BINS) -> Reliability:
    """What became of states of which it was ``said`` with what probability they would be proved; at least one.

    Bins hold about equally many states, and equal probabilities are never in two of them. The calibration error is the mean
    distance between said and was over the states' bins (Naeini et al. 2015, with equal counts); Brier 1950 is the squared error.
    """
    pairs = sorted(zip(said, proved, strict=True))
    assert pairs
    found = [_bin(part) for part in _parts(pairs, bins)]
    total = len(pairs)
    return Reliability(
        states=total,
        proved=sum(hit for _, hit in pairs),
        ece=math.fsum(b.states * abs(b.said - b.was) for b in found) / total,
        brier=math.fsum((p - hit) ** 2 for p, hit in pairs) / total,
        log_loss=-math.fsum(math.log(max(p if hit else 1 - p, _LEAST)) for p, hit in pairs) / total,
        bins=tuple(found),
    )


def _parts(pairs: Sequence[tuple[float, bool]], bins: int) -> list[Sequence[tuple[float, bool]]]:
    found = []
    begin = 0
    for number in range(1, bins + 1):
        end = max(begin, round(len(pairs) * number / bins))
        while 0 < end < len(pairs) and pairs[end][0] == pairs[end - 1][0]:
            end += 1
        if end > begin:
            found.append(pairs[begin:end])
        begin = end
    return found


def _bin(pairs: Sequence[tuple[float, bool]]) -> Bin:
    hits, n = sum(hit for _, hit in pairs), len(pairs)
    sure = wilson(hits, n)
    return Bin(math.fsum(p for p, _ in pairs) / n, hits / n, sure.low, sure.high, n)


def limit_of(found: Sequence[Reliability]) -> float:
    """Where the axes of diagrams that are to be compared may end: states are mostly hard to prove, and all lie near 0."""
    most = max((x for r in found for b in r.bins for x in (b.said, b.high)), default=1.0)
    return next((limit for limit in _LIMITS if most <= limit), 1.0)


def reliability_chart(found: Reliability, *, limit: float = 1.0, colour: int = 4) -> str:
    """A reliability diagram as inline SVG: what was said to the right, what was proved upwards, a point for each bin.

    Both axes go from 0 to ``limit``. The diagonal is where both agree, whiskers are intervals, a point's area goes with the
    number of its states.
    """
    most = max(b.states for b in found.bins)
    (left, base), (right, top) = _at(0.0, 0.0, limit), _at(limit, limit, limit)
    parts = ['<text class="axis" x="4" y="11">share proved</text>', *(_tick(at, limit) for at in ticks(0.0, limit))]
    parts.append(
        f'<line class="ideal" x1="{left}" y1="{base}" x2="{right}" y2="{top}"/>'
        f'<text class="axis" x="{(left + right) / 2:.0f}" y="{base + 34}" text-anchor="middle">probability said</text>'
    )
    parts += [_point(b, limit, colour, radius=1.5 + 3.5 * math.sqrt(b.states / most)) for b in found.bins]
    width, height = _SIZE
    return f'<svg viewBox="0 0 {width} {height}" role="img" preserveAspectRatio="xMinYMin meet">{"".join(parts)}</svg>'


def _at(said: float, was: float, limit: float) -> tuple[float, float]:
    """Where on the picture; what is beyond the limit is at its edge."""
    x = _LEFT + (_RIGHT - _LEFT) * min(said, limit) / limit
    y = _BASE - (_BASE - _TOP) * min(was, limit) / limit
    return round(x, 1), round(y, 1)


def _tick(value: float, limit: float) -> str:
    x, y = _at(value, value, limit)
    return (
        f'<line class="grid" x1="{_LEFT}" y1="{y}" x2="{_RIGHT}" y2="{y}"/>'
        f'<text class="axis" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{short(value)}</text>'
        f'<text class="axis" x="{x}" y="{_BASE + 16}" text-anchor="middle">{short(value)}</text>'
    )


def _point(b: Bin, limit: float, colour: int, *, radius: float) -> str:
    told = f"said {b.said:.3g}, proved {b.was:.3g} (95 %: {b.low:.3g} to {b.high:.3g}) of {b.states:,} states"
    x, y = _at(b.said, b.was, limit)
    low, high = _at(b.said, b.low, limit)[1], _at(b.said, b.high, limit)[1]
    return (
        f'<g><title>{escape(told)}</title><line class="whisker s{colour}" x1="{x}" y1="{low}" x2="{x}" y2="{high}"/>'
        f'<circle class="c{colour}" cx="{x}" cy="{y}" r="{radius:.1f}"/></g>'
    )
