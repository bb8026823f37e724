"""Things to do, best first, ties by age, so that the order is the same in every run."""

from __future__ import annotations

import heapq
from typing import Generic, TypeVar

T = TypeVar("T")


class Frontier(Generic[T]):
    """A priority queue."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, T]] = []
        self._pushed = 0

    def __len__(self) -> int:
        return len(self._heap)

    def push(self, item: T, priority: float) -> None:
        """Add an item; equal priorities leave in the order of their arrival."""
        heapq.heappush(self._heap, (-priority, self._pushed, item))
        self._pushed += 1

    def pop(self) -> T:
        """Take the best item. Raises IndexError when empty."""
        return heapq.heappop(self._heap)[2]
