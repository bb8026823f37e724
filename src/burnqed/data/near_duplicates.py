"""Statements that are nearly the same, found by MinHash (Broder 1997) with banding, then compared exactly.

What is compared are the small pieces of two normal forms (:attr:`NormalForm.features`), by Jaccard's measure: the share of pieces
that both have among those that one has. Signatures only propose pairs; a proposed pair counts when its true measure does.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

from burnqed.core.errors import BadInput
from burnqed.data.normal_form import NormalForm

PERMUTATIONS = 128
_SEED = 20261126
_MOST_MISSED = 1e-4


class NearDuplicates:
    """Statements seen so far, to be asked for those that a new one is near to.

    A pair at ``threshold`` or above is missed with a probability below one in ten thousand; none below it is ever reported.
    """

    def __init__(self, threshold: float) -> None:
        if not 0.1 <= threshold <= 1.0:
            raise ValueError(f"a threshold of {threshold} is not between 0.1 and 1")
        self.threshold = threshold
        try:
            import datasketch
        except ImportError as error:
            raise BadInput("near-duplicates are found with datasketch; pip install 'burnqed[data]'") from error
        self._minhash = datasketch.MinHash
        self._index = datasketch.MinHashLSH(num_perm=PERMUTATIONS, params=_banding(threshold))
        self._features: dict[str, frozenset[str]] = {}

    def __len__(self) -> int:
        return len(self._features)

    def near(self, form: NormalForm) -> list[tuple[str, float]]:
        """Keys of the statements that are near, the nearest first, with the measure."""
        return self._near(form.features, self._signature(form.features))

    def add(self, key: str, form: NormalForm) -> list[tuple[str, float]]:
        """Remember a statement under a key of its own; returns what was near to it before."""
        signature = self._signature(form.features)
        found = self._near(form.features, signature)
        self._index.insert(key, signature, check_duplication=False)
        self._features[key] = form.features
        return found

    def _near(self, features: frozenset[str], signature: Any) -> list[tuple[str, float]]:
        measured = ((key, similarity(features, self._features[key])) for key in self._index.query(signature))
        return sorted((m for m in measured if m[1] >= self.threshold), key=lambda m: (-m[1], m[0]))

    def _signature(self, features: frozenset[str]) -> Any:
        signature = self._minhash(num_perm=PERMUTATIONS, seed=_SEED)
        signature.update_batch([f.encode(errors="surrogatepass") for f in features])
        return signature


def similarity(one: frozenset[str], other: frozenset[str]) -> float:
    """Jaccard's measure: 1 for equal sets, two empty ones included, 0 for sets that share nothing."""
    if not one and not other:
        return 1.0
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared)


def clusters(forms: Iterable[tuple[str, NormalForm]], *, threshold: float) -> dict[str, str]:
    """For each key the smallest key of its cluster: those that are near, or near to one that is near, are together."""
    seen = NearDuplicates(threshold)
    groups = Groups()
    for key, form in forms:
        groups.join(key, key)
        for other, _ in seen.add(key, form):
            groups.join(key, other)
    return {key: groups.smallest(key) for key in groups}


class Groups:
    """Keys that belong together (union-find); of each group the smallest key is known."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._parent)

    def join(self, one: str, other: str) -> None:
        """Put two keys into one group; new ones are added."""
        low, high = sorted((self.smallest(one), self.smallest(other)))
        self._parent[high] = low

    def smallest(self, key: str) -> str:
        """The smallest key of a group; the key itself if it is new."""
        root = key
        while (up := self._parent.setdefault(root, root)) != root:
            root = up
        while (up := self._parent[key]) != root:
            self._parent[key], key = root, up
        return root


def _banding(threshold: float) -> tuple[int, int]:
    """Bands and rows: the most selective banding that misses a pair at the threshold with less than ``_MOST_MISSED``.

    A pair of measure s meets in one of b bands of r rows with probability 1 − (1 − s^r)^b (Leskovec, Rajaraman, Ullman, ch. 3).
    """
    for rows in range(PERMUTATIONS, 0, -1):
        bands = PERMUTATIONS // rows
        together = threshold**rows
        if together >= 1.0 or bands * math.log1p(-together) < math.log(_MOST_MISSED):
            return bands, rows
    return PERMUTATIONS, 1
