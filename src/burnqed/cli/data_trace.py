"""`burnqed data trace`."""

from __future__ import annotations

import asyncio
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from burnqed.cli.install_bar import ensure_lean
from burnqed.cli.work_bar import WorkBar
from burnqed.core.errors import BadInput, RunError
from burnqed.data.decontaminate import Decontaminator
from burnqed.data.manifest import FileCard, Manifest
from burnqed.data.rows_reading import guard
from burnqed.data.trace.config import TraceConfig
from burnqed.data.trace.inputs import ProofText, proof_texts, theorem_records
from burnqed.data.trace.journal import Journal
from burnqed.data.trace.run import FULL, SEED, in_seed, once, seed_account, write_rows
from burnqed.data.trace.run import trace as run_trace
from burnqed.lean.config import LeanConfig
from burnqed.lean.embedded.install import EmbeddedLean
from burnqed.lean.embedded.programs import COMPLETE
from burnqed.lean.embedded.server import spawner
from burnqed.lean.pool import WorkerPool

_DEFAULT = TraceConfig()


def trace(
    what: Annotated[
        list[Path],
        typer.Argument(
            metavar="WHAT…", help="Theorem records with proofs (.jsonl), Lean files, folders of them, folders of runs."
        ),
    ],
    out: Annotated[Path, typer.Option(help="The folder of the rows.")] = Path("data/traced"),
    share: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the theorems that are traced first, as a set of their own.")
    ] = _DEFAULT.share,
    seed_only: Annotated[bool, typer.Option("--seed-only", help="Stop when that share is done.")] = False,
    records: Annotated[
        Path | None,
        typer.Option(help="Theorem records whose source, origin and part a run's proofs take over, by name."),
    ] = None,
    benchmarks: Annotated[
        list[Path] | None,
        typer.Option("--benchmarks", help="Files of benchmarks, of which no proof may get into the rows."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Apply every tactic again, and leave out what gives other goals.")
    ] = False,
    workers: Annotated[
        int, typer.Option(min=0, help="Lean processes at once; 0 = ¾ of the cores, as memory allows.")
    ] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the work in --out.")] = False,
) -> None:
    """Trace proofs into tactics with the states before and after them, as Lean's own elaborator sees them.

    A share of the theorems comes first and makes sft_train_seed.jsonl, all of them make sft_train_full.jsonl. A theorem
    that does not compile, rests on sorry, or hangs Lean is counted in the manifest, and the others go on.

    Examples:
      burnqed data trace runs/core --records data/harvest/tasks.jsonl --benchmarks minif2f.jsonl

      burnqed data trace proofs.jsonl MyProofs/ --share 0.2 --check

    """
    journal_file = out / "journal.jsonl"
    if journal_file.exists() and not resume:
        raise BadInput(f"{out} holds traced theorems already; add --resume to go on with them, or choose another --out")
    if resume and not journal_file.exists():
        raise BadInput(f"{out} holds nothing to resume; leave --resume out to start")
    reading = Manifest(
        step="trace",
        command=f"burnqed {shlex.join(sys.argv[1:])}",
        inputs=[FileCard.of(path) for path in (*what, *([records] if records else [])) if path.is_file()],
    )
    known = theorem_records(records) if records is not None else {}
    watch = guard(benchmarks, reading) if benchmarks else None
    proofs = once(list(proof_texts(what, reading, records=known)), reading)
    if not proofs:
        raise BadInput(f"there is no proof to trace in {', '.join(map(str, what))}: {reading.told()}")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"the folder {out} cannot be made: {error.strerror or error}") from error
    config = TraceConfig(share=share, check=check)
    lean = ensure_lean(programs=[COMPLETE])
    asyncio.run(_run(lean, out, proofs, reading, config, workers, seed_only=seed_only, watch=watch))


async def _run(
    lean: EmbeddedLean,
    out: Path,
    proofs: Sequence[ProofText],
    reading: Manifest,
    config: TraceConfig,
    workers: int,
    *,
    seed_only: bool,
    watch: Decontaminator | None,
) -> None:
    limits = LeanConfig(workers=workers)
    spawn = spawner(lean, limits, program=COMPLETE)
    journal = Journal(out)
    seed = [p for p in proofs if in_seed(p, config.share)]
    parts = [(SEED, seed)] + ([] if seed_only else [(FULL, proofs)])
    async with WorkerPool(spawn, limits) as pool:
        for name, part in parts:
            with WorkBar(name) as bar:
                await run_trace(pool, limits, journal, part, config, version=lean.lean_version, on_progress=bar.show)
            manifest = seed_account(reading, part) if name == SEED else reading
            write_rows(out, name, journal, part, config, manifest, guard=watch)
            cards = ", ".join(f"{card.path} {card.rows:,} rows" for card in manifest.outputs)
            print(f"{out}: {cards}")
            print(manifest.told(), file=sys.stderr)
