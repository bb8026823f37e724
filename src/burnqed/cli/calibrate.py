"""`burnqed calibrate`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from burnqed.core.errors import BadInput
from burnqed.data.manifest import Manifest
from burnqed.data.scored_states import ScoredStates, scored_states

if TYPE_CHECKING:
    from burnqed.value.calibrate import Fit


def calibrate(
    runs: Annotated[
        list[Path], typer.Argument(help="Folders of finished `burnqed prove` runs with the value in question.")
    ],
    head: Annotated[Path | None, typer.Option(help="Store the calibration in this head's folder.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Write calibration.html, with reliability diagrams, and calibration.json into this folder."),
    ] = None,
    check: Annotated[
        list[Path] | None,
        typer.Option(help="With --out: show the diagrams on these runs of other theorems, which are not fitted on."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Fit the value's energies to what became of states, so that value and policy terms are on one scale, nats.

    From the trajectories of finished runs: P(proved | energy) by Platt's method, and the weights of both terms. With --head the
    outcome is stored with the head, and `burnqed prove` uses it. Use theorems that the head was not trained on. The diagrams of
    --out show each theorem as foretold by a fit to others.

    Examples:
      burnqed prove valid.jsonl --policy models/mine --value models/mine/head --out runs/valid

      burnqed calibrate runs/valid --head models/mine/head --out reports/mine

    """
    if check and out is None:
        raise BadInput("--check says on which runs the diagrams are shown; give --out with it")
    from burnqed.value.calibrate import fit

    states = scored_states(runs, Manifest(step="calibrate"))
    found = fit(states.policy_terms, states.energies, states.proved)
    page = _report(out, found, states, runs, check or []) if out is not None else None
    if head is not None:
        from burnqed.joint.energy_head import store_calibration

        store_calibration(head, found.calibration)
    if as_json:
        print(json.dumps({**asdict(found), "theorems": states.theorems, "stored": str(head) if head else None}))
        return
    c = found.calibration
    console = Console()
    console.print(
        f"P(proved | energy) = sigmoid({c.intercept:.3f} − {c.slope:.3f} · energy), from {found.total} states of "
        f"{states.theorems} theorems, {found.proved} of them on proofs\n"
        f"log-loss {found.log_loss:.4f} nats a state; always saying the base rate: {found.base_log_loss:.4f}\n"
        f"weights: policy 1, value {c.value_weight:.2f}",
        highlight=False,
    )
    table = Table("states", "said", "proved", "", title="reliability, by tenths of the states", title_justify="left")
    for said, was, n in found.reliability:
        table.add_row(str(n), f"{said:.3f}", f"{was:.3f}", "█" * round(40 * was))
    console.print(table)
    if head is not None:
        console.print(f"stored in {head}", highlight=False)
    if page is not None:
        console.print(f"diagrams in {page}", highlight=False)


def _report(out: Path, found: Fit, states: ScoredStates, runs: list[Path], check: list[Path]) -> Path:
    from burnqed.evaluate.calibration_report import write_calibration
    from burnqed.evaluate.held_out import shown

    other = scored_states(check, Manifest(step="calibrate")) if check else None
    return write_calibration(
        out,
        found,
        shown(states, check=other),
        runs=[str(run) for run in runs],
        check=[str(run) for run in check],
        theorems=states.theorems,
    )
