"""Calls of many searches made one: order, limits, errors, and callers that give up."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from burnqed.core.gather import Gather
from burnqed.core.state import Goal, ProofState
from burnqed.policy.gathered import GatheredPolicy
from burnqed.testing.fakes import ScriptedPolicy
from burnqed.value.gathered import GatheredValue
from burnqed.value.trivial import TrivialValue, length_energy


class Work:
    """Squares numbers, one batch after the other; each batch waits for ``gate``."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()

    async def __call__(self, items: list[int]) -> list[int]:
        self.batches.append(items)
        await self.gate.wait()
        if 13 in items:
            raise ValueError("thirteen")
        return [i * i for i in items]


async def begun(gather: Gather[int, int], *calls: list[int]) -> list[asyncio.Task[list[int]]]:
    """The calls, each as far as it comes by itself."""
    tasks = []
    for items in calls:
        tasks.append(asyncio.create_task(gather.ask(items)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    return tasks


async def test_what_comes_while_a_batch_is_at_work_is_the_next_batch():
    work = Work()
    tasks = await begun(Gather(work, most=10), [1], [2, 3], [4])
    assert work.batches == [[1]]
    work.gate.set()
    assert await asyncio.gather(*tasks) == [[1], [4, 9], [16]]
    assert work.batches == [[1], [2, 3, 4]]


async def test_a_batch_has_at_most_so_many_items_and_a_larger_call_goes_alone():
    work = Work()
    tasks = await begun(Gather(work, most=3), [1], [2, 3], [4, 5], [6, 7, 8, 9], [10])
    work.gate.set()
    await asyncio.gather(*tasks)
    assert work.batches == [[1], [2, 3], [4, 5], [6, 7, 8, 9], [10]]


async def test_an_error_reaches_the_callers_of_its_batch_alone():
    work = Work()
    gather = Gather(work, most=2)
    tasks = await begun(gather, [1], [13, 2], [3])
    work.gate.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert answers[0] == [1]
    assert isinstance(answers[1], ValueError)
    assert answers[2] == [9]
    assert await gather.ask([5]) == [25]


async def test_a_caller_that_gives_up_loses_its_answer_alone():
    work = Work()
    tasks = await begun(Gather(work, most=10), [1], [2], [3])
    tasks[1].cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await tasks[1]
    work.gate.set()
    assert await tasks[0] == [1]
    assert await tasks[2] == [9]
    assert work.batches == [[1], [3]]


async def test_nothing_is_asked_for_nothing():
    work = Work()
    assert await Gather(work, most=1).ask([]) == []
    assert work.batches == []


def state(target: str) -> ProofState:
    return ProofState((Goal((), target),))


async def test_policy_and_value_answer_as_they_would_alone():
    inner = ScriptedPolicy(default=[("a", -0.5), ("b", -1.0)])
    states = [state("x"), state("yy"), state("zzz")]
    alone = await inner.propose(states, 2)
    policy = GatheredPolicy(inner, most=2)
    together = await asyncio.gather(*(policy.propose([s], 2) for s in states))
    assert [found for (found,) in together] == alone
    value = TrivialValue(length_energy)
    pairs = [(s, states[0]) for s in states]
    gathered = GatheredValue(value, most=2)
    assert await asyncio.gather(*(gathered.energies([p]) for p in pairs)) == [[e] for e in await value.energies(pairs)]


@pytest.mark.parametrize("most", [1, 2, 5])
async def test_many_callers_get_their_own_answers_in_order(most):
    async def work(items: list[int]) -> list[int]:
        await asyncio.sleep(0)
        return [i + 1 for i in items]

    gather = Gather(work, most=most)
    calls = [list(range(i, i + i % 4)) for i in range(30)]
    assert await asyncio.gather(*map(gather.ask, calls)) == [[i + 1 for i in call] for call in calls]
