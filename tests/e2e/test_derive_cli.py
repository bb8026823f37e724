"""From harvested tasks to steps of proofs with the library's own theorems, as a person does it: derive, resume, trace, rows."""

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


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def harvested(name: str, module: str, claim: str, *imports: str, split: str = "train") -> dict[str, object]:
    """A task as `burnqed data harvest` writes it."""
    return {
        "name": f"harvest.{name}",
        "statement": f"theorem harvest.{name}{claim}",
        "imports": list(imports),
        "source": "harvest",
        "split": split,
        "origin": f"{module}:{name}",
        "lean": "4.28.0",
    }


TASKS = [
    harvested("Bool.beq_not_self", "Init.Data.Bool", " (x : Bool) : (x == !x) = false", "Init.NotationExtra"),
    harvested(
        "Std.TreeMap.length_keys",
        "Std.Data.TreeMap.Lemmas",
        ".{u, v} {α : Type u} {β : Type v} {cmp : α → α → Ordering} {t : Std.TreeMap α β cmp} [Std.TransCmp cmp] :\n"
        "  t.keys.length = t.size",
        *("Std.Data.DTreeMap.Lemmas", "Std.Data.TreeMap.AdditionalOperations"),
        split="valid",
    ),
    # `Int.pow_one` would mean this theorem itself in a file.
    harvested("Lean.Grind.Int.pow_one", "Init.Grind.Norm", " (a : Int) : a ^ 1 = a", "Init.Data.Int.Pow"),
    harvested("Bool.no_such", "Init.Data.Bool", " (x : Bool) : No.such x", "Init.NotationExtra"),
    harvested("Bool.held", "Init.Data.Bool", " (x : Bool) : x = x", "Init.NotationExtra", split="held_out"),
]


def test_tasks_are_proved_by_what_their_imports_have_and_the_proofs_become_steps(tmp_path: Path) -> None:
    tasks, out = tmp_path / "tasks.jsonl", tmp_path / "derived"
    tasks.write_text("".join(json.dumps(task) + "\n" for task in TASKS))
    done = burnqed("data", "derive", tasks, "--out", out, "--workers", 1)
    assert f"{out}/theorems.jsonl: " in done.stdout
    proofs = {str(row["name"]): str(row["proof"]) for row in rows(out / "theorems.jsonl")}
    assert "Std.DTreeMap.length_keys" in proofs["harvest.Std.TreeMap.length_keys"], (
        "the namesake of another type says it"
    )
    assert "apply Int.pow_one" not in proofs.get("harvest.Lean.Grind.Int.pow_one", "")
    assert "harvest.Bool.beq_not_self" in proofs
    assert not {"harvest.Bool.no_such", "harvest.Bool.held"} & set(proofs)
    names = rows(out / "names.jsonl")
    assert [row["tactic"] for row in names] == [
        "exact Bool.beq_not_self",
        "exact Std.TreeMap.length_keys",
        "exact Lean.Grind.Int.pow_one",
    ]
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["rows_in"] == 4
    assert manifest["dropped"]["derive"]["Lean could not be asked"]["count"] == 1

    before = {name: (out / name).read_bytes() for name in ("theorems.jsonl", "names.jsonl")}
    burnqed("data", "derive", tasks, "--out", out, "--workers", 1, "--resume")
    assert {name: (out / name).read_bytes() for name in before} == before
    refused = burnqed("data", "derive", tasks, "--out", out, status=2)
    assert "add --resume to go on" in refused.stderr

    traced, made = tmp_path / "traced", tmp_path / "rows"
    burnqed("data", "trace", out / "theorems.jsonl", "--check", "--out", traced, "--workers", 1)
    steps = rows(traced / "sft_train_full.jsonl") + rows(traced / "sft_valid_full.jsonl")
    assert {str(row["theorem"]) for row in steps} == set(proofs), "each proof compiles as a file"
    bench = tmp_path / "bench.jsonl"
    bench.write_text(json.dumps({"name": "b", "statement": "theorem b (x : Nat) (h : x ^ 9 = 512) : x = 2"}))
    asked = ("--tasks", "tactic,next-lemma", "--benchmarks", bench, "--out", made)
    burnqed("data", "rows", traced / "sft_train_full.jsonl", out / "names.jsonl", *asked)
    found = rows(made / "sft_train.jsonl")
    lemmas = [
        row["completion"] for row in found if row["task"] == "next-lemma" and "beq_not_self" in str(row["theorem"])
    ]
    assert [str(text).strip() for text in lemmas] == ["Bool.beq_not_self"]
    assert not [row for row in found if row["task"] == "tactic" and "exact Bool" in str(row["completion"])]
