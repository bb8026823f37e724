"""Which rows make up which step: a pure function of seed and step, so that a run can be resumed anywhere."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from burnqed.core.seeding import child_seed


class Order:
    """Every row once in each epoch, in an order of its own; rows of like lengths share a step.

    An epoch is cut into buckets of ``bucket`` steps; the rows of a bucket are sorted by length, cut into steps, and the steps
    shuffled. One step of an epoch may have fewer rows.
    """

    def __init__(self, lengths: Sequence[int], *, rows: int, bucket: int, seed: int, name: str) -> None:
        assert lengths
        self._lengths = lengths
        self._rows = min(rows, len(lengths))
        self._bucket = bucket
        self._seed = seed
        self._name = name
        self._epoch = -1
        self._steps: list[list[int]] = []

    @property
    def steps_in_epoch(self) -> int:
        """Steps in which every row comes once."""
        return math.ceil(len(self._lengths) / self._rows)

    def step(self, number: int) -> list[int]:
        """The rows of a step, by number, the shortest first; steps count from 0."""
        epoch, place = divmod(number, self.steps_in_epoch)
        if epoch != self._epoch:
            self._epoch, self._steps = epoch, self._shuffled(epoch)
        return self._steps[place]

    def _shuffled(self, epoch: int) -> list[list[int]]:
        rng = random.Random(child_seed(self._seed, "order", self._name, epoch))
        order = list(range(len(self._lengths)))
        rng.shuffle(order)
        size = self._rows * self._bucket
        full: list[list[int]] = []
        for at in range(0, len(order), size):
            some = sorted(order[at : at + size], key=lambda i: (self._lengths[i], i))
            full += [some[k : k + self._rows] for k in range(0, len(some), self._rows)]
        rng.shuffle(full)
        return full


def micro_batches(rows: Sequence[int], lengths: Sequence[int], *, most_tokens: int) -> list[list[int]]:
    """The rows cut into batches of at most ``most_tokens`` tokens with padding; a single longer row makes one of its own."""
    found: list[list[int]] = []
    longest = 0
    for row in sorted(rows, key=lambda i: (lengths[i], i)):
        wider = max(longest, lengths[row])
        if found and wider * (len(found[-1]) + 1) <= most_tokens:
            found[-1].append(row)
            longest = wider
        else:
            found.append([row])
            longest = lengths[row]
    return found


def share(rows: Sequence[int], *, rank: int, world: int) -> list[int]:
    """The part of a step's rows that one of several processes takes: every ``world``-th, so that lengths are alike."""
    return list(rows[rank::world])
