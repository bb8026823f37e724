"""`burnqed models list`, `use` and `pack`: provers that can be chosen and handed on."""

from __future__ import annotations

import datetime
import importlib.util
import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from burnqed.assemble.provers import VARIABLE, Listed, Provers
from burnqed.core.errors import BadInput
from burnqed.report.page import size


def list_provers(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a prover.")] = False,
) -> None:
    """List the provers that `burnqed prove --policy NAME` takes, and which of them proves when nothing is said.

    No model is loaded for it. A * marks the default.

    [bold]Examples[/bold]

      burnqed models list

    """
    found, notice = Provers.here().listed()
    if as_json:
        for one in found:
            print(json.dumps(asdict(one), ensure_ascii=False))
    else:
        _table(found, Console())
    if notice:
        print(f"burnqed: {notice}", file=sys.stderr)


def use(
    prover: Annotated[
        str, typer.Argument(metavar="[NAME|FOLDER|menu]", help="Who is to prove when nothing is said.")
    ] = "",
    reset: Annotated[bool, typer.Option("--reset", help="Go back to what comes with burnqed.")] = False,
) -> None:
    """Choose the prover that `burnqed prove` and `burnqed eval` use when nothing else is said.

    A folder of your own, as `burnqed models pack` makes it, is remembered and listed from then on. BURNQED_PROVER in the
    environment comes before this choice.

    [bold]Examples[/bold]

      burnqed models use menu

      burnqed models use ~/provers/mine

      burnqed models use --reset

    """
    provers = Provers.here()
    if reset == bool(prover):
        raise BadInput("say who is to prove, a name, a folder or menu, or --reset")
    if reset:
        provers.reset()
        found = provers.default()
    else:
        found = provers.use(prover)
    print(f"{'the menu' if found is None else found.name} proves by default")
    if provers.forced:
        print(f"burnqed: but {VARIABLE}={provers.forced} in the environment comes first", file=sys.stderr)


def pack(
    model: Annotated[Path, typer.Argument(help="A model folder, such as `burnqed models export` writes.")],
    out: Annotated[Path, typer.Option(help="The prover's folder; it must not be there yet.")],
    name: Annotated[str, typer.Option(help="By which it is chosen: letters, digits, - _ and dots.")],
    about: Annotated[str, typer.Option(help="One sentence on what it is.")],
    head: Annotated[Path | None, typer.Option(help="The energy head that was trained for the model.")] = None,
    licence: Annotated[str, typer.Option(help="Of the weights.")] = "Apache-2.0",
    card: Annotated[Path | None, typer.Option(help="A model card in Markdown; it becomes README.md.")] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="A setting that it does best with, such as policy.menu_share=0.3."
        ),
    ] = None,
) -> None:
    """Make a prover of a model and its head: weights rounded to float16, settings and card beside them.

    It is measured that rounding changes nothing that matters, and the head is made to fit the rounded model. It proves in
    float32 everywhere, so that a processor and a graphics card agree; `--set policy.dtype=auto` lets the card use float16.

    [bold]Examples[/bold]

      burnqed models pack exported/iter_1/model --head exported/iter_1/head --out provers/iter_1 --name iter_1
      --about "Trained on the core library." --set policy.menu_share=0.3

    """
    for package in ("torch", "safetensors", "transformers"):
        if importlib.util.find_spec(package) is None:
            raise BadInput(f"this needs the package {package}; install it with: pip install 'burnqed[models]'")
    from burnqed.assemble.parts import model_format
    from burnqed.assemble.prover_folder import (
        CARD,
        HEAD,
        MODEL,
        prover_file,
        read_prover,
        settings_of,
        write_prover,
    )
    from burnqed.joint.pack import pack as make
    from burnqed.train.checkpoint import whole_folder

    if out.exists():
        raise BadInput(f"{out} is there already; choose another folder, or remove it first")
    text = _card(card) if card is not None else f"# {name}\n\n{about}\n\nLicence: {licence}\n"
    settings = {
        "policy.dtype": "float32",
        **({"value.accept": ["dtype"]} if head else {}),
        **_assigned(assignments or ()),
    }
    today = datetime.datetime.now(tz=datetime.UTC).date()
    about_it = {"name": name, "about": about, "created": today, "licence": licence, "settings": settings}
    file = prover_file(about_it, origin="the prover")
    settings_of(out, file, origin="--set")
    with whole_folder(out) as part:
        packed = make(model, head, model_out=part / MODEL, head_out=part / HEAD, form=model_format(model, ""))
        write_prover(part, file.model_copy(update={"parameters": packed.parameters}))
        (part / CARD).write_text(text, encoding="utf-8")
        read_prover(part)
    found = read_prover(out)
    print(f"{out}: {packed.parameters:,} parameters, {size(found.size_bytes)}")
    print(f"embeddings changed by at most {packed.embedding_change:.1e} of their length")
    if packed.energy_change is not None:
        done = "changes" if packed.head_dtype == "float16" else "would change"
        print(f"head in {packed.head_dtype}: float16 {done} energies by {packed.energy_change:.1e} of their spread")
    print(f"burnqed models use {shlex.quote(str(out))} makes it the default")


def _assigned(texts: Sequence[str]) -> dict[str, object]:
    """What `--set` says, numbers as numbers."""
    found: dict[str, object] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise BadInput(f"--set {text}: it is KEY=VALUE, such as --set policy.menu_share=0.3")
        try:
            found[key.strip()] = json.loads(value)
        except ValueError:
            found[key.strip()] = value.strip()
    return found


def _card(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"--card {path} cannot be read: {error}") from error


def _table(found: list[Listed], console: Console) -> None:
    table = Table(box=None, pad_edge=False)
    for title in ("", "name", "what", "parameters", "on disk", "where"):
        table.add_column(title, overflow="fold", justify="right" if title in ("parameters", "on disk") else "left")
    for one in found:
        table.add_row(
            "*" if one.default else "",
            Text(one.name),
            Text(one.about) if not one.trouble else Text(one.trouble, style="red"),
            f"{one.parameters / 1e6:.1f} M" if one.parameters else "–",
            size(one.size_bytes) if one.size_bytes else "–",
            Text(one.where),
        )
    console.print(table, highlight=False)
