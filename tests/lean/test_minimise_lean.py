"""Proofs with detours become short on a real Lean, and the gate accepts what is left."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.conftest import theorem

from burnqed.core.theorem import Theorem
from burnqed.iterate.minimise import Minimised, minimise
from burnqed.lean.config import LeanConfig
from burnqed.lean.embedded.install import EmbeddedLean
from burnqed.lean.embedded.server import spawner
from burnqed.lean.session import PooledSession
from burnqed.verify.gate import FreshProcessGate

pytestmark = pytest.mark.lean


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def gate(lean: EmbeddedLean) -> AsyncIterator[FreshProcessGate]:
    """The real gate, without a spare process."""
    async with FreshProcessGate(spawner(lean, LeanConfig(workers=1)), keep_spare=False) as real:
        yield real


SUM = theorem("(n : Nat) : (List.range (n + 1)).sum * 2 = n * (n + 1)")
INDUCTION = [
    "have h : 0 = 0 := rfl",
    "revert h",
    "intro g",
    "induction n with\n| zero => ?_\n| succ n ih => ?_",
    "skip",
    "simp",
    "clear g",
    "by_cases q : n = 0",
    "subst q",
    "decide",
    "rw [List.range_succ]",
    "clear q",
    "simp",
    "grind",
]
CONJUNCTION = theorem("(a b : Nat) (h : a < b) : (a ≤ b ∧ a ≠ b) ∧ a + 1 ≤ b")
BRANCHES = [
    "refine ⟨?_, ?_⟩",
    "constructor",
    "apply Nat.le_of_lt",
    "exact h",
    "intro e",
    "subst e",
    "exact absurd h (Nat.lt_irrefl _)",
    "omega",
]


async def shortened(t: Theorem, steps: list[str], session: PooledSession, gate: FreshProcessGate | None) -> Minimised:
    return await minimise(t, steps, session=session, gate=gate, set_name="test")


async def test_detours_of_an_induction_go_and_the_gate_accepts_the_rest(
    session: PooledSession, gate: FreshProcessGate
) -> None:
    found = await shortened(SUM, INDUCTION, session, gate)
    assert found.replayed
    assert found.reason == ""
    assert found.steps_before == len(INDUCTION)
    tactics = [r.tactic for r in found.records]
    assert tactics == [INDUCTION[3], "decide", "rw [List.range_succ]", "grind"]
    assert found.steps_after == 4
    assert (await gate.check(SUM, found.source)).accepted
    assert "have" not in found.source
    assert found.records[0].state_before == "n : Nat\n⊢ (List.range (n + 1)).sum * 2 = n * (n + 1)"
    assert found.records[-1].state_after == "no goals"
    assert all(a.state_after == b.state_before for a, b in zip(found.records, found.records[1:], strict=False))


async def test_it_does_the_same_thing_twice(session: PooledSession) -> None:
    assert await shortened(CONJUNCTION, BRANCHES, session, None) == await shortened(
        CONJUNCTION, BRANCHES, session, None
    )


async def test_a_goal_is_closed_by_what_closed_another(session: PooledSession, gate: FreshProcessGate) -> None:
    found = await shortened(CONJUNCTION, BRANCHES, session, gate)
    assert [r.tactic for r in found.records] == ["omega"]
    assert found.source.endswith("by\n  omega")
    again = await shortened(CONJUNCTION, ["constructor", "constructor", "omega", "omega", "omega"], session, gate)
    assert again.records[-1].tactic == "omega"
    assert again.steps_after == 1


async def test_a_tactic_that_searched_becomes_what_it_found(session: PooledSession, gate: FreshProcessGate) -> None:
    t = theorem("(a b c : Nat) (h : a ≤ b) : a * c ≤ b * c")
    found = await shortened(t, ["exact?"], session, gate)
    assert [r.tactic for r in found.records] == ["exact Nat.mul_le_mul_right c h"]
    assert "exact?" not in found.source
    assert (await gate.check(t, found.source)).accepted


async def test_a_proof_of_something_else_is_reported(session: PooledSession) -> None:
    failing = await shortened(CONJUNCTION, ["constructor", "rfl", "omega"], session, None)
    assert not failing.replayed
    assert failing.reason.startswith("does not replay: step 2 (`rfl`) fails: ")
    unfinished = await shortened(CONJUNCTION, ["constructor", "omega"], session, None)
    assert unfinished.reason == "does not replay: goals are left at its end"
    assert (unfinished.records, unfinished.steps_after) == ((), 2)
    unknown = await shortened(theorem(": nonsense"), ["rfl"], session, None)
    assert "does not replay" in unknown.reason
