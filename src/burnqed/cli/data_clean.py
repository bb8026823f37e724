"""`burnqed data clean`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from burnqed.cli.data_fetch import tell_account
from burnqed.cli.data_rows import Benchmarks
from burnqed.core.errors import BadInput
from burnqed.data.clean import write_clean
from burnqed.data.fetch import THEOREMS
from burnqed.data.filters import FilterConfig
from burnqed.data.manifest import FileCard, Manifest
from burnqed.data.rows_reading import guard
from burnqed.data.splits import SplitConfig

_FILTER = FilterConfig()
_SIMILARITY = SplitConfig().near_duplicates
"""What counts as near where splits are made counts as near here."""


def clean(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE…", help="Files of theorem records; of two duplicates the first stays.")
    ],
    benchmarks: Benchmarks,
    out: Annotated[Path, typer.Option(help="The folder of what stays.")] = Path("data/clean"),
    near_duplicates: Annotated[
        bool,
        typer.Option(
            "--near-duplicates/--no-near-duplicates", help="Also take out what is nearly an earlier statement."
        ),
    ] = False,
    similarity: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            max=0.99,
            help=f"With --near-duplicates: from this similarity on (Jaccard's measure); {_SIMILARITY} if not given.",
        ),
    ] = None,
    max_statement_chars: Annotated[
        int, typer.Option(min=1, help="A longer statement goes out.")
    ] = _FILTER.max_statement_chars,
    max_proof_chars: Annotated[
        int, typer.Option(min=1, help="A theorem with a longer proof goes out.")
    ] = _FILTER.max_proof_chars,
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest as JSON.")] = False,
) -> None:
    """Take out of theorem records what must not be trained on: leaks of benchmarks, sorry and its kin, too long, duplicates.

    Writes theorems.jsonl, in which a row that stays is as it was, in the same order, and manifest.json with every row that
    left under its reason. Theorems without a proof stay.

    Exit status: 0 done, 2 bad input.

    Examples:
      burnqed data clean data/raw/stp/theorems.jsonl --benchmarks minif2f.jsonl --out data/stp

      burnqed data clean one.jsonl two.jsonl --benchmarks minif2f.jsonl --near-duplicates --out data/both

    """
    if similarity is not None and not near_duplicates:
        raise BadInput("--similarity says how near is near; add --near-duplicates")
    for path in (*files, *benchmarks):
        if path.resolve() == (out / THEOREMS).resolve():
            raise BadInput(f"{path} is read here and would be written over; choose another --out")
    config = FilterConfig(
        max_statement_chars=max_statement_chars,
        max_proof_chars=max_proof_chars,
        near_duplicates=(similarity or _SIMILARITY) if near_duplicates else 1.0,
    )
    manifest = Manifest(
        step="clean",
        command=f"burnqed {shlex.join(sys.argv[1:])}",
        inputs=[FileCard.of(path) for path in files],
    )
    write_clean(files, out, config, guard=guard(benchmarks, manifest), manifest=manifest)
    if as_json:
        print(msgspec.json.encode(manifest).decode())
    else:
        print(f"{out}: {manifest.told()}")
        tell_account(manifest)
