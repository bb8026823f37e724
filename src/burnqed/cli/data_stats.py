"""`burnqed data stats`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from burnqed.core.errors import BadInput
from burnqed.data.labels_reading import is_run
from burnqed.data.manifest import NAME, Manifest
from burnqed.data.reading import SUFFIXES
from burnqed.data.report import page
from burnqed.data.rows_reading import guard
from burnqed.data.statistics import Statistics, kind_of, statistics
from burnqed.data.statistics_runs import run_statistics
from burnqed.trajectory.files import write_text


def stats(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH…", help="Files of rows, pairs, tactics or theorems, folders of them, run folders."
        ),
    ],
    html: Annotated[Path | None, typer.Option(help="Write a page with plots and examples here.")] = None,
    tokenizer: Annotated[
        Path | None, typer.Option(help="Count lengths in tokens of the model in this folder; else in bytes.")
    ] = None,
    benchmarks: Annotated[
        list[Path] | None, typer.Option("--benchmarks", help="Look for leaks of these benchmarks.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Which rows are shown as examples.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Show what is in data: sizes, lengths, tactics, depths, label balance, leaks, and what a model will see.

    Exit status: 0, 1 when leaks of benchmarks were found, 2 bad input.

    Examples:
      burnqed data stats data/rows data/pairs --html data.html --benchmarks minif2f.jsonl

      burnqed data stats runs/core data/generated/generated.jsonl --tokenizer models/mine

    """
    measure, unit = (_tokens(tokenizer), "tokens") if tokenizer else (_bytes, "bytes")
    watch = guard(benchmarks, Manifest(step="stats")) if benchmarks else None
    found: list[Statistics] = []
    accounts: dict[str, Manifest] = {}
    for path in _files(paths):
        if is_run(path):
            found.append(run_statistics(path, measure=measure, unit=unit))
        elif path.name == NAME:
            accounts[str(path)] = Manifest.read(path)
        else:
            found.append(statistics(path, measure=measure, unit=unit, guard=watch, seed=seed))
    if not found:
        raise BadInput(f"there is nothing to count in {', '.join(map(str, paths))}")
    if html is not None:
        write_text(html, page(found, accounts, title="What is in the data"))
    if as_json:
        print(msgspec.json.encode(found).decode())
    else:
        _show(found, Console())
    if any(s.leaks for s in found):
        raise typer.Exit(1)


def _files(paths: list[Path]) -> Iterator[Path]:
    """Files as they are given; of a folder those that can be counted, and its manifest. Raises BadInput for a missing path."""
    for path in paths:
        if not path.exists():
            raise BadInput(f"{path}: no such file or folder")
        if path.is_file() or is_run(path):
            yield path
            continue
        for file in sorted(path.iterdir()):
            if file.name == NAME or (file.suffix in SUFFIXES and _counts(file)):
                yield file


def _counts(file: Path) -> bool:
    """Whether a file of a folder is one to count: journals and settings lie there too."""
    try:
        return file.name != "journal.jsonl" and bool(kind_of(file))
    except BadInput:
        return False


def _bytes(text: str) -> int:
    return len(text.encode())


def _tokens(folder: Path) -> Callable[[str], int]:
    """How many tokens a text has for the model in a folder, special tokens in the text counted, none added."""
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise BadInput("--tokenizer needs the models extra: pip install 'burnqed[models]'") from None
    file = folder / "tokenizer.json" if folder.is_dir() else folder
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises plain Exception for whatever is wrong with the file
        raise BadInput(f"{file} is no tokenizer that can be read: {error}") from error
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


def _show(found: list[Statistics], console: Console) -> None:
    table = Table(title="files")
    for column in ("file", "kind", "rows", "bad", "MB", "leaks"):
        table.add_column(column, justify="left" if column in ("file", "kind") else "right", overflow="fold")
    for s in found:
        leaks = "-" if s.leaks is None else str(sum(s.leaks.values()))
        table.add_row(s.path, s.kind, f"{s.rows:,}", f"{s.bad_rows:,}", f"{s.size_bytes / 2**20:.1f}", leaks)
    console.print(table)
    lengths = Table(title="lengths")
    for column in ("file", "column", "unit", "mean", "median", "95 %", "99 %", "longest"):
        lengths.add_column(column, justify="left" if column in ("file", "column", "unit") else "right", overflow="fold")
    for s in found:
        for x in s.lengths:
            shown = (f"{x.mean:,.0f}", f"{x.median:,}", f"{x.p95:,}", f"{x.p99:,}", f"{x.longest:,}")
            lengths.add_row(Path(s.path).name, x.field, x.unit, *shown)
    console.print(lengths)
    for s in found:
        for title, counts in {
            **s.counts,
            "tactics": s.heads,
            "depth": {str(k): n for k, n in s.depths.items()},
        }.items():
            if len(counts) > 1 or title in ("tier", "why", "state", "status"):
                told = ", ".join(f"{name} {n:,}" for name, n in list(counts.items())[:12])
                console.print(f"[bold]{Path(s.path).name}[/bold] {title}: ", end="")
                console.print(told, markup=False, highlight=False)
        for b in s.baselines:
            console.print(
                f"{Path(s.path).name} {b.tier}: the provable state is {b.feature} in {b.right:.1%} of {b.pairs:,}"
            )
        for leak in s.leak_examples:
            console.print(f"leak: {leak}", markup=False)
