"""The depths at which everything about states is told apart: near the root, on the way, deep."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DEPTH_BINS: dict[str, tuple[float, float]] = {
    "depth_0_1": (0, 1),
    "depth_2_3": (2, 3),
    "depth_4_plus": (4, float("inf")),
}
"""Name → least and greatest depth, in tactics from the root."""


def rows_by_depth(depths: NDArray[np.int64]) -> dict[str, NDArray[np.bool_]]:
    """For each bin which of the rows [N] are in it."""
    return {name: (depths >= low) & (depths <= high) for name, (low, high) in DEPTH_BINS.items()}
