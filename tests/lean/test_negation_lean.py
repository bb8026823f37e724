"""On a real Lean the negation of every example is one, and false examples are refuted by it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.conftest import theorem

from burnqed.core.errors import StatementRejected
from burnqed.core.outcome import Stepped
from burnqed.core.theorem import Theorem
from burnqed.lean.session import PooledSession
from burnqed.theorems.negation import negated
from burnqed.theorems.read import read_jsonl

pytestmark = pytest.mark.lean

EXAMPLES = Path(__file__).parents[2] / "examples"
ODD = [
    theorem(".{u} {α : Type u} [Inhabited α] ⦃xs : List α⦄ (h : xs ≠ []) : xs.head! ∈ xs"),
    theorem("(n : Nat := 3) (h : 0 < n := by\n    decide) : n ≠ 0"),
    theorem("n (m) (h : n < m) : ∃ k : Nat, k = m - n"),
    theorem("(n : Nat) -- a number\n  : n = n /- the same -/ ∨ -- or\n    False -- not"),
    theorem("(n : Nat) :\n    (match n with\n     | 0 => True\n     | _ => False) ∨ 0 < n"),
    theorem("(f : α → α) (x : α) : f x = f x", "universe u\naxiom α : Type u"),
    theorem("(n : Nat) : double n = n + n", "namespace A\ndef double (n : Nat) := 2 * n", name="B.foo"),
    theorem("(b : Bool) : b || !b"),
    theorem("(s : String) (c : Char) : c = '(' ∨ s ≠ \"(\" ∨ True", name="«two words»"),
]
"""Statements in unusual clothes; all are true or not, that does not matter."""


def examples(name: str) -> list[Theorem]:
    entries = read_jsonl((EXAMPLES / name).read_text(encoding="utf-8"), source=name)
    return [entry for entry in entries if isinstance(entry, Theorem)]


async def contradicts(session: PooledSession, t: Theorem) -> bool:
    """Whether the negation and the theorem make a contradiction, the theorem being assumed under its own name."""
    no = negated(t)
    assert no is not None, t
    await session.start(no)
    claim = no.signature.partition(" : ¬ (")[2]
    header = f"{no.header}\n{t.signature.replace('theorem ', 'axiom ', 1)}"
    name = (
        re.split(r"[\s(:{⦃]|\.\{", t.signature.removeprefix("theorem "), maxsplit=1)[0] if "«" not in t.name else t.name
    )
    levels = re.match(r"theorem [^\s(:]+?(\.\{[^}]*\})", t.signature)
    check = Theorem("check", f"theorem check{levels[1] if levels else ''} (h : ¬ ({claim}) : False", header)
    ref, _ = await session.start(check)
    (outcome,) = await session.apply(ref, [f"exact h @{name}"])
    return isinstance(outcome, Stepped) and outcome.state.finished


@pytest.mark.parametrize("name", ["core.jsonl", "false.jsonl"])
async def test_every_example_has_a_negation_that_contradicts_it(session: PooledSession, name: str) -> None:
    found = examples(name)
    assert len(found) > 40
    assert [t.name for t in found if not await contradicts(session, t)] == []


@pytest.mark.parametrize("t", ODD, ids=lambda t: t.signature[:40])
async def test_unusual_statements_keep_their_meaning(session: PooledSession, t: Theorem) -> None:
    assert await contradicts(session, t)


async def test_a_word_that_nobody_binds_is_refused(session: PooledSession) -> None:
    no = negated(theorem("(xs : List elem) : xs = xs", "set_option autoImplicit true"))
    assert no is not None
    with pytest.raises(StatementRejected, match="elem"):
        await session.start(no)


async def test_simple_false_statements_are_refuted(session: PooledSession) -> None:
    by_name = {t.name: t for t in examples("false.jsonl")}
    proofs = {
        "false_one_eq_two": ["decide"],
        "false_plain": ["intro h", "exact h"],
        "false_fin_successor": ["decide"],
        "false_sub_add_cancel": ["intro h", "have := h 0 1", "omega"],
        "false_mod_lt": ["intro h", "exact absurd (h 0 0) (by decide)"],
        "false_shadowed_binder": ["intro h", "exact absurd (h 0 rfl 1) (by decide)"],
        "false_any_two_props": ["intro h", "exact (h True False).mp trivial"],
    }
    for name, tactics in proofs.items():
        no = negated(by_name[name])
        assert no is not None
        ref, _ = await session.start(no)
        for tactic in tactics:
            (outcome,) = await session.apply(ref, [tactic])
            assert isinstance(outcome, Stepped), (name, tactic, outcome)
            ref = outcome.ref
        assert (await session.verdict(ref)).accepted, name
    true = negated(examples("core.jsonl")[0])
    assert true is not None
    ref, _ = await session.start(true)
    assert not any(
        isinstance(o, Stepped) and o.state.finished for o in await session.apply(ref, ["decide", "omega", "simp"])
    )
