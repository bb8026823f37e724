"""`burnqed data rows` and `burnqed data pairs`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel, ValidationError
from rich.console import Console
from rich.table import Table

from burnqed.core.errors import BadInput
from burnqed.data.auxiliary import TASKS
from burnqed.data.contrastive import PairConfig
from burnqed.data.filters import FilterConfig
from burnqed.data.manifest import Manifest
from burnqed.data.records import TheoremRecord
from burnqed.data.rows import RowConfig, require_tasks
from burnqed.data.rows_files import write_pairs, write_rows
from burnqed.data.rows_reading import (
    Splits,
    guard,
    read_proved,
    read_refuted,
    read_searches,
    read_steps,
    read_theorems,
    scripts_of,
)
from burnqed.data.splits import SplitConfig, assign, read_assignment, write_assignment
from burnqed.prompts.formats import FORMATS

_ROWS = RowConfig()
_PAIRS = PairConfig()
_FILTER = FilterConfig()

Benchmarks = Annotated[
    list[Path],
    typer.Option("--benchmarks", help="Files of benchmarks, of which nothing may get in; give all there are."),
]
Theorems = Annotated[
    list[Path] | None, typer.Option("--theorems", help="Theorem records: their splits, and for rows their proofs.")
]
Assigned = Annotated[
    Path | None,
    typer.Option("--splits", help="The file that says for good where a theorem belongs; --theorems are added to it."),
]


def rows(
    what: Annotated[list[Path], typer.Argument(metavar="WHAT…", help="Files of tactic records, and folders of runs.")],
    benchmarks: Benchmarks,
    out: Annotated[Path, typer.Option(help="The folder of the rows.")] = Path("data/rows"),
    prompt_format: Annotated[
        str, typer.Option(help=f"How states are put to the model: {', '.join(FORMATS)}.")
    ] = _ROWS.prompt_format,
    tasks: Annotated[str, typer.Option(help=f"Which of {', '.join(TASKS)}; `all` for all.")] = "tactic",
    theorems: Theorems = None,
    assigned: Assigned = None,
    max_step_chars: Annotated[
        int, typer.Option(min=1, help="A theorem with a longer step or state goes out.")
    ] = _FILTER.max_step_chars,
    seed: Annotated[int, typer.Option(min=0, help="Which wrong answers are asked.")] = _ROWS.seed,
) -> None:
    """Make rows to fine-tune on: the prompt that serving uses, and what the model ought to write.

    Traced steps are taken as they are; of a run every proved theorem's shortest proof. A theorem with an unsound step goes
    out entirely, no row comes twice, and nothing that matches a benchmark gets in. Other tasks than `tactic` begin with a
    line that says which is meant, so the main task's prompt is the same with and without them.

    Examples:
      burnqed data rows data/traced/sft_train_full.jsonl data/generated/tactics.jsonl --benchmarks minif2f.jsonl

      burnqed data rows runs/core --benchmarks minif2f.jsonl --tasks all --prompt-format deepseek-tactic

    """
    wanted = TASKS if tasks.strip() == "all" else require_tasks(t.strip() for t in tasks.split(",") if t.strip())
    config = _checked(RowConfig, prompt_format=prompt_format, tasks=wanted, seed=seed)
    manifest = Manifest(step="rows", command=f"burnqed {shlex.join(sys.argv[1:])}")
    known = read_theorems(theorems or [], manifest)
    watch = guard(benchmarks, manifest)
    steps = read_steps(what, manifest)
    if not steps:
        raise BadInput(f"there is no step of a proof in {', '.join(map(str, what))}: {manifest.told()}")
    write_rows(
        out,
        steps,
        config,
        filters=FilterConfig(max_step_chars=max_step_chars),
        guard=watch,
        splits=splits_given(assigned, known),
        manifest=manifest,
        scripts=scripts_of(known),
    )
    _tell(out, manifest)


def pairs(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN…", help="Folders of runs.")],
    benchmarks: Benchmarks,
    out: Annotated[Path, typer.Option(help="The folder of the pairs.")] = Path("data/pairs"),
    refuted: Annotated[
        list[Path] | None, typer.Option(help="Statements known to be false: refuted.jsonl of generated ones.")
    ] = None,
    theorems: Theorems = None,
    assigned: Assigned = None,
    hard: Annotated[int, typer.Option(min=0, help="Siblings at most for one positive state.")] = _PAIRS.hard,
    medium: Annotated[
        int, typer.Option(min=0, help="Negatives of the same theorem at most for one positive state.")
    ] = _PAIRS.medium,
    easy: Annotated[int, typer.Option(min=0, help="Negatives of other theorems for one positive state.")] = _PAIRS.easy,
    proved: Annotated[
        list[Path] | None,
        typer.Option(help="Tactic records: their states are provable, so no negative is one of them."),
    ] = None,
    exhausted: Annotated[
        bool,
        typer.Option(
            "--exhausted/--no-exhausted",
            help="Let states on which every candidate failed be negatives; a better policy may prove some of them.",
        ),
    ] = _PAIRS.exhausted,
    unproved: Annotated[
        bool,
        typer.Option("--unproved", help="Let states that were only never proved be negatives too; a weaker claim."),
    ] = False,
    unproved_visits: Annotated[
        int,
        typer.Option(
            min=0, help="With --unproved: only where at least so many tactics were tried, on the state and below it."
        ),
    ] = _PAIRS.unproved_visits,
    off_path: Annotated[
        bool,
        typer.Option(
            "--off-path",
            help="With --unproved: where a proof was found every other state, tried or not; some of these are provable too.",
        ),
    ] = _PAIRS.off_path,
    seed: Annotated[int, typer.Option(min=0, help="Which ones are taken where there are more.")] = _PAIRS.seed,
) -> None:
    """Make pairs of a state that was proved and one that was refuted, from the searches of runs.

    A negative is a state of a theorem whose negation is proved, or one where every candidate was tried in vain. A state that
    any search proved is never a negative, whatever became of it elsewhere.

    Examples:
      burnqed data pairs runs/core --benchmarks minif2f.jsonl

      burnqed prove data/generated/refuted.jsonl --seconds 5 --out runs/false
      burnqed data pairs runs/core runs/false --refuted data/generated/refuted.jsonl --benchmarks minif2f.jsonl

    """
    if unproved_visits and not unproved:
        raise BadInput("--unproved-visits says which unproved states are negatives; give --unproved with it")
    if off_path and not unproved:
        raise BadInput("--off-path makes more unproved states negatives; give --unproved with it")
    config = _checked(
        PairConfig,
        hard=hard,
        medium=medium,
        easy=easy,
        exhausted=exhausted,
        unproved=unproved,
        unproved_visits=unproved_visits,
        off_path=off_path,
        seed=seed,
    )
    manifest = Manifest(step="pairs", command=f"burnqed {shlex.join(sys.argv[1:])}")
    known = read_theorems(theorems or [], manifest)
    watch = guard(benchmarks, manifest)
    names, states = read_refuted(refuted or [], manifest)
    searches = read_searches(runs, manifest, refuted=names, false_states=states)
    if not searches:
        raise BadInput(f"there is no finished search in {', '.join(map(str, runs))}: {manifest.told()}")
    splits = splits_given(assigned, known)
    provable = read_proved(proved or [], manifest)
    write_pairs(out, searches, config, guard=watch, splits=splits, manifest=manifest, proved=provable)
    _tell(out, manifest)


def splits_given(path: Path | None, theorems: Sequence[TheoremRecord]) -> Splits:
    """Where theorems belong: as decided before, the new ones by clusters of near-duplicates; kept in the file if there is one."""
    before = read_assignment(path) if path is not None else None
    if not theorems:
        if path is not None and before is None:
            raise BadInput(f"{path}: no such file of splits; with --theorems it is made")
        return Splits(before)
    found = assign(theorems, SplitConfig(), before=before)
    if path is not None:
        write_assignment(path, found)
    return Splits(found, theorems)


def _checked(model: type[Any], **fields: object) -> Any:
    try:
        made: BaseModel = model(**fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise BadInput(f"--{str(first['loc'][0]).replace('_', '-')}: {first['msg']}") from None
    return made


def _tell(out: Path, manifest: Manifest) -> None:
    """What was written, and what was seen on the way."""
    table = Table(title=str(out), show_header=False, padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(justify="right")
    for card in manifest.outputs:
        table.add_row(Path(card.path).name, f"{card.rows:,} rows")
    for kind, count in sorted(manifest.noted.items()):
        table.add_row(kind, f"{count.count:,}")
    Console().print(table)
    print(manifest.told(), file=sys.stderr)
