"""`burnqed data harvest`."""

from __future__ import annotations

import asyncio
import shlex
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from burnqed.cli.install_bar import ensure_lean
from burnqed.cli.work_bar import WorkBar, duration
from burnqed.core.errors import BadInput
from burnqed.data.harvest.config import HarvestConfig
from burnqed.data.harvest.folder import TASKS, HarvestFolder
from burnqed.data.harvest.run import harvest as run_harvest
from burnqed.data.manifest import Manifest
from burnqed.lean.config import LeanConfig
from burnqed.lean.embedded.install import EmbeddedLean
from burnqed.lean.embedded.programs import COMPLETE
from burnqed.lean.embedded.server import spawner
from burnqed.lean.pool import WorkerPool

_DEFAULT = HarvestConfig()


def harvest(
    out: Annotated[Path, typer.Option(help="The folder of the harvest.")] = Path("data/harvest"),
    roots: Annotated[
        str, typer.Option(help="Modules of the library, with all below them, separated by commas.")
    ] = ",".join(_DEFAULT.roots),
    limit: Annotated[int | None, typer.Option(min=1, help="Try so many theorems at most, drawn at random.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Which ones.")] = _DEFAULT.seed,
    held_out: Annotated[
        float, typer.Option(help="Share of the modules none of whose theorems is trained on.")
    ] = _DEFAULT.held_out,
    valid: Annotated[
        float, typer.Option(help="Share of the other modules' theorems that are for validation.")
    ] = _DEFAULT.valid,
    workers: Annotated[
        int, typer.Option(min=0, help="Lean processes at once; 0 = ¾ of the cores, as memory allows.")
    ] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the harvest in --out.")] = False,
) -> None:
    """Make proving tasks of the theorems of Lean's own library.

    Each is stated where its module begins: on what the module imports and nothing else, so neither the theorem itself nor
    anything that was proved with it can be used. Nothing is fetched. The tasks are in tasks.jsonl, the account of
    every theorem of the library in manifest.json.

    Examples:
      burnqed data harvest

      burnqed data harvest --roots Init.Data.Nat,Init.Data.List --limit 500 --out data/small

      burnqed prove data/harvest/tasks.jsonl --seconds 10

    """
    try:
        config = HarvestConfig(
            roots=tuple(r.strip() for r in roots.split(",") if r.strip()),
            limit=limit,
            seed=seed,
            held_out=held_out,
            valid=valid,
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise BadInput(f"--{str(first['loc'][0]).replace('_', '-')}: {first['msg']}") from None
    lean = ensure_lean(programs=[COMPLETE])
    settings = {"lean": lean.lean_version, **config.model_dump(mode="json")}
    folder = HarvestFolder.open(out, settings, resume=resume)
    began_s = time.monotonic()
    manifest = asyncio.run(_run(lean, folder, config, workers))
    tried = manifest.rows_out + sum(c.count for c in manifest.dropped.get("statement", {}).values())
    print(
        f"{out / TASKS}: {manifest.rows_out:,} tasks from {tried:,} theorems, in {duration(time.monotonic() - began_s)}"
    )
    print(manifest.told(), file=sys.stderr)


async def _run(lean: EmbeddedLean, folder: HarvestFolder, config: HarvestConfig, workers: int) -> Manifest:
    limits = LeanConfig(workers=workers)
    spawn = spawner(lean, limits, program=COMPLETE)
    async with WorkerPool(spawn, limits) as pool:
        with WorkBar("theorems") as bar:
            modules, wanted = await run_harvest(pool, limits, folder, config, on_progress=bar.show)
    command = f"burnqed {shlex.join(sys.argv[1:])}"
    return folder.finish(modules, wanted, config, lean=lean.lean_version, command=command)
