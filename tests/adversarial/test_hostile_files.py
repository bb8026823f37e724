"""Hostile replacements for a file's sorries: nothing but proofs may change, and no proof may rest on anything new.

Numbers are those of :mod:`tests.adversarial.test_attacks`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from burnqed.lean.config import LeanConfig
from burnqed.lean.embedded.install import EmbeddedLean
from burnqed.lean.embedded.programs import COMPLETE
from burnqed.lean.embedded.server import spawner
from burnqed.lean.pool import WorkerPool
from burnqed.lean.session import PooledSession
from burnqed.verify.gate import FreshProcessGate
from burnqed.verify.recheck import recheck

pytestmark = pytest.mark.lean

FILE = """namespace Game

structure Point where
  x : Nat
  y : Nat

def half (n : Nat) : Nat := n / 2

instance : Add Point := ⟨fun p q => ⟨p.x + q.x, p.y + q.y⟩⟩

theorem easy (n : Nat) : half n ≤ n := by
  sorry

theorem hard (n : Nat) : n < n := by
  sorry

def chosen : { n : Nat // 10 < n } := ⟨11, sorry⟩

end Game
"""
EASY, HARD, CHOSEN = (
    ("Nat) : half n ≤ n := by\n  sorry", "Nat) : half n ≤ n := by\n  {}"),
    ("n < n := by\n  sorry", "n < n := by\n  {}"),
    ("⟨11, sorry⟩", "⟨11, {}⟩"),
)


def put(place: tuple[str, str], text: str, file: str = FILE) -> str:
    assert place[0] in file
    return file.replace(place[0], place[1].format(text))


def before_hard(text: str, proof: str) -> str:
    """Something put before the last theorem, and its proof as a term."""
    return FILE.replace("theorem hard", f"{text}theorem hard").replace("n < n := by\n  sorry", f"n < n := {proof}")


GOOD = put(CHOSEN, "by decide", put(EASY, "unfold half; omega"))

ATTACKS: list[tuple[int, str, str]] = [
    (1, "itself", put(HARD, "exact hard n")),
    (1, "itself by its full name", put(HARD, "exact Game.hard n")),
    (3, "an error", put(EASY, "exact foo")),
    (3, "a proof of something else", put(EASY, "exact Nat.le_refl n")),
    (2, "a hole", put(EASY, "exact ?_")),
    (10, "compiled code", put(EASY, "have : (10000 : Nat) = 10000 := by native_decide\n  unfold half; omega")),
    (12, "an axiom after it", put(EASY, "unfold half; omega\n\naxiom cheat : False")),
    (12, "an axiom before it, used", before_hard("axiom cheat : False\n\n", "cheat.elim")),
    (17, "another statement", put(HARD, "exact Nat.lt_succ_self n").replace("n < n :=", "n < n + 1 :=")),
    (17, "another hypothesis", before_hard("", "h.elim").replace("hard (n : Nat)", "hard (n : Nat) (h : False)")),
    (17, "another definition", put(EASY, "unfold half; omega").replace("n / 2", "n / 3")),
    (17, "another instance", put(EASY, "unfold half; omega").replace("p.x + q.x", "p.x * q.x")),
    (17, "another structure", put(EASY, "unfold half; omega").replace("  y : Nat\n", "  y : Int\n")),
    (17, "an instance that changes <", before_hard("instance : LT Nat := ⟨fun _ _ => True⟩\n\n", "trivial")),
    (17, "a notation that changes <", before_hard('local notation (priority := high) a " < " b => a ≤ b\n\n', "Nat.le_refl n")),
    (8, "a theorem that is gone", FILE.replace("theorem hard (n : Nat) : n < n := by\n  sorry\n\n", "")),
    (8, "a theorem under another name", FILE.replace("theorem hard", "theorem harder")),
    (8, "a theorem turned into an axiom", before_hard("", "").replace("theorem hard", "axiom hard").replace(" := \n", "\n")),
    (21, "an early end", put(EASY, "unfold half; omega\n\n#exit")),
    (21, "an early end of the namespace", put(EASY, "unfold half; omega\n\nend Game\n\nnamespace Game")),
    (11, "the kernel switched off", before_hard("set_option debug.skipKernelTC true in\n", "by\n  decide")),
    (10, "a lying implementation", put(EASY, "unfold half; omega").replace("def half", "@[implemented_by Nat.succ]\ndef half")),
    (20, "another value for a definition", put(CHOSEN, "by decide").replace("⟨11,", "⟨12,")),
    (7, "a sorry by another name", put(HARD, "admit")),
    (7, "a sorry in a term", put(HARD, "exact sorryAx _ true")),
    (4, "a search that admits", put(HARD, "exact?")),
    (7, "stop", put(HARD, "stop\n  exact foo")),
]  # fmt: skip


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def files(lean: EmbeddedLean) -> AsyncIterator[PooledSession]:
    config = LeanConfig(workers=1)
    async with WorkerPool(spawner(lean, config, program=COMPLETE), config) as pool, pool.lease() as session:
        yield session


async def test_honest_proofs_are_accepted_and_what_is_left_is_said(files: PooledSession) -> None:
    verdict = await files.try_file(FILE, GOOD)
    assert (verdict.accepted, verdict.reason) == (True, "")
    state = {d.name: (d.sorry, d.axioms) for d in verdict.declarations}
    assert state["Game.easy"][0] is False
    assert state["Game.hard"][0] is True
    assert state["Game.chosen"][0] is False
    assert set(state["Game.easy"][1]) <= {"propext", "Quot.sound", "Classical.choice"}


@pytest.mark.parametrize(("row", "what", "text"), ATTACKS, ids=[f"{row}-{what}" for row, what, _ in ATTACKS])
async def test_a_hostile_file_is_refused_or_still_on_sorry(
    files: PooledSession, row: int, what: str, text: str
) -> None:
    assert text != FILE, what
    verdict = await files.try_file(FILE, text)
    if verdict.accepted:
        hard = [d for d in verdict.declarations if d.name == "Game.hard"]
        assert hard
        assert all(d.sorry or d.forbidden_axioms for d in hard), (row, what)
        assert row in (4, 7), (row, what, "only what is sorry in disguise may leave the file as good as it was")
    else:
        assert verdict.reason


async def test_the_gate_says_the_same_in_a_process_of_its_own(lean: EmbeddedLean) -> None:
    config = LeanConfig(workers=1)
    async with FreshProcessGate(spawner(lean, config, program=COMPLETE), keep_spare=False) as gate:
        assert (await gate.check_file(FILE, GOOD)).accepted
        assert not (await gate.check_file(FILE, put(EASY, "unfold half; omega\n\naxiom cheat : False"))).accepted
        whole = await recheck(gate, GOOD)
        assert whole.holds
        assert not whole.good, "one theorem still rests on sorry"
        assert whole.declarations[0].kind == "theorem"
        compiled = "theorem t : (2 : Nat) ^ 9 = 512 := by native_decide\n"
        assert not (await recheck(gate, compiled)).good
        assert (await recheck(gate, compiled.replace("native_", ""))).good
