"""From the library to training rows, as a person does it: harvest, prove, verify, trace."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.lean

BURNQED = (sys.executable, "-W", "error", "-m", "burnqed")


def burnqed(*args: object, status: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([*BURNQED, *map(str, args)], capture_output=True, text=True, timeout=240)
    assert done.returncode == status, (args, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture(scope="module")
def harvested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("harvest") / "h"
    done = burnqed("data", "harvest", "--roots", "Init.Data.Bool", "--out", out, "--workers", 1)
    assert f"{out}/tasks.jsonl: " in done.stdout
    return out


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_tasks_of_the_library_are_proved_checked_and_traced(harvested: Path, tmp_path: Path) -> None:
    tasks = {str(row["name"]): row for row in rows(harvested / "tasks.jsonl")}
    few = tmp_path / "few.jsonl"
    few.write_text(
        "".join(json.dumps(tasks[f"harvest.Bool.{name}"]) + "\n" for name in ("and_left_comm", "beq_not_self"))
    )
    run, traced = tmp_path / "run", tmp_path / "traced"
    burnqed("prove", few, "--seconds", 20, "--out", run, "--workers", 1)
    proofs = sorted((run / "proofs").iterdir())
    assert len(proofs) == 2
    assert all(path.read_text().startswith("prelude\nimport Init.") for path in proofs)
    burnqed("verify", *proofs)
    bench = tmp_path / "bench.jsonl"
    bench.write_text(json.dumps({"name": "b", "statement": "theorem b (x : Nat) (h : x ^ 9 = 512) : x = 2"}))
    sources = ("--records", few, "--benchmarks", bench)
    burnqed("data", "trace", run, *sources, "--out", traced, "--share", 1, "--check", "--workers", 1)
    for name in ("seed", "full"):
        manifest = json.loads((traced / f"manifest_{name}.json").read_text())
        assert [card["path"] for card in manifest["inputs"]] == [str(few), str(bench)]
    found = rows(traced / "sft_train_seed.jsonl")
    assert found == rows(traced / "sft_train_full.jsonl")
    assert {row["theorem"] for row in found} == set(tasks) & {"harvest.Bool.and_left_comm", "harvest.Bool.beq_not_self"}
    assert {row["origin"] for row in found} == {"Init.Data.Bool:Bool.and_left_comm", "Init.Data.Bool:Bool.beq_not_self"}
    again = burnqed("data", "trace", run, "--records", few, "--out", traced, "--share", 1, "--check", "--resume")
    assert f"sft_train_full.jsonl {len(found)} rows" in again.stdout
    assert rows(traced / "sft_train_full.jsonl") == found


def test_what_a_person_may_get_wrong_is_one_sentence(harvested: Path, tmp_path: Path) -> None:
    wrong = {
        ("data", "harvest", "--out", harvested): "add --resume to go on with it",
        ("data", "harvest", "--roots", "Mathlib", "--out", tmp_path / "m"): "no module Mathlib",
        ("data", "harvest", "--held-out", "2", "--out", tmp_path / "n"): "--held-out: Input should be less than 1",
        ("data", "trace", tmp_path / "none", "--out", tmp_path / "t"): "give a .jsonl file of theorems with proofs",
        ("data", "trace", harvested / "tasks.jsonl", "--out", tmp_path / "t"): "there is no proof to trace",
        ("data", "trace", harvested / "tasks.jsonl", "--out", tmp_path / "t", "--resume"): "holds nothing to resume",
    }
    for arguments, said in wrong.items():
        done = burnqed(*arguments, status=2)
        assert said in done.stderr, done.stderr
        assert len([line for line in done.stderr.splitlines() if line.strip()]) == 1
