"""Rows to fine-tune on: the shortest proofs of the replay buffer, and steps from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from burnqed.data.manifest import FileCard, Manifest
from burnqed.data.rows_files import write_rows
from burnqed.data.rows_reading import guard, read_steps
from burnqed.iterate.context import Context
from burnqed.iterate.digests import of_file, of_input, of_settings
from burnqed.iterate.label_step import benchmark_inputs, splits
from burnqed.iterate.place import Place
from burnqed.iterate.pool import theorem_inputs
from burnqed.iterate.replay import ReplayBuffer
from burnqed.iterate.step import Told
from burnqed.premises.file import SHIPPED as LIBRARY


class RowsStep:
    """``rows/sft_SPLIT.jsonl``."""

    name = "rows"

    def folders(self, place: Place) -> Sequence[Path]:
        """What the step writes."""
        return (place.rows,)

    def inputs(self, context: Context) -> dict[str, str]:
        """The replay buffer, files of steps, benchmarks, settings."""
        rows = context.recipe.rows
        found = theorem_inputs(context.recipe.theorems) | benchmark_inputs(rows.benchmarks)
        found |= {f"extra {i}, {path.name}": of_input(path, key="rows.extra") for i, path in enumerate(rows.extra)}
        found["replay"] = of_file(context.place.replay)
        if rows.rows.premises:
            found["library of premises"] = of_file(LIBRARY)
        found["settings"] = of_settings(rows.rows, rows.filters)
        return found

    def run(self, context: Context) -> Told:
        """Write them."""
        recipe, place = context.recipe, context.place
        account = Manifest(step="rows", command=f"burnqed iterate run {place.folder.name}")
        watch = guard(recipe.rows.benchmarks, account)
        account.inputs.append(FileCard.of(place.replay))
        steps = [*ReplayBuffer.read(place.replay).records(), *read_steps(recipe.rows.extra, account)]
        write_rows(
            place.rows,
            steps,
            recipe.rows.rows,
            filters=recipe.rows.filters,
            guard=watch,
            splits=splits(context),
            manifest=account,
        )
        return {"steps": len(steps), "rows": account.rows_out, "left": account.rows_dropped}

    def outputs(self, context: Context) -> dict[str, str]:
        """The files."""
        files = sorted(context.place.rows.glob("sft_*.jsonl"))
        return {path.name: of_file(path) for path in files} or {"sft_train.jsonl": "absent"}
