"""Iterations without Lean and without training, for the tests of their parts: folders, recipes, runs of searches."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from burnqed.assemble.lean_side import LeanSide
from burnqed.assemble.sources import load_settings
from burnqed.core.theorem import Theorem
from burnqed.iterate.context import Context, Listener
from burnqed.iterate.place import place_of
from burnqed.iterate.recipe import Recipe
from burnqed.observe.fan_out import FanOut
from burnqed.run.folder import RunFolder
from burnqed.run.prove import Prover
from burnqed.search.config import SearchConfig
from burnqed.testing.fakes import DONE, FakeLean, ManualClock, RecordingSink, ScriptedPolicy, ToyValue

RECIPE = """
about = "A toy."
[theorems]
files = ["theorems.jsonl"]
[rows]
benchmarks = ["held_out.jsonl"]
[train]
start = "fresh"
"""


def theorems(path: Path, **statements: str | dict[str, Any]) -> Path:
    """Write theorems by name; a statement is what stands after the name, or a row with a field ``statement``."""
    rows = []
    for name, given in statements.items():
        row = {"statement": given} if isinstance(given, str) else given
        rows.append({"name": name, **row, "statement": f"theorem {name} {row['statement']} := by sorry"})
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def lay_out(folder: Path, *, number: int = 0, recipe: str = RECIPE) -> Path:
    """An iteration's folder with a recipe, beside the files that it names; paths start at ``folder``."""
    theorems(folder / "theorems.jsonl", one=": 1 = 1", two={"statement": ": 2 = 2", "split": "valid"})
    theorems(folder / "held_out.jsonl", held=": 3 + 3 = 6")
    place = folder / "iterations" / f"iter_{number}"
    place.mkdir(parents=True)
    (place / "recipe.toml").write_text(recipe, encoding="utf-8")
    return place


def recipe_in(folder: Path) -> Recipe:
    """The recipe of an iteration's folder, as the command line reads it."""
    return load_settings(Recipe, file=folder / "recipe.toml", environment={}, flags={})


def context_of(folder: Path, **parts: Any) -> Context:
    """An iteration as the command line opens it, without a Lean."""
    recipe = recipe_in(folder)
    return Context(place_of(folder, recipe.previous), recipe, no_lean, **parts)


def no_lean() -> LeanSide:
    """For parts that must not ask for Lean."""
    raise AssertionError("Lean was asked for")


class Heard(list[str]):
    """A listener's sentences."""

    @property
    def listener(self) -> Listener:
        return Listener(say=self.append)


async def searched(
    folder: Path,
    names: Sequence[str],
    table: Mapping[tuple[str, str], str] | None = None,
    *,
    clock: ManualClock | None = None,
) -> Path:
    """A run folder with searches of these theorems, over a Lean where ``a`` leads from ``start`` to a proof."""
    run = RunFolder.create(folder, {"config": {"search": {"candidates": 4}}})
    lean = FakeLean(table if table is not None else {("start", "a"): DONE})
    prover = Prover(
        pool=lean,  # type: ignore[arg-type]  # a fake is pool, session and gate
        gate=lean,
        policy=ScriptedPolicy(default=[("b", -0.5), ("a", -1.0)]),
        value=ToyValue(),
        config=SearchConfig(max_nodes=5),
        events=FanOut(run.trajectory, RecordingSink()),
        clock=clock or ManualClock(),
        folder=run,
    )
    for name in names:
        await prover.prove_all([Theorem(name, f"theorem {name} : True")], lambda result: None)
    return folder
