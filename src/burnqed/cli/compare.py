"""`burnqed compare`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table as Screen
from rich.text import Text

from burnqed.core.errors import BadInput

if TYPE_CHECKING:
    from burnqed.evaluate.compare_figures import Table
    from burnqed.evaluate.record import Evaluation
    from burnqed.evaluate.verdict import Verdict


def compare(
    evaluations: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[LABEL=]FOLDER",
            help="Two or more folders that `burnqed eval --out` made, the earliest system first; a label is the evaluation's "
            "name if you give none.",
        ),
    ] = None,
    iterations: Annotated[
        Path | None,
        typer.Option(
            help="Instead of folders: the configurations A, B and C among the evaluations of `burnqed iterate run` in it. A: the "
            "earlier model with a head on its frozen embeddings, B: the later model with such a head, C: with its joint head."
        ),
    ] = None,
    benchmark: Annotated[str, typer.Option(help="With --iterations: the benchmark's name in the recipes.")] = "",
    earlier: Annotated[int, typer.Option(min=0, help="With --iterations: the earlier iteration.")] = 0,
    later: Annotated[int, typer.Option(min=0, help="With --iterations: the later iteration.")] = 1,
    out: Annotated[Path, typer.Option(help="Folder for compare.html, compare.md and compare.json.")] = Path(
        "runs/compare"
    ),
    targets: Annotated[
        str,
        typer.Option(
            help="none: only that a later system is not below an earlier one. seed: the targets and red lines that were set for "
            "a model of 7B parameters on the 244 problems of miniF2F."
        ),
    ] = "none",
    resamples: Annotated[int, typer.Option(min=100, help="Resamples of each bootstrap.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Seed of the bootstraps; the same one gives the same numbers.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, the same as compare.json.")] = False,
) -> None:
    """Compare systems on the same theorems and budget: who proves more, and what the value is worth.

    Each system is compared with the next one and the first with the last, with its own value, without any, and with trivial ones:
    exact McNemar tests, paired bootstrap intervals over theorems, and a verdict in words that claims a difference only where both
    show it. Nothing is searched anew. Evaluations of different theorems, budgets, seeds, values, versions of Lean or prompt
    formats are refused.

    [bold]Examples[/bold]

      burnqed compare runs/eval_before runs/eval_after

      burnqed compare A=runs/eval_a B=runs/eval_b C=runs/eval_c --targets seed --out runs/compare_abc

      burnqed compare --iterations iterations --benchmark held_out --out runs/compare_abc

      burnqed compare menu=runs/eval_menu model=runs/eval_model --json

    """
    from burnqed.evaluate.compare_figures import tables
    from burnqed.evaluate.compare_report import as_plain, write_comparison
    from burnqed.evaluate.compare_targets import PLANS
    from burnqed.evaluate.compare_targets import targets as asked
    from burnqed.evaluate.comparison import compare as compared
    from burnqed.evaluate.verdict import verdicts

    if targets != "none" and targets not in PLANS:
        raise BadInput(f"--targets {targets}: there are none of that name; say none or {', '.join(PLANS)}")
    named = _read(_folders(evaluations or [], iterations, benchmark, earlier, later))
    comparison = compared(named, resamples=resamples, seed=seed)
    planned = asked(comparison, None if targets == "none" else targets)
    title = f"Comparison of {', '.join(named)}"
    page = write_comparison(out, comparison, named, planned, title=title)
    if as_json:
        print(json.dumps(as_plain(comparison, planned), ensure_ascii=False))
        return
    _print(tables(comparison, named, planned), verdicts(comparison), Console())
    print(f"report: {page}")


def _folders(given: list[str], iterations: Path | None, benchmark: str, earlier: int, later: int) -> list[str]:
    """What is to be compared, as ``[LABEL=]FOLDER``. Raises BadInput when neither or both ways of saying it were used."""
    if (iterations is None) == (not given):
        raise BadInput("give folders of `burnqed eval`, or --iterations FOLDER --benchmark NAME for A, B and C")
    if iterations is None:
        return given
    if not benchmark:
        raise BadInput("--iterations needs --benchmark, the benchmark's name in the recipes")
    from burnqed.iterate.comparison import three_folders

    folders = three_folders(iterations, benchmark, earlier=earlier, later=later)
    return [f"{label}={folder}" for label, folder in folders.items()]


def _read(given: Iterable[str]) -> dict[str, Evaluation]:
    """The evaluations by label. Raises BadInput for a label that is there twice, or a folder that is no evaluation."""
    from burnqed.evaluate.record import read_evaluation

    found: dict[str, Evaluation] = {}
    for text in given:
        label, has_label, folder = text.partition("=")
        # A folder may have = in its name: then it is there, and what stands before = is no label.
        if not has_label or Path(text).is_dir():
            label, folder = "", text
        evaluation = read_evaluation(Path(folder))
        label = label.strip() or evaluation.spec.name
        if label in found:
            raise BadInput(
                f"{found[label].path} and {folder} would both be called {label}; give labels, as in "
                f"A={found[label].path} B={folder}"
            )
        found[label] = evaluation
    return found


def _print(tables: Iterable[Table], said: Iterable[Verdict], console: Console) -> None:
    """The shares, the targets, and the verdict; everything else is in the report."""
    from burnqed.evaluate.compare_figures import ASKED, SHARES

    for table in tables:
        if table.title == SHARES:
            screen = Screen(*table.heads, title=table.title, title_justify="left")
            for row in table.rows:
                screen.add_row(*(Text(str(cell)) for cell in row))  # labels are no markup
            console.print(screen)
        if table.title == ASKED:
            for system, what, value, interval, goal, red, told in table.rows:
                span = f" ({interval})" if interval else ""
                line = f", red below {red}" if red else ""
                console.print(Text(f"{system}: {what}: {value or 'not measured'}{span}, at least {goal}{line}: {told}"))
    for verdict in said:
        console.print(Text(verdict.question, style="bold"))
        for answer in verdict.answers:
            console.print(Text(f"  {answer.text}"))
        if verdict.note:
            console.print(Text(f"  {verdict.note}", style="dim"))
