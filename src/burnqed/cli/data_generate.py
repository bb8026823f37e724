"""`burnqed data generate`."""

from __future__ import annotations

import asyncio
import shlex
import sys
import time
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from burnqed.cli.install_bar import ensure_lean
from burnqed.cli.work_bar import WorkBar, duration
from burnqed.core.errors import BadInput
from burnqed.data.generate.config import GenerateConfig
from burnqed.data.generate.families import FAMILIES
from burnqed.data.generate.folder import GenerateFolder
from burnqed.data.generate.measure import Measure, by_family, measure
from burnqed.data.generate.run import Spent
from burnqed.data.generate.run import generate as run_generate
from burnqed.lean.config import LeanConfig
from burnqed.lean.embedded.install import EmbeddedLean
from burnqed.lean.embedded.server import spawner
from burnqed.lean.pool import WorkerPool

_DEFAULT = GenerateConfig()


def generate(
    out: Annotated[Path, typer.Option(help="The folder of the statements.")] = Path("data/generated"),
    count: Annotated[int, typer.Option(help="So many different statements.")] = _DEFAULT.count,
    seed: Annotated[int, typer.Option(help="Another number gives other statements.")] = _DEFAULT.seed,
    kinds: Annotated[str, typer.Option(help=f"Which of {', '.join(FAMILIES)}.", show_default="all")] = "",
    false_share: Annotated[
        float, typer.Option(help="Share of the statements that are meant to be false.")
    ] = _DEFAULT.false_share,
    workers: Annotated[
        int, typer.Option(min=0, help="Lean processes at once; 0 = ¾ of the cores, as memory allows.")
    ] = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on in --out; --count may be larger than before.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Make new theorems for training, and false statements that look like them, each proved or refuted in Lean.

    They need nothing but Init and Std. The same seed gives the same statements. theorems.jsonl has what is proved with
    its proofs, tactics.jsonl the proofs step by step, refuted.jsonl what is false (a search on it finds states that cannot
    be proved), negations.jsonl the proofs of that.

    Examples:
      burnqed data generate --count 5000

      burnqed data generate --kinds recurrences,divisibility --count 500 --seed 7 --out data/numbers

    """
    try:
        chosen = {"kinds": tuple(k.strip() for k in kinds.split(",") if k.strip())} if kinds else {}
        config = GenerateConfig(count=count, seed=seed, false_share=false_share, **chosen)
    except ValidationError as error:
        first = error.errors()[0]
        raise BadInput(f"--{str(first['loc'][0]).replace('_', '-')}: {first['msg']}") from None
    lean = ensure_lean()
    folder = GenerateFolder.open(out, config, lean=lean.lean_version, resume=resume)
    began_s = time.monotonic()
    spent = asyncio.run(_run(lean, folder, config, workers))
    command = f"burnqed {shlex.join(sys.argv[1:])}"
    manifest = folder.finish(spent.wanted, config, drawn=spent.drawn, lean=lean.lean_version, command=command)
    tried = folder.tried()
    rows = [tried[index] for index in spent.wanted]
    families = by_family(rows)
    if as_json:
        print(msgspec.json.encode({"all": measure(rows), "families": families}).decode())
        return
    _show(f"{len(rows):,} statements in {out}", {**families, "all": measure(rows)}, spent)
    print(f"{manifest.told()}; {duration(time.monotonic() - began_s)}", file=sys.stderr)
    if len(rows) < config.count:
        print(f"these kinds have no more than {len(rows):,} different statements", file=sys.stderr)


def _show(title: str, families: dict[str, Measure], spent: Spent) -> None:
    """A line a family; speed is that of the statements tried in this run, on one process."""
    table = Table(title=title, padding=(0, 1), collapse_padding=True)
    for column in ("family", "proved", "false", "open", "shapes", "proofs", "hard", "steps", "a minute"):
        table.add_column(column, justify="left" if column == "family" else "right", no_wrap=True)
    for name, m in families.items():
        seconds = sum(spent.seconds.values()) if name == "all" else spent.seconds.get(name, 0.0)
        done = sum(spent.tried.values()) if name == "all" else spent.tried[name]
        steps = sum(n * c for n, c in m.steps.items()) / m.proved if m.proved else 0.0
        shown = (m.proved, m.refuted, m.unknown, m.shapes, m.proofs)
        rate = f"{60 * done / seconds:.0f}" if seconds else "-"
        table.add_row(name, *(f"{n:,}" for n in shown), f"{m.hard_share:.0%}", f"{steps:.1f}", rate)
    Console().print(table)


async def _run(lean: EmbeddedLean, folder: GenerateFolder, config: GenerateConfig, workers: int) -> Spent:
    limits = LeanConfig(workers=workers)
    async with WorkerPool(spawner(lean, limits), limits) as pool:
        with WorkBar("statements") as bar:
            return await run_generate(pool, folder, config, on_progress=bar.show)
