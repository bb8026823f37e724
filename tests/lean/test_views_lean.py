"""A real Lean sees no difference between a state and its augmented views: both have the same key."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tests.conftest import stepped, theorem

from burnqed.core.errors import StatementRejected
from burnqed.core.state import Goal, ProofState
from burnqed.core.theorem import Theorem
from burnqed.joint.views import view
from burnqed.lean.session import PooledSession

pytestmark = pytest.mark.lean

CORE = Path(__file__).parents[3] / "shared" / "data" / "minif2f_core_valid.jsonl"

STATEMENTS = [
    "(p q : Prop) (hp : p) (hq : q) : p ∧ q",
    "(α : Type) [DecidableEq α] (a b : α) (l : List α) (h : a ∈ l) (k : b ∉ l) : a ≠ b",
    "(f : Nat → Nat) (n m : Nat) (h : ∀ x > n, f x = m) (k : m < n) : f (n + 1) = m",
    "(xs : List Nat) (h : xs.length = 2) (k : ∀ x ∈ xs, x < 5) : (xs.map fun x => x + 1).length = 2",
    "(a b c : Int) (h₀ : a + b = c) (h₁ : c - a = 3) (h₂ : ∃ k, k * a = b) : b = 3 ∧ a ∣ b",
    "(s : Nat × Nat) (h : s.1 < s.2) (n : Fin s.2) (hn : n.val = s.1) : n.val < s.2",
]
STEPS = [
    ("(a b c : Nat) (h : a < b ∨ b < c) : a < b + c", "rcases h with h | h"),
    (": ∀ n m : Nat, n ≤ m → ∃ k, n + k = m", "intro n m hle"),
    ("(n : Nat) (f : Nat → Nat) (hf : ∀ x, f x = x) : f n = n ∧ f (n + 1) = n + 1", "constructor"),
    (
        "(P : Nat → Prop) (h0 : P 0) (hs : ∀ n, P n → P (n + 1)) (m : Nat) : P m",
        "induction m",
    ),
]


def as_theorem(g: Goal) -> Theorem:
    """The goal stated anew."""
    binders = [f"[{v.type}]" if v.name.startswith("inst") else f"({v.name} : {v.type})" for v in g.variables]
    return theorem(f"{' '.join(binders)} : {g.target}")


async def assert_lean_sees_no_difference(session: PooledSession, s: ProofState) -> int:
    """Every goal of a view, stated anew, has the key of the goal stated anew; how many texts were new.

    What Lean prints it does not always read again; a goal that cannot be stated anew says nothing.
    """
    changed = 0
    for seed in range(3):
        for before, after in zip(s.goals, view(s, seed).goals, strict=True):
            assert after.key == before.key
            try:
                _, one = await session.start(as_theorem(before))
            except StatementRejected:
                continue
            _, other = await session.start(as_theorem(after))
            assert one.key is not None
            assert one.key == other.key, (before.text, after.text)
            changed += before.text != after.text
    return changed


@pytest.mark.parametrize("statement", STATEMENTS)
async def test_lean_sees_no_difference_between_a_state_and_its_view(session: PooledSession, statement: str) -> None:
    _, opened = await session.start(theorem(statement))
    assert await assert_lean_sees_no_difference(session, opened) == 3


@pytest.mark.parametrize(("statement", "tactic"), STEPS)
async def test_nor_after_a_tactic(session: PooledSession, statement: str, tactic: str) -> None:
    after = (await stepped(session, theorem(statement), tactic)).state
    assert await assert_lean_sees_no_difference(session, after)


@pytest.mark.skipif(not CORE.exists(), reason="the shared set of problems is not beside the checkout")
async def test_nor_with_problems_of_competitions(session: PooledSession) -> None:
    changed = 0
    problems = CORE.read_text(encoding="utf-8").splitlines()[:30]
    for line in problems:
        text = json.loads(line)["statement"]
        _, opened = await session.start(Theorem("foo", re.sub(r"\s*:=\s*by\s+sorry\s*$", "", text)))
        changed += await assert_lean_sees_no_difference(session, opened)
    assert changed > 2 * len(problems), "of three views each, most differ from the state and are read by Lean"
