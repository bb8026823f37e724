"""The order of rows: each once an epoch, the same for whoever asks, wherever a run is resumed."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from burnqed.train.order import Order, micro_batches, share

RANDOM = random.Random(3)
LENGTHS = [RANDOM.randint(5, 400) for _ in range(103)]


def order(*, rows: int = 8, bucket: int = 4, seed: int = 0, name: str = "sft") -> Order:
    return Order(LENGTHS, rows=rows, bucket=bucket, seed=seed, name=name)


@pytest.mark.parametrize("rows", [1, 8, 103, 500])
@pytest.mark.parametrize("bucket", [1, 3, 100])
def test_every_row_comes_exactly_once_in_each_epoch(rows, bucket):
    steps = order(rows=rows, bucket=bucket)
    for epoch in range(3):
        first = epoch * steps.steps_in_epoch
        seen = [row for k in range(first, first + steps.steps_in_epoch) for row in steps.step(k)]
        assert sorted(seen) == list(range(len(LENGTHS)))


def test_a_resumed_run_sees_the_same_steps_from_wherever_it_begins():
    whole = order()
    course = [whole.step(k) for k in range(40)]
    for begin in (0, 1, 12, 13, 14, 39):
        resumed = order()
        assert [resumed.step(k) for k in range(begin, 40)] == course[begin:]
    backwards = order()
    assert [backwards.step(k) for k in reversed(range(40))] == course[::-1]


def test_epochs_seeds_and_names_have_orders_of_their_own():
    steps = order()
    first = [steps.step(k) for k in range(steps.steps_in_epoch)]
    second = [steps.step(k) for k in range(steps.steps_in_epoch, 2 * steps.steps_in_epoch)]
    assert first != second
    assert first != [order(seed=1).step(k) for k in range(len(first))]
    assert first != [order(name="contrastive").step(k) for k in range(len(first))]


def test_rows_of_like_lengths_share_a_step():
    """Padding with sorting is a fraction of that without."""

    def padding(steps: Order) -> int:
        batches = [steps.step(k) for k in range(steps.steps_in_epoch)]
        return sum(max(LENGTHS[i] for i in b) * len(b) - sum(LENGTHS[i] for i in b) for b in batches)

    assert padding(order(bucket=100)) < 0.2 * padding(order(bucket=1))


def test_long_steps_do_not_come_in_a_row():
    """Sorted rows would teach short tactics first; steps are shuffled after sorting."""
    steps = order(bucket=100)
    longest = [max(LENGTHS[i] for i in steps.step(k)) for k in range(steps.steps_in_epoch)]
    assert longest not in (sorted(longest), sorted(longest, reverse=True))


@pytest.mark.parametrize("most", [400, 1000, 5000])
def test_micro_batches_hold_every_row_once_and_no_more_tokens_than_allowed(most):
    rows = order(rows=40).step(0)
    batches = micro_batches(rows, LENGTHS, most_tokens=most)
    assert Counter(row for batch in batches for row in batch) == Counter(rows)
    assert all(max(LENGTHS[i] for i in batch) * len(batch) <= most for batch in batches)


def test_a_row_that_is_too_long_for_a_micro_batch_makes_one_of_its_own():
    assert micro_batches([0, 1, 2], [10, 500, 10], most_tokens=100) == [[0, 2], [1]]


@pytest.mark.parametrize("world", [1, 2, 3, 8])
def test_the_shares_of_processes_are_a_step_cut_in_parts(world):
    rows = order().step(5)
    parts = [share(rows, rank=rank, world=world) for rank in range(world)]
    assert sorted(row for part in parts for row in part) == sorted(rows)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
