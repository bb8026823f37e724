"""Child seeds, so that no result depends on the order in which workers finish."""

from __future__ import annotations

import hashlib


def child_seed(run_seed: int, *names: str | int) -> int:
    """A 63-bit seed for one purpose, from the run's seed and the names of the purpose."""
    text = "\0".join([str(run_seed), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
