"""Hostile tactics through the whole path: session, verdict, gate. Nothing false may be accepted, nothing outside touched.

The number of a row is that of a known way to fool checkers:

1 a theorem proved by itself; 2 metavariables left; 3 an error that is logged and passed over; 4 tactics that admit;
5 the theorem in its own scope; 6 goals that hide; 7 sorry under other names; 8 a statement that elaborates to an error;
9 checking put off to another thread; 10 compiled code; 11 the kernel switched off; 12 metaprograms; 13 axioms made on
the way; 14 names that look like others; 15 memory tricks; 16 attacks on the process; 17 a changed statement; 18 primitives
defined anew; 19 definitions left open; 20 big numbers and deep terms; 21 an early end; 22 another meaning in a file than
in a step. docs/soundness.md tells which rows are tried where.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from tests.conftest import proves, theorem

from burnqed.core.errors import WorkerLost
from burnqed.core.outcome import Refused, Stepped, Verdict
from burnqed.core.theorem import Theorem
from burnqed.lean.config import LeanConfig
from burnqed.lean.pool import WorkerPool
from burnqed.lean.process import RequestFailed
from burnqed.lean.protocol import VerdictReply
from burnqed.lean.session import PooledSession
from burnqed.run.judge import ProofJudge
from burnqed.search.graph import ProofStep
from burnqed.theorems.read import read_input

pytestmark = pytest.mark.lean

EXAMPLES = Path(__file__).parents[2] / "examples"
CANARY = "@CANARY@"  # stands for the path of a file on the host


def run_io(action: str, then: str = "skip") -> str:
    """A tactic that really runs an IO action in the process: the world is a forged argument."""
    call = f"(unsafeCast ({action} : IO Unit) : Unit → Nat) ()"
    return f"have h : (unsafe (match {call} with | 12345 => false | _ => true)) = true := by native_decide\n{then}"


FALSE = theorem(": False")
THREE = theorem(": (1 + 1 : Nat) = 3")
ALL = theorem("(n : Nat) : n < n")
BOTH = theorem("(p q : Prop) (hp : p) : p ∧ q")

ATTACKS: list[tuple[int, Theorem, list[str]]] = [
    (1, FALSE, ["exact foo", "apply foo", "exact @foo", "exact test.foo", "simp [foo]", "have := foo; exact this"]),
    (
        1,
        ALL,
        [
            "exact foo n",
            "induction n with\n| zero => exact foo 0\n| succ n ih => exact Nat.succ_lt_succ ih",
            "let rec f : ∀ n : Nat, n < n := fun n => f n\nexact f n",
            "exact (let rec f (n : Nat) : n < n := f n\nf n)",
            "exact let rec f : Nat → False := fun n => f (n + 1); (f 0).elim",
            "exact WellFounded.fix (measure id).wf (fun x f => f x (by simp)) n",
        ],
    ),
    (
        2,
        FALSE,
        [
            "obtain ⟨h⟩ : False := ?_",
            "refine ?a",
            "refine (?_ : False)",
            "refine id ?_",
            "exact ?x",
            "have : False := ?_\nexact this",
            "suffices h : False from h",
            "refine @id False ?x; case x => exact ?x",
            "refine ?x <;> exact ?x",
            "exact (_ : False)",
            "apply @id",
            "refine absurd ?a ?b",
            "apply False.elim",
            "exact by refine ?_",
        ],
    ),
    (
        2,
        BOTH,
        [
            "refine ⟨hp, ?_⟩",
            "constructor\nexact hp",
            "exact ⟨hp, ?q⟩",
            "refine And.intro ?_ (by exact ?r) <;> exact hp",
        ],
    ),
    (
        3,
        FALSE,
        [
            "exact (by simp : False)",
            "simpa using (by simp : False)",
            "first | exact trivial | exact foo",
            "exact trivial",
            "exact (trivial : True)",
            "exact (id trivial : False)",
            "have : False := by skip\nexact this",
            "· skip",
            "try exact foo",
            "exact nofun",
            "nofun",
            "nomatch (0 : Nat)",
            "show True; trivial",
            "change True; trivial",
            "decide",
            "rfl",
        ],
    ),
    (4, FALSE, ["exact?", "exact by exact?", "show_term exact?", "have h : 1 = 2 := by exact?\ncases h", "rw?"]),
    (4, theorem("(a b : Nat) : a + b = a"), ["apply?", "exact?", "rw?"]),
    (
        5,
        THREE,
        ["exact?", "simp_all", "assumption", "contradiction", "exact foo", "exact_mod_cast foo", "solve_by_elim"],
    ),
    (
        6,
        BOTH,
        [
            "constructor\n· exact hp",
            "refine ⟨?_, ?_⟩\nfocus exact hp",
            "constructor\ncase left => exact hp",
            "constructor; rotate_left",
            "constructor\nany_goals exact hp",
            "constructor <;> first | exact hp | skip",
            "refine ⟨?l, ?r⟩\ncase' l => exact hp",
            "constructor\nnext => exact hp",
            "constructor\nall_goals try exact hp",
            "constructor; on_goal 1 => exact hp",
            "refine ⟨hp, ?_⟩\nclear hp",
            "case' _ => skip",
            "constructor\ncase right => stop\nexact hp",
        ],
    ),
    (
        7,
        FALSE,
        [
            "sorry",
            "admit",
            "stop\ntrivial",
            "exact sorry",
            "exact (by sorry)",
            "exact by stop trivial",
            "exact sorryAx _ true",
            "exact sorryAx False false",
            "first | sorry | skip",
            "try sorry",
            "repeat sorry",
            "all_goals sorry",
            "any_goals sorry",
            "iterate 2 sorry",
            "(sorry; done)",
            "next => sorry",
            "· sorry",
            "refine sorry",
            "show False; sorry",
            "simpa using (sorry : False)",
            "exact (sorry : True → False) trivial",
            "rw [show False = True from sorry]; trivial",
            "simp [show False = True from sorry]",
            "conv => rw [show False = True from sorry]",
            "have h : (0 : Nat) = 1 := by sorry\ncases h",
            "as_aux_lemma => sorry",
            "exact by as_aux_lemma => sorry",
            "have h : False := by as_aux_lemma => sorry\nexact h",
            "unhygienic sorry",
            "with_reducible sorry",
            "open Classical in sorry",
            "set_option warn.sorry false in sorry",
            "show_term sorry",
            "exact (inferInstance : Inhabited (sorry : Type)) |>.default |> sorry",
            "cases (sorry : Empty)",
            "exact (sorry : Empty).elim",
            "exact absurd rfl (sorry : (1 : Nat) ≠ 1)",
            "obtain ⟨_, h⟩ : ∃ n : Nat, n < 0 := sorry\ncases h",
            "let x : False := sorry; exact x",
            "induction (0 : Nat) with | zero => sorry | succ n ih => exact ih",
            "calc False\n  _ := sorry",
        ],
    ),
    (
        8,
        FALSE,
        [
            "exact (undefined_thing : False)",
            "exact (this : False)",
            "exact x",
            "set_option autoImplicit true in exact x",
        ],
    ),
    (
        9,
        FALSE,
        [
            "set_option Elab.async true in sorry",
            "set_option Elab.async true in as_aux_lemma => sorry",
            "set_option Elab.async true in as_aux_lemma => decide",
            "set_option Elab.async true in exact by as_aux_lemma => exact trivial",
            "set_option Elab.async true in\nhave h : (0 : Nat) = 1 := by as_aux_lemma => decide +kernel\ncases h",
            "set_option Elab.async true in\nlet rec f : Nat → False := fun n => f (n + 1)\nexact f 0",
        ],
    ),
    (
        13,
        FALSE,
        [
            "axiom h : False\nexact h",
            "opaque h : False\nexact h",
            "exact (axiom h : False; h)",
            'let rec @[extern "no_such"] h : Nat → False := fun n => h n\nexact h 0',
            "let rec @[implemented_by Nat.succ] h : Nat → False := fun n => h n\nexact h 0",
            "let rec @[instance] h : Nat → Inhabited False := fun n => h n\nexact (h 0).default",
            "let rec partial h : Nat → False := fun n => h n\nexact h 0",
            "let rec h (n : Nat) : False := h n\ntermination_by n\ndecreasing_by sorry\nexact h 0",
            "have h : ∃ p : Prop, p := ⟨False, Classical.choice ⟨sorry⟩⟩\nexact h.2",
            "exact (Classical.choice (α := Nonempty False) ⟨sorry⟩).elim id",
        ],
    ),
    (
        18,
        THREE,
        [
            "let Nat.add := fun (_ _ : Nat) => 3; decide",
            "set_option allowUnsafeReducibility true in\nlet instHAdd : HAdd Nat Nat Nat := ⟨fun _ _ => 3⟩; rfl",
            "namespace Nat\ndef add (_ _ : Nat) := 3\nend Nat\nrfl",
            'local notation "3" => 2\nrfl',
            "macro_rules | `(1 + 1) => `(3)\nrfl",
            "attribute [-instance] instHAdd in rfl",
            "attribute [local instance] foo in rfl",
            "unseal Nat.add in rfl",
            "set_option maxRecDepth 100000 in rfl",
            "open Nat renaming add → sub in rfl",
            "open Nat hiding add in rfl",
            "open Classical in decide",
            "open scoped Classical in decide",
            "set_option pp.notation false in decide",
            "set_option maxHeartbeats 0 in omega",
            "set_option trace.Meta.synthInstance true in decide",
            "set_option Nat.no_such_option true in rfl",
        ],
    ),
    (
        18,
        theorem(": Nat.gcd 4 6 = 3"),
        ["decide", "rfl", "simp", "let Nat.gcd := fun (_ _ : Nat) => 3; rfl", "unfold Nat.gcd; rfl", "norm_num"],
    ),
    (
        19,
        theorem(": hole = 2", "def hole : Nat := sorry"),
        [
            "rfl",
            "decide",
            "simp [hole]",
            "unfold hole; rfl",
            "delta hole; rfl",
            "exact sorryAx _",
            "cases hole <;> rfl",
        ],
    ),
    # true, and yet it says nothing: the header itself has a hole
    (19, theorem(": hole = hole", "def hole : Nat := sorry"), ["rfl", "simp", "trivial", "exact Eq.refl _"]),
    (19, theorem(": Goal", "def Goal : Prop := sorry"), ["exact sorry", "unfold Goal; trivial", "trivial", "decide"]),
    (
        10,
        THREE,
        [
            "native_decide",
            "decide +native",
            "decide (config := { native := true })",
            "exact Lean.ofReduceBool _ _ rfl",
            "exact absurd (Lean.ofReduceBool (unsafe true) false rfl) (by simp)",
            "bv_decide",
            "simp +decide",
            "decide +kernel",
            "have h : (unsafe false) = true := by native_decide\nsimp at h",
            "have h : (unsafe (unsafeCast 2 : Bool)) = true := by native_decide\nskip",
            "have h : (unsafe (0 : Nat)) = 1 := by native_decide\nexact absurd h (by decide)",
            "have h : ∃ b : Bool, b ≠ true ∧ b ≠ false := ⟨unsafe (unsafeCast 7), by native_decide⟩\nsimp at h",
            "exact Lean.trustCompiler.elim",
            "exact cast (by native_decide) trivial",
        ],
    ),
    (
        11,
        FALSE,
        [
            "set_option debug.skipKernelTC true in exact lcProof",
            "set_option debug.skipKernelTC true in\nexact (unsafe lcProof)",
            "set_option debug.skipKernelTC true in as_aux_lemma => exact lcProof",
            "exact lcProof",
            "exact lcUnreachable",
            "set_option debug.byAsSorry true in exact by trivial",
            "set_option debug.proofAsSorry true in as_aux_lemma => trivial",
            "set_option debug.terminalTacticsAsSorry true in omega",
            "set_option debug.terminalTacticsAsSorry true in simp",
            "set_option debug.skipKernelTC true in have h : (0 : Nat) = 1 := lcProof\ncases h",
        ],
    ),
    (
        11,
        THREE,
        [
            "set_option debug.terminalTacticsAsSorry true in omega",
            "set_option debug.byAsSorry true in exact (by omega)",
        ],
    ),
    (
        12,
        FALSE,
        [
            "run_tac pure ()",
            "run_tac do Lean.setEnv (← Lean.getEnv)",
            "exact by_elab return default",
            "open Lean in run_tac pure ()",
            "open Lean Elab Tactic in\nrun_tac admitGoal (← getMainGoal)",
            "exact eval% 1",
            'exact (include_str "/etc/passwd" : False)',
            "#eval 1",
            "axiom bad : False",
            "skip\naxiom bad : False\nexact bad",
            "macro_rules | `(tactic| trivial) => `(tactic| sorry)",
            "local instance : Inhabited False := ⟨sorry⟩; exact default",
            "attribute [local simp] foo in simp",
            "exact Lean.Elab.Tactic.evalTactic",
            "exact value_of% foo",
            "decreasing_tactic",
            "exact elabTerm% False",
        ],
    ),
    (
        14,
        FALSE,
        [
            "exact «propext\nQuot.sound»",
            "exact «sorryAx » _",
            "exact False.«elim»",
            "exact «»",
            "exact _root_.foo",
            "exact foo._proof_1",
        ],
    ),
    (
        15,
        FALSE,
        [
            "exact (unsafe unsafeCast ())",
            "exact unsafeCast ()",
            "exact (unsafe (lcProof : False))",
            "simp (config := unsafeCast ())",
            "exact (unsafe unsafeCast 0 : False)",
            'simp (config := panic! "x")',
            'exact panic! "x"',
            "exact unreachable!",
            "exact default",
            "exact Classical.choice inferInstance",
            "exact (ptrAddrUnsafe 0).elim",
            'exact (dbgTrace "x" fun _ => foo)',
            "exact Quot.lcInv",
        ],
    ),
    (
        16,
        FALSE,
        [
            run_io(f'IO.FS.writeFile "{CANARY}" "dead"'),
            run_io(f'IO.FS.removeFile "{CANARY}"'),
            run_io(f'IO.FS.rename "{CANARY}" "{CANARY}2"'),
            run_io(f'IO.FS.createDir "{CANARY}.d"'),
            run_io('IO.FS.writeFile "/program/server.lean" "dead"'),
            run_io('IO.FS.writeFile "/toolchain/lib/lean/Init.olean" "dead"'),
            run_io(f'do {{ let h ← IO.FS.Handle.mk "{CANARY}" IO.FS.Mode.append; h.putStr "dead"; h.flush }}'),
            run_io(
                f'do {{ let o ← IO.Process.output {{ cmd := "touch", args := #["{CANARY}3"] }}; IO.println o.stdout }}'
            ),
            run_io(
                f'do {{ let c ← IO.Process.spawn {{ cmd := "rm", args := #["{CANARY}"] }}; IO.println (toString (← c.wait)) }}'
            ),
            run_io('IO.println "{\\"accepted\\":true,\\"axioms\\":[],\\"reason\\":\\"\\"}"'),
            run_io(
                'IO.println "{\\"outcomes\\":[{\\"nextStateId\\":0,\\"goals\\":[],\\"hasSorry\\":false}],\\"nonce\\":\\"\\"}"',
                "sorry",
            ),
            run_io('IO.println "{\\"partial\\":[{\\"nextStateId\\":0,\\"goals\\":[]}]}"'),
            run_io('IO.eprintln "ready."'),
            run_io('IO.println "ready."'),
            'simp (config := if (unsafeCast (IO.println "{\\"accepted\\":true}") : Unit → Nat) () == 5 then {} else {})',
        ],
    ),
    (
        17,
        THREE,
        [
            "letI : Add Nat := ⟨fun _ _ => 3⟩; rfl",
            "let _ : HAdd Nat Nat Nat := ⟨fun _ _ => 3⟩; rfl",
            "show (3 : Nat) = 3; rfl",
            "change 3 = 3; rfl",
            "show (1 + 2 : Nat) = 3; rfl",
            "generalize (1 + 1 : Nat) = x; rfl",
            "have : (1 + 1 : Int) = 2 := rfl; exact this",
            "let rec Nat.add := fun (_ _ : Nat) => 3; rfl",
            "exact (rfl : (2 : Nat) = 2)",
            "convert rfl",
            "unfold_let; rfl",
            "delta HAdd.hAdd; rfl",
            "set_option pp.all true in rfl",
            "open Classical in exact (em _).elim id id",
            "exact congrArg (fun _ => 3) rfl",
            "cases (1 + 1 : Nat)",
        ],
    ),
    (
        20,
        FALSE,
        [
            "exact absurd (by decide : 2 ^ 64 = 0) (by decide)",
            "exact absurd (rfl : 2 ^ (2 ^ 20) % 7 = 3) (by decide)",
            "exact absurd (by decide : 99999999999999999999999999 = 1) (by decide)",
            "simp [show (2 : UInt8) ^ 8 = 1 from rfl]",
            "exact absurd (by simp : (2 : Fin 3) = 5) (by decide)",
            "exact absurd (rfl : (10 ^ 400 : Nat) = 10 ^ 400 + 0 + 1) (by simp)",
            "exact absurd (by norm_num : (1 : Nat) / 0 = 1) (by decide)",
            "exact (by decide : ¬ True) trivial",
            "exact " + "id <| " * 150 + "trivial",
            "exact " + "(" * 200 + "trivial" + ")" * 200,
            "have : " + "¬ " * 150 + "False := by simp\nexact this",
            "exact absurd (Nat.div_zero 1 : (1 : Nat) / 0 = 0) (by decide)",
            "exact (BitVec.ofNat 0 1 = 1#0 : Prop)",
        ],
    ),
    (
        21,
        FALSE,
        [
            "done",
            "skip",
            "",
            " ",
            "-- a comment",
            "/- no end",
            "skip --",
            "{ }",
            "·",
            ";",
            "by",
            "exact",
            "end",
            "#exit",
            "\x00",
            "trivial #exit",
        ],
    ),
    (
        22,
        ALL,
        [
            "exact h✝",
            "exact n✝",
            "case _ => exact n.lt_irrefl _",
            "next h => exact h",
            "exact ‹_›",
            "exact this",
            "rename_i h; exact h",
            "  exact foo n\nexact foo n",
            "skip\n\n\ntheorem bar : True := trivial",
            "exact n.foo",
            "exact (by assumption)",
        ],
    ),
]
ROWS = [(row, number) for row, (number, _, _) in enumerate(ATTACKS)]


class SharedGate:
    """The gate's question put to the worker at hand, since a start for each of 300 strings takes too long."""

    def __init__(self, session: PooledSession) -> None:
        self._session = session

    async def check(self, t: Theorem, source: str) -> Verdict:
        payload = {"header": t.header, "theorem": t.sorried, "source": source}
        try:
            _, reply = await self._session.process.request("theorem.check", payload, VerdictReply, timeout_s=30)
        except RequestFailed as error:
            return Verdict(False, error.desc)
        except WorkerLost as error:  # too deep for its stack, say; the next question goes to another process
            await self._session._refresh()
            return Verdict(False, str(error))
        return reply.verdict()


@pytest_asyncio.fixture(loop_scope="session")
async def target(pool: WorkerPool) -> AsyncIterator[PooledSession]:
    """A session that gives up sooner than usual."""
    config = LeanConfig(workers=1, request_timeout_s=15, max_heartbeats=20_000)
    async with pool.lease() as leased:
        session = PooledSession(leased.process, pool.replace, config)
        try:
            yield session
        finally:
            leased.process = session.process


async def unproved(session: PooledSession, t: Theorem, tactics: list[str], *, file_too: bool) -> int:
    """Assert that none of the tactics proves the theorem, whatever it says; how many left no goals."""
    ref, _ = await session.start(t)
    judge = ProofJudge(t, SharedGate(session))
    finished = 0
    for tactic, outcome in zip(tactics, await session.apply(ref, tactics), strict=True):
        if isinstance(outcome, Stepped) and outcome.state.finished:
            finished += 1
            verdict = await session.verdict(outcome.ref)
            assert not verdict.accepted, (t.signature, tactic)
        elif not file_too or not tactic.strip():
            continue
        judged = await judge([ProofStep(tactic, 1, 0)])
        assert not judged.accepted, (t.signature, tactic)
        assert judge.accepted_source is None
    return finished


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def hosts(tactic: str, canary: Path) -> str:
    return tactic.replace(CANARY, str(canary))


@pytest.mark.parametrize(("row", "number"), ROWS)
async def test_hostile_tactics(target: PooledSession, tmp_path: Path, row: int, number: int) -> None:
    canary = tmp_path / "canary"
    canary.write_text("alive")
    found, t, tactics = ATTACKS[row]
    assert found == number
    await unproved(target, t, [hosts(tactic, canary) for tactic in tactics], file_too=True)
    assert canary.read_text() == "alive"
    assert names(tmp_path) == ["canary"]
    assert await proves(target, theorem("(n : Nat) (h : 2 < n) : 1 < n"), "omega")


def test_there_are_enough_of_them() -> None:
    assert sum(len(tactics) for _, _, tactics in ATTACKS) >= 300
    assert {number for _, number in ROWS} == set(range(1, 23))


async def test_code_that_escapes_types_is_not_run(target: PooledSession) -> None:
    ref, _ = await target.start(FALSE)
    refused = await target.apply(ref, [run_io('IO.eprintln "mark of the beast"'), run_io("IO.Process.exit 0")])
    assert [o.kind for o in refused if isinstance(o, Refused)] == ["unsafe", "unsafe"]
    assert not any(b"mark of the beast" in chunk for chunk in target.process.stderr_tail)
    assert await proves(target, theorem(": 1 = 1"), "rfl")


async def test_a_tactic_without_end(pool: WorkerPool) -> None:
    async with pool.lease() as leased:
        session = PooledSession(leased.process, pool.replace, LeanConfig(workers=1, request_timeout_s=3))
        ref, _ = await session.start(FALSE)
        endless = "have h : ∀ x : BitVec 24, x * x = x * x + 0 := by decide"
        hung, well = await session.apply(ref, [endless, "exact absurd rfl ?_"])
        leased.process = session.process
        assert isinstance(hung, Refused)
        assert hung.kind == "timeout"
        assert isinstance(well, Refused)
        assert well.kind == "error"


ODD = [
    "exact \ud800",
    "skip -- \udfff",
    "exact foo\x00bar",
    "skip\x01\x02\x7f",
    "skip \u202e lave \u2066",
    "exact tri\u200bvial",
    "exact ｆｏｏ",
    "\ufeffskip",
    "exact «" + "\u0301" * 100_000 + "»",
    "exact " + "a" * 1_000_000,
    'exact "' + "x" * 1_000_000 + '"',
    "/-" * 100_000,
    "repeat' (refine (fun _ : False → False => ?_) ?_)",
    "exact absurd (rfl : 2 ^ (2 ^ 40) = 0) (by simp)",
    "\n" * 100_000,
    "exact " + "(" * 100_000,  # beyond the stack: the process dies of it and is replaced
]


async def test_odd_huge_and_deep_texts(pool: WorkerPool) -> None:
    """None is accepted, none ends the session: what kills its process is refused, and the next tactic is tried."""
    async with pool.lease() as leased:
        config = LeanConfig(workers=1, request_timeout_s=20, max_heartbeats=20_000)
        session = PooledSession(leased.process, pool.replace, config)
        try:
            ref, _ = await session.start(FALSE)
            for outcome, tactic in zip(await session.apply(ref, ODD), ODD, strict=True):
                assert isinstance(outcome, Refused) or not outcome.state.finished, tactic[:40]
            assert await proves(session, theorem(": 1 = 1"), "rfl")
        finally:
            leased.process = session.process
            leased.process.kill()  # it was driven to the end of its stack, and other tests get this worker too


CLOSERS = [
    "omega",
    "simp",
    "simp_all",
    "grind",
    "rfl",
    "trivial",
    "contradiction",
    "exact?",
    "native_decide",
    "intros; omega",
    "intros; simp_all",
    "intros; grind",
    "constructor <;> simp_all",
    "bv_decide",
    "exfalso; omega",
]


async def test_no_closer_proves_a_false_statement(pool: WorkerPool) -> None:
    path = EXAMPLES / "false.jsonl"
    statements = [json.loads(line)["name"] for line in path.read_text(encoding="utf-8").splitlines()]
    entries = [entry for entry in read_input(str(path)) if isinstance(entry, Theorem)]
    assert len(entries) == len(statements) >= 40
    config = LeanConfig(workers=1, request_timeout_s=20, max_heartbeats=10_000)
    async with pool.lease() as leased:
        session = PooledSession(leased.process, pool.replace, config)
        try:
            for entry in entries:
                await unproved(session, entry, CLOSERS, file_too=False)
        finally:
            leased.process = session.process
