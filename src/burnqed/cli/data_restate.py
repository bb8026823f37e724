"""`burnqed data restate`."""

from __future__ import annotations

import asyncio
import shlex
import sys
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress

from burnqed.cli.install_bar import ensure_lean
from burnqed.core.errors import BadInput
from burnqed.data.intake import take_in
from burnqed.data.manifest import FileCard, Manifest
from burnqed.data.records import TheoremRecord
from burnqed.data.restate.checking import KINDS, RestatedRow, restate_all
from burnqed.data.sources.any_file import source_of
from burnqed.data.sources.registry import source_named
from burnqed.lean.config import LeanConfig
from burnqed.lean.embedded.package import PINS
from burnqed.lean.embedded.server import spawner
from burnqed.lean.pool import WorkerPool
from burnqed.trajectory.files import whole_file

RESTATED = Path("data/restated")
"""Where restated benchmarks are, a folder each."""
STATEMENT_TIMEOUT_S = 30.0
"""The restated miniF2F problems that elaborate at all do so within a second or two."""


def restate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A benchmark file of any published schema.")],
    out: Annotated[
        Path | None, typer.Option(help="The folder to write to; data/restated/<name of FILE> if not given.")
    ] = None,
    kind: Annotated[
        Literal["core", "field", "all"],
        typer.Option(help="core: over ℕ, ℤ, ℚ alone. field: what speaks of ℝ or ℂ, said of any such field."),
    ] = "all",
    unfold: Annotated[
        bool,
        typer.Option("--unfold", help="Write Mathlib's definitions out: parity, congruences, sums, sets, primes, …"),
    ] = False,
    as_set: Annotated[str, typer.Option("--as", help="Read the file as this set's, whatever it looks like.")] = "",
) -> None:
    """Restate a benchmark's problems so that core Lean can take them, without Mathlib; each is elaborated before it is kept.

    Writes core.jsonl and field.jsonl for `burnqed prove`, each row with its original, what was changed and what to keep in
    mind, and manifest.json with a reason for every problem that is in neither.

    Examples:
      burnqed data restate minif2f.jsonl

      burnqed data restate minif2f.jsonl --kind core --unfold --out problems

    """
    if not file.exists():
        raise BadInput(f"{file}: no such file")
    source = source_named(as_set) if as_set else source_of(file)
    folder = out or RESTATED / file.stem
    manifest = Manifest(
        step="restate",
        command=f"burnqed {shlex.join(sys.argv[1:])}",
        inputs=[FileCard.of(file)] if file.is_file() else [],
        settings={"kind": kind, "unfold": unfold, "set": source.name, "lean": PINS.lean_version},
    )
    records = [r for r in take_in(source.load(file), source, manifest) if isinstance(r, TheoremRecord)]
    if not records:
        raise BadInput(f"{file}: no statement in it can be read; {manifest.told()}")
    manifest.rows_out = 0  # what was taken in is not yet what comes out
    rows = asyncio.run(_restated(records, kind, unfold, manifest))
    folder.mkdir(parents=True, exist_ok=True)
    for one in KINDS:
        if kind in (one, "all"):
            _write(folder / f"{one}.jsonl", [r for r in rows if r.kind == one], manifest)
    manifest.write(folder)
    print(f"{folder}: {manifest.told()}")


async def _restated(records: list[TheoremRecord], kind: str, unfold: bool, manifest: Manifest) -> list[RestatedRow]:
    config = LeanConfig(workers=1, statement_timeout_s=STATEMENT_TIMEOUT_S)
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("elaborating", total=len(records))
        async with WorkerPool(spawner(ensure_lean(), config), config) as pool, pool.lease() as session:
            return await restate_all(
                records,
                session,
                lean=PINS.lean_version,
                unfold=unfold,
                manifest=manifest,
                kinds=tuple(k for k in KINDS if kind in (k, "all")),
                on_done=lambda: bar.advance(task),
            )


def _write(path: Path, rows: list[RestatedRow], manifest: Manifest) -> None:
    with whole_file(path) as part:
        part.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
    manifest.outputs.append(FileCard.of(path, rows=len(rows)))
