"""What the embedded Lean says about records, as the audit asks it."""

from __future__ import annotations

import pytest

from burnqed.data.elaborate import elaborate
from burnqed.data.records import TheoremRecord
from burnqed.lean.embedded.install import EmbeddedLean
from burnqed.lean.embedded.programs import COMPLETE
from burnqed.lean.embedded.server import server_launch
from burnqed.lean.process import LeanProcess

pytestmark = [pytest.mark.lean, pytest.mark.asyncio(loop_scope="session")]


def record(statement: str, proof: str | None = None, header: str = "") -> TheoremRecord:
    return TheoremRecord(name="t", statement=f"theorem t {statement}", proof=proof, header=header, imports=("Mathlib",))


async def test_each_failure_is_named_once_a_row_and_a_lost_process_costs_one_row(lean: EmbeddedLean) -> None:
    theorems = [
        record(": 1 + 1 = 2", "by\n  omega"),
        record("(n : Nat) : n + 0 = n", header="set_option maxHeartbeats 0\nopen Nat"),
        record("(x : ℝ) : x = x", "by\n  nlinarith [sq_nonneg x]"),
        record(": True", "by\n  nlinarith\n"),
        record(": 1 = 2", "by\n  omega", header="open BigOperators"),
        record(": ∑ i in s, i = 0"),
    ]
    result = await elaborate(
        lambda: LeanProcess.start(server_launch(lean, program=COMPLETE), ready_timeout_s=180), theorems
    )
    assert (result.tried, result.accepted, result.lost) == (6, 2, 0)
    assert result.failures["unknown namespace BigOperators"] == 1
    assert result.failures["unknown identifier ℝ"] == 1
    assert result.failures["unknown tactic nlinarith"] >= 1
    assert any(what.startswith("syntax at") for what in result.failures), result.failures
