"""`burnqed train ebm`."""

from __future__ import annotations

import importlib.util
import json
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from burnqed.cli.stopping import stopping
from burnqed.cli.train_bar import TrainBar
from burnqed.core.errors import BadInput
from burnqed.data.manifest import Manifest


def ebm(
    pairs: Annotated[
        list[Path] | None,
        typer.Option("--pairs", help="Files or folders that `burnqed data pairs` wrote; repeat for more."),
    ] = None,
    embeddings: Annotated[Path | None, typer.Option(help="The folder that `burnqed embed` made of them.")] = None,
    out: Annotated[Path, typer.Option(help="The folder of the run: checkpoints, measurements, report, head.")] = Path(
        "runs/ebm"
    ),
    loss: Annotated[
        str | None, typer.Option(help="info-nce, or margin (which freezes the head's temperature).")
    ] = None,
    negatives: Annotated[int | None, typer.Option("-k", "--negatives", min=1, help="K, for each positive.")] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Steps of the optimizer; else as many as --epochs take.")
    ] = None,
    epochs: Annotated[float | None, typer.Option(min=0.001, help="How often every positive is seen.")] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of order, negatives, initial values, dropout.")] = None,
    device: Annotated[str | None, typer.Option(help="auto (a GPU if there is one), cpu, cuda, cuda:1")] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="A TOML file with settings; --show prints one.")
    ] = None,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Any setting; --show lists them.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    show: Annotated[
        bool, typer.Option("--show", help="Print every setting as a TOML file, and train nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as one JSON object.")] = False,
) -> None:
    """Train an energy head on frozen embeddings: provable states are told from others of the same theorem and of others.

    The loss stands beside what a head that knows nothing has, ln(K + 1). Held-out theorems decide which head is kept and when to
    end; it is in OUT/head, for `burnqed prove --value`. Ctrl-C and SIGTERM save and end; --resume goes on.

    [bold]Examples[/bold]

      burnqed train ebm --pairs data/pairs --embeddings data/embedded --out runs/ebm

      burnqed train ebm --pairs data/pairs --embeddings data/embedded --loss margin --set margin=0.5 --out runs/margin

      burnqed train ebm --show > ebm.toml
    """
    for package in ("torch", "transformers"):
        if importlib.util.find_spec(package) is None:
            raise BadInput(f"training needs the package {package}; install it with: pip install 'burnqed[train]'")
    from burnqed.assemble.sources import as_toml, load_settings
    from burnqed.joint.decoupled import HeadTraining
    from burnqed.joint.decoupled_config import DecoupledConfig
    from burnqed.joint.embeddings import Embeddings
    from burnqed.joint.head_report import leave
    from burnqed.joint.pairs import pair_files, read_groups

    named = {
        "loss": loss,
        "negatives": negatives,
        "steps": steps,
        "epochs": epochs,
        "optimizer.head_lr": lr,
        "seed": seed,
        "device": device,
    }
    flags = {name: value for name, value in named.items() if value is not None}
    settings = load_settings(DecoupledConfig, file=config, environment={}, flags=flags, assignments=assignments or ())
    if show:
        print(as_toml(settings), end="")
        return
    if not pairs or embeddings is None:
        raise BadInput("say what to train on: --pairs FILE_OR_FOLDER --embeddings FOLDER")
    reading = Manifest(step="train: pairs", command=f"burnqed {shlex.join(sys.argv[1:])}")
    with TrainBar() as bar, stopping() as stop:
        groups = read_groups(pair_files(pairs), reading)
        bar.say(f"pairs: {reading.told()}")
        training = HeadTraining(
            groups,
            Embeddings.open(embeddings),
            settings,
            out,
            resume=resume,
            stop=stop,
            tell=lambda progress, values: bar.show(progress, _shown(values), values.get("loss.chance")),
            crossed=lambda crossing: bar.say(f"red line, {crossing.rule.reaction}: {crossing.sentence}"),
        )
        bar.say(
            f"{training.groups} positives to train on, {training.valid_groups} held out; {_chance(training.chance)}"
        )
        ended = training.run()
        for name, tally in (("", training.tally), ("held out: ", training.held_out and training.held_out.tally)):
            if tally and tally.counts:
                bar.say(f"{name}{tally.told()}")
    report = leave(training, ended, out, reading=reading, embeddings=embeddings)
    print(json.dumps(report, ensure_ascii=False) if as_json else _told(report, out))
    if ended.why == "stopped":
        raise typer.Exit(3)


def _shown(values: Mapping[str, float]) -> dict[str, float]:
    """The values under the names by which the bar knows them."""
    return {**values, "loss.contrastive": values["loss"]} if "loss.chance" in values else dict(values)


def _chance(chance: float | None) -> str:
    return "a margin has no level of chance" if chance is None else f"chance of the loss is {chance:.3f}"


def _told(report: Mapping[str, Any], out: Path) -> str:
    lines = [
        f"{report['ended']} at step {report['step']} of {report['steps']}; the best head is of step {report['best_step']}"
    ]
    if report["ended"] == "stopped":
        lines[0] += ". Go on with --resume"
    chance = "" if report["chance"] is None else f", chance {report['chance']:.3f}"
    if "valid.loss" in report["valid"]:
        lines.append(
            f"held-out loss {report['valid']['valid.loss']:.3f}{chance}; temperature {report['temperature']:.2f}"
        )
    return "\n".join([*lines, f"head: {out / 'head'}", f"report: {out / 'report.json'}"])
