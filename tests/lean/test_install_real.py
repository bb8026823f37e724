"""The real installation: it starts, its streams are whole, and its sandbox holds.

``BURNQED_LEAN_TARBALL`` may name the package's tarball; without it, the first use fetches the package.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from burnqed.core.errors import InstallError
from burnqed.lean.embedded import install, launch
from burnqed.lean.embedded.install import EmbeddedLean

pytestmark = pytest.mark.lean

ECHO = """
unsafe def loop (i o : IO.FS.Stream) : IO Unit := do
  let line ← i.getLine
  if line == "" then
    o.putStr "EOF\\n"
    o.flush
    return
  o.putStr line
  o.flush
  loop i o

public unsafe def main : IO Unit := do
  let o ← IO.getStdout
  o.putStr "ready.\\n"
  o.flush
  loop (← IO.getStdin) o
"""

LONG_LINE = """
def doubled : Nat → String → String
  | 0, s => s
  | n+1, s => doubled n (s ++ s)

public def main : IO Unit := do
  IO.println (doubled 20 "ab⟩cdℕefg")
  IO.println "end"
  (← IO.getStdout).flush
"""

# Functions take their paths as arguments: a constant call of a library function has no code at the exported level.
HOSTILE = """
def report (name : String) (x : IO Unit) : IO Unit := do
  try
    x
    IO.println (name ++ " done")
  catch e => IO.println (name ++ " refused: " ++ toString e)

def first (path : String) : IO Unit := do
  let h ← IO.FS.Handle.mk path .read
  IO.println ("got " ++ (← h.getLine))

def put (path : String) : IO Unit := do
  let h ← IO.FS.Handle.mk path .write
  h.putStr "x"
  h.flush

def add (path : String) : IO Unit := do
  let h ← IO.FS.Handle.mk path .append
  h.putStr "x"
  h.flush

def remove (path : String) : IO Unit := do
  IO.FS.removeFile path

def folder (path : String) : IO Unit := do
  IO.FS.createDir path

def move (path target : String) : IO Unit := do
  IO.FS.rename path target

def start (command : String) : IO Unit := do
  let _ ← IO.Process.spawn { cmd := command }

def variable? (name : String) : IO Unit := do
  IO.println ("value " ++ (← IO.getEnv name).getD "nothing")

public def main : IO Unit := do
  report "own" (first "/program/victim")
  report "variable" (variable? "BURNQED_SECRET")
  report "passwd" (first "/etc/passwd")
  report "dots" (first "/program/../../../../../../../../etc/passwd")
  report "library dots" (first "/toolchain/lib/lean/../../../../../../../../etc/passwd")
  report "link" (first "/program/link")
  report "write" (put "/program/new")
  report "overwrite" (put "/program/victim")
  report "append" (add "/program/victim")
  report "write library" (put "/toolchain/lib/lean/Init.olean")
  report "new in library" (put "/toolchain/lib/lean/new")
  report "remove" (remove "/program/victim")
  report "mkdir" (folder "/program/folder")
  report "rename" (move "/program/victim" "/program/other")
  report "process" (start "id")
"""


@pytest.fixture(scope="module")
def lean() -> EmbeddedLean:
    given = os.environ.get("BURNQED_LEAN_TARBALL")
    try:
        return install.install(source=Path(given) if given else None)
    except InstallError as error:
        if "Could not reach" in str(error):
            pytest.skip(str(error))
        raise


@contextmanager
def started(lean: EmbeddedLean, command: list[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=launch.environment(lean, folder),
        preexec_fn=launch.limit_stack,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def program(folder: Path, text: str) -> Path:
    path = folder / "program.lean"
    path.write_text(text, encoding="utf-8")
    return path


def output(lean: EmbeddedLean, path: Path) -> str:
    with started(lean, launch.command(lean, path), path.parent) as process:
        return process.communicate(timeout=120)[0].decode()


def test_version(lean: EmbeddedLean, tmp_path: Path) -> None:
    with started(lean, launch.lean_command(lean, tmp_path, "--version"), tmp_path) as process:
        answer = process.communicate(timeout=60)[0].decode()
    assert answer.startswith(f"Lean (version {lean.lean_version}")
    assert len(answer.splitlines()) == 1


def test_installation_is_whole_and_quick_to_find(lean: EmbeddedLean) -> None:
    assert install.verify(lean) == []
    began = time.perf_counter()
    assert install.installed() == lean
    assert time.perf_counter() - began < 0.05  # 1 ms; slack for a busy machine


def test_hostile_program(lean: EmbeddedLean, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BURNQED_SECRET", "hunter2")
    (tmp_path / "victim").write_text("alive")
    (tmp_path / "link").symlink_to("/etc/passwd")
    path = program(tmp_path, HOSTILE)
    before = sorted(p.name for p in tmp_path.iterdir())
    said = output(lean, path)
    lines = said.splitlines()
    assert "got alive" in lines
    assert "own done" in lines
    assert "value nothing" in lines
    names = [line.split(" refused")[0] for line in lines if " refused: " in line]
    assert names == [
        "passwd", "dots", "library dots", "link", "write", "overwrite", "append", "write library", "new in library",
        "remove", "mkdir", "rename", "process",
    ]  # fmt: skip
    assert "root:" not in said
    assert (tmp_path / "victim").read_text() == "alive"
    assert sorted(p.name for p in tmp_path.iterdir()) == before  # no default.profraw either
    assert install.verify(lean) == []


def test_node_itself_is_confined(lean: EmbeddedLean, tmp_path: Path) -> None:
    """What the flags alone refuse to the glue's own thread; no wall against hostile JavaScript, see launch.py."""
    (tmp_path / "escape.js").write_text("""
        const tries = {
          read: () => require("fs").readFileSync("/etc/passwd"),
          write: () => require("fs").writeFileSync(__dirname + "/new", "x"),
          process: () => require("child_process").spawnSync("id"),
          text: () => eval("1"),
          construct: () => new Function("return 1")(),
        };
        const done = {};
        for (const [name, attempt] of Object.entries(tries))
          try { const r = attempt(); done[name] = r && r.error ? "refused" : "done" } catch { done[name] = "refused" }
        require("fs").writeSync(1, JSON.stringify(done));
    """)
    command = launch.lean_command(lean, tmp_path)
    command = [*command[: command.index(str(lean.glue))], str(tmp_path / "escape.js")]
    with started(lean, command, tmp_path) as process:
        answer = json.loads(process.communicate(timeout=60)[0])
    assert answer == dict.fromkeys(("read", "write", "process", "text", "construct"), "refused")
    assert not (tmp_path / "new").exists()


def test_standard_input_is_whole(lean: EmbeddedLean, tmp_path: Path) -> None:
    path = program(tmp_path, ECHO)
    with started(lean, launch.command(lean, path), tmp_path) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        stdin, stdout = process.stdin, process.stdout
        while stdout.readline() != b"ready.\n":
            assert process.poll() is None

        def echo(line: str) -> None:
            data = line.encode() + b"\n"

            def send() -> None:
                stdin.write(data)
                stdin.flush()

            sender = threading.Thread(target=send)
            sender.start()
            assert stdout.readline() == data, len(data)
            sender.join()

        around = [n + d for n in (256, 1024, 2048, 65536) for d in (-2, -1, 0, 1)]
        for length in [*range(12), *around, 3_000_000]:
            echo("⟩" * length)
            echo("a" + "𝔸" * (length // 4))
        for byte in "⟩ℕ𝔸\n".encode():
            stdin.write(bytes([byte]))
            stdin.flush()
            time.sleep(0.005)
        assert stdout.readline() == "⟩ℕ𝔸\n".encode()
        stdin.write("no newline ⟩".encode())
        stdin.close()
        assert stdout.read() == "no newline ⟩EOF\n".encode()


def test_long_lines_wait_for_a_slow_reader(lean: EmbeddedLean, tmp_path: Path) -> None:
    path = program(tmp_path, LONG_LINE)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)  # a full pipe then answers EAGAIN, which must be waited out
    command = launch.command(lean, path)
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=writer,
        stderr=subprocess.DEVNULL,
        env=launch.environment(lean, tmp_path),
        preexec_fn=launch.limit_stack,
    ) as process:
        os.close(writer)
        with open(reader, "rb") as stream:  # noqa: PTH123 - a descriptor
            time.sleep(4)
            said = stream.read(100_000)
            time.sleep(0.5)
            said += stream.read()
        process.wait(timeout=60)
    assert said.decode() == "ab⟩cdℕefg" * 2**20 + "\nend\n"


@pytest.mark.skipif("BURNQED_LEAN_TARBALL" not in os.environ, reason="BURNQED_LEAN_TARBALL names no tarball")
def test_fresh_installation_from_a_tarball(tmp_path: Path) -> None:
    installer = install.Installer(folder=tmp_path)
    fresh = installer.install(source=Path(os.environ["BURNQED_LEAN_TARBALL"]))
    assert install.verify(fresh) == []
    assert installer.installed() == fresh
    size = sum(path.stat().st_size for path in fresh.root.rglob("*"))
    assert abs(size - installer.pins.installed_bytes) < 10_000_000
