"""A server program is compiled once, by the real Lean; a bad one is refused with its error; nothing half-made is seen."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from burnqed.core.errors import InstallError
from burnqed.lean.embedded import compile as compile_module
from burnqed.lean.embedded.compile import compiled, is_compiled
from burnqed.lean.embedded.install import EmbeddedLean
from burnqed.lean.embedded.launch import command, environment
from burnqed.lean.embedded.programs import Program
from burnqed.lean.process import Launch, LeanProcess

pytestmark = pytest.mark.lean

HELLO = """import Init.System.IO
def twice : List Nat → List Nat
  | [] => []
  | x :: r => (2 * x) :: twice r
def shown : List Nat → String
  | [] => ""
  | x :: r => toString x ++ " " ++ shown r
public def main (args : List String) : IO Unit := do
  let out ← IO.getStdout
  match args with
  | [] => out.putStrLn "nobody"
  | a :: _ => out.putStrLn (a ++ " " ++ shown (twice [1, 2, 3]))
  out.putStrLn "ready."
  out.flush
  let _ ← (← IO.getStdin).getLine
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lean: EmbeddedLean) -> EmbeddedLean:
    """The installed Lean, with another folder for compiled programs."""
    monkeypatch.setenv("BURNQED_HOME", str(tmp_path))
    return lean


def program(monkeypatch: pytest.MonkeyPatch, text: str) -> Program:
    real = compile_module.part_text
    monkeypatch.setattr(Program, "text", property(lambda _: text))
    assert real("compile")
    return Program("hello", ())


async def test_it_runs_without_its_source(here: EmbeddedLean, monkeypatch: pytest.MonkeyPatch) -> None:
    hello = program(monkeypatch, HELLO)
    assert not is_compiled(hello, here)
    loader = compiled(hello, here)
    assert is_compiled(hello, here)
    (loader.parent / "source.lean").unlink()
    launch = Launch(tuple(command(here, loader, "World")), environment(here, loader.parent), str(here.root))
    process = await LeanProcess.start(launch, ready_timeout_s=60)
    await process.close()
    modified = loader.stat().st_mtime_ns
    assert compiled(hello, here) == loader
    assert loader.stat().st_mtime_ns == modified, "it is not compiled again"


def test_two_at_once_compile_it_once(here: EmbeddedLean, monkeypatch: pytest.MonkeyPatch) -> None:
    hello = program(monkeypatch, HELLO)
    count = []
    real = compile_module._module
    monkeypatch.setattr(compile_module, "_module", lambda *a: count.append(1) or real(*a))
    threads = [threading.Thread(target=compiled, args=(hello, here)) for _ in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(count) == 1
    assert not list(compiled(hello, here).parent.parent.glob("*.tmp"))


def test_an_error_in_a_program_is_named(here: EmbeddedLean, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(InstallError, match=r"the hello program has errors: line 6: .*numeral"):
        compiled(program(monkeypatch, HELLO.replace('""', "5", 1)), here)
    with pytest.raises(InstallError, match=r"the hello program has errors: line 5: .*expected"):
        compiled(program(monkeypatch, HELLO.replace("def shown :", "def shown = :")), here)
    assert [p.name for p in (tmp_path / "programs").iterdir() if p.is_dir()] == [], "nothing is left behind"


def test_a_folder_that_cannot_be_written(lean: EmbeddedLean, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BURNQED_HOME", str(tmp_path / "file"))
    with pytest.raises(InstallError, match="cannot be compiled to"):
        compiled(program(monkeypatch, HELLO), lean)
