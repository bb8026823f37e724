"""`burnqed iterate`: search, label, train, evaluate, and again."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import TaskID
from rich.table import Table

from burnqed.cli.install_bar import ensure_lean
from burnqed.cli.stopping import stopping
from burnqed.cli.work_bar import make_bar, told
from burnqed.core.errors import BadInput
from burnqed.data.pace import Progress

if TYPE_CHECKING:
    from burnqed.iterate.context import Context, Listener
    from burnqed.iterate.recipe import Recipe

app = typer.Typer(
    help="Expert iteration: each search trains the next model (docs/iteration.md).",
    no_args_is_help=True,
)

_SIGNS = {
    "done": "[green]done[/green]",
    "to do": "to do",
    "begun": "[yellow]begun[/yellow]",
    "changed": "[yellow]changed[/yellow]",
    "waiting": "waiting",
}
Folders = Annotated[list[Path], typer.Argument(metavar="ITER…", help="Folders called iter_0, iter_1, …, in order.")]


@app.command("init")
def init(
    folder: Annotated[Path, typer.Argument(metavar="ITER", help="The new folder, called iter_K.")],
    theorems: Annotated[list[Path], typer.Option(help="Files of theorems to search; repeat for more.")],
    benchmarks: Annotated[
        list[Path], typer.Option(help="Files of benchmarks that must not get into the training data; repeat for more.")
    ],
    mode: Annotated[
        str, typer.Option(help="What is trained: sft, decoupled or joint.", show_default="sft, then joint")
    ] = "",
) -> None:
    """Write a recipe with every setting and what it means; edit it, then run it.

    The first iteration starts from a small fresh model and searches with the tactic menu; later ones start from, and search
    with, what the one before finished with.

    [bold]Examples[/bold]

      burnqed iterate init iterations/iter_0 --theorems data/harvest/tasks.jsonl --benchmarks minif2f.jsonl

      burnqed iterate init iterations/iter_1 --theorems data/harvest/tasks.jsonl --benchmarks minif2f.jsonl --mode joint
    """
    _require_packages()
    from burnqed.assemble.sources import as_toml, load_settings
    from burnqed.iterate.place import place_of
    from burnqed.iterate.recipe import FRESH, PREVIOUS, Recipe
    from burnqed.trajectory.files import write_text

    place = place_of(folder)
    if place.recipe.exists():
        raise BadInput(f"{place.recipe} is there already; edit it, or choose another folder")
    if missing := next((p for p in (*theorems, *benchmarks) if not p.exists()), None):
        raise BadInput(f"{missing}: there is no such file; paths in a recipe start where you are when you run it")
    first = place.previous is None
    if first and place.number:
        print(f"iter_{place.number - 1} is not beside it, so it starts from nothing", file=sys.stderr)
    flags: dict[str, object] = {
        "theorems.files": [str(p) for p in theorems],
        "rows.benchmarks": [str(p) for p in benchmarks],
        "train.mode": mode or ("sft" if first else "joint"),
        "train.start": FRESH if first else PREVIOUS,
    }
    recipe = load_settings(Recipe, environment={}, flags=flags)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(place.recipe, as_toml(recipe, only_set=True))
    print(f"{place.recipe}: edit it, then `burnqed iterate run {folder}`")


@app.command("run")
def run(
    folders: Folders,
    until: Annotated[str, typer.Option(help="Stop after this step.", show_default="all steps")] = "",
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A setting for this time, such as prove.lean.workers=2; the recipe stays.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object an iteration.")] = False,
) -> None:
    """Do what a recipe says: search, proofs, label, rows, train, export, head, calibrate, evaluate; then write the report.

    A step that is done is skipped, one whose inputs changed is done anew (what it made before is kept in superseded/), one that
    was stopped or killed goes on. Exit status 130 after Ctrl-C.

    [bold]Examples[/bold]

      burnqed iterate run iterations/iter_0

      burnqed iterate run iterations/iter_0 iterations/iter_1

      burnqed iterate run iterations/iter_0 --until search --set prove.lean.workers=15
    """
    _require_packages()
    from burnqed.core.errors import BurnqedError
    from burnqed.iterate.context import AtWork, Stopped
    from burnqed.iterate.driver import run_iteration
    from burnqed.iterate.manifest import FAILURES
    from burnqed.iterate.report import told as told_of
    from burnqed.iterate.report import write_iteration_report

    console = Console(stderr=True)
    with stopping() as stop, _listening(console) as listener:
        # All recipes are read before the first is worked on, so that a mistake in the last one is told at once.
        for context in [_context(folder, assignments, stop=stop, listener=listener) for folder in folders]:
            place = context.place
            console.rule(place.folder.name)

            def on_step(name: str, done: bool) -> None:
                console.print(f"{name}: {'done before' if done else '…'}", highlight=False)

            try:
                manifest = run_iteration(context, until=until, on_step=on_step)
            except Stopped as error:
                console.print(f"{error}", highlight=False, markup=False)
                raise typer.Exit(130) from None
            except AtWork:
                raise
            except BurnqedError:
                if any((place.folder / name).exists() for name in (place.manifest.name, FAILURES)):
                    with suppress(BurnqedError):  # what went wrong first is what is told
                        write_iteration_report(context)
                raise
            page = write_iteration_report(context)
            if as_json:
                steps = {name: {"told": e.told, "outputs": e.outputs} for name, e in manifest.steps.items()}
                print(
                    json.dumps(
                        {"iteration": place.folder.name, "steps": steps, "report": str(page)}, ensure_ascii=False
                    )
                )
            else:
                for name, entry in manifest.steps.items():
                    print(f"{name}: {told_of(entry)}")
                print(f"report: {page}")


@app.command("status")
def status(
    folders: Folders,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Which steps are done, which are to do, and what changed since they were done. Nothing is run.

    [bold]Examples[/bold]

      burnqed iterate status iterations/iter_*
    """
    _require_packages()
    from burnqed.iterate.driver import status as standing
    from burnqed.iterate.report import read_failures
    from burnqed.iterate.report import told as told_of

    found = {folder: standing(_context(folder)) for folder in folders}
    if as_json:
        plain = {
            str(folder): [
                {"step": s.step, "standing": s.standing, "changed": list(s.changed), "why": s.why} for s in steps
            ]
            for folder, steps in found.items()
        }
        print(json.dumps(plain, ensure_ascii=False))
        return
    console = Console()
    for folder, steps in found.items():
        table = Table("step", "", "", title=escape(str(folder)), title_justify="left")
        told_before = ""
        for s in steps:
            figures = told_of(s.entry) if s.entry else ""
            why = f"changed since: {', '.join(s.changed)}" if s.changed else s.why or figures
            why, told_before = ("" if s.why and s.why == told_before else why), s.why
            table.add_row(s.step, _SIGNS[s.standing], escape(why))
        console.print(table)
        standings = [s.standing for s in steps]
        if "changed" in standings and "done" in standings[standings.index("changed") :]:
            first = steps[standings.index("changed")].step
            console.print(f"what needs the results of {first} is done anew if they come out otherwise", highlight=False)
        for failure in read_failures(_context(folder).place):
            console.print(f"went wrong {failure.when}, {failure.step}: {failure.error}", highlight=False, markup=False)


@app.command("report")
def report(folders: Folders) -> None:
    """Write the reports again, from what is stored; nothing is searched or trained.

    [bold]Examples[/bold]

      burnqed iterate report iterations/iter_*
    """
    _require_packages()
    from burnqed.iterate.report import write_iteration_report

    for folder in folders:
        print(write_iteration_report(_context(folder)))


def _context(folder: Path, assignments: list[str] | None = None, **parts: object) -> Context:
    from burnqed.iterate.context import Context
    from burnqed.iterate.place import place_of

    place = place_of(folder)
    if not place.recipe.exists():
        raise BadInput(f"{folder} has no recipe.toml; `burnqed iterate init {folder} …` writes one")
    recipe = _recipe(place.recipe, assignments)
    return Context(place_of(folder, recipe.previous), recipe, ensure_lean, **parts)  # type: ignore[arg-type]


def _recipe(path: Path, assignments: list[str] | None) -> Recipe:
    from burnqed.assemble.sources import load_settings
    from burnqed.iterate.recipe import Recipe

    return load_settings(Recipe, file=path, environment={}, flags={}, assignments=assignments or ())


@contextmanager
def _listening(console: Console) -> Iterator[Listener]:
    """A bar for the piece of work at hand; off a terminal a line for each piece."""
    from burnqed.iterate.context import Listener

    bar = make_bar(console, width=24, disable=not console.is_terminal)
    tasks: dict[str, TaskID] = {}

    def show(what: str, progress: Progress) -> None:
        if what not in tasks:
            for task in tasks.values():
                bar.update(task, visible=False)
            tasks[what] = bar.add_task(what, total=progress.total, pace="")
            if not console.is_terminal:
                console.print(f"  {what}: {progress.total:,} to do", highlight=False)
        bar.update(tasks[what], completed=progress.done, total=progress.total, pace=told(progress))

    with bar:
        yield Listener(say=lambda text: console.print(f"  {text}", highlight=False, markup=False), show=show)


def _require_packages() -> None:
    for package in ("torch", "transformers", "peft", "accelerate"):
        if importlib.util.find_spec(package) is None:
            raise BadInput(
                f"expert iteration needs the package {package}; install it with: pip install 'burnqed[train,data]'"
            )
