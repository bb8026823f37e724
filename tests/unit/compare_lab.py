"""Evaluations on disk whose outcomes are given, for the tests of the comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from burnqed.evaluate.record import (
    NO_VALUE,
    OWN,
    Benchmark,
    Budget,
    EncoderFigures,
    EvalSpec,
    Evaluation,
    Item,
    System,
    read_evaluation,
    revision_of,
    run_path,
    write_encoder,
    write_spec,
)
from burnqed.run.folder import RunFolder
from burnqed.run.result import TheoremResult

FIGURES = {
    "probe.centroid_l2": 5.5,
    "probe.linear_probe": 0.8,
    "probe.trivial_probe": 0.6,
    "ebm.rank_1": 0.5,
    "ebm.groups": 400.0,
    "ebm.chance": 0.25,
    "ebm.depth_4_plus.rank_1": 0.36,
    "ebm.depth_4_plus.groups": 100.0,
    "ebm.depth_4_plus.chance": 0.25,
    "trivial.length.rank_1": 0.3,
    "trivial.length.depth_4_plus.rank_1": 0.28,
    "trivial.goals.depth_4_plus.rank_1": 0.26,
}


def spec(name: str = "A", *, theorems: int = 16, digests: Mapping[str, str] | None = None, **changes: Any) -> EvalSpec:
    """What an evaluation of theorems t0, t1, … was about; ``changes`` are fields of it, ``digests`` statements that differ."""
    items = tuple(Item(f"t{i}", (digests or {}).get(f"t{i}", f"digest {i}")) for i in range(theorems))
    fields: dict[str, Any] = {
        "name": name,
        "benchmark": Benchmark(
            name="toy", path="toy.jsonl", sha256="ab" * 32, split="valid", revision=revision_of(items), theorems=items
        ),
        "system": System(
            policy=f"model of {name}",
            value="head",
            prompt_format="markers",
            models={"policy": {"model": f"hash of {name}"}, "head": f"head of {name}"},
            config={"search": {"strategy": "best-first"}, "policy": {"kind": "model", "model": f"models/{name}"}},
        ),
        "budget": Budget(nodes=100, seconds=60.0, tactics=500),
        "seeds": (0,),
        "arms": (OWN, NO_VALUE),
        "lean": "4.28.0, embedded",
        "burnqed": "0.1.0",
        "commit": "abc123",
        "machine": "a machine",
    }
    return EvalSpec(**{**fields, **changes})


def write(
    folder: Path,
    about: EvalSpec,
    proved: Mapping[str, Sequence[Sequence[int]]] | None = None,
    *,
    cost: int = 10,
    figures: Mapping[str, float] | None = None,
    leave_out: int = 0,
) -> Path:
    """Write an evaluation. ``proved[arm][seed]`` are the numbers of the theorems that were proved, every other one was not.

    A proof of theorem i cost ``cost`` + i tactics; ``leave_out`` searches at the end of each run are missing.
    """
    write_spec(folder, about)
    for arm in about.arms:
        for at, seed in enumerate(about.seeds):
            hits = set(((proved or {}).get(arm) or [[]] * len(about.seeds))[at])
            run = RunFolder.create(run_path(folder, arm, seed), {})
            items = about.benchmark.theorems
            lines = [_result(item, i, i in hits, cost) for i, item in enumerate(items[: len(items) - leave_out])]
            (run.path / "results.jsonl").write_text("".join(f"{line.line()}\n" for line in lines))
    if figures is not None:
        write_encoder(
            folder,
            EncoderFigures(pairs="pairs.jsonl", pairs_sha256="cd" * 32, encoder="encoder", figures=dict(figures)),
        )
    return folder


def read(folder: Path, about: EvalSpec, proved: Mapping[str, Sequence[Sequence[int]]], **more: Any) -> Evaluation:
    """Write an evaluation and read it back."""
    return read_evaluation(write(folder, about, proved, **more))


def changed(about: EvalSpec, **changes: Any) -> EvalSpec:
    """The same with other fields, those of the system among them as ``system_…``."""
    of_system = {k.removeprefix("system_"): v for k, v in changes.items() if k.startswith("system_")}
    rest = {k: v for k, v in changes.items() if not k.startswith("system_")}
    return msgspec.structs.replace(about, system=msgspec.structs.replace(about.system, **of_system), **rest)


def _result(item: Item, i: int, proved: bool, cost: int) -> TheoremResult:
    return TheoremResult(
        name=item.name,
        digest=item.digest,
        status="proved" if proved else "not_proved",
        proof="by decide" if proved else None,
        nodes=cost + i,
        tactics=2 * (cost + i) if proved else 500,
        seconds=(cost + i) / 10,
        ended="proved" if proved else "budget",
    )
