"""`burnqed data fetch` and `burnqed data sets`."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from burnqed.cli.install_bar import InstallBar
from burnqed.data.fetch import Network, Wanted
from burnqed.data.fetch import fetch as fetch_set
from burnqed.data.locate import Hosts
from burnqed.data.manifest import Manifest
from burnqed.data.sources.registry import SOURCES, source_named

RAW = Path("data/raw")
"""Where fetched sets are, a folder each."""


def sets(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a set.")] = False) -> None:
    """List the public sets that burnqed knows: licence, toolchain, size, and what to mind."""
    if as_json:
        for source in SOURCES.values():
            line = {
                "name": source.name,
                "title": source.title,
                "address": source.address,
                "licence": source.licence,
                "lean": source.lean,
                "columns": list(source.columns),
                "benchmark": source.benchmark,
                "rows": source.rows,
                "notes": list(source.notes),
            }
            print(json.dumps(line, ensure_ascii=False))
        return
    table = Table(box=None, pad_edge=False)
    for title in ("name", "licence", "Lean", "rows"):
        table.add_column(title, overflow="fold")
    for source in SOURCES.values():
        mark = " [dim](benchmark)[/]" if source.benchmark else ""
        table.add_row(f"[bold]{source.name}[/]{mark}", source.licence, source.lean or "?", escape(source.rows))
    Console().print(table)


def fetch(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A set; `burnqed data sets` lists them.")],
    from_: Annotated[
        Path | None, typer.Option("--from", help="Take this file or folder instead of the network.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The folder of the sets; the set gets one of its name in it.")] = RAW,
    revision: Annotated[
        str, typer.Option(help="Branch, tag or commit on its host; with --from, what to record.", show_default="newest")
    ] = "",
    sha256: Annotated[str, typer.Option(help="What the file's SHA-256 must be, for a set of one file.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest as JSON.")] = False,
) -> None:
    """Fetch a public set, check it, and write its rows as records: theorems.jsonl, tactics.jsonl, manifest.json.

    A download that broke off is gone on with. Rows that cannot be used are counted in the manifest, with file and line.
    HF_ENDPOINT names a mirror of the hub.

    Exit status: 0 done, 2 the set cannot be had or is not what it should be.

    Examples:
      burnqed data fetch goedel-workbook-proofs

      burnqed data fetch minif2f-v2s --from miniF2F_v2s.jsonl

    """
    wanted = Wanted(
        source=source_named(name),
        revision=revision,
        origin=from_,
        sha256=sha256.lower(),
        command=f"burnqed {shlex.join(sys.argv[1:])}",
    )
    with InstallBar() as bar:
        folder, manifest = fetch_set(wanted, out, Network(Hosts.from_environment(), bar))
    if as_json:
        print(msgspec.json.encode(manifest).decode())
    else:
        _show(folder, manifest)


def _show(folder: Path, manifest: Manifest) -> None:
    (origin,) = manifest.origins
    print(f"{folder}: {manifest.told()}")
    print(f"licence: {origin.licence}; revision: {origin.revision or 'not known'}; Lean: {origin.lean or 'not told'}")
    tell_account(manifest)


def tell_account(manifest: Manifest) -> None:
    """Print what was noted, and each reason for which rows were dropped, with examples."""
    for kind, count in manifest.noted.items():
        examples = ", ".join(dict.fromkeys(count.examples))
        print(f"{kind}: {count.count:,} ({examples}{', …' if count.count > len(count.examples) else ''})")
    for reasons in manifest.dropped.values():
        for reason, count in reasons.items():
            print(f"dropped, {reason}: {count.count:,} ({count.examples[0] if count.examples else 'no example'})")
