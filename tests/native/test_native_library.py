"""A native project as proving tasks: modules of our own, compiled and read by the embedded Lean in a native toolchain's place."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.native.embedded_toolchain import compile_module, lake_project, make

from burnqed.core.theorem import Theorem
from burnqed.data.manifest import Manifest
from burnqed.data.trace.inputs import theorem_records
from burnqed.lean.config import NativeConfig
from burnqed.lean.embedded.install import EmbeddedLean
from burnqed.lean.native.audit import Versions
from burnqed.lean.native.find import NativeLean
from burnqed.verify.native_gate import NativeGate

pytestmark = pytest.mark.lean

LIB = ".lake/build/lib/lean"
DEP = ".lake/packages/dep/.lake/build/lib/lean"
# In this package every file is a module, whose definitions are seen from outside only where it says so.
BASIC = """
public section
namespace Demo
@[expose] def twice (n : Nat) : Nat := n + n
theorem twice_eq (n : Nat) : twice n = 2 * n := by unfold twice; omega
theorem mul_zero_add (n : Nat) : n * 0 + n = n := by omega
private theorem hidden (n : Nat) : n = n := rfl
end Demo
"""
MORE = """import Demo.Basic
public section
namespace Demo
variable {α : Type}
theorem four (n : Nat) : twice (twice n) = 4 * n := by rw [twice_eq, twice_eq]; omega
theorem four_pos (n : Nat) (h : 0 < n) : 0 < twice (twice n) := by rw [four]; omega
theorem swap (xs : List α) (n : Nat) : (xs, twice n).swap = (twice n, xs) := rfl
end Demo
"""


@dataclass(frozen=True)
class Project:
    """A compiled project and what a command needs to find it."""

    folder: Path
    sysroot: Path
    readable: tuple[Path, ...]
    path: Path

    def burnqed(self, *arguments: object, status: int = 0) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PATH": f"{self.path}:{os.environ['PATH']}"}
        environment["BURNQED_READABLE"] = ":".join(map(str, self.readable))
        done = subprocess.run(
            [sys.executable, "-m", "burnqed", *map(str, arguments)],
            capture_output=True, text=True, env=environment, timeout=280, check=False,
        )  # fmt: skip
        assert done.returncode == status, (arguments, done.stdout, done.stderr)
        return done


@pytest.fixture(scope="module")
def project(lean: EmbeddedLean, needed: tuple[Path, ...], tmp_path_factory: pytest.TempPathFactory) -> Project:
    root = tmp_path_factory.mktemp("harvested")
    sysroot, folder = make(root / "sysroot", lean), root / "project"
    path = lake_project(folder, sysroot, DEP, LIB)
    compile_module(sysroot, folder / LIB, "Demo.Basic", BASIC)
    compile_module(sysroot, folder / LIB, "Demo.More", MORE)
    compile_module(sysroot, folder / DEP, "Dep", "public section\ntheorem Dep.one : 1 = 1 := rfl\n")
    whole = (folder / LIB / "Demo" / "More.olean").read_bytes()
    (folder / LIB / "Demo" / "Broken.olean").write_bytes(b"no olean" + whole[8:200])
    return Project(folder, sysroot, (*needed, Path(lean.node).parent), path)


@pytest.fixture(scope="module")
def harvested(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "h"
    done = project.burnqed("data", "harvest", "--project", project.folder, "--out", out, "--workers", 1)
    assert f"{out}/tasks.jsonl: 4 tasks from 5 theorems" in done.stdout
    assert "Demo.Broken does not load: the imports cannot be read" in done.stderr
    return out


def test_each_theorem_is_a_task_on_what_its_module_imports(harvested: Path, project: Project) -> None:
    found = theorem_records(harvested / "tasks.jsonl")
    assert {name: record.imports for name, record in found.items()} == {
        "harvest.Demo.mul_zero_add": ("Init",),
        "harvest.Demo.four": ("Init", "Demo.Basic"),
        "harvest.Demo.four_pos": ("Init", "Demo.Basic"),
        "harvest.Demo.swap": ("Init", "Demo.Basic"),
    }
    four = found["harvest.Demo.four"]
    assert four.statement == "theorem harvest.Demo.four (n : Nat) : Demo.twice (Demo.twice n) = 4 * n"
    assert (four.origin, four.lean) == ("Demo.More:Demo.four", "4.28.0")
    manifest = Manifest.read(harvested)
    assert manifest.dropped["statement"]["needs its own module"].examples == ["Demo.twice_eq: Demo.twice"]
    (broken,) = manifest.dropped["module"]["does not load"].examples
    assert broken.startswith("Demo.Broken: the imports cannot be read")
    assert manifest.origins[0].location == str(project.folder)
    assert json.loads((harvested / "harvest.json").read_text())["roots"] == ["Demo"]


async def test_a_task_can_be_proved_but_not_by_itself(harvested: Path, project: Project) -> None:
    native = NativeLean(
        project.sysroot / "bin" / "lean",
        Versions(lean="4.28.0"),
        project.folder,
        str(project.folder / LIB),
        project.sysroot,
    )
    tasks: dict[str, Theorem] = {n: r.theorem for n, r in theorem_records(harvested / "tasks.jsonl").items()}
    four, positive = tasks["harvest.Demo.four"], tasks["harvest.Demo.four_pos"]
    async with NativeGate(native, NativeConfig(readable=project.readable), timeout_s=200) as gate:
        honest = await gate.check(four, four.proved_by("  rw [Demo.twice_eq, Demo.twice_eq]\n  omega"))
        assert (honest.accepted, honest.reason) == (True, "")
        itself = await gate.check(four, four.proved_by("  exact Demo.four n"))
        assert "Demo.four" in itself.reason
        assert not itself.accepted
        later = await gate.check(positive, positive.proved_by("  rw [Demo.four]\n  omega"))
        assert "Demo.four" in later.reason, "what stands beside it in its module is not there either"
        searched = await gate.check(four, four.proved_by("  exact?"))
        assert "`exact?` could not close the goal" in searched.reason


def test_a_task_from_the_command_line_to_the_checked_proof(
    harvested: Path, project: Project, executable: Path, tmp_path: Path
) -> None:
    """Of a module that imports Init alone: the embedded Lean, which stands in for Pantograph, has no modules of projects."""
    (line,) = [x for x in (harvested / "tasks.jsonl").read_text().splitlines() if '"harvest.Demo.mul_zero_add"' in x]
    (tmp_path / "task.jsonl").write_text(line + "\n")
    done = project.burnqed(
        "prove", tmp_path / "task.jsonl", "--project", project.folder, "--pantograph", executable,
        "--seconds", 200, "--json", "--out", tmp_path / "run",
    )  # fmt: skip
    result: dict[str, Any] = json.loads(done.stdout)
    assert (result["name"], result["status"]) == ("harvest.Demo.mul_zero_add", "proved")


def test_roots_choose_modules_of_packages_too_and_a_harvest_is_resumed_with_the_same(
    project: Project, tmp_path: Path
) -> None:
    arguments = ("data", "harvest", "--project", project.folder, "--out", tmp_path / "h", "--workers", 1)
    project.burnqed(*arguments, "--roots", "Dep")
    assert list(theorem_records(tmp_path / "h" / "tasks.jsonl")) == ["harvest.Dep.one"]
    assert "begun with roots" in project.burnqed(*arguments, "--resume", status=2).stderr
