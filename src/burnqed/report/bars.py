"""Charts as inline SVG: no script, no network, colours from the page's style."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from html import escape

_WIDTH = 460
_LABEL = 150
_ROW = 20


def bars(counts: Mapping[str, int], *, total: int | None = None, limit: int = 14) -> str:
    """Horizontal bars, the largest first, each with its count and its share; what is beyond ``limit`` is one bar."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown, rest = ordered[:limit], ordered[limit:]
    if rest:
        shown.append((f"{len(rest)} more", sum(n for _, n in rest)))
    whole = total or sum(counts.values()) or 1
    most = max((n for _, n in shown), default=1) or 1
    room = _WIDTH - _LABEL - 96
    rows = []
    for i, (name, n) in enumerate(shown):
        y, width = i * _ROW, max(1.0, room * n / most)
        rows.append(
            f'<text class="name" x="{_LABEL - 8}" y="{y + 14}" text-anchor="end">{escape(_cut(name, 24))}</text>'
            f'<rect class="bar" x="{_LABEL}" y="{y + 3}" width="{width:.1f}" height="14" rx="2">'
            f"<title>{escape(name)}: {n:,}</title></rect>"
            f'<text class="value" x="{_LABEL + width + 6:.1f}" y="{y + 14}">{n:,}'
            f'<tspan class="share"> {_percent(n, whole)}</tspan></text>'
        )
    return _svg(_WIDTH, len(shown) * _ROW + 4, "".join(rows))


def histogram(bins: Sequence[tuple[int, int, int]], *, unit: str, marks: Mapping[str, int] | None = None) -> str:
    """Upright bars of bins (from, up to but without, how many), with dashed lines at ``marks``."""
    if not bins:
        return ""
    height, base, left = 150, 126, 44
    top = max(n for *_, n in bins) or 1
    step = (_WIDTH - left - 12) / len(bins)
    width = bins[0][1] - bins[0][0]
    parts = [_grid(top, left, base, base - 18)]
    for i, (low, high, n) in enumerate(bins):
        tall = (base - 18) * n / top
        last = i == len(bins) - 1 and high - low > width
        told = (
            f"{low:,} {unit} and more" if last else f"{low:,} to {high - 1:,} {unit}" if high - low > 1 else f"{low:,}"
        )
        parts.append(
            f'<rect class="bar{" tail" if last else ""}" x="{left + i * step + 1:.1f}" y="{base - tall:.1f}" '
            f'width="{max(1.0, step - 2):.1f}" height="{tall:.1f}"><title>{told}: {n:,}</title></rect>'
        )
    every = max(1, len(bins) // 5)
    for i in range(0, len(bins), every):
        x = left + i * step + (step / 2 if width == 1 else 0)
        parts.append(f'<text class="axis" x="{x:.1f}" y="{base + 14}" text-anchor="middle">{bins[i][0]:,}</text>')
    end = bins[-1][0] + width
    for name, at in sorted((marks or {}).items(), key=lambda m: m[1]):
        if at <= end:
            x = left + step * at / width
            parts.append(
                f'<line class="mark" x1="{x:.1f}" y1="10" x2="{x:.1f}" y2="{base}"/>'
                f'<text class="axis" x="{x + 3:.1f}" y="10">{escape(name)}</text>'
            )
    return _svg(_WIDTH, height, "".join(parts))


def shares(counts: Mapping[str, int], colours: Mapping[str, int] | None = None) -> str:
    """One bar, divided; for how labels balance. Names of ``colours`` come first, each with its colour of the style sheet."""
    known = colours or {}
    names = [n for n in known if n in counts] + sorted(n for n in counts if n not in known)
    free = itertools.cycle(c for c in range(4, 12) if c not in known.values())
    whole = sum(counts.values()) or 1
    x, parts, legend = 0.0, [], []
    for name in names:
        width = 2 * _WIDTH * counts[name] / whole
        colour = f"c{known[name] if name in known else next(free)}"
        parts.append(
            f'<rect class="{colour}" x="{x:.1f}" y="0" width="{max(0.0, width - 2):.1f}" height="22" rx="2">'
            f"<title>{escape(name)}: {counts[name]:,}</title></rect>"
        )
        legend.append(
            f'<li><span class="dot {colour}"></span>{escape(name)} <b>{counts[name]:,}</b> '
            f'<span class="share">{_percent(counts[name], whole)}</span></li>'
        )
        x += width
    return f'{_svg(2 * _WIDTH, 22, "".join(parts))}<ul class="legend">{"".join(legend)}</ul>'


def _grid(top: int, left: int, base: int, tall: int) -> str:
    lines = []
    for share in (0.0, 0.5, 1.0) if top > 1 else (0.0, 1.0):
        y = base - tall * share
        lines.append(
            f'<line class="grid" x1="{left}" y1="{y:.1f}" x2="{_WIDTH - 12}" y2="{y:.1f}"/>'
            f'<text class="axis" x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{_short(round(top * share))}</text>'
        )
    return "".join(lines)


def _svg(width: int, height: int, inside: str) -> str:
    return f'<svg viewBox="0 0 {width} {height}" role="img" preserveAspectRatio="xMinYMin meet">{inside}</svg>'


def _short(n: float) -> str:
    """``950``, ``1.2k``, ``3.4M``."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if n >= size:
            return f"{n / size:.1f}".removesuffix(".0") + letter
    return f"{n:.0f}"


def _percent(n: int, whole: int) -> str:
    share = 100 * n / whole
    return f"{share:.0f} %" if share >= 1 or n == 0 else "< 1 %"


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
