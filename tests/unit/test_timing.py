"""Where the seconds of a search go: each port with a stopwatch around it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from burnqed.core.errors import WorkerLost
from burnqed.core.theorem import Theorem
from burnqed.run.timing import Stopwatch, TimedGate, TimedPolicy, TimedSession, TimedValue
from burnqed.testing.fakes import DONE, FakeLean, ManualClock, ScriptedPolicy, ToyValue, state_of

THEOREM = Theorem("t", "theorem t : True")


@dataclass
class Slow:
    """Takes so many seconds of the clock for each request, and says what the part behind it says."""

    part: object
    clock: ManualClock
    seconds: float

    def __getattr__(self, name: str):
        async def answer(*arguments):
            self.clock.time_s += self.seconds
            return await getattr(self.part, name)(*arguments)

        return answer


def test_seconds_add_up_by_part_also_when_they_end_in_an_error():
    clock = ManualClock()
    watch = Stopwatch(clock)
    assert watch.spent_s == {}, "a part that was not used has no time"
    for _ in range(2):
        with watch.measuring("lean"):
            clock.time_s += 1.5
    with watch.measuring("gate"):
        clock.time_s += 4.0

    def lost() -> None:
        with watch.measuring("lean"):
            clock.time_s += 2.0
            raise WorkerLost("gone")

    with pytest.raises(WorkerLost):
        lost()
    assert watch.spent_s == {"lean": 5.0, "gate": 4.0}


async def test_every_request_of_a_session_is_leans_time_and_answered_as_before():
    lean, clock = FakeLean({("start", "a"): DONE}), ManualClock()
    watch = Stopwatch(clock)
    session = TimedSession(Slow(lean, clock, 1.0), watch)
    ref, state = await session.start(THEOREM)
    assert state.text == "⊢ start"
    (outcome,) = await session.apply(ref, ["a"])
    assert (await session.verdict(outcome.ref)).accepted
    assert (await session.focus(ref, [0]))[1].text == "⊢ start"
    await session.forget([ref])
    assert len(await session.places("by sorry")) == 1
    assert (await session.try_file("sorry", "rfl")).accepted
    assert watch.spent_s == {"lean": 7.0}


async def test_gate_policy_and_value_have_clocks_of_their_own():
    clock = ManualClock()
    watch = Stopwatch(clock)
    gate = TimedGate(Slow(FakeLean({}), clock, 2.0), watch)
    assert (await gate.check(THEOREM, "source")).accepted
    assert (await gate.check_file("sorry", "rfl")).accepted
    policy = TimedPolicy(Slow(ScriptedPolicy(default=[("a", -1.0)]), clock, 3.0), watch)
    ((candidate,),) = await policy.propose([state_of("x")], 4)
    assert candidate.text == "a"
    value = TimedValue(Slow(ToyValue({"x": 0.5}), clock, 5.0), watch)
    assert await value.energies([(state_of("x"), state_of("x"))]) == [0.5]
    assert watch.spent_s == {"gate": 4.0, "policy": 3.0, "value": 5.0}


async def test_a_request_that_fails_is_timed_and_fails():
    clock = ManualClock()
    watch = Stopwatch(clock)
    session = TimedSession(Slow(FakeLean({}, focuses=False), clock, 1.0), watch)
    ref, _ = await session.start(THEOREM)
    with pytest.raises(Exception, match="cannot take goals of a state apart"):
        await session.focus(ref, [0])
    assert watch.spent_s == {"lean": 2.0}
