"""Which goals are the same, and which can be proved apart, as the real Lean sees it."""

from __future__ import annotations

import itertools
import random

import pytest
from tests.conftest import stepped, theorem

from burnqed.lean.session import PooledSession

pytestmark = pytest.mark.lean


async def key_of(session: PooledSession, statement: str, *tactics: str) -> str:
    t = theorem(statement)
    _, state = await session.start(t)
    if tactics:
        state = (await stepped(session, t, *tactics)).state
    (key,) = state.key or ("none",)
    return key


SAME = [
    ("(p q : Prop) (h : p) : p ∨ q", "(b a : Prop) (k : b) : b ∨ a"),
    ("(x y : Nat) (h : x < y) : x + 1 ≤ y", "(y x : Nat) (h : x < y) : x + 1 ≤ y"),
    ("(p : Prop) (n : Nat) (h : p) (k : n = 2) : p ∧ n = 2", "(n : Nat) (k : n = 2) (p : Prop) (h : p) : p ∧ n = 2"),
    (
        "(α : Type) [Inhabited α] (a b : α) (h : a = b) : b = a",
        "(α : Type) (b a : α) [Inhabited α] (h : a = b) : b = a",
    ),
    # Two that only their later use tells apart.
    (
        "(u v : Prop) (n : Nat) (w : u → v → n = 3) (w' : n = 4 → v) : u ∨ v",
        "(n : Nat) (v u : Prop) (w' : n = 4 → v) (w : u → v → n = 3) : u ∨ v",
    ),
]
DIFFERENT = [
    ("(x y : Nat) (h : x < y) : x + 1 ≤ y", "(x y : Nat) (h : y < x) : x + 1 ≤ y"),
    ("(x : Nat) : x = 2", "(x : Int) : x = 2"),
    ("(p q : Prop) (h : p) : p ∨ q", "(p q : Prop) (h : q) : p ∨ q"),
    ("(p : Prop) (h : p) : p", "(p : Prop) (h k : p) : p"),
    ("(f : Nat → Nat) (a b : Nat) (h : f a = b) : f b = a", "(f : Nat → Nat) (a b : Nat) (h : f b = b) : f b = a"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
async def test_names_and_order_of_hypotheses_do_not_matter(session: PooledSession, one: str, other: str) -> None:
    assert await key_of(session, one) == await key_of(session, other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
async def test_what_is_said_does(session: PooledSession, one: str, other: str) -> None:
    assert await key_of(session, one) != await key_of(session, other)


async def test_a_name_that_no_tactic_can_write_and_a_let_value_matter(session: PooledSession) -> None:
    statement = ": ∀ n : Nat, n = n"
    assert await key_of(session, statement, "intro n") == await key_of(session, statement, "intro k")
    assert await key_of(session, statement, "intro n") != await key_of(session, statement, "intro _")
    values = [await key_of(session, ": True", f"let n : Nat := {value}") for value in ("1", "2")]
    assert values[0] != values[1]


async def test_every_order_that_respects_dependence_has_the_same_key(session: PooledSession) -> None:
    hypotheses = {
        "a": "(a : Nat)",
        "b": "(b : Nat)",
        "p": "(p : Nat → Prop)",
        "h": "(h : p a)",
        "k": "(k : p b → a < b)",
        "l": "(l : a ≤ b)",
    }
    needs = {"h": "ap", "k": "abp", "l": "ab"}
    orders = [
        o
        for o in itertools.permutations(hypotheses)
        if all(o.index(n) < o.index(x) for x, ns in needs.items() for n in ns)
    ]
    assert len(orders) > 30
    chosen = random.Random(0).sample(orders, 25)
    keys = {await key_of(session, " ".join(hypotheses[x] for x in o) + " : a + 1 ≤ b + 1") for o in chosen}
    assert len(keys) == 1


async def test_goals_that_share_a_metavariable_are_told_from_those_that_do_not(session: PooledSession) -> None:
    apart = (await stepped(session, theorem("(p q : Prop) (h : p) (k : q) : p ∧ q"), "constructor")).state
    assert apart.components == ((0,), (1,))
    assert apart.key is not None
    tied = (await stepped(session, theorem(": (∃ x : Nat, x > 2) ∧ True"), "refine ⟨⟨?x, ?h⟩, ?t⟩")).state
    assert [g.case for g in tied.goals] == ["h", "x", "t"] or [g.case for g in tied.goals] == ["x", "h", "t"]
    assert tied.components == ((0, 1), (2,))
    assert tied.key is None
