"""`burnqed eval`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from burnqed.assemble.effective import effective_config
from burnqed.assemble.lean_side import LeanSide, open_lean
from burnqed.assemble.native_side import NativeSide
from burnqed.assemble.parts import Parts, open_parts
from burnqed.cli.install_bar import ensure_lean
from burnqed.cli.screen import ProveScreen
from burnqed.cli.search_options import (
    Assignments,
    ConfigFile,
    Menu,
    MixMenu,
    Nodes,
    Pantograph,
    Policy,
    Project,
    PromptFormat,
    Samples,
    Seconds,
    Strategy,
    Value,
    Workers,
    search_flags,
)
from burnqed.cli.stopping import cancelled_by_ctrl_c
from burnqed.core.errors import BadInput
from burnqed.data.manifest import Manifest
from burnqed.data.records import TheoremRecord
from burnqed.data.restate.checking import RestatedRow, restate_all
from burnqed.data.restate.statement import Kind
from burnqed.evaluate.benchmarks import Restating, load_benchmark, require_reachable
from burnqed.evaluate.encoder import check_measurable, held_out_groups, measure_encoder
from burnqed.evaluate.eval_report import ENDINGS, HTML, arm_told, share_told, write_reports
from burnqed.evaluate.provenance import commit, machine
from burnqed.evaluate.record import OWN, Evaluation, read_evaluation, write_encoder
from burnqed.evaluate.run import Asked, Shard, Site, arms_of, evaluate
from burnqed.evaluate.summary import Summary
from burnqed.evaluate.systems import PRESETS, Preset, lean_told, preset_settings
from burnqed.lean.config import LeanConfig, native_lean_config
from burnqed.lean.embedded.install import EmbeddedLean
from burnqed.lean.embedded.programs import PROVER
from burnqed.lean.embedded.server import spawner
from burnqed.lean.pool import WorkerPool
from burnqed.policy.menu import MenuPolicy
from burnqed.policy.menu_rules import load_menu
from burnqed.run.prove import EMBEDDED_ROOTS

_STATEMENT_TIMEOUT_S = 30.0
"""As in `burnqed data restate`, so that both take the same problems."""
_MOST_ERRORS = 10
_ABOUT_PRESETS = "; ".join(f"{name}: {what}" for name, what in PRESETS.items())


def evaluation(
    what: Annotated[
        str,
        typer.Argument(
            metavar="[WHAT]",
            help="A benchmark: a file or folder of any schema that burnqed reads, or the name of a fetched set.",
        ),
    ] = "",
    out: Annotated[
        Path | None, typer.Option(help="The evaluation's folder; the same command goes on with what is in it.")
    ] = None,
    split: Annotated[str, typer.Option(help="Which part: valid, test, …, or all.", show_default="the only one")] = "",
    kind: Annotated[
        Literal["core", "field"] | None,
        typer.Option(help="Restate Mathlib's problems for the embedded Lean first: over ℕ, ℤ, ℚ, or over any field."),
    ] = None,
    unfold: Annotated[bool, typer.Option("--unfold", help="With --kind: write Mathlib's definitions out.")] = False,
    limit: Annotated[int, typer.Option(min=0, help="Draw so many theorems, with the seed --limit-seed; 0 = all.")] = 0,
    limit_seed: Annotated[int, typer.Option(min=0, help="Seed of that sample.")] = 0,
    skip_unreadable: Annotated[
        bool, typer.Option("--skip-unreadable", help="Leave rows out that are no theorem; the report names them.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="The first seed.")] = 0,
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds, counted up from --seed.")] = 1,
    arms: Annotated[
        str,
        typer.Option(help="Values to search with: own (the system's), none (the policy alone), size, goals, length."),
    ] = OWN,
    seconds: Seconds = None,
    nodes: Nodes = None,
    tactics: Annotated[
        int | None, typer.Option(min=0, help="Tactics to try for each theorem; 0 = no limit.", show_default="0")
    ] = None,
    tokens: Annotated[
        int | None, typer.Option(min=0, help="Tokens of proposed tactics; 0 = no limit.", show_default="0")
    ] = None,
    workers: Workers = None,
    policy: Policy = None,
    prompt_format: PromptFormat = None,
    samples: Samples = None,
    mix_menu: MixMenu = None,
    value: Value = None,
    strategy: Strategy = None,
    menu: Menu = None,
    config_file: ConfigFile = None,
    assignments: Assignments = None,
    preset: Annotated[Preset | None, typer.Option(help=f"{_ABOUT_PRESETS}.")] = None,
    iterations: Annotated[Path | None, typer.Option(help="With --preset: the folder with iter_0, iter_1, …")] = None,
    earlier: Annotated[int, typer.Option(min=0, help="With --preset: the earlier iteration.")] = 0,
    later: Annotated[int, typer.Option(min=0, help="With --preset: the later iteration.")] = 1,
    pairs: Annotated[
        list[Path] | None, typer.Option(help="Held-out pairs of `burnqed data pairs`: measure encoder and head too.")
    ] = None,
    shard: Annotated[str, typer.Option(metavar="I/N", help="Do every N-th theorem only; for N processes.")] = "1/1",
    name: Annotated[str, typer.Option(help="What reports call the system.", show_default="the folder's name")] = "",
    project: Project = None,
    pantograph: Pantograph = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Only make the report of this evaluation again.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as one JSON object.")] = False,
) -> None:
    """Evaluate a system: which share of a benchmark it proves within a budget, with what certainty, at what cost.

    Only proofs that an independent Lean process has accepted count. Every theorem that ended is kept: the same command goes on
    where it was stopped, and more seeds or arms may be asked for. Writes eval.json, summary.json, report.html and report.md.

    Exit status: 0 all that was asked is searched, 1 some is not, 2 bad input, 130 after Ctrl-C.

    Examples:
      burnqed eval examples/core.jsonl --seconds 20 --out runs/eval_menu

      burnqed eval minif2f.jsonl --split valid --kind core --unfold --out runs/eval_core

      burnqed eval minif2f-v2s --split valid --project ~/my_mathlib --policy models/mine --value models/mine/head
      --arms own,none,size --seeds 3 --out runs/eval_mine

      burnqed eval core.jsonl --preset B --iterations runs/iterate --pairs data/pairs --out runs/eval_b

      burnqed eval --report runs/eval_mine

    """
    if report is not None:
        _tell(*write_reports(report), as_json=as_json)
        return
    if not what or out is None:
        raise BadInput(
            "give a benchmark and --out FOLDER, such as `burnqed eval examples/core.jsonl --out runs/eval_menu`, "
            "or --report FOLDER for the report of an evaluation"
        )
    if (preset is None) != (iterations is None):
        raise BadInput("--preset and --iterations belong together: which system, and the folder with iter_0, iter_1, …")
    if preset is not None and (policy or value):
        raise BadInput("--preset says who the policy and the value are; leave --policy and --value out")
    if unfold and kind is None:
        raise BadInput("--unfold belongs to --kind core or --kind field")
    flags = search_flags(
        seconds=seconds,
        nodes=nodes,
        workers=workers,
        policy=policy,
        prompt_format=prompt_format,
        samples=samples,
        mix_menu=mix_menu,
        value=value,
        strategy=strategy,
        menu=menu,
        search__seed=seed,
        search__max_tactics=tactics,
        search__max_tokens=tokens,
    )
    if preset is not None and iterations is not None:
        flags |= preset_settings(preset, iterations, earlier=earlier, later=later)
    effective = effective_config(
        file=config_file, environment=os.environ, flags=flags, assignments=assignments or (), policy=policy
    )
    config = effective.config
    if effective.notice:
        print(f"burnqed: {effective.notice}", file=sys.stderr)
    chosen = arms_of([arm.strip() for arm in arms.split(",") if arm.strip()], config)
    part = Shard.parse(shard)
    if pairs:
        check_measurable(config)
        held_out_groups(pairs)
    native = NativeSide.found(project, pantograph) if project or pantograph else None
    if native is not None and kind is not None:
        raise BadInput("--kind restates problems for the embedded Lean; leave it out with --project")
    if native is not None:
        config = config.model_copy(update={"lean": native_lean_config(config.lean.workers)})
    benchmark, theorems = load_benchmark(
        what,
        split=split,
        restated=_restating(kind, unfold, ensure_lean(programs=[PROVER])) if kind else None,
        limit=limit,
        seed=limit_seed,
        skip_unreadable=skip_unreadable,
        adapt=native.with_imports if native else list,
    )
    require_reachable(benchmark, theorems, None if native else EMBEDDED_ROOTS)
    lean: LeanSide = native or ensure_lean(programs=[PROVER])
    asked = Asked(
        folder=out,
        name=name or out.name,
        benchmark=benchmark,
        theorems=theorems,
        config=config,
        lean=lean_told(lean),
        arms=chosen,
        seeds=tuple(range(seed, seed + seeds)),
        shard=part,
        command=f"burnqed {shlex.join(sys.argv[1:])}",
        commit=commit(),
        machine=machine(),
    )
    stopped = asyncio.run(_evaluate(asked, lean, pairs or (), quiet=as_json))
    found, summary = write_reports(out)
    _tell(found, summary, as_json=as_json)
    if stopped:
        print(
            f"burnqed: stopped, {summary.missing:,} searches are to be done; the same command goes on", file=sys.stderr
        )
        raise typer.Exit(130)
    raise typer.Exit(1 if summary.missing else 0)


async def _evaluate(asked: Asked, lean: LeanSide, pairs: Sequence[Path], *, quiet: bool) -> bool:
    """Whether it was stopped before its end."""
    rules = load_menu(asked.config.policy.menu)

    async def on_parts(parts: Parts) -> None:
        before = read_evaluation(asked.folder, complete=False).encoder
        write_encoder(asked.folder, await measure_encoder(asked.config, parts, pairs, before))

    def screen(arm: str, seed: int, total: int) -> ProveScreen:
        return ProveScreen(total, enabled=not quiet and sys.stderr.isatty(), what=f"{arm}, seed {seed}")

    async with open_lean(lean, asked.config.lean, entries=asked.theorems) as (pool, gate):
        site = Site(
            lean=lean,
            pool=pool,
            gate=gate,
            parts=lambda config: open_parts(config, menu=MenuPolicy(rules)),
            screen=screen,
            workers=pool.size,
            on_parts=on_parts if pairs else None,
        )
        task = asyncio.ensure_future(evaluate(asked, site))
        with cancelled_by_ctrl_c(task), contextlib.suppress(asyncio.CancelledError):
            await task
    return task.cancelled()


def _restating(kind: Kind, unfold: bool, lean: EmbeddedLean) -> Restating:
    """Restate with one Lean process of its own."""

    def do(records: Sequence[TheoremRecord], manifest: Manifest) -> list[RestatedRow]:
        return asyncio.run(work(records, manifest))

    async def work(records: Sequence[TheoremRecord], manifest: Manifest) -> list[RestatedRow]:
        limits = LeanConfig(workers=1, statement_timeout_s=_STATEMENT_TIMEOUT_S)
        console = Console(stderr=True)
        with Progress(console=console, disable=not console.is_terminal) as bar:
            task = bar.add_task("restating", total=len(records))
            async with WorkerPool(spawner(lean, limits), limits) as pool, pool.lease() as session:
                return await restate_all(
                    records,
                    session,
                    lean=lean.lean_version,
                    unfold=unfold,
                    manifest=manifest,
                    kinds=(kind,),
                    on_done=lambda: bar.advance(task),
                )

    return Restating(kind, unfold, do)


def _tell(found: Evaluation, summary: Summary, *, as_json: bool) -> None:
    if as_json:
        print(summary.written())
        return
    table = Table(box=None, pad_edge=False)
    for title in ("arm", "proved", "share (95 %)", "median s of a proof", "ended otherwise"):
        table.add_column(title, overflow="fold")
    for arm, of in summary.arms.items():
        cost = f"{of.costs['seconds'].median:.1f}" if of.costs else "–"
        ended = ", ".join(f"{count} {ENDINGS.get(kind, kind)}" for kind, count in of.ended.items())
        proved = f"{', '.join(map(str, of.proved))} of {summary.theorems}"
        table.add_row(escape(arm_told(arm, found)), proved, share_told(of), cost, ended)
    console = Console()
    console.print(table, highlight=False)
    if summary.missing:
        console.print(
            f"not complete: {summary.missing:,} of {summary.searches:,} searches are missing and count as not proved above",
            style="yellow",
            highlight=False,
        )
    for failed in summary.failed[:_MOST_ERRORS]:
        console.print(
            f"could not be tried: {' '.join(failed.reason.split())}", style="red", markup=False, highlight=False
        )
    if (more := len(summary.failed) - _MOST_ERRORS) > 0:
        console.print(f"and {more} more, see the report")
    console.print(f"report: {found.path / HTML}", markup=False, highlight=False, soft_wrap=True)
