"""Finding Pantograph, the project and what `lake env` says; toolchains are scripts."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from burnqed.core.errors import BadInput
from burnqed.lean.config import NativeConfig
from burnqed.lean.doctor import native_findings
from burnqed.lean.native import sandbox as sandbox_module
from burnqed.lean.native.find import NativeLean, configured, find_native, find_pantograph

LAKE = """#!/bin/sh
case "$*" in
  "env printenv LEAN_PATH") echo PROJECT/.lake/build/lib/lean:PROJECT/.lake/packages/mathlib/.lake/build/lib/lean ;;
  "env lean --version") echo "Lean (version 4.28.0, x86_64-unknown-linux-gnu, commit abc, Release)" ;;
  "env lean --print-prefix") echo SYSROOT ;;
  *) echo "unexpected $*" >&2; exit 1 ;;
esac
"""


def program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(script if script.startswith("#!") else f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


class Machine:
    """A project, a toolchain and a PATH with `lake` in it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.project = folder / "project"
        self.project.mkdir()
        (self.project / "lakefile.toml").write_text('name = "p"\n')
        self.toolchain("leanprover/lean4:v4.28.0\n")
        self.sysroot = folder / "toolchain"
        program(self.sysroot / "bin" / "lean", "exit 1")
        program(self.sysroot / "bin" / "leanchecker", "exit 0")
        self.lake(LAKE.replace("PROJECT", str(self.project)).replace("SYSROOT", str(self.sysroot)))
        self.pantograph = self.built(folder / "bin" / "pantograph-repl")
        self.environ = {"PATH": f"{folder / 'path'}:/usr/bin:/bin"}
        monkeypatch.setenv("PATH", self.environ["PATH"])

    def toolchain(self, text: str) -> None:
        (self.project / "lean-toolchain").write_text(text)

    def lake(self, script: str) -> None:
        program(self.folder / "path" / "lake", script)

    def built(self, path: Path, version: str = "0.3.14") -> Path:
        return program(path, f'[ "$*" = --version ] && echo {version}')

    def find(self, **config: object) -> NativeLean:
        settings = {"project": self.project, "pantograph": self.pantograph, **config}
        return find_native(NativeConfig.model_validate(settings), self.environ)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_everything_is_found(machine: Machine) -> None:
    native = machine.find()
    assert native.executable == machine.pantograph
    assert native.project == machine.project
    assert native.sysroot == machine.sysroot
    assert native.lean_path.endswith("mathlib/.lake/build/lib/lean")
    assert (native.versions.pantograph, native.versions.lean) == ("0.3.14", "4.28.0")
    assert native.mismatch == ""
    assert native.leanchecker == machine.sysroot / "bin" / "leanchecker"
    home = machine.folder / "home"
    environment = native.environment(home)
    assert environment["HOME"] == str(home)
    assert environment["LEAN_SYSROOT"] == str(machine.sysroot)
    assert environment["PATH"].split(":")[0] == str(machine.sysroot / "bin")
    assert set(environment) == {"PATH", "HOME", "LANG", "TMPDIR", "LEAN_PATH", "LEAN_SYSROOT"}
    assert {machine.project, machine.sysroot, machine.pantograph.parent} <= set(native.readable)


def test_where_pantograph_is_looked_for(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    package = machine.built(machine.folder / "site" / "pantograph" / "pantograph-repl")
    (package.parent / "__init__.py").write_text("")
    config = NativeConfig()

    def found(project: Path | None = machine.project) -> Path:
        return find_pantograph(config, project, machine.environ)

    monkeypatch.setitem(sys.modules, "pantograph", None)  # in case it is installed here
    with pytest.raises(BadInput, match=r"no Pantograph was found.*--pantograph"):
        found()
    monkeypatch.delitem(sys.modules, "pantograph")
    monkeypatch.setattr(sys, "path", [str(package.parent.parent), *sys.path])
    assert found() == package
    in_path = machine.built(machine.folder / "path" / "pantograph-repl")
    assert found() == in_path
    dependency = machine.built(machine.project / ".lake/packages/Pantograph/.lake/build/bin/repl")
    assert found() == dependency
    own = machine.built(machine.project / ".lake/build/bin/repl")
    assert found() == own
    assert found(None) == in_path
    machine.environ["BURNQED_PANTOGRAPH"] = str(dependency)
    assert found() == dependency
    assert find_pantograph(NativeConfig(pantograph=package), machine.project, machine.environ) == package
    package.chmod(0o644)
    with pytest.raises(BadInput, match="no executable file"):
        find_pantograph(NativeConfig(pantograph=package), machine.project, machine.environ)


def test_the_project_from_the_environment(machine: Machine) -> None:
    machine.environ["BURNQED_PROJECT"] = str(machine.project)
    assert machine.find(project=None).project == machine.project
    machine.environ["BURNQED_PROJECT"] = str(machine.folder)
    with pytest.raises(BadInput, match="is no Lake project"):
        machine.find(project=None)


def test_the_configuration_from_the_environment(machine: Machine) -> None:
    environ = {
        "BURNQED_SANDBOX": "off",
        "BURNQED_READABLE": "/a:/b",
        "BURNQED_LEAN_PATH": "/c",
        "BURNQED_TOOLCHAIN": "4.28.0",
    }
    config = configured(machine.project, None, environ)
    assert config == NativeConfig(
        project=machine.project, sandbox="off", readable=(Path("/a"), Path("/b")), lean_path="/c", toolchain="4.28.0"
    )
    assert configured(environ={}) == NativeConfig()


def test_without_a_project(machine: Machine) -> None:
    native = machine.find(project=None)
    assert (native.project, native.lean_path, native.sysroot) == (None, "", None)
    assert native.replay_note == "no leanchecker was found beside lean"


def test_a_configured_path_needs_no_lake(machine: Machine) -> None:
    machine.lake("exit 1")
    native = machine.find(lean_path="/a:/b")
    assert native.lean_path == "/a:/b"
    assert native.versions.project_lean == "4.28.0"  # from the toolchain file


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo error: no such package; exit 1", r"`lake env printenv LEAN_PATH` failed in .*lake build"),
        ("echo 'error: missing manifest' >&2; exit 1", r"\(error: missing manifest\).*lean_path"),
        ("exit 0", "status 0 and no text"),
    ],
)
def test_lake_fails(machine: Machine, script: str, words: str) -> None:
    machine.lake(script)
    with pytest.raises(BadInput, match=words):
        machine.find()


def test_lake_is_missing(machine: Machine) -> None:
    (machine.folder / "path" / "lake").unlink()
    with pytest.raises(BadInput, match=r"`lake` is not in PATH.*install elan"):
        machine.find()


def test_lake_hangs_and_leaves_nothing(machine: Machine) -> None:
    machine.lake(f"sleep 300 & echo $! > {machine.folder}/pid; wait")
    began = time.monotonic()
    with pytest.raises(BadInput, match="did not end within 1 s"):
        machine.find(lake_timeout_s=1)
    assert time.monotonic() - began < 10
    pid = int((machine.folder / "pid").read_text())
    _, alive = psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=5)
    assert alive == []


def test_what_does_not_fit_is_told_before_anything_starts(machine: Machine) -> None:
    machine.built(machine.pantograph, "0.3.13")
    with pytest.raises(
        BadInput, match=r"Pantograph 0\.3\.13 was built with Lean 4\.27\.0.*4\.28\.0: build Pantograph 0\.3\.14"
    ):
        machine.find()
    machine.built(machine.pantograph)
    with pytest.raises(BadInput, match=r"asks for Lean 4\.29\.1"):
        machine.find(toolchain="v4.29.1")
    machine.toolchain("leanprover/lean4:v4.27.0")
    with pytest.raises(BadInput, match=r"names Lean 4\.27\.0, but `lean` there is 4\.28\.0"):
        machine.find()


def test_the_toolchain_beside_the_executable_decides(machine: Machine) -> None:
    machine.built(machine.pantograph, "9.9.9")
    assert machine.find().mismatch == ""
    (machine.pantograph.parent / "lean-toolchain").write_text("leanprover/lean4:v4.20.0")
    with pytest.raises(BadInput, match=r"Pantograph 9\.9\.9 was built with Lean 4\.20\.0"):
        machine.find()


def test_what_the_doctor_says(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    config = NativeConfig(project=machine.project, pantograph=machine.pantograph)
    by_name = {f.what: f for f in native_findings(config, machine.environ)}
    assert list(by_name) == ["native", "versions", "replay", "sandbox"]
    assert "Pantograph 0.3.14" in by_name["native"].found
    assert "Lean 4.28.0" in by_name["versions"].found
    monkeypatch.setattr("burnqed.lean.doctor.probe", lambda: (sandbox_module.NO_SANDBOX, "bwrap is not installed"))
    sandbox = native_findings(config, machine.environ)[-1]
    assert (sandbox.well, sandbox.cure) == (False, "bwrap is not installed")
    machine.built(machine.pantograph, "0.3.13")
    (only,) = native_findings(config, machine.environ)
    assert not only.well
    assert "build Pantograph 0.3.14" in only.cure
    (wrong,) = native_findings(None, {**machine.environ, "BURNQED_SANDBOX": "maybe"})
    assert "auto, required, off" in wrong.cure
    (nothing,) = native_findings(NativeConfig(), {"PATH": os.devnull})
    assert nothing.well
    assert "no native Lean found" in nothing.found


def test_the_command_line_says_what_is_missing(machine: Machine) -> None:
    for arguments, words in [
        (["--project", str(machine.folder)], "is no Lake project"),
        (["--pantograph", str(machine.folder / "none")], "no executable file"),
    ]:
        done = subprocess.run(
            [sys.executable, "-m", "burnqed", "prove", "1 = 1", *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode == 2
        assert words in done.stderr
