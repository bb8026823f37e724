"""Labels of the states of finished searches, and the pairs that the energy head learns from. No search is made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from burnqed.data.label_rows import read_judged, write_labels
from burnqed.data.manifest import Manifest
from burnqed.data.rows_files import write_pairs
from burnqed.data.rows_reading import Splits, guard, read_refuted, read_searches
from burnqed.iterate.context import Context
from burnqed.iterate.digests import of_file, of_input, of_run, of_settings
from burnqed.iterate.place import Place
from burnqed.iterate.pool import load_pool, theorem_inputs
from burnqed.iterate.replay import ReplayBuffer
from burnqed.iterate.search_step import refuted_statements, runs, searching_config
from burnqed.iterate.step import Told
from burnqed.iterate.systems import calibration_of, model_inputs
from burnqed.run.folder import RunFolder

STATES = "states.jsonl"


class LabelStep:
    """``labels/pairs_SPLIT.jsonl``, and ``labels/states.jsonl`` with label, visits and target of every state."""

    name = "label"

    def folders(self, place: Place) -> Sequence[Path]:
        """What the step writes."""
        return (place.labels,)

    def inputs(self, context: Context) -> dict[str, str]:
        """All searches that are looked at, what is known to be false, the benchmarks, the settings."""
        recipe, place = context.recipe, context.place
        found = {f"run {run.parent.parent.name}/{run.name}": of_run(run) for run in _of_iterations(context)}
        found |= {f"label.runs {i}, {run.name}": of_run(run) for i, run in enumerate(recipe.label.runs)}
        found |= theorem_inputs(recipe.theorems) | benchmark_inputs(recipe.rows.benchmarks)
        found["refuted"] = of_settings(sorted(refuted_statements(place)))
        found["replay"] = of_file(place.replay)
        found["settings"] = of_settings(recipe.label)
        return found | model_inputs(searching_config(context))

    def run(self, context: Context) -> Told:
        """Label, and write pairs."""
        recipe, place = context.recipe, context.place
        account = Manifest(step="pairs", command=f"burnqed iterate run {place.folder.name}")
        watch = guard(recipe.rows.benchmarks, account)
        flagged, states = read_refuted(recipe.theorems.refuted, account)
        pool = load_pool(recipe.theorems, assignment=place.splits)
        known = flagged | set(pool.refuted)
        proved_false = refuted_statements(place)
        where = pool.splits
        provable = {step.state_before for step in ReplayBuffer.read(place.replay).records()}
        # Targets of undecided states are in the terms of the head that judged them, which the earlier runs did not have.
        about = Manifest(step="labels", command=account.command)
        write_labels(
            place.labels / STATES,
            [
                judged
                for run in runs(place)
                for judged in read_judged([run], about, refuted=known | _among(run, proved_false), false_states=states)
            ],
            guard=watch,
            splits=where,
            manifest=about,
            calibration=calibration_of(searching_config(context).value.head),
            min_visits=recipe.label.min_visits,
            proved=provable,
        )
        searches = [
            searched
            for run in (*_of_iterations(context), *recipe.label.runs)
            for searched in read_searches(
                [run], account, refuted=known | _among(run, proved_false), false_states=states
            )
        ]
        counts = Counter(state.label for searched in searches for state in searched.states.values())
        write_pairs(
            place.labels,
            searches,
            recipe.label.pairs,
            guard=watch,
            splits=where,
            manifest=account,
            proved=provable,
        )
        return {
            "searches": len(searches),
            **{f"states {label}": count for label, count in sorted(counts.items())},
            "pairs": account.rows_out,
        }

    def outputs(self, context: Context) -> dict[str, str]:
        """The files."""
        files = sorted(context.place.labels.glob("*.jsonl"))
        return {path.name: of_file(path) for path in files} or {"pairs_train.jsonl": "absent"}


def _among(run: Path, statements: set[tuple[str, str]]) -> set[str]:
    """The theorems of a run that are among these statements: another statement may have had the name in another iteration."""
    return {r.name for r in RunFolder(run).last_results().values() if (r.name, r.digest) in statements}


def benchmark_inputs(files: Sequence[Path]) -> dict[str, str]:
    """Hashes of the benchmarks that are kept out. Raises BadInput for one that is not there."""
    return {f"benchmark {i}, {path.name}": of_input(path, key="rows.benchmarks") for i, path in enumerate(files)}


def _of_iterations(context: Context) -> list[Path]:
    """The run folders of this iteration, and of the earlier ones if the recipe says so."""
    places = context.place.chain if context.recipe.label.earlier else (context.place,)
    return [run for place in places for run in runs(place)]


def splits(context: Context) -> Splits:
    """Where theorems belong; a negation belongs where its theorem does."""
    return load_pool(context.recipe.theorems, assignment=context.place.splits).splits
