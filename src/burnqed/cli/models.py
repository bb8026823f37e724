"""`burnqed models`: which provers there are, what a folder of training is, and a checkpoint as a model to prove with."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from burnqed.cli import provers
from burnqed.core.errors import BadInput
from burnqed.report.page import size

if TYPE_CHECKING:
    from burnqed.joint.inventory import Shown

app = typer.Typer(
    help="Provers, models, heads, checkpoints: `list` and `use` choose who proves, `show` tells what one was made of, "
    "`export` makes a model of a checkpoint, `pack` a prover of a model.",
    no_args_is_help=True,
)
app.command("list")(provers.list_provers)
app.command("use")(provers.use)


@app.command("show")
def show(
    path: Annotated[
        Path, typer.Argument(help="The folder of a run, a checkpoint, a model, an energy head, or embeddings.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, the card as it is stored.")] = False,
) -> None:
    """Show what a folder is: its base with hashes, data with hashes and counts, settings, code, last figures, size.

    No weight is read but for their names and shapes; of a run the last checkpoint is checked as well.

    [bold]Examples[/bold]

      burnqed models show runs/iter_1

      burnqed models show runs/iter_1/model --json

    """
    _require("torch", "safetensors", "transformers")
    from burnqed.joint.inventory import show as look

    found = look(path)
    if as_json:
        print(
            json.dumps(
                {
                    "path": str(found.path),
                    "kind": found.kind,
                    "numbers": found.numbers,
                    "size_bytes": found.size_bytes,
                    "card": found.card,
                },
                ensure_ascii=False,
            )
        )
        return
    _print(found, Console())


@app.command("export")
def export(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint, or a run: then its last one that is whole.")],
    out: Annotated[Path, typer.Argument(help="Where `model`, and `head` if one was trained, are to be.")],
    dtype: Annotated[
        str, typer.Option(help="auto (the base's own), float32, bfloat16 or float16; weights are rounded once.")
    ] = "auto",
    base: Annotated[Path | None, typer.Option(help="Where the base model is now, if it has moved.")] = None,
) -> None:
    """Merge the LoRA of a checkpoint into its base and write a model folder, with the energy head beside it.

    The folders are what `burnqed prove --policy` and `--value` take, and what `burnqed train --base` starts from.

    [bold]Examples[/bold]

      burnqed models export runs/iter_1 exported/iter_1

      burnqed models export runs/iter_1/checkpoints/step-00000400 exported/early --dtype bfloat16 --base models/7b

    """
    _require("torch", "safetensors", "transformers", "peft")
    from burnqed.joint.finish import HEAD_FOLDER, MODEL, finish
    from burnqed.train.checkpoint import STATE, latest_checkpoint, open_checkpoint
    from burnqed.train.report import CHECKPOINTS

    if not checkpoint.is_dir():
        raise BadInput(f"there is no folder {checkpoint}")
    for name in (MODEL, HEAD_FOLDER):
        if (out / name).exists():
            raise BadInput(f"{out / name} is there already; choose another folder, or remove it first")
    is_run = (checkpoint / CHECKPOINTS).is_dir() and not (checkpoint / STATE).exists()
    found = latest_checkpoint(checkpoint / CHECKPOINTS) if is_run else open_checkpoint(checkpoint)
    if found is None:
        raise BadInput(f"{checkpoint} has no checkpoint yet")
    for text in found.skipped:
        print(text, file=sys.stderr)
    done = finish(found, out, dtype=dtype, base=base)
    print(f"model of step {found.step}: {done.model}")
    if done.head is not None:
        print(f"head: {done.head}")


app.command("pack")(provers.pack)


def _print(found: Shown, console: Console) -> None:
    table = Table(title=Text(f"{found.path}: {found.kind}"), show_header=False, title_justify="left")
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in found.facts:
        table.add_row(name, Text(text))  # paths are no markup, whatever brackets they have
    for name, count in found.numbers.items():
        table.add_row("numbers" if name == "parameters" else f"numbers, {name}", f"{count:,}")
    if found.size_bytes:
        table.add_row("weights on disk", size(found.size_bytes))
    console.print(table)


def _require(*packages: str) -> None:
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise BadInput(f"this needs the package {package}; install it with: pip install 'burnqed[train]'")
