"""The gate: right proofs pass; another statement, a sorry, an axiom, or a trick in the source does not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import psutil
import pytest
import pytest_asyncio
from tests.conftest import theorem

from burnqed.core.outcome import Verdict
from burnqed.core.theorem import Theorem
from burnqed.lean.config import LeanConfig
from burnqed.lean.embedded.install import EmbeddedLean
from burnqed.lean.embedded.server import spawner
from burnqed.lean.process import LeanProcess, RequestFailed
from burnqed.lean.protocol import VerdictReply
from burnqed.verify.canary import GATE_CANARIES
from burnqed.verify.gate import FreshProcessGate

pytestmark = pytest.mark.lean

Judge = Callable[[Theorem, str], Awaitable[Verdict]]


@pytest_asyncio.fixture(loop_scope="session")
async def judge(lean_process: LeanProcess) -> Judge:
    """The gate's question, put to the shared worker: one start for all the rows below."""

    async def ask(t: Theorem, source: str) -> Verdict:
        payload = {"header": t.header, "theorem": t.sorried, "source": source}
        try:
            _, reply = await lean_process.request("theorem.check", payload, VerdictReply, timeout_s=60)
        except RequestFailed as error:
            return Verdict(False, error.desc)
        return reply.verdict()

    return ask


RIGHT = {
    "plain": (theorem(": 1 = 1"), "theorem foo : 1 = 1 := by\n  rfl"),
    "lines": (
        theorem("(p q : Prop) (h : p ∧ q) : q ∧ p"),
        "theorem foo (p q : Prop) (h : p ∧ q) : q ∧ p := by\n  constructor\n  · exact h.2\n  · exact h.1",
    ),
    "header": (
        theorem("(n : Nat) : twice n = 2 * n", "open Nat\nnamespace A.B\ndef twice (n : Nat) := n + n"),
        "theorem foo (n : Nat) : twice n = 2 * n := by\n  unfold twice\n  omega",
    ),
    "universes": (
        theorem(".{u, v} (α : Type u) (β : Type v) (x : α × β) : (x.1, x.2) = x"),
        "theorem foo.{a, b} (α : Type a) (β : Type b) (x : α × β) : (x.1, x.2) = x := by\n  cases x; rfl",
    ),
    "classical": (theorem("(p : Prop) : p ∨ ¬p"), "theorem foo (p : Prop) : p ∨ ¬p := Classical.em p"),
    "binders": (theorem("(n : Nat) : n = n"), "theorem foo : ∀ {m : Nat}, m = m := fun {_} => rfl"),
    "recursion": (
        theorem(": ∀ n : Nat, 0 < 2 ^ n"),
        "theorem foo : ∀ n : Nat, 0 < 2 ^ n\n  | 0 => by decide\n  | n + 1 => by rw [Nat.pow_succ]; have := foo n; omega",
    ),
    "more time": (theorem(": 1 = 1"), "set_option maxHeartbeats 4000000 in\ntheorem foo : 1 = 1 := by\n  decide"),
    "matcher": (
        theorem("(b : Bool) : (b && false) = false"),
        "theorem foo (b : Bool) : (b && false) = false := by\n  match b with\n  | true => rfl\n  | false => rfl",
    ),
    "aux lemma": (
        theorem("(a b : Nat) (h : a < b) : a ≠ b"),
        "theorem foo (a b : Nat) (h : a < b) : a ≠ b := by\n  as_aux_lemma => omega",
    ),
}

FALSE = theorem(": False")
THREE = theorem(": (1 + 1 : Nat) = 3")
LESS = theorem(": 3 < 2")
SELF = theorem(": ∀ n : Nat, n < n")
FOO = "theorem foo : False := "
LIES = """@[noinline] def liar (_ : Nat) : Bool := false
def c : Bool := true
@[implemented_by liar] def honest (_ : Nat) : Bool := true
def d : Bool := honest 0"""
REDUCED = """by
  have h1 : Lean.reduceBool c = true := rfl
  have h2 : Lean.reduceBool d = false := rfl
  have h3 : Lean.reduceBool c = Lean.reduceBool d := @congrArg Bool Bool c d Lean.reduceBool (show c = d from rfl)
  exact absurd ((h1.symm.trans h3).trans h2) (by decide)"""

WRONG = [
    # another statement under the same name
    (FALSE, "theorem foo : True := trivial"),
    (THREE, "theorem foo : (1 + 1 : Nat) = 2 := rfl"),
    (theorem(": (2 : Nat) - 3 = 1"), "theorem foo : (2 : Int) - 3 = -1 := by decide"),
    (theorem(".{u} (α : Type u) (x y : α) : x = y"), "theorem foo (α : Type) (x : α) : x = x := rfl"),
    (theorem(".{u, v} (α : Type u) (β : Type v) : True"), "theorem foo.{u} (α β : Type u) : True := trivial"),
    (theorem("(n : Nat) : n = 1"), "theorem foo (n : Nat) (h : n = 1) : n = 1 := h"),
    (
        theorem("(l : List Nat) : l.length = 3"),
        "variable (h : False)\ninclude h\ntheorem foo (l : List Nat) : l.length = 3 := h.elim",
    ),
    (FALSE, "def foo : False := sorry"),
    (FALSE, "def foo : Nat := 3"),
    (FALSE, "axiom foo : False"),
    (FALSE, "theorem bar : True := trivial"),
    (FALSE, ""),
    (FALSE, "/- theorem foo : False := trivial -/"),
    (FALSE, "#exit\ntheorem foo : True := trivial"),
    # sorry in all guises
    (FALSE, FOO + "sorry"),
    (FALSE, FOO + "by\n  sorry"),
    (FALSE, FOO + "by admit"),
    (FALSE, FOO + "by exact sorryAx _ true"),
    (FALSE, FOO + "by exact (sorryAx _ false)"),
    (FALSE, FOO + "by\n  have h : False := by stop trivial\n  exact h"),
    (FALSE, FOO + "by apply?"),
    (FALSE, FOO + "by as_aux_lemma => sorry"),
    (FALSE, "theorem helper : False := sorry\n" + FOO + "helper"),
    (FALSE, "private def helper : Empty := sorry\n" + FOO + "helper.elim"),
    (FALSE, 'macro "easy" : tactic => `(tactic| sorry)\n' + FOO + "by easy"),
    (FALSE, "macro_rules | `(tactic| trivial) => `(tactic| sorry)\n" + FOO + "by trivial"),
    (FALSE, "set_option warn.sorry false in\n" + FOO + "sorry"),
    (FALSE, FOO + "by first | sorry | trivial"),
    # axioms and code
    (FALSE, "axiom bad : False\n" + FOO + "bad"),
    (FALSE, "private axiom bad : False\n" + FOO + "bad"),
    (FALSE, "axiom «propext\\nQuot.sound» : False\n" + FOO + "«propext\\nQuot.sound»"),
    (FALSE, "namespace A\naxiom propext : False\nend A\n" + FOO + "A.propext"),
    (
        FALSE,
        "opaque hidden : { n : Nat // n = n ∧ True } := ⟨sorry, sorry⟩\n"
        + FOO
        + "absurd hidden.2.2 (by simp [hidden])",
    ),
    (theorem(": 10 ^ 3 % 7 = 6"), "theorem foo : 10 ^ 3 % 7 = 6 := by native_decide"),
    (theorem(": 10 ^ 3 % 7 = 6"), "theorem foo : 10 ^ 3 % 7 = 6 := by decide +native"),
    (theorem(": 10 ^ 3 % 7 = 6"), "theorem foo : 10 ^ 3 % 7 = 6 := by decide (config := { native := true })"),
    (theorem(": d = true", LIES), "theorem foo : d = true := Lean.ofReduceBool _ _ rfl"),
    (theorem(": d = false", LIES), "theorem foo : d = false := by native_decide"),
    (theorem(": False", LIES), FOO + REDUCED),
    (FALSE, LIES + "\n" + FOO + REDUCED),
    (theorem(": Lean.reduceBool yes = true", "def yes := true"), "theorem foo : Lean.reduceBool yes = true := rfl"),
    (theorem(": Lean.reduceNat three = 3", "def three := 3"), "theorem foo : Lean.reduceNat three = 3 := rfl"),
    (FALSE, "unsafe def u : False := u\n" + FOO + "u"),
    (FALSE, "unsafe def u : False := u\n" + FOO + "unsafe u"),
    (
        FALSE,
        "unsafe def u : Nat := 3\n@[implemented_by u] def k : Nat := 2\n"
        + FOO
        + "absurd (show k = 3 by native_decide) (by decide)",
    ),
    (FALSE, FOO + "lcProof"),
    # the kernel switched off
    (FALSE, "set_option debug.skipKernelTC true in\n" + FOO + "by exact lcProof"),
    (FALSE, "set_option debug.skipKernelTC true\n" + FOO + "by\n  exact lcProof"),
    (FALSE, FOO + "by\n  set_option debug.skipKernelTC true in\n  exact lcProof"),
    (FALSE, "set_option debug.skipKernelTC true in\ntheorem bar : False := lcProof\n" + FOO + "bar"),
    # what the statement's words mean, changed before it
    (THREE, "local instance : Add Nat := ⟨fun _ _ => 3⟩\ntheorem foo : (1 + 1 : Nat) = 3 := rfl"),
    (
        THREE,
        "attribute [-instance] instAddNat\ninstance : Add Nat := ⟨fun _ _ => 3⟩\ntheorem foo : (1 + 1 : Nat) = 3 := rfl",
    ),
    (THREE, "local instance : HAdd Nat Nat Nat := ⟨fun _ _ => 3⟩\ntheorem foo : (1 + 1 : Nat) = 3 := rfl"),
    (theorem(": 2 = 3"), "@[instance 10000] def i : OfNat Nat n := ⟨2⟩\ntheorem foo : 2 = 3 := rfl"),
    (LESS, "local macro_rules | `($a < $b) => `(True)\ntheorem foo : 3 < 2 := trivial"),
    (LESS, 'local notation (priority := high) "3" => 1\ntheorem foo : 3 < 2 := by decide'),
    (LESS, "local instance : LT Nat := ⟨fun _ _ => True⟩\ntheorem foo : 3 < 2 := trivial"),
    (FALSE, 'local notation "False" => True\n' + FOO + "trivial"),
    (FALSE, "namespace Foo\ndef False := True\nend Foo\nopen Foo\n" + FOO + "trivial"),
    (FALSE, "namespace A\nabbrev False := True\ntheorem foo : False := trivial\nend A"),
    (theorem(": k = 2", "def k := 1"), "+ 1\ntheorem foo : k = 2 := rfl"),
    (theorem(": 1 = 2", "-- a comment"), "-/ theorem foo : 1 = 1 := rfl"),
    # names and scopes
    (FALSE, "namespace A\ntheorem foo : True := trivial\nend A"),
    (theorem(": False", "namespace A"), "end A\ntheorem foo : True := trivial"),
    (theorem(": False", "namespace A"), "end A\nnamespace B\ntheorem foo : True := trivial"),
    (theorem(": False", "namespace A"), "theorem _root_.foo : True := trivial"),
    (FALSE, "theorem foo : True := trivial\ntheorem foo : False := foo"),
    (FALSE, "theorem foo : True := trivial\nnamespace A\ntheorem foo : False := nofun\nend A"),
    (FALSE, "private theorem foo : True := trivial"),
    (FALSE, "theorem foo.x : True := trivial\ntheorem foo : False := foo.x"),
    (FALSE, "import Lean\ntheorem foo : True := trivial"),
    # the theorem by itself
    (FALSE, FOO + "foo"),
    (FALSE, FOO + "by exact foo"),
    (FALSE, FOO + "by\n  first | exact? | exact foo"),
    (SELF, "theorem foo : ∀ n : Nat, n < n := fun n => foo n"),
    (SELF, "theorem foo (n : Nat) : n < n := foo n\ntermination_by n\ndecreasing_by sorry"),
    (SELF, "theorem foo : ∀ n : Nat, n < n\n  | 0 => foo 0\n  | n + 1 => Nat.succ_lt_succ (foo n)"),
    (FALSE, "mutual\ntheorem foo : False := bar\ntheorem bar : False := foo\nend"),
    (FALSE, "partial def loop (n : Nat) : Empty := loop n\n" + FOO + "(loop 0).elim"),
    (FALSE, "inductive Bad | mk : (Bad → False) → Bad\n" + FOO + "by trivial"),
    # implicit variables
    (
        theorem("(x : α) : x = x", "set_option autoImplicit false"),
        "set_option autoImplicit true\ntheorem foo (x : α) : x = x := rfl",
    ),
    (
        theorem("(x y : Nat) : x = y"),
        "variable {α : Type} [Subsingleton α]\ntheorem foo (x y : α) : x = y := Subsingleton.elim x y",
    ),
    # metaprograms need Lean in scope, which it is not
    (FALSE, "run_cmd pure ()\n" + FOO + "by trivial"),
    (FALSE, 'open Lean Elab in\nelab "x" : tactic => pure ()\n' + FOO + "by x"),
    (FALSE, FOO + "by run_tac pure ()"),
    (FALSE, FOO + "by_elab return default"),
    # it says so itself
    (FALSE, '#eval IO.println "{\\"accepted\\":true,\\"axioms\\":[]}"\n' + FOO + "by trivial"),
]


@pytest.mark.parametrize("name", RIGHT)
async def test_right_proofs(judge: Judge, name: str) -> None:
    verdict = await judge(*RIGHT[name])
    assert verdict.accepted, verdict
    assert verdict.forbidden_axioms == ()


@pytest.mark.parametrize("row", range(len(WRONG)))
async def test_wrong_proofs(judge: Judge, row: int) -> None:
    t, source = WRONG[row]
    verdict = await judge(t, source)
    assert not verdict.accepted, source
    assert verdict.reason


async def test_compiled_code_is_not_believed(judge: Judge) -> None:
    """Where the kernel computes by compiled code, and that code lies, False follows without any axiom in sight."""
    named = await judge(theorem(": False", LIES), FOO + REDUCED)
    assert named == Verdict(False, "the source names something unsafe")
    header = f"{LIES}\ntheorem bad : False := {REDUCED}"
    used = await judge(theorem(": False", header), FOO + "bad")
    assert not used.accepted
    assert used.forbidden_axioms == ("Lean.trustCompiler",)


async def test_every_proof_is_judged_by_a_process_of_its_own(lean: EmbeddedLean) -> None:
    used: list[LeanProcess] = []
    start = spawner(lean, LeanConfig(workers=1))

    async def spawn() -> LeanProcess:
        used.append(await start())
        return used[-1]

    async with FreshProcessGate(spawn, keep_spare=False) as gate:
        t, source = RIGHT["header"]
        assert (await gate.check(t, source)) == Verdict(True)
        assert not psutil.pid_exists(used[0].pid)
        # It would run code in the gate's process that prints a forged reply, and leave a thread behind that answers
        # whatever request it can get hold of.
        assert await gate.check(FALSE, FOO + FORGERY) == Verdict(False, "the source names something unsafe")
    assert len(used) == len({p.pid for p in used}) == 2
    assert [p.requests for p in used] == [1 + len(GATE_CANARIES), 1]
    assert not any(psutil.pid_exists(p.pid) for p in used)


FORGERY = r"""by
  have : (unsafe (match (unsafeCast (do {
      let o ← IO.getStdout;
      o.putStrLn "{\"accepted\":true,\"axioms\":[],\"reason\":\"\"}";
      o.flush;
      let _ ← IO.asTask (do {
        let i ← IO.getStdin;
        let line ← i.getLine;
        let nonce := match line.splitOn "nonce" with | _ :: n :: _ => n | _ => "";
        o.putStrLn ("{\"accepted\":true,\"axioms\":[],\"reason\":\"\",\"nonce" ++ nonce);
        o.flush });
      pure () } : IO Unit) : Unit → Nat) () with | 12345 => false | _ => true)) = true := by native_decide
  sorry"""


async def test_the_gates_own_troubles_are_refusals() -> None:
    from burnqed.core.errors import WorkerLost

    async def nothing() -> LeanProcess:
        raise WorkerLost("no Lean today")

    async with FreshProcessGate(nothing, keep_spare=False) as gate:
        verdict = await gate.check(FALSE, "")
        assert verdict == Verdict(False, "the gate's Lean could not be started: no Lean today")
