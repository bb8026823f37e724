"""The native gate with real compilations: the embedded Lean stands in for a native toolchain."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from tests.native.embedded_toolchain import make

from burnqed.core.theorem import Theorem
from burnqed.lean.config import NativeConfig
from burnqed.lean.embedded.install import EmbeddedLean
from burnqed.lean.native.audit import Versions
from burnqed.lean.native.find import NativeLean
from burnqed.verify import native_gate
from burnqed.verify.native_gate import NativeGate

pytestmark = pytest.mark.lean

# It replays nothing, but is content only with what it must be given: the module's name, and its folder first in the path.
LEANCHECKER = """#!/bin/sh
[ "$#" = 1 ] && [ "$1" = BurnqedCandidate ] && [ -f "${LEAN_PATH%%:*}/BurnqedCandidate.olean" ] || exit 9
[ ! -e ROOT/refuse ] || { echo "uncaught exception: (kernel) declaration type mismatch" >&2; exit 1; }
"""

FOUR = Theorem("four", "theorem four (n : Nat) (h : 3 < n) : n * 0 + 4 ≤ n", "open Nat")
FALSE = Theorem("no", "theorem no : False")


@pytest.fixture(scope="module")
def root(lean: EmbeddedLean, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make(tmp_path_factory.mktemp("toolchain") / "sysroot", lean)
    checker = folder / "bin" / "leanchecker"
    checker.write_text(LEANCHECKER.replace("ROOT", str(folder)))
    checker.chmod(0o755)
    return folder


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def gate(lean: EmbeddedLean, root: Path) -> AsyncIterator[NativeGate]:
    native = NativeLean(root / "bin" / "lean", Versions(lean="4.28.0"), sysroot=root)
    config = NativeConfig(readable=(lean.root, Path(lean.node).parent))
    async with NativeGate(native, config, timeout_s=200) as opened:
        yield opened


@pytest.fixture
def no_first_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let everything through to the compiler, so that what comes after has to say no."""
    monkeypatch.setattr(native_gate, "objection", lambda theorem, source: "")


async def test_a_proof_is_accepted_and_replayed(gate: NativeGate, root: Path) -> None:
    verdict = await gate.check(FOUR, "set_option maxHeartbeats 400000 in\n" + FOUR.proved_by("  omega"))
    assert (verdict.accepted, verdict.reason) == (True, "")
    assert "native Lean 4.28.0" in gate.kernel
    assert "replayed by leanchecker" in gate.kernel
    (root / "refuse").touch()
    try:
        verdict = await gate.check(FOUR, FOUR.proved_by("  omega"))
        assert not verdict.accepted
        assert "leanchecker refuses the proof" in verdict.reason
        assert "type mismatch" in verdict.reason
    finally:
        (root / "refuse").unlink()


async def test_what_is_no_proof_is_refused(gate: NativeGate) -> None:
    for script, reason in [
        ("  sorry", "the proof uses sorry"),
        ("  have a : 4 ≤ n := by sorry\n  omega", "the proof uses sorry"),
        ("  exact rfl", "mismatch"),
    ]:
        verdict = await gate.check(FOUR, FOUR.proved_by(script))
        assert not verdict.accepted
        assert reason in verdict.reason


@pytest.mark.usefixtures("no_first_look")
@pytest.mark.parametrize(
    ("theorem", "source", "reasons"),
    [
        (FOUR, "theorem four (n : Nat) (h : 3 < n) : 4 ≤ n := by omega", ["does not state what was asked"]),
        (FOUR, "theorem four.{u} (n : Nat) (h : 3 < n) : n * 0 + 4 ≤ n := by omega", ["does not state", "universe"]),
        (FOUR, "theorem other : True := trivial", ["does not define"]),
        (FOUR, f"def {FOUR.signature[8:]} := by omega", ["is not a theorem"]),
        (FOUR, "axiom unused : 1 = 2\n" + FOUR.proved_by("  omega"), ["declares the axiom"]),
        (FALSE, "axiom cheat : False\ntheorem no : False := cheat", ["declares the axiom"]),
        (FALSE, "set_option debug.skipKernelTC true in\ntheorem no : False := lcProof", ["kernel rejects", "rests on", "unsafe"]),
        (FALSE, "theorem no : False := by native_decide", ["false", "compiled", "rests on", "native", "failed"]),
    ],
    ids=["other statement", "universe", "other name", "definition", "unused axiom", "axiom", "unchecked", "native_decide"],
)  # fmt: skip
async def test_attacks_past_the_first_look(gate: NativeGate, theorem: Theorem, source: str, reasons: list[str]) -> None:
    verdict = await gate.check(theorem, source)
    assert not verdict.accepted
    assert any(reason in verdict.reason for reason in reasons), verdict.reason


async def test_a_header_with_namespace_universes_and_definitions(gate: NativeGate) -> None:
    header = "namespace Foo.Bar\nuniverse u\nvariable {α : Sort u}\nprivate def two : Nat := 2\ninductive Two | a | b"
    theorem = Theorem(
        "it", "theorem it (x : α) (n : Nat) (h : n = two) (t : Two) : n + 0 = 2 ∧ (t = .a ∨ t = .b)", header
    )
    verdict = await gate.check(theorem, theorem.proved_by("  subst h\n  exact ⟨rfl, by cases t <;> simp⟩"))
    assert (verdict.accepted, verdict.reason) == (True, "")


async def test_a_statement_that_does_not_compile(gate: NativeGate) -> None:
    theorem = Theorem("bad", "theorem bad : no_such_thing")
    verdict = await gate.check(theorem, theorem.proved_by("  trivial"))
    assert not verdict.accepted
    assert "the statement does not compile" in verdict.reason
