"""The new system on benchmarks, with each of its heads, with none, and with trivial values."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from burnqed.assemble.config import RunConfig
from burnqed.assemble.parts import Parts, open_parts
from burnqed.core.errors import BadInput
from burnqed.core.events import Event
from burnqed.core.theorem import Theorem
from burnqed.data.pace import Progress
from burnqed.evaluate.benchmarks import load_benchmark
from burnqed.evaluate.eval_report import write_reports
from burnqed.evaluate.provenance import commit, machine
from burnqed.evaluate.record import OWN, Benchmark, read_evaluation, write_encoder
from burnqed.evaluate.run import Asked, Site, arms_of, evaluate
from burnqed.evaluate.systems import lean_told
from burnqed.iterate.context import Context
from burnqed.iterate.digests import of_file, of_input, of_model, of_run, of_settings
from burnqed.iterate.place import Place
from burnqed.iterate.recipe import BenchmarkConfig
from burnqed.iterate.searching import OpenLean, opened, until_stopped
from burnqed.iterate.step import Told
from burnqed.iterate.systems import calibration_of, deciding, heads_of, menu_input, with_models
from burnqed.policy.menu import MenuPolicy
from burnqed.policy.menu_rules import load_menu
from burnqed.run.result import TheoremResult

POLICY_ALONE = "policy"
"""The folder of an evaluation of a model that has no head."""


class EvaluateStep:
    """``evaluation/BENCHMARK/HEAD``: folders of ``burnqed eval``, for ``burnqed compare``."""

    name = "evaluate"

    def folders(self, place: Place) -> Sequence[Path]:
        """What the step writes."""
        return (place.evaluation,)

    def inputs(self, context: Context) -> dict[str, str]:
        """Benchmarks, model, heads with their calibrations, pairs, budget."""
        recipe, place = context.recipe, context.place
        if not recipe.evaluate.benchmarks:
            return {"benchmarks": "none"}
        found = {f"benchmark {name_of(b)}": _hash_of(b) for b in recipe.evaluate.benchmarks}
        found |= menu_input(recipe.prove)
        for name, head in heads_of(place).items():
            found[f"{name} head"] = of_model(head)
            found[f"{name} calibration"] = of_settings(str(calibration_of(head)))
        model = place.model_of()
        found["model"] = of_model(model) if model is not None else "none"
        pairs = pairs_of(context)
        found["pairs"] = of_file(pairs) if pairs is not None else "none"
        asked = recipe.evaluate.model_dump(mode="json", exclude={"pairs": True, "benchmarks": {"__all__": {"what"}}})
        found["settings"] = of_settings(deciding(base_config(context)), asked)
        return found

    def run(self, context: Context) -> Told:
        """Evaluate what is not evaluated yet."""
        if not context.recipe.evaluate.benchmarks:
            return {}
        loaded = [
            (b, *load_benchmark(b.what, split=b.split, limit=b.limit)) for b in context.recipe.evaluate.benchmarks
        ]
        asyncio.run(_evaluated(context, loaded))
        folders = evaluations(context.place)
        searches = sum(write_reports(folder)[1].searches for folder in folders)
        return {"evaluations": len(folders), "searches": searches}

    def outputs(self, context: Context) -> dict[str, str]:
        """Of each arm and seed what was proved."""
        return {
            f"{run.parent.relative_to(context.place.evaluation).as_posix()}": of_run(run.parent)
            for run in sorted(context.place.evaluation.glob("*/*/*/seed_*/run.json"))
        }


def evaluations(place: Place) -> list[Path]:
    """The folders of an iteration's evaluations, by benchmark and head."""
    return sorted(p.parent for p in place.evaluation.glob("*/*/eval.json"))


def require_benchmarks(benchmarks: Sequence[BenchmarkConfig]) -> None:
    """Raise BadInput for one that cannot be read, before anything is searched."""
    for b in benchmarks:
        try:
            load_benchmark(b.what, split=b.split, limit=b.limit)
        except BadInput as error:
            raise BadInput(f"evaluate.benchmarks: {error}") from error


def _hash_of(benchmark: BenchmarkConfig) -> str:
    """Of a file; of a fetched set's name, the theorems in it. Raises BadInput for what is not there."""
    if Path(benchmark.what).exists():
        return of_input(Path(benchmark.what), key="evaluate.benchmarks")
    try:
        return load_benchmark(benchmark.what, split=benchmark.split, limit=benchmark.limit)[0].revision
    except BadInput as error:
        raise BadInput(f"evaluate.benchmarks: {error}") from error


def name_of(benchmark: BenchmarkConfig) -> str:
    """What a benchmark's folder is called."""
    return benchmark.name or Path(benchmark.what).stem


def base_config(context: Context) -> RunConfig:
    """How it is searched, without the models."""
    recipe = context.recipe
    differs: dict[str, object] = {"after_proof": 0}  # more of a record is for training alone
    differs |= {name: getattr(recipe.evaluate.search, name) for name in recipe.evaluate.search.model_fields_set}
    return recipe.prove.model_copy(update={"search": recipe.prove.search.model_copy(update=differs)})


def pairs_of(context: Context) -> Path | None:
    """The held-out pairs by which encoders are measured; None when there are none."""
    if (given := context.recipe.evaluate.pairs) is not None:
        of_input(given, key="evaluate.pairs")
        return given
    first = context.place.chain[0].labels / "pairs_valid.jsonl"
    return first if first.is_file() and first.stat().st_size else None


def _systems(context: Context) -> dict[str, RunConfig]:
    """What is measured, by the name of its folder."""
    place, base = context.place, base_config(context)
    model = place.model_of()
    if model is None:
        return {POLICY_ALONE: base}
    heads = heads_of(place)
    if not heads:
        return {POLICY_ALONE: with_models(base, model, None)}
    return {name: with_models(base, model, head) for name, head in heads.items()}


async def _evaluated(context: Context, loaded: Sequence[tuple[BenchmarkConfig, Benchmark, Sequence[Theorem]]]) -> None:
    everything = [t for _, _, theorems in loaded for t in theorems]
    async with opened(context, everything) as lean:
        for config, benchmark, theorems in loaded:
            before: Asked | None = None
            for name, system in _systems(context).items():
                folder = context.place.evaluation / name_of(config) / name
                asked = Asked(
                    folder=folder,
                    name=f"{context.place.folder.name} {name}",
                    benchmark=benchmark,
                    theorems=theorems,
                    config=system,
                    lean=lean_told(lean.side),
                    arms=arms_of(context.recipe.evaluate.arms, system),
                    seeds=context.recipe.evaluate.seeds,
                    command=f"burnqed iterate run {context.place.folder}",
                    commit=commit(),
                    machine=machine(),
                )
                if before is not None:
                    _share_arms(before, asked)
                await until_stopped(context, evaluate(asked, _site(context, lean, asked)))
                before = asked


def _site(context: Context, lean: OpenLean, asked: Asked) -> Site:
    def parts(config: RunConfig) -> AbstractAsyncContextManager[Parts]:
        return open_parts(config, menu=MenuPolicy(load_menu(config.policy.menu)))

    async def measure(opened_parts: Parts) -> None:
        pairs = pairs_of(context)
        if pairs is None or asked.config.value.kind != "head":
            return
        from burnqed.evaluate.encoder import measure_encoder

        before = read_evaluation(asked.folder, complete=False).encoder
        write_encoder(asked.folder, await measure_encoder(asked.config, opened_parts, [pairs], before))

    return Site(
        lean=lean.side,
        pool=lean.pool,
        gate=lean.gate,
        workers=lean.pool.size,
        parts=parts,
        screen=lambda arm, seed, count: _Screen(context, f"{asked.name}, {arm}, seed {seed}", count),
        on_parts=measure,
    )


def _share_arms(before: Asked, asked: Asked) -> None:
    """The arms without a head are the same for two heads of one model: take over the searches of the other's."""
    for arm in asked.arms:
        made, target = before.folder / arm, asked.folder / arm
        if arm == OWN or arm not in before.arms or target.exists() or not made.exists():
            continue
        part = asked.folder / f".{arm}.part"
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(made, part)
        part.rename(target)


@dataclass
class _Screen:
    """Tells the listener how far the searches are."""

    context: Context
    what: str
    total: int
    done: int = 0
    began_s: float = field(default_factory=time.monotonic)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def emit(self, event: Event) -> None:
        """Nothing is drawn of a single search."""

    def result(self, result: TheoremResult) -> None:
        """One more is done."""
        self.done += 1
        progress = Progress(self.done, self.total, 0, time.monotonic() - self.began_s)
        self.context.listener.show(self.what, progress)
