"""The sandbox, tried by programs that do what a hostile tactic would; and the limits without it."""

from __future__ import annotations

import asyncio
import os
import shlex
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from burnqed.core.errors import BadInput
from burnqed.lean.config import NativeConfig
from burnqed.lean.native import sandbox as sandbox_module
from burnqed.lean.native.audit import Versions
from burnqed.lean.native.find import NativeLean
from burnqed.lean.native.launch import Scratch, native_launch
from burnqed.lean.native.sandbox import NO_SANDBOX, Sandbox, choose, hidden_folders, probe
from burnqed.lean.process import LeanProcess

WORKS = probe()[0].bwrap is not None
needs_bwrap = pytest.mark.skipif(not WORKS, reason=probe()[1] or "bubblewrap works")
PYTHON_IS_IN = tuple({Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable).parent})

HOSTILE = r"""
import json, os, pathlib, socket, subprocess, sys

def attempt(do):
    try:
        return do() or "done"
    except BaseException as error:
        return type(error).__name__

def connect(where):
    family = socket.AF_UNIX if isinstance(where, str) else socket.AF_INET
    with socket.socket(family) as s:
        s.settimeout(3)
        s.connect(where)

def answer(q):
    what = q.get("do")
    if what == "write": return attempt(lambda: pathlib.Path(q["path"]).write_text("x") and None)
    if what == "read": return attempt(lambda: pathlib.Path(q["path"]).read_text())
    if what == "connect": return attempt(lambda: connect(tuple(q["where"]) if isinstance(q["where"], list) else q["where"]))
    if what == "processes": return sorted(int(p) for p in os.listdir("/proc") if p.isdigit())
    if what == "kill": return attempt(lambda: os.kill(q["pid"], 9))
    if what == "environ": return dict(os.environ)
    if what == "cwd": return os.getcwd()
    if what == "child":
        child = subprocess.Popen(["sleep", "300"], start_new_session=True)
        return child.pid
    if what == "spin":
        while True: pass
    if what == "grow":
        global kept
        kept = bytearray(q["mb"] << 20)
        return "done"
    if what == "big":
        return attempt(lambda: pathlib.Path(q["path"]).write_bytes(bytes(q["mb"] << 20)) and None)
    if what == "core":
        import resource
        return list(resource.getrlimit(resource.RLIMIT_CORE))

print("ready.", flush=True)
for line in sys.stdin:
    q = json.loads(line.partition(" ")[2])
    print(json.dumps({"said": answer(q)}), flush=True)
"""


class Prisoner:
    """The hostile program as a native Lean."""

    def __init__(self, folder: Path, scratch: Scratch, **config: Any) -> None:
        self.project = folder / "project"
        self.project.mkdir()
        (self.project / "lakefile.toml").write_text("")
        self.executable = folder / "bin" / "repl"
        self.executable.parent.mkdir()
        (folder / "bin" / "hostile.py").write_text(HOSTILE)
        self.executable.write_text(f"#!/bin/sh\nexec {shlex.quote(sys.executable)} {folder}/bin/hostile.py\n")
        self.executable.chmod(0o755)
        native = NativeLean(self.executable, Versions(), self.project, f"{self.project}/lib")
        self.launch = native_launch(
            native, ["Init"], [], NativeConfig(readable=PYTHON_IS_IN, **config), scratch=scratch
        )

    async def start(self) -> LeanProcess:
        return await LeanProcess.start(self.launch, ready_timeout_s=20)


async def ask(process: LeanProcess, **payload: Any) -> Any:
    _, reply = await process.request("x", payload, dict, timeout_s=10)
    return reply["said"]


@pytest.fixture
def scratch():
    with Scratch() as folder:
        yield folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a secret in it."""
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "token").write_text("a secret")
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("A_TOKEN", "another secret")
    return folder


@needs_bwrap
async def test_nothing_is_reached_from_inside(tmp_path: Path, scratch: Scratch, home: Path) -> None:
    prisoner = Prisoner(tmp_path, scratch, sandbox="required")
    beside = subprocess.Popen(["sleep", "300"])  # noqa: ASYNC220
    listener = socket.create_server(("127.0.0.1", 0))
    process = await prisoner.start()
    try:
        refused = {"OSError", "PermissionError", "FileNotFoundError"}
        for path in (home / "x", prisoner.project / "x", prisoner.executable, Path("/etc/x")):
            assert await ask(process, do="write", path=str(path)) in refused, path
            assert not (path.exists() and path.read_text() == "x")
        await ask(process, do="write", path=str(tmp_path / "x"))  # into a /tmp of its own
        assert not (tmp_path / "x").exists()
        assert await ask(process, do="read", path=str(home / "token")) == "FileNotFoundError"
        assert await ask(process, do="read", path=str(prisoner.project / "lakefile.toml")) == "done"  # it is empty
        assert await ask(process, do="connect", where=["127.0.0.1", listener.getsockname()[1]]) in refused | {
            "ConnectionRefusedError"
        }
        assert await ask(process, do="connect", where=["192.0.2.1", 80]) in refused
        seen = await ask(process, do="processes")
        assert len(seen) < 6
        assert beside.pid not in seen
        assert os.getpid() not in seen
        assert await ask(process, do="kill", pid=beside.pid) == "ProcessLookupError"
        assert beside.poll() is None
        environment = await ask(process, do="environ")
        assert "A_TOKEN" not in environment
        assert environment["LEAN_PATH"] == f"{prisoner.project}/lib"
        assert environment["HOME"] == str(scratch.path / "home")
        assert await ask(process, do="cwd") == str(prisoner.project)
    finally:
        await process.close()
        listener.close()
        beside.kill()
        beside.wait()


@needs_bwrap
async def test_scratch_and_tmp_can_be_written_and_go_away(tmp_path: Path, home: Path) -> None:
    with Scratch() as scratch:
        process = await Prisoner(tmp_path, scratch).start()
        try:
            assert await ask(process, do="write", path=str(scratch.path / "home" / "x")) == "done"
            assert await ask(process, do="write", path="/tmp/burnqed-was-here") == "done"
            assert not Path("/tmp/burnqed-was-here").exists()  # noqa: ASYNC240
            assert (scratch.path / "home" / "x").read_text() == "x"
        finally:
            await process.close()
    assert not scratch.path.exists()


@needs_bwrap
async def test_memory_is_that_of_the_whole_family_and_a_kill_ends_all(tmp_path: Path, scratch: Scratch) -> None:
    process = await Prisoner(tmp_path, scratch).start()
    try:
        before = process.rss_mb()
        await ask(process, do="grow", mb=200)
        assert process.rss_mb() > before + 190
        await ask(process, do="child")
        family = psutil.Process(process.pid).children(recursive=True)
        assert any("sleep" in p.name() for p in family)
    finally:
        await process.close()
    _, alive = psutil.wait_procs(family, timeout=5)
    assert alive == []


@needs_bwrap
async def test_it_dies_with_its_parent(tmp_path: Path, scratch: Scratch) -> None:
    prisoner = Prisoner(tmp_path, scratch)
    code = (
        "import subprocess, sys, time\n"
        f"p = subprocess.Popen({list(prisoner.launch.argv)!r}, stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "p.stdout.readline(); print(p.pid, flush=True); time.sleep(300)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    family = [child, *child.children(recursive=True)]
    parent.kill()
    parent.wait()
    parent.stdout.close()
    _, alive = await asyncio.to_thread(psutil.wait_procs, family, 5)
    assert alive == []


@pytest.mark.parametrize("mode", ["off", "auto"])
async def test_limits_of_the_system(tmp_path: Path, scratch: Scratch, mode: str) -> None:
    process = await Prisoner(tmp_path, scratch, sandbox=mode, file_mb=1, cpu_s=1).start()
    try:
        assert await ask(process, do="core") == [0, 0]
        path = str(scratch.path / "home" / "big")
        assert await ask(process, do="big", path=path, mb=2) == "OSError"
        began = time.monotonic()
        with pytest.raises(Exception, match="ended"):
            await ask(process, do="spin")
        assert time.monotonic() - began < 8
    finally:
        await process.close()


async def test_address_space_is_limited_when_asked(tmp_path: Path, scratch: Scratch) -> None:
    process = await Prisoner(tmp_path, scratch, sandbox="off", address_space_mb=1024).start()
    try:
        with pytest.raises(Exception, match="ended"):
            await ask(process, do="grow", mb=2048)
    finally:
        await process.close()


def test_modes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox_module, "probe", lambda: (NO_SANDBOX, "bwrap is not there"))
    assert choose("auto") is NO_SANDBOX
    assert choose("off") is NO_SANDBOX
    with pytest.raises(BadInput, match="required, but bwrap is not there"):
        choose("required")


def test_without_bubblewrap_the_reason_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    sandbox_module.probe.cache_clear()
    try:
        assert "not installed" in probe()[1]
        broken = tmp_path / "bwrap"
        broken.write_text(
            '#!/bin/sh\n[ "$1" = --version ] && echo bubblewrap 0.6.1 && exit\necho no namespace >&2; exit 1\n'
        )
        broken.chmod(0o755)
        sandbox_module.probe.cache_clear()
        assert "does not work here (no namespace)" in probe()[1]
    finally:
        sandbox_module.probe.cache_clear()


def test_the_command_line() -> None:
    line = Sandbox(Path("/usr/bin/bwrap"), sized=True).wrap(["lean", "x"], writable=[Path("/s")], cwd=Path("/p"))
    assert line[0] == "/usr/bin/bwrap"
    assert line[-5:] == ("--chdir", "/p", "--", "lean", "x")
    assert line[-8:-5] == ("--bind", "/s", "/s")
    assert "--size" in line
    assert NO_SANDBOX.wrap(["lean"], cwd=Path("/")) == ("lean",)


def test_hidden_folders_hold_no_other(home: Path) -> None:
    folders = hidden_folders()
    assert Path("/tmp").resolve() in folders
    assert not any(a != b and a.is_relative_to(b) for a in folders for b in folders)
