"""Tracing in the embedded Lean: tactics with their levels, each of which gives its goals again; bad proofs in good company."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from burnqed.data.manifest import Manifest
from burnqed.data.reading import read_rows
from burnqed.data.records import TacticRecord, TheoremRecord
from burnqed.data.trace.config import TraceConfig
from burnqed.data.trace.inputs import ProofText
from burnqed.data.trace.journal import Journal
from burnqed.data.trace.run import trace, write_rows
from burnqed.lean.config import LeanConfig
from burnqed.lean.embedded.install import EmbeddedLean
from burnqed.lean.embedded.programs import COMPLETE
from burnqed.lean.embedded.server import spawner
from burnqed.lean.pool import WorkerPool

pytestmark = [pytest.mark.lean, pytest.mark.asyncio(loop_scope="session")]

Trace = Callable[..., Awaitable[tuple[list[TacticRecord], Manifest]]]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def workers(lean: EmbeddedLean):
    limits = LeanConfig(workers=1)
    async with WorkerPool(spawner(lean, limits, program=COMPLETE), limits) as pool:
        yield pool


@pytest.fixture
def traced(workers: WorkerPool, tmp_path: Path) -> Trace:
    async def run(*proofs: ProofText, check: bool = True, silence_s: float = 60) -> tuple[list[TacticRecord], Manifest]:
        config = TraceConfig(check=check, silence_s=silence_s)
        journal = Journal(tmp_path)
        await trace(workers, LeanConfig(workers=1), journal, proofs, config, version="4.28.0")
        manifest = Manifest(step="trace", rows_in=sum(p.record is not None for p in proofs))
        write_rows(tmp_path, "full", journal, proofs, config, manifest)
        rows = [row[1] for row in read_rows(tmp_path / "sft_train_full.jsonl", TacticRecord) if isinstance(row, tuple)]
        return rows, manifest

    return run


def proof(
    name: str, signature: str, script: str, imports: tuple[str, ...] = ("Init", "Std"), header: str = ""
) -> ProofText:
    statement = f"theorem {name} {signature}"
    record = TheoremRecord(name=name, statement=statement, header=header, imports=imports, source="test", proof=script)
    return ProofText(f"test:{name}", f"{header}\n{statement} := {script}\n", "test", record)


STRUCTURED = """by
  refine ⟨?_, ?_, ?_⟩ <;> try assumption
  · induction n with
    | zero => rfl
    | succ n ih =>
      have h : n = n := by
        rfl
      first | contradiction | omega"""


async def test_a_proof_is_kept_whole_and_inner(traced: Trace) -> None:
    rows, manifest = await traced(
        proof("foo", "(n : Nat) (p q : Prop) (hp : p) (hq : q) : p ∧ q ∧ 0 + n = n", STRUCTURED)
    )
    shape = [(row.tactic.split("\n")[0], row.depth, row.flags) for row in rows]
    assert shape == [
        ("refine ⟨?_, ?_, ?_⟩ <;> try assumption", 0, ("whole",)),
        ("refine ⟨?_, ?_, ?_⟩", 1, ("inner",)),
        ("try assumption", 1, ("inner", "whole")),
        ("try assumption", 1, ("inner", "whole")),
        ("try assumption", 1, ("inner", "whole")),
        ("assumption", 2, ("inner",)),
        ("assumption", 2, ("inner",)),
        ("· induction n with", 0, ("whole",)),
        ("induction n with", 1, ("inner", "whole")),
        ("rfl", 2, ("inner",)),
        ("have h : n = n := by", 2, ("inner", "whole")),
        ("rfl", 3, ("inner",)),
        ("first | contradiction | omega", 2, ("inner", "whole")),
        ("omega", 3, ("inner",)),
    ]
    steps = [row for row in rows if row.depth == 0]
    assert steps[0].state_after == steps[1].state_before
    assert steps[1].state_after == "no goals"
    assert manifest.rows_dropped == 0, "each gave its goals again"


async def test_a_proof_is_read_in_exactly_what_it_imports(traced: Trace) -> None:
    early = proof("a", "(n m : Nat) : n + m = m + n", "by\n  exact Nat.add_comm n m", imports=("Init.Core",))
    late = proof("b", "(n m : Nat) : n + m = m + n", "by\n  exact Nat.add_comm n m", imports=("Init.Data.Nat.Basic",))
    rows, manifest = await traced(early, late)
    assert [(r.theorem, r.constants) for r in rows] == [("b", ("Nat.add_comm",))]
    assert "Unknown constant `Nat.add_comm`" in manifest.dropped["trace"]["does not compile"].examples[0]


async def test_a_file_says_itself_what_it_imports(traced: Trace) -> None:
    text = "prelude\nimport Init.Core\n\ntheorem Nat.add_comm (p : Prop) (h : p) : p := by\n  exact h\n"
    rows, _ = await traced(ProofText("early.lean", text, "early"))
    assert [(r.theorem, r.tactic, r.origin) for r in rows] == [("Nat.add_comm", "exact h", "early.lean:4")]


async def test_constants_are_the_librarys(traced: Trace) -> None:
    header = "def seven : Nat := 7\ntheorem seven_eq : seven = 7 := by rfl"
    rows, _ = await traced(proof("c", ": seven + 0 = 7", "by\n  rw [Nat.add_zero, seven_eq]", header=header))
    (row,) = rows
    assert "Nat.add_zero" in row.constants
    assert not [c for c in row.constants if "seven" in c]


BAD = """theorem good : 1 = 1 := by
  rfl

theorem wrong : 1 = 2 := by
  decide

theorem later : 2 = 2 := by
  sorry

theorem slow : 3 = 3 := by
  sleep 600000
  rfl

theorem uses : 3 = 3 := by
  exact slow

theorem term : 4 = 4 := rfl

example : 5 = 5 := by
  rfl
"""


async def test_bad_theorems_of_a_file_do_not_stop_the_good_ones(traced: Trace) -> None:
    rows, manifest = await traced(ProofText("bad.lean", BAD, "bad"), silence_s=4)
    assert [(r.theorem, r.tactic) for r in rows] == [("good", "rfl"), ("uses", "exact slow"), ("line 19", "rfl")]
    reasons = {reason: count.examples[0].split()[1] for reason, count in manifest.dropped["trace"].items()}
    assert reasons == {
        "does not compile": "wrong:",
        "sorry": "later:",
        "hangs Lean": "slow:",
        "no tactics": "term:",
    }


async def test_steps_inside_conv_are_counted_and_not_rows(traced: Trace) -> None:
    rows, manifest = await traced(proof("c", "(a b : Nat) : a + b = b + a", "by\n  conv => lhs; rw [Nat.add_comm]"))
    assert [r.tactic for r in rows] == ["conv => lhs; rw [Nat.add_comm]"]
    assert manifest.dropped_for("trace", "step inside conv") >= 2
