"""Lengths of many texts as a few numbers and a histogram."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

_BINS = 24


class Lengths(msgspec.Struct, frozen=True, kw_only=True):
    """Of one column, in ``unit``. ``bins`` are (from, up to but without, how many); the last one takes all that is longer."""

    field: str
    unit: str
    count: int
    total: int
    mean: float
    median: int
    p95: int
    p99: int
    longest: int
    bins: list[tuple[int, int, int]]


def lengths_of(field: str, unit: str, values: Sequence[int]) -> Lengths:
    """Of at least one value. Percentiles are those of the nearest rank."""
    ordered = sorted(values)
    return Lengths(
        field=field,
        unit=unit,
        count=len(ordered),
        total=sum(ordered),
        mean=sum(ordered) / len(ordered),
        median=_rank(ordered, 0.5),
        p95=_rank(ordered, 0.95),
        p99=_rank(ordered, 0.99),
        longest=ordered[-1],
        bins=_bins(ordered),
    )


def _rank(ordered: Sequence[int], share: float) -> int:
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _bins(ordered: Sequence[int]) -> list[tuple[int, int, int]]:
    """Bins of one width up to the 99th percentile, so that a few long texts do not press the others into one bin."""
    top = max(1, _rank(ordered, 0.99))
    width = max(1, math.ceil(top / _BINS))
    counts = [0] * (top // width + 1)
    for value in ordered:
        counts[min(value // width, len(counts) - 1)] += 1
    edges = [(i * width, (i + 1) * width) for i in range(len(counts))]
    edges[-1] = (edges[-1][0], max(edges[-1][1], ordered[-1] + 1))
    return [(low, high, n) for (low, high), n in zip(edges, counts, strict=True)]
