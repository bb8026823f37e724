"""Troubles that were survived, counted under a name, so that nothing goes wrong in silence."""

from __future__ import annotations

from collections import Counter


class Tally:
    """Counts by kind, and keeps one example of each.

    Policies and values count here what they had to drop or repair (``empty completion``, ``NaN log-probability``,
    ``state cut to fit``); the run reports it at its end.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.examples: dict[str, str] = {}

    def count(self, kind: str, example: str = "", times: int = 1) -> None:
        """Note a trouble; the first example of its kind is kept, shortened."""
        self.counts[kind] += times
        if example:
            self.examples.setdefault(kind, example if len(example) <= 200 else example[:199] + "…")

    def told(self) -> str:
        """One line for a person, the most frequent first; empty when there was none."""
        return ", ".join(f"{kind}: {count}" for kind, count in self.counts.most_common())
