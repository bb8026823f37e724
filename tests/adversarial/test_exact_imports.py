"""A theorem of the library, proved where its module begins: it must not be proved by itself, nor by what was proved from it."""

from __future__ import annotations

import pytest

from burnqed.lean.process import LeanProcess
from burnqed.lean.protocol import VerdictReply

pytestmark = [pytest.mark.lean, pytest.mark.asyncio(loop_scope="session")]

HEAD = "theorem mine (n m : Nat) : n + m = m + n := "
IMPORTS = ["Init.Core"]

CHEATS = {
    "the theorem itself": "Nat.add_comm n m",
    "from the root": "_root_.Nat.add_comm n m",
    "by dot notation": "n.add_comm m",
    "by search": "by exact?",
    "what was proved from it": "by rw [Nat.add_comm]",
    "a tactic whose lemmas come later": "by omega",
    "an open name": "by open Nat in exact add_comm n m",
    "by calling itself": "mine n m",
}


async def judged(process: LeanProcess, source: str, imports: list[str] | None) -> bool:
    payload = {"header": "", "theorem": f"{HEAD}by sorry", "source": source}
    if imports is not None:
        payload |= {"imports": imports}
    _, reply = await process.request("theorem.check", payload, VerdictReply, timeout_s=60)
    return reply.accepted


@pytest.mark.parametrize("proof", CHEATS.values(), ids=CHEATS)
async def test_refused_where_the_theorem_is_not_yet_there(lean_process: LeanProcess, proof: str) -> None:
    assert not await judged(lean_process, HEAD + proof, IMPORTS)


async def test_accepted_is_what_the_imports_prove(lean_process: LeanProcess) -> None:
    direct = """Nat.rec (motive := fun m => n + m = m + n)
  (Nat.rec (motive := fun n => n + 0 = 0 + n) rfl (fun _ ih => congrArg Nat.succ ih) n)
  (fun m ih => (congrArg Nat.succ ih).trans
    (Nat.rec (motive := fun k => Nat.succ (m + k) = Nat.succ m + k) rfl (fun _ h => congrArg Nat.succ h) n)) m"""
    assert await judged(lean_process, HEAD + direct, IMPORTS)


async def test_the_same_cheat_counts_where_the_theorem_is_known(lean_process: LeanProcess) -> None:
    assert await judged(lean_process, f"{HEAD}Nat.add_comm n m", None)
    assert await judged(lean_process, f"{HEAD}Nat.add_comm n m", ["Init.Data.Nat.Basic"])
