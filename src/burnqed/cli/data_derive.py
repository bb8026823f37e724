"""`burnqed data derive`."""

from __future__ import annotations

import asyncio
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from burnqed.cli.install_bar import ensure_lean
from burnqed.cli.work_bar import WorkBar, duration
from burnqed.core.errors import BadInput
from burnqed.data.derive.config import DeriveConfig
from burnqed.data.derive.journal import THEOREMS, Journal
from burnqed.data.derive.premises import library_premises
from burnqed.data.derive.run import derive as run_derive
from burnqed.data.derive.tasks import chosen, read_tasks
from burnqed.data.lean_ask import leased
from burnqed.data.manifest import FileCard, Manifest
from burnqed.data.records import TheoremRecord
from burnqed.lean.config import LeanConfig
from burnqed.lean.embedded.install import EmbeddedLean
from burnqed.lean.embedded.programs import COMPLETE
from burnqed.lean.embedded.server import spawner
from burnqed.lean.pool import WorkerPool

_DEFAULT = DeriveConfig()
_TRAINED_ON = frozenset(("train", "valid"))


def derive(
    tasks: Annotated[Path, typer.Argument(metavar="TASKS", help="tasks.jsonl of `burnqed data harvest`.")],
    out: Annotated[Path, typer.Option(help="The folder of the proofs.")] = Path("data/derived"),
    splits: Annotated[
        str, typer.Option(help="Parts of the harvest, with commas; what is held out measures, and is refused.")
    ] = "train,valid",
    limit: Annotated[int | None, typer.Option(min=1, help="Try so many tasks at most, drawn at random.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Which ones.")] = _DEFAULT.seed,
    premises: Annotated[
        int, typer.Option(min=0, help="Theorems of the library to try for each: its namesakes, then the most alike.")
    ] = _DEFAULT.premises,
    heartbeats: Annotated[
        int, typer.Option(min=1, help="Lean's limit for one script, in thousands of small allocations.")
    ] = _DEFAULT.max_heartbeats,
    workers: Annotated[
        int, typer.Option(min=0, help="Lean processes at once; 0 = ¾ of the cores, as memory allows.")
    ] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the work in --out.")] = False,
) -> None:
    """Prove harvested tasks with short scripts that name theorems which their imports already have.

    The theorems to name are found by likeness of statements and by names. theorems.jsonl has the proofs, which
    `burnqed data trace` takes apart; names.jsonl what the library calls each statement, for the task `next-lemma` of
    `burnqed data rows`.

    Examples:
      burnqed data derive data/harvest/tasks.jsonl --limit 500

      burnqed data trace data/derived/theorems.jsonl --check --out data/derived_steps

    """
    parts = {s.strip() for s in splits.split(",") if s.strip()}
    if not parts or not parts <= _TRAINED_ON:
        raise BadInput(f"--splits {splits}: name train, valid or both; what is held out is not to be trained on")
    config = DeriveConfig(premises=premises, max_heartbeats=heartbeats, limit=limit, seed=seed)
    manifest = Manifest(step="derive", command=f"burnqed {shlex.join(sys.argv[1:])}")
    library = read_tasks(tasks, manifest)
    todo = chosen(library, parts, config, manifest)
    if not todo:
        raise BadInput(f"{tasks} has no task of the parts {splits}; `burnqed data harvest` makes such a file")
    manifest.inputs = [FileCard.of(tasks)]
    lean = ensure_lean(programs=[COMPLETE])
    manifest.settings = {
        "lean": lean.lean_version,
        "splits": ",".join(sorted(parts)),
        **config.model_dump(mode="json"),
    }
    journal = Journal.open(out, manifest.settings, resume=resume)
    began_s = time.monotonic()
    asyncio.run(_run(lean, journal, todo, library, config, workers))
    journal.finish(todo, manifest)
    print(
        f"{out / THEOREMS}: {manifest.rows_out:,} of {len(todo):,} tasks proved, in {duration(time.monotonic() - began_s)}"
    )
    print(manifest.told(), file=sys.stderr)


async def _run(
    lean: EmbeddedLean,
    journal: Journal,
    tasks: Sequence[TheoremRecord],
    library: Sequence[TheoremRecord],
    config: DeriveConfig,
    workers: int,
) -> None:
    limits = LeanConfig(workers=workers, max_heartbeats=config.max_heartbeats)
    async with WorkerPool(spawner(lean, limits, program=COMPLETE), limits) as pool:
        with WorkBar("tasks") as bar:
            async with leased(pool, limits) as ask:
                known = await library_premises(ask, library)
            await run_derive(pool, pool.size, journal, tasks, known, config, on_progress=bar.show)
