"""The open states, best first, ties by age, so that the order is the same in every run."""

from __future__ import annotations

import heapq


class Frontier:
    """A priority queue of node numbers."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, int]] = []
        self._pushed = 0

    def __len__(self) -> int:
        return len(self._heap)

    def push(self, node: int, priority: float) -> None:
        """Add a node; equal priorities leave in the order of their arrival."""
        heapq.heappush(self._heap, (-priority, self._pushed, node))
        self._pushed += 1

    def pop(self) -> int:
        """Take the best node. Raises IndexError when empty."""
        return heapq.heappop(self._heap)[2]
