"""Sessions on a real Lean: states that branch, outcomes, keys, what a statement may say, and deaths that nobody notices."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence

import pytest
import pytest_asyncio
from tests.conftest import proves, stepped, theorem

from burnqed.core.errors import StatementRejected
from burnqed.core.outcome import Outcome, Refused, StateRef, Stepped
from burnqed.lean.config import LeanConfig
from burnqed.lean.embedded.install import EmbeddedLean
from burnqed.lean.embedded.server import spawner
from burnqed.lean.pool import WorkerPool
from burnqed.lean.session import PooledSession

pytestmark = pytest.mark.lean


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def doomed(lean: EmbeddedLean) -> AsyncIterator[WorkerPool]:
    """A pool of one other worker, for the tests that kill it."""
    config = LeanConfig(workers=1, request_timeout_s=20)
    async with WorkerPool(spawner(lean, config), config) as pool:
        yield pool


def comparable(outcomes: Sequence[Outcome]) -> list[object]:
    """What two runs must agree on: everything but times and numbers of states."""
    return [(o.state, o.suggestion) if isinstance(o, Stepped) else (o.kind, o.detail) for o in outcomes]


async def test_states_branch(session: PooledSession) -> None:
    ref, state = await session.start(theorem("(p q : Prop) (h : p ∧ q) : q ∧ p"))
    assert state.text == "p q : Prop\nh : p ∧ q\n⊢ q ∧ p"
    left, right = await session.apply(ref, ["constructor", "exact And.comm.mp h"])
    assert isinstance(left, Stepped)
    assert isinstance(right, Stepped)
    assert right.state.finished
    assert [g.target for g in left.state.goals] == ["q", "p"]
    assert [g.case for g in left.state.goals] == ["left", "right"]
    (one,) = await session.apply(left.ref, ["exact h.2"])
    (again,) = await session.apply(ref, ["obtain ⟨hp, hq⟩ := h"])
    assert isinstance(one, Stepped)
    assert isinstance(again, Stepped)
    (end,) = await session.apply(one.ref, ["exact h.1"])
    assert isinstance(end, Stepped)
    assert end.state.finished
    assert (await session.verdict(end.ref)).accepted
    assert (await session.verdict(right.ref)).accepted
    refused = await session.verdict(one.ref)
    assert not refused.accepted
    assert "metavariables" in refused.reason
    await session.forget([one.ref, end.ref])
    assert (await session.verdict(end.ref)).accepted, "a state that was let go is rebuilt when it is asked for"


async def test_outcomes_come_in_order_and_with_their_kinds(session: PooledSession) -> None:
    ref, _ = await session.start(theorem("(n : Nat) : n < n + 1"))
    tactics = {
        "exact foo": "error",
        "nonsense": "parse",
        "omega )": "parse",
        "": "parse",
        "sorry": "sorry",
        "admit": "sorry",
        "exact lcProof": "unsafe",
        "set_option maxHeartbeats 20 in exact absurd (by decide : (List.range 400).foldl (· + ·) 0 = 7) id": "error",
        "omega": "stepped",
        "set_option maxRecDepth 60 in decide": "recursion",
        "exact Nat.lt_succ_self n": "stepped",
    }
    outcomes = await session.apply(ref, list(tactics))
    kinds = [o.kind if isinstance(o, Refused) else "stepped" for o in outcomes]
    expected = list(tactics.values())
    assert kinds[:7] + kinds[8:9] + kinds[10:] == expected[:7] + expected[8:9] + expected[10:]
    assert kinds[7] in {"error", "heartbeats", "recursion"}
    assert all(o.lean_ms > 0 or isinstance(o, Refused) for o in outcomes)


async def test_limits_of_lean_are_told_apart(pool: WorkerPool) -> None:
    async with pool.lease() as leased:
        session = PooledSession(leased.process, pool.replace, LeanConfig(workers=1, max_heartbeats=1))
        ref, _ = await session.start(theorem("(a b c : Nat) (h : a < b) (g : b < c) : a + 1 < c"))
        (small,) = await session.apply(ref, ["omega"])
        assert isinstance(small, Refused)
        assert small.kind == "heartbeats"
        ref, _ = await leased.start(theorem("(a b c : Nat) (h : a < b) (g : b < c) : a + 1 < c"))
        deep = "exact " + "(id " * 150 + "rfl" + ")" * 150
        fine, long = await leased.apply(ref, ["omega", f"set_option maxRecDepth 50 in {deep}"])
        assert isinstance(fine, Stepped), "the limit was that session's, not the process's"
        assert isinstance(long, Refused)
        assert long.kind == "recursion"


async def test_the_same_state_by_two_routes_has_one_key(session: PooledSession) -> None:
    t = theorem("(p q : Prop) : p → q → p ∧ q")
    one = await stepped(session, t, "intro hp", "intro hq")
    two = await stepped(session, t, "intro hp hq")
    other = await stepped(session, t, "intro hq hp")
    assert one.state.key is not None
    assert one.state.key == two.state.key
    assert one.state.goals[0].id != two.state.goals[0].id or one.ref != two.ref
    assert one.state.key == other.state.key, "whatever the hypotheses are called"


async def test_text_alone_does_not_make_a_key(session: PooledSession) -> None:
    _, nat = await session.start(theorem(": 2 + 2 = 4"))
    _, integer = await session.start(theorem(": (2 + 2 : Int) = 4"))
    assert nat.text == integer.text == "⊢ 2 + 2 = 4"
    assert nat.key != integer.key
    tied = await stepped(session, theorem(": ∃ n : Nat, n < 5 ∧ 3 < n"), "refine ⟨?n, ?a, ?b⟩")
    assert tied.state.key is None, "goals that share a metavariable are never merged"


async def test_suggestions(session: PooledSession) -> None:
    found = await stepped(session, theorem("(a b : Nat) : a + b = b + a"), "exact?")
    assert found.suggestion == "exact Nat.add_comm a b"
    told = await stepped(session, theorem("(a : Nat) : a + 0 = a"), "simp?")
    assert told.suggestion is not None
    assert told.suggestion.startswith("simp only [")
    plain = await stepped(session, theorem("(a : Nat) : a + 0 = a"), "simp")
    assert plain.suggestion is None


async def test_universes(session: PooledSession) -> None:
    t = theorem(".{u, v} (α : Type u) (β : Type v) (f : α → β) (x : α) : ∃ y, f x = y")
    assert await proves(session, t, "exact ⟨f x, rfl⟩")
    t = theorem("(α : Type w) [Inhabited α] : ∃ x : α, x = x", "universe w")
    assert await proves(session, t, "exact ⟨default, rfl⟩")
    assert await proves(session, theorem("(α : Sort _) (x : α) : x = x"), "rfl")


async def test_headers(session: PooledSession) -> None:
    header = """open Nat
namespace Deep.Er
/-- A doc comment -/
def double (n : Nat) := n + n
theorem double_eq (n : Nat) : double n = 2 * n := by unfold double; omega
local notation "‖" x "‖" => double x
"""
    t = theorem("(n : Nat) : ‖succ n‖ = 2 * n + 2", header)
    ref, state = await session.start(t)
    assert state.goals[0].target == "‖n.succ‖ = 2 * n + 2"
    outcomes = await session.apply(ref, ["rw [double_eq]; omega", "rw [Deep.Er.double_eq]; omega", "exact foo n"])
    assert [isinstance(o, Stepped) for o in outcomes] == [True, True, False]
    assert isinstance(outcomes[0], Stepped)
    assert (await session.verdict(outcomes[0].ref)).accepted
    ref, _ = await session.start(theorem("(n : Nat) : n + n = 2 * n"))
    (gone,) = await session.apply(ref, ["exact Deep.Er.double_eq n"])
    assert isinstance(gone, Refused), "a header is no other theorem's"


async def test_a_sorry_in_the_header_is_no_help(session: PooledSession) -> None:
    t = theorem(": (1 : Nat) = 2", "theorem easy : (1 : Nat) = 2 := sorry\naxiom wrong : False")
    ref, _ = await session.start(t)
    for outcome in await session.apply(ref, ["exact easy", "exact wrong.elim", "simp [easy]", "exact?"]):
        if isinstance(outcome, Stepped) and outcome.state.finished:
            assert not (await session.verdict(outcome.ref)).accepted


@pytest.mark.parametrize(
    ("statement", "header", "word"),
    [
        (": Foo.bar = 1", "", "Foo.bar"),
        ("(α : Type nowhere) : True", "", "universe"),
        (": 1 + true = 2", "", "true"),
        (": ∀ x, x = ", "", "expected term"),
        ("(n : Nat : n = n", "", "expected"),
        (": 3", "", "numeral"),
        (": ∃ x, x = x", "", "undetermined"),
        (": (sorry : Prop)", "", "sorry"),
        (": 1 = 1", "def k : Nat := true", "mismatch"),
        (": 1 = 1", "def k : Nat :=", "unexpected"),
    ],
)
async def test_statements_that_lean_does_not_accept(
    session: PooledSession, statement: str, header: str, word: str
) -> None:
    with pytest.raises(StatementRejected) as caught:
        await session.start(theorem(statement, header))
    said = str(caught.value)
    assert "\n" not in said
    assert said.startswith("Lean does not accept the statement of foo: ")
    assert word.lower() in said.lower(), said
    assert await proves(session, theorem(": 1 = 1"), "rfl"), "and the session goes on"


async def test_the_theorem_is_not_in_its_own_scope(session: PooledSession) -> None:
    """``exact?`` would close this at once by the theorem itself; no lemma of the library does."""
    statement = "(f : Nat → Nat) (h : ∀ n, f (n + 1) = f n + 3) : f 2 = f 0 + 6"
    tactics = [
        "exact?",
        "exact foo f h",
        "simpa using foo f h",
        "apply foo",
        "exact test.foo f h",
        "exact _root_.foo f h",
    ]
    for _ in range(2):
        ref, _ = await session.start(theorem(statement))
        assert all(isinstance(o, Refused) for o in await session.apply(ref, tactics))
        assert await proves(session, theorem(statement), "rw [h 1, h 0]")
    known = theorem(statement, header=f"theorem earlier {statement} := by rw [h 1, h 0]")
    assert (await stepped(session, known, "exact?")).suggestion == "exact earlier f h", "so it would have been found"


KILL = theorem("(p q r : Prop) (h : p ∧ q ∧ r) : r ∧ q ∧ p")
FIRST, THEN = ["obtain ⟨a, b, c⟩ := h", "constructor", "foo"], ["refine ⟨c, b, a⟩", "grind", "exact a", "constructor"]


async def run_all(session: PooledSession, kill: bool) -> list[object]:
    """Two rounds of tactics and the verdicts; the process may be killed between all of them."""

    def strike() -> None:
        if kill:
            os.kill(session.process.pid, signal.SIGKILL)

    ref, _ = await session.start(KILL)
    first = await session.apply(ref, FIRST)
    assert isinstance(first[0], Stepped)
    strike()
    second = await session.apply(first[0].ref, THEN)
    assert isinstance(second[0], Stepped)
    strike()
    verdict = await session.verdict(second[0].ref)
    return [*comparable(first), *comparable(second), verdict]


async def test_states_survive_the_death_of_the_process(doomed: WorkerPool, session: PooledSession) -> None:
    quiet = await run_all(session, kill=False)
    before = doomed.replaced
    async with doomed.lease() as leased:
        assert await run_all(leased, kill=True) == quiet
    assert doomed.replaced == before + 2


async def test_death_in_the_middle_of_a_batch(doomed: WorkerPool, session: PooledSession) -> None:
    tactics = ["obtain ⟨a, b, c⟩ := h", "sleep 300", "grind", "sleep 700", "constructor", "foo"]
    ref, _ = await session.start(KILL)
    quiet = comparable(await session.apply(ref, tactics))
    async with doomed.lease() as leased:
        ref, _ = await leased.start(KILL)
        victim = leased.process.pid
        asyncio.get_running_loop().call_later(0.6, os.kill, victim, signal.SIGKILL)
        outcomes = await leased.apply(ref, tactics)
        assert leased.process.pid != victim
        assert comparable(outcomes) == quiet
        (rebuilt,) = await leased.apply(next(o.ref for o in outcomes if isinstance(o, Stepped)), ["exact ⟨c, b, a⟩"])
        assert isinstance(rebuilt, Stepped), "a state that was answered before the death"
        assert (await leased.verdict(rebuilt.ref)).accepted


async def test_recycling(doomed: WorkerPool, session: PooledSession) -> None:
    quiet = await run_all(session, kill=False)
    async with doomed.lease() as leased:
        worn = PooledSession(leased.process, doomed.replace, LeanConfig(workers=1, max_requests=3))
        before = doomed.replaced
        assert await run_all(worn, kill=False) == quiet
        assert doomed.replaced > before
        full = PooledSession(worn.process, doomed.replace, LeanConfig(workers=1, rss_limit_mb=256))
        ref, _ = await full.start(KILL)
        full.process.requests = 25  # the next look at its memory is due
        pid = full.process.pid
        (outcome,) = await full.apply(ref, FIRST[:1])
        assert isinstance(outcome, Stepped)
        assert full.process.pid != pid, "every Lean is larger than 256 MB"
        leased.process = full.process


async def test_a_state_index_is_the_sessions_own(session: PooledSession) -> None:
    ref, _ = await session.start(KILL)
    assert ref == StateRef(0)
    ref, state = await session.start(theorem(": True"))
    assert ref == StateRef(0)
    assert state.text == "⊢ True"
