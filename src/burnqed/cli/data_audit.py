"""`burnqed data audit`."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from burnqed.cli.data_fetch import RAW
from burnqed.cli.install_bar import ensure_lean
from burnqed.core.errors import BadInput
from burnqed.data.audit import Auditor, Elaborated, Report
from burnqed.data.audit import apply as with_renames
from burnqed.data.elaborate import elaborate
from burnqed.data.fetch import TACTICS, THEOREMS
from burnqed.data.intake import take_in
from burnqed.data.manifest import FileCard, Manifest
from burnqed.data.records import Record, TheoremRecord, line
from burnqed.data.sources.any_file import source_of
from burnqed.data.sources.registry import SOURCES, source_named
from burnqed.data.sources.source import Source
from burnqed.lean.config import LeanConfig
from burnqed.lean.embedded.package import PINS
from burnqed.lean.embedded.programs import COMPLETE
from burnqed.lean.embedded.server import spawner
from burnqed.trajectory.files import whole_file


def audit(
    what: Annotated[
        str,
        typer.Argument(
            metavar="WHAT", help="A set that was fetched, a file of a set, a .lean file, or a folder of them."
        ),
    ],
    as_set: Annotated[str, typer.Option("--as", help="Read the file as this set's, whatever it looks like.")] = "",
    lean: Annotated[bool, typer.Option("--lean", help="Also elaborate a sample with the embedded Lean.")] = False,
    sample: Annotated[int, typer.Option(min=1, help="How many theorems to elaborate.")] = 50,
    seed: Annotated[int, typer.Option(min=0, help="Which ones.")] = 0,
    apply: Annotated[
        Path | None, typer.Option(help="Write the records with every sure new form in place into this .jsonl file.")
    ] = None,
    raw: Annotated[Path, typer.Option(help="Where fetched sets are.")] = RAW,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Say for which Lean a set was made, and what of it the installed Lean does not take: imports, names, notation.

    Exit status: 0 nothing stands against it, 1 something does, 2 bad input.

    Examples:
      burnqed data audit goedel-workbook-proofs

      burnqed data audit proofs.jsonl --lean --apply renamed.jsonl

    """
    inputs, source = _inputs(what, as_set, raw)
    manifest = Manifest(
        step="audit",
        command=f"burnqed {shlex.join(sys.argv[1:])}",
        inputs=[FileCard.of(path) for path in inputs if path.is_file()],
    )
    auditor = Auditor(source.name or what, installed=PINS.lean_version, sample_size=sample if lean else 0, seed=seed)
    loaded = (entry for path in inputs for entry in source.load(path))
    records = take_in(loaded, source, manifest)
    if apply is not None:
        _write_renamed(records, apply, auditor, manifest)
    else:
        for record in records:
            auditor.see(record)
    if not auditor.rows:
        raise BadInput(f"{what}: no row of it is usable; {manifest.told()}")
    report = auditor.report(asyncio.run(_elaborated(auditor.sample)) if lean and auditor.sample else None)
    if as_json:
        print(msgspec.json.encode({**msgspec.to_builtins(report), "dropped": manifest.dropped}).decode())
    else:
        _show(report, manifest)
    raise typer.Exit(0 if report.fine else 1)


def _inputs(what: str, as_set: str, raw: Path) -> tuple[list[Path], Source]:
    """The files to read, and how. Raises BadInput."""
    path = Path(what)
    if path.exists() and not (what in SOURCES and not as_set):
        records = [p for p in (path / THEOREMS, path / TACTICS) if p.is_file()] if path.is_dir() else []
        if records:
            return records, source_of(records[0])
        return [path], source_named(as_set) if as_set else source_of(path)
    if what in SOURCES:
        records = [p for p in (raw / what / THEOREMS, raw / what / TACTICS) if p.is_file()]
        if not records:
            raise BadInput(f"{raw / what} holds no records; `burnqed data fetch {what}` makes them")
        return records, source_of(records[0])
    if "/" in what or "." in what:
        raise BadInput(f"{what}: no such file")
    return [], source_named(what)


def _write_renamed(records: Iterator[Record], target: Path, auditor: Auditor, manifest: Manifest) -> None:
    """Write the records as :func:`with_renames` leaves them, and a manifest beside them that counts what was changed."""
    if target.suffix != ".jsonl":
        raise BadInput(f"--apply {target}: give a file that ends in .jsonl")
    with contextlib.ExitStack() as stack:
        part = stack.enter_context(whole_file(target))
        out = stack.enter_context(part.open("wb"))
        for record in records:
            auditor.see(record)
            new, done = with_renames(record)
            for change in done:
                name = record.name if isinstance(record, TheoremRecord) else record.theorem
                manifest.note(f"{change.old} → {change.new}", name)
            out.write(line(new))
    manifest.outputs.append(FileCard.of(target, rows=manifest.rows_out))
    manifest.write(target.parent, f"{target.stem}.manifest.json")


async def _elaborated(theorems: list[TheoremRecord]) -> Elaborated:
    console = Console(stderr=True)
    spawn = spawner(ensure_lean(programs=[COMPLETE]), LeanConfig(), program=COMPLETE)
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("elaborating", total=len(theorems))
        return await elaborate(spawn, theorems, on_done=lambda: bar.advance(task))


def _show(report: Report, manifest: Manifest) -> None:
    console = Console()
    print(f"{report.name}: {manifest.told()}")
    for sentence in report.sentences:
        print(f"{sentence[0].upper()}{sentence[1:]}.")
    if report.findings:
        table = Table(box=None, pad_edge=False)
        for title in ("old", "now", "since", "rows", "uses", "sure"):
            table.add_column(title, overflow="fold", justify="left" if title in ("old", "now", "since") else "right")
        for f in report.findings:
            numbers = (f"{f.rows:,}", f"{f.uses:,}", f"{f.sure:,}")
            table.add_row(escape(f.old), escape(f.new), f.since or "?", *numbers)
        console.print(table)
    for reasons in manifest.dropped.values():
        for reason, count in reasons.items():
            print(f"dropped, {reason}: {count.count:,} ({count.examples[0] if count.examples else 'no example'})")
