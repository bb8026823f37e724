"""Minimising on a Lean that is a table: what is tried, what it costs, and when a proof stays as it was."""

from __future__ import annotations

import pytest

from burnqed.core.errors import WorkerLost
from burnqed.core.outcome import Outcome, StateRef, Stepped, Verdict
from burnqed.core.theorem import Theorem
from burnqed.iterate.minimise import Minimised, minimise
from burnqed.testing.fakes import DONE, FakeLean

T = Theorem("t", "theorem t : start")
LONG = {
    ("start", "split"): ("left", "right"),
    ("left", "detour"): "left2",
    ("left2", "close"): DONE,
    ("right", "turn"): "right2",
    ("right2", "finish"): DONE,
}
STEPS = ["split", "detour", "close", "turn", "finish"]


class Refusing(FakeLean):
    """A gate that refuses sources."""

    async def check(self, theorem: Theorem, source: str) -> Verdict:
        return Verdict(False, "no")


async def shortened(lean: FakeLean, steps=STEPS, *, gate: FakeLean | None = None, **more) -> Minimised:
    return await minimise(T, steps, session=lean, gate=gate, **more)


def tactics(found: Minimised) -> list[str]:
    return [record.tactic for record in found.records]


async def test_a_proof_that_cannot_be_shorter_stays_with_the_states_that_were_seen():
    found = await shortened(FakeLean(LONG), gate=FakeLean({}), set_name="set", split="train")
    assert tactics(found) == STEPS
    assert found.source == T.proved_by("  split\n  · detour\n    close\n  · turn\n    finish")
    assert (found.steps_before, found.steps_after, found.reason) == (5, 5, "")
    first, *_, last = found.records
    assert (first.state_before, first.state_after) == ("⊢ start", "⊢ left\n\n⊢ right")
    assert (last.state_before, last.state_after, last.step) == ("⊢ right2", "no goals", 4)
    assert {(r.theorem, r.source, r.split) for r in found.records} == {("t", "set", "train")}


async def test_steps_are_left_out_alone_and_in_rows():
    one = await shortened(FakeLean(LONG | {("left", "close"): DONE}))
    assert tactics(one) == ["split", "close", "turn", "finish"]
    rows = await shortened(FakeLean(LONG | {("left", "turn"): "x", ("start", "finish"): DONE}))
    assert tactics(rows) == ["finish"]


async def test_a_goal_is_closed_by_a_step_that_closed_a_later_one():
    found = await shortened(FakeLean(LONG | {("left", "finish"): DONE}))
    assert tactics(found) == ["split", "finish", "turn", "finish"]


async def test_what_became_possible_in_one_round_is_found_in_the_next():
    table = LONG | {("right", "finish"): DONE, ("start", "detour"): "odd", ("odd", "close"): "odder"}
    found = await shortened(FakeLean(table | {("odder", "finish"): DONE}))
    assert tactics(found) == ["detour", "close", "finish"], "only after `turn` was left out"


async def test_steps_after_the_end_go():
    assert tactics(await shortened(FakeLean(LONG), [*STEPS, "more"])) == STEPS


async def test_what_the_kernel_refuses_is_no_shorter_proof():
    lean = FakeLean(LONG | {("start", "turn"): DONE}, refused_tactics=frozenset({"turn"}))
    assert tactics(await shortened(lean)) == STEPS
    bad = await shortened(lean, ["turn"])
    assert (bad.replayed, bad.reason) == (False, "does not replay: the kernel refuses it: metavariables left")


async def test_the_limit_ends_it_with_the_best_proof_so_far():
    table = LONG | {("left", "close"): DONE, ("right", "finish"): DONE}
    free = await shortened(FakeLean(table))
    assert tactics(free) == ["split", "close", "finish"]
    for limit in range(free.tried):
        found = await shortened(FakeLean(table), max_tactics=limit)
        assert found.tried <= max(limit, len(STEPS)), "the replay itself is always made"
        assert found.replayed
        assert tactics(found) in (STEPS, ["split", "close", "turn", "finish"], ["split", "close", "finish"])
    lean = FakeLean(table)
    counted = await shortened(lean)
    assert counted.tried == len(lean.applied)


async def test_a_gate_that_refuses_keeps_the_old_proof():
    found = await shortened(FakeLean(LONG | {("left", "close"): DONE}), gate=Refusing({}), accepted_source="old")
    assert (tactics(found), found.source, found.steps_after) == (STEPS, "old", 5)
    assert found.reason == "the gate refused its source: no"


async def test_source_that_was_accepted_before_is_not_judged_again():
    source = T.proved_by("  split\n  · detour\n    close\n  · turn\n    finish")
    found = await shortened(FakeLean(LONG), gate=Refusing({}), accepted_source=source)
    assert (found.source, found.reason) == (source, "")


async def test_what_a_search_found_replaces_it_only_where_it_does_the_same():
    class Searching(FakeLean):
        async def apply(self, ref: StateRef, tactics) -> list[Outcome]:
            outcomes = await super().apply(ref, tactics)
            return [
                Stepped(o.ref, o.state, o.lean_ms, "exact it") if t == "exact?" and isinstance(o, Stepped) else o
                for t, o in zip(tactics, outcomes, strict=True)
            ]

    good = Searching({("start", "exact?"): DONE, ("start", "exact it"): DONE})
    assert tactics(await shortened(good, ["exact?"])) == ["exact it"]
    wrong = Searching({("start", "exact?"): DONE, ("start", "exact it"): "other"})
    assert tactics(await shortened(wrong, ["exact?"])) == ["exact?"]


async def test_a_proof_that_does_not_replay_is_reported():
    failing = await shortened(FakeLean(LONG), ["split", "nonsense"], accepted_source="old")
    assert failing == Minimised(
        False, (), "old", 2, 2, 2, "does not replay: step 2 (`nonsense`) fails: not in the table"
    )
    assert "goals are left" in (await shortened(FakeLean(LONG), [])).reason
    assert "unknown identifier" in (await shortened(FakeLean(LONG, rejects=True))).reason


async def test_a_lean_that_is_lost_is_an_exception():
    class Lost(FakeLean):
        async def apply(self, ref: StateRef, tactics) -> list[Outcome]:
            raise WorkerLost("no process can be had")

    with pytest.raises(WorkerLost):
        await shortened(Lost(LONG))
