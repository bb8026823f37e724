"""The native gate over a toolchain of scripts that do what no honest one does; and its first look at a source."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from burnqed.core.errors import BadInput, CanaryProved
from burnqed.core.outcome import Verdict
from burnqed.core.theorem import Theorem
from burnqed.lean.config import NativeConfig
from burnqed.lean.native.audit import Versions
from burnqed.lean.native.find import NativeLean
from burnqed.lean.native.sandbox import probe
from burnqed.verify.native_gate import NativeGate
from burnqed.verify.one_theorem import declared_name, objection

T = Theorem("foo", "theorem foo (n : Nat) : n = n", "open Nat")
PYTHON_IS_IN = tuple({Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable).parent})

# The source's proof text says what the compiler does; the checker reads what the compiler left.
LEAN = r"""
import json, os, pathlib, re, sys, time

def checker(nonce, challenge, solution, name):
    assert "sorry" in pathlib.Path(challenge, "BurnqedCandidate.olean").read_text()
    proof = pathlib.Path(solution, "BurnqedCandidate.olean").read_text()
    say = lambda **more: print(json.dumps({"nonce": nonce, "accepted": True, "reason": "", "axioms": [], **more}))
    if "silent-checker" in proof: return
    if "old-nonce" in proof: return say(nonce="0" * 32)
    if "odd-axiom" in proof: return say(axioms=["propext", "Foo.cheat"])
    if "both" in proof: return say(accepted=True, reason="but")
    if "no-proof" in proof: return say(accepted=False, reason="the kernel rejects the proof")
    if name == "burnqed_canary" and not pathlib.Path(__file__).with_name("believes").exists():
        return say(accepted=False, reason="the proof uses sorry")
    print("noise"); print("{}")
    say(axioms=["propext", "Quot.sound"])

if sys.argv[1] == "--run":
    checker(*sys.argv[3:])
    sys.exit(0)
folder = pathlib.Path(sys.argv[sys.argv.index("-R") + 1])
olean = pathlib.Path(sys.argv[sys.argv.index("-o") + 1])
text = pathlib.Path(sys.argv[-1]).read_text()
canary = "burnqed_canary : (1 + 1 : Nat) = 3 := by sorry" in text
assert canary or text.startswith("import Std\n\nopen Nat\n\ntheorem foo"), text
assert "--json" in sys.argv and "-Dpp.raw=true" in sys.argv
if "error" in text:
    print(json.dumps({"severity": "warning", "data": "not this"}))
    print(json.dumps({"severity": "error", "data": "unsolved goals"}))
    sys.exit(1)
if "no-olean" in text: sys.exit(0)
if "spoofed" in text:
    print(json.dumps({"nonce": "x", "accepted": True, "reason": "", "axioms": []}))
    sys.exit(0)
if "bad-status" in text:
    olean.write_text(text)
    sys.exit(3)
if "link" in text:
    olean.symlink_to("/dev/zero")
    sys.exit(0)
if "pipe" in text:
    os.mkfifo(olean)
    sys.exit(0)
if "grows" in text: kept = bytearray(400 << 20)
if "hangs" in text or "grows" in text: time.sleep(60)
if "floods" in text:
    for _ in range(50): print("x" * (1 << 20))
if "meddles" in text:
    for other in folder.parent.parent.glob("challenge-*/BurnqedCandidate.olean"):
        other.write_text("sorry, but another statement")
olean.write_text(text)
"""


class Fake:
    """A folder that looks like a toolchain."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "sysroot"
        (self.root / "bin").mkdir(parents=True)
        (self.root / "lean.py").write_text(LEAN)
        self.program("lean", f'exec {shlex.quote(sys.executable)} {self.root}/lean.py "$@"')

    def program(self, name: str, script: str) -> None:
        path = self.root / "bin" / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def gate(self, **more: Any) -> NativeGate:
        native = NativeLean(self.root / "bin" / "lean", Versions(lean="4.27.0"), sysroot=self.root)
        mode = more.pop("sandbox", "off")
        config = NativeConfig(options=("pp.raw=true",), sandbox=mode, readable=PYTHON_IS_IN)
        return NativeGate(native, config, **{"timeout_s": 20, **more})

    async def judge(self, script: str, **more: Any) -> Verdict:
        async with self.gate(**more) as gate:
            return await gate.check(T, T.proved_by(f"  {script}"))


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    return Fake(tmp_path)


async def test_accepted_with_its_axioms(fake: Fake) -> None:
    assert await fake.judge("rfl") == Verdict(True, "", ("propext", "Quot.sound"))


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("error", "unsolved goals"),
        ("no-olean", "made no compiled file: status 0"),
        ("spoofed", "made no compiled file"),
        ("bad-status", "made no compiled file: status 3"),
        ("link", "made no compiled file"),
        ("pipe", "made no compiled file"),
        ("silent-checker", "the checker did not answer"),
        ("old-nonce", "the checker did not answer"),
        ("odd-axiom", "the proof rests on Foo.cheat"),
        ("both", "but"),
        ("no-proof", "the kernel rejects the proof"),
        ("meddles", "the compiled statement was changed"),
    ],
)
async def test_refused(fake: Fake, script: str, reason: str) -> None:
    verdict = await fake.judge(script)
    assert not verdict.accepted
    assert reason in verdict.reason


async def test_a_compiler_that_hangs_grows_or_floods(fake: Fake) -> None:
    assert "did not end within 1 s" in (await fake.judge("hangs", timeout_s=1)).reason
    assert "of memory, more than 200 MB" in (await fake.judge("grows", memory_mb=200)).reason
    assert (await fake.judge("floods")).accepted


@pytest.mark.skipif(probe()[0].bwrap is None, reason="bubblewrap does not work here")
async def test_in_the_sandbox_the_statement_cannot_be_reached(fake: Fake) -> None:
    assert (await fake.judge("meddles", sandbox="required")).accepted  # it found nothing to change


async def test_replay(fake: Fake) -> None:
    assert "Lean 4.27.0 has no leanchecker" in fake.gate().kernel
    fake.program("leanchecker", 'test "$1" = BurnqedCandidate')
    assert (await fake.judge("rfl")).accepted
    fake.program("leanchecker", "echo it is false >&2; exit 1")
    verdict = await fake.judge("rfl")
    assert not verdict.accepted
    assert verdict.reason == "leanchecker refuses the proof: status 1: it is false"


async def test_the_statement_is_compiled_once_for_all_forms_of_a_proof(fake: Fake) -> None:
    count = fake.root / "count"
    fake.program("lean", f'echo x >> {count}; exec {shlex.quote(sys.executable)} {fake.root}/lean.py "$@"')
    async with fake.gate() as gate:
        for script in ("rfl", "error", "simp"):
            await gate.check(T, T.proved_by(f"  {script}"))
    assert len(count.read_text().split()) == 1 + 2 + 1 + 2 + 2  # and the canary


async def test_a_gate_that_believes_anything_is_found_out(fake: Fake) -> None:
    (fake.root / "believes").touch()
    with pytest.raises(CanaryProved, match="nothing that it says counts"):
        await fake.judge("rfl")


def test_no_toolchain(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"needs the toolchain's `lean`"):
        NativeGate(NativeLean(tmp_path / "repl", Versions()), NativeConfig())


@pytest.mark.parametrize(
    ("source", "word"),
    [
        (T.proved_by("  rfl"), ""),
        (f"set_option maxHeartbeats 4000 in\n{T.proved_by('  rfl')}", ""),
        (f"{T.signature} :=\n  rfl", ""),
        (T.proved_by("  have h : 1 = 1 := rfl\n  open Nat in exact rfl\n  set_option pp.all true in rfl"), ""),
        (T.proved_by("  rfl\n#eval 1"), "#eval"),
        (T.proved_by("  rfl\n  #print axioms foo"), "#print"),
        (T.proved_by("  rfl\n  theorem x : 1 = 1 := rfl"), "theorem x"),
        (T.proved_by("  rfl\n\n@[simp] def y := 1"), "def y"),
        (T.proved_by("  rfl\nnamespace X"), "namespace"),
        (f"axiom a : False\n{T.proved_by('  rfl')}", "does not begin"),
        (f"set_option debug.skipKernelTC true in\n{T.proved_by('  rfl')}", "does not begin"),
        ("theorem foo (n : Nat) : n ≤ n := by\n  rfl", "does not begin"),
        (T.signature, "no proof"),
    ],
)
def test_first_look(source: str, word: str) -> None:
    found = objection(T, source)
    assert bool(found) == bool(word)
    assert word in found


@pytest.mark.parametrize(
    ("signature", "name"),
    [
        ("theorem foo : 1 = 1", "foo"),
        ("theorem Foo.bar.{u, v} (x : α) : x = x", "Foo.bar"),
        ("theorem «a b».c(x : Nat) : x = x", "«a b».c"),
        ("theorem x' {n} : n = n", "x'"),
        ("theorem : 1 = 1", ""),
    ],
)
def test_declared_name(signature: str, name: str) -> None:
    assert declared_name(Theorem("x", signature)) == name
