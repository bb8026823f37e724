"""Which modules a native project has, what is said when there are none, and a toolchain that does not take our program."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import pytest

from burnqed.core.errors import BadInput, LeanError, WorkerLost
from burnqed.lean.config import LeanConfig, NativeConfig
from burnqed.lean.native.audit import Versions
from burnqed.lean.native.find import NativeLean, find_toolchain
from burnqed.lean.native.launch import Scratch
from burnqed.lean.native.library import library_launch, library_spawner
from burnqed.lean.native.modules import modules_below, own_modules, roots_of
from burnqed.lean.native.sandbox import Sandbox
from burnqed.lean.pool import WorkerPool

OWN = ".lake/build/lib/lean"
PACKAGE = ".lake/packages/dep/.lake/build/lib/lean"


def compiled(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def native(project: Path | None, *folders: Path, sysroot: Path | None = None) -> NativeLean:
    executable = (sysroot or Path("/nowhere")) / "bin" / "lean"
    return NativeLean(executable, Versions(lean="4.28.0"), project, ":".join(map(str, folders)), sysroot)


def test_own_modules_are_not_those_of_packages(tmp_path: Path) -> None:
    own, package = tmp_path / OWN, tmp_path / PACKAGE
    compiled(own, "Demo.olean", "Demo/A.olean", "Demo/A.olean.private", "Demo/A.ir", "Demo/b-c/D.olean", "Main.olean")
    compiled(package, "Dep.olean")
    found = own_modules(native(tmp_path, package, own))
    assert found == ["Demo", "Demo.A", "Demo.«b-c».D", "Main"]
    assert roots_of(found) == ("Demo", "Main")
    assert own_modules(native(None, package)) == ["Dep"], "without a project all of LEAN_PATH is meant"


def test_a_path_dependency_elsewhere_is_not_its_own(tmp_path: Path) -> None:
    compiled(tmp_path / "p" / OWN, "Demo.olean")
    compiled(tmp_path / "q" / OWN, "Other.olean")
    assert own_modules(native(tmp_path / "p", tmp_path / "q" / OWN, tmp_path / "p" / OWN)) == ["Demo"]


def test_a_project_that_was_not_built(tmp_path: Path) -> None:
    compiled(tmp_path / PACKAGE, "Dep.olean")
    with pytest.raises(BadInput, match=r"has no compiled modules of its own: run `lake build`"):
        own_modules(native(tmp_path, tmp_path / PACKAGE, tmp_path / OWN))


def test_roots_are_looked_up_in_project_packages_and_toolchain(tmp_path: Path) -> None:
    own, package, sysroot = tmp_path / OWN, tmp_path / PACKAGE, tmp_path / "toolchain"
    compiled(own, "Demo/A.olean", "Demo/AB.olean", "Demo/A/X.olean")
    compiled(package, "Dep.olean", "Dep/Y.olean")
    compiled(sysroot / "lib" / "lean", "Init.olean", "Init/Core.olean")
    lean = native(tmp_path, package, own, sysroot=sysroot)
    assert modules_below(lean, ["Demo.A"]) == ["Demo.A", "Demo.A.X"]
    assert modules_below(lean, ["Init.Core", "Dep"]) == ["Dep", "Dep.Y", "Init.Core"]
    with pytest.raises(
        BadInput, match=r"no compiled module Demo\.B, and none below it: the roots are Demo, Dep, Init;"
    ):
        modules_below(lean, ["Dep", "Demo.B"])


def test_no_toolchain(tmp_path: Path) -> None:
    config = NativeConfig(lean_path=str(tmp_path))
    with pytest.raises(BadInput, match="this needs the toolchain's `lean`: install elan"):
        find_toolchain(config, {"PATH": str(tmp_path)})
    lean = tmp_path / "lean"
    lean.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo "Lean (version 4.28.0, x)" || echo {tmp_path}/gone\n')
    lean.chmod(0o755)
    with pytest.raises(BadInput, match=r"`lean`, which is not in .*gone/bin: install elan"):
        find_toolchain(config, {"PATH": str(tmp_path)})


def toolchain(folder: Path, script: str) -> Path:
    """A toolchain whose `lean` is a script."""
    lean = folder / "sysroot" / "bin" / "lean"
    lean.parent.mkdir(parents=True)
    lean.write_text(f"#!/bin/sh\n{script}\n")
    lean.chmod(0o755)
    return folder / "sysroot"


async def start(sysroot: Path) -> None:
    limits = LeanConfig(workers=1, ready_timeout_s=20)
    with Scratch() as scratch:
        spawn = library_spawner(native(None, sysroot=sysroot), NativeConfig(), limits, scratch=scratch)
        async with WorkerPool(spawn, limits) as pool:
            await pool.warm_up()


async def test_a_lean_of_another_version_that_does_not_take_the_program(tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    script = (
        f"echo called >> {calls}; echo '/x/library.lean:37:4: error: unknown constant Lean.foo'; "
        "echo '/x/library.lean:99:4: error(lean.unknownIdentifier): other'; exit 1"
    )
    sysroot = toolchain(tmp_path, script)
    with pytest.raises(
        LeanError, match=r"written for Lean 4\.28\.0, and the Lean 4\.28\.0 of .*: unknown constant Lean\.foo$"
    ):
        await start(sysroot)


def test_it_is_shut_in_with_what_it_reads(tmp_path: Path) -> None:
    sysroot = toolchain(tmp_path, "exit 0")
    config = NativeConfig(readable=(tmp_path,))
    with Scratch() as scratch:
        launch = library_launch(native(None, sysroot=sysroot), config, scratch=scratch, sandbox=Sandbox(Path("/bwrap")))
        shown = [b for a, b in itertools.pairwise(launch.argv) if a == "--ro-bind"]
        assert launch.argv[:2] == ("/bwrap", "--unshare-all")
        assert {str(sysroot), str(tmp_path)} <= set(shown)
        assert launch.argv[launch.argv.index("--bind") + 1] == str(scratch.path)
        program = Path(launch.argv[-1])
        assert launch.argv[-3:-1] == (str(sysroot / "bin" / "lean"), "--run")
        assert program.is_relative_to(scratch.path)
        assert "library.theorems" in program.read_text()


async def test_a_program_that_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(WorkerLost, match=r"ended before it was ready; its last words: libfoo\.so is missing"):
        await start(toolchain(tmp_path, "echo libfoo.so is missing >&2; exit 127"))


def test_the_command_line_says_so_in_one_sentence(tmp_path: Path) -> None:
    for arguments, words in [
        (["--project", str(tmp_path)], "is no Lake project"),
        (["--lean-path", str(tmp_path), "--roots", " , "], "--roots: name at least one module"),
    ]:
        done = subprocess.run(
            [sys.executable, "-m", "burnqed", "data", "harvest", *arguments, "--out", str(tmp_path / "out")],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 2
        assert words in done.stderr
        assert not (tmp_path / "out").exists()
