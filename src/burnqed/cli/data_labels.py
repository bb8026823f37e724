"""`burnqed data labels`."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from burnqed.cli.data_rows import Assigned, Benchmarks, Theorems, splits_given
from burnqed.core.calibration import Calibration
from burnqed.core.errors import BadInput
from burnqed.data.label_rows import read_judged, write_labels
from burnqed.data.manifest import FileCard, Manifest
from burnqed.data.rows_reading import guard, read_proved, read_refuted, read_theorems
from burnqed.data.soft_targets import MIN_VISITS


def labels(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN…", help="Folders of runs.")],
    benchmarks: Benchmarks,
    out: Annotated[Path, typer.Option(help="The file of the labels.")] = Path("data/labels.jsonl"),
    refuted: Annotated[
        list[Path] | None, typer.Option(help="Statements known to be false: refuted.jsonl of generated ones.")
    ] = None,
    proved: Annotated[
        list[Path] | None,
        typer.Option(help="Tactic records: their states are provable, so no row says anything else of them."),
    ] = None,
    theorems: Theorems = None,
    assigned: Assigned = None,
    min_visits: Annotated[
        int, typer.Option(min=0, help="Tactics tried on an unknown state and below it, from which on it has a target.")
    ] = MIN_VISITS,
    head: Annotated[
        Path | None, typer.Option(help="The head that was the value of these runs; its calibration makes targets.")
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option(help="A calibration.json of `burnqed calibrate --out` instead, for any value.")
    ] = None,
) -> None:
    """Write every open state of finished searches with its label, and a target in [0, 1] to train a value on.

    Targets are 1 for proved states, 0 for refuted and exhausted ones. Unknown states have one when the search tried enough
    tactics there and --head or --calibration says what the run's energies mean: the mean of what was found below them.

    A theorem's split is what --theorems or --splits say of it; what neither knows is divided by a hash of its name.

    Examples:
      burnqed data labels runs/core --benchmarks minif2f.jsonl --out data/labels.jsonl

      burnqed data labels runs/iter_1 --head models/iter_1/head --min-visits 64 --benchmarks minif2f.jsonl

    """
    if out.suffix != ".jsonl":
        raise BadInput(f"--out {out}: give a file that ends in .jsonl")
    manifest = Manifest(step="labels", command=f"burnqed {shlex.join(sys.argv[1:])}")
    known = read_theorems(theorems or [], manifest)
    watch = guard(benchmarks, manifest)
    scale = _scale(head, calibration, manifest)
    names, states = read_refuted(refuted or [], manifest)
    searches = list(read_judged(runs, manifest, refuted=names, false_states=states))
    if not searches:
        raise BadInput(f"there is no finished search in {', '.join(map(str, runs))}: {manifest.told()}")
    write_labels(
        out,
        searches,
        guard=watch,
        splits=splits_given(assigned, known),
        manifest=manifest,
        calibration=scale,
        min_visits=min_visits,
        proved=read_proved(proved or [], manifest),
    )
    print(f"{out}: {manifest.rows_out:,} states")
    for kind, count in sorted(manifest.noted.items()):
        print(f"  {kind}: {count.count:,}")
    print(manifest.told(), file=sys.stderr)


def _scale(head: Path | None, calibration: Path | None, manifest: Manifest) -> Calibration | None:
    """The calibration to use, None when none was asked for. Raises BadInput when there is none where it should be."""
    if head is not None and calibration is not None:
        raise BadInput("give --head or --calibration, not both: each says what energies mean")
    if head is not None:
        from burnqed.joint.energy_head import load_trained

        if (found := load_trained(head)[2]) is None:
            raise BadInput(f"{head} has no calibration yet; `burnqed calibrate RUN --head {head}` makes one")
        return found
    if calibration is None:
        return None
    manifest.inputs.append(FileCard.of(calibration))
    try:
        return Calibration(**json.loads(calibration.read_text(encoding="utf-8"))["calibration"])
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(
            f"{calibration} holds no calibration; give the calibration.json that `burnqed calibrate --out` wrote"
        ) from error
