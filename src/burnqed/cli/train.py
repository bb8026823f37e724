"""`burnqed train`: supervised fine-tuning, the energy head, or both at once."""

from __future__ import annotations

import contextlib
import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from burnqed.cli import train_ebm
from burnqed.cli.stopping import stopping
from burnqed.cli.train_bar import TrainBar
from burnqed.core.errors import BadInput, BurnqedError, RunError

if TYPE_CHECKING:
    from burnqed.joint.config import JointConfig
    from burnqed.joint.train import Ended
    from burnqed.train.memory import Plan

app = typer.Typer(
    help="Training: `sft` learns tactics, `ebm` an energy head on frozen embeddings, `joint` both through one LoRA.",
    no_args_is_help=True,
)

_SHOWN = {
    "valid.loss": "held-out loss of tactics",
    "probe.linear_probe": "linear probe",
    "probe.trivial_probe": "trivial probe",
    "ebm.rank_1": "rank-1 of the head",
    "ebm.chance": "chance",
}
"""What is told when a run ends; the rest stands in its report."""

Rows = Annotated[
    list[Path], typer.Option("--rows", help="Files or folders that `burnqed data rows` wrote; repeat for more.")
]
Pairs = Annotated[
    list[Path] | None,
    typer.Option("--pairs", help="Files or folders that `burnqed data pairs` wrote; repeat for more."),
]
Out = Annotated[Path, typer.Option(help="The folder of the run: checkpoints, measurements, report, finished model.")]
Base = Annotated[
    Path | None, typer.Option(help="The model folder to start from, also one that an earlier run finished with.")
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Start from a small Llama with random weights (model.fresh.…).")]
Steps = Annotated[int | None, typer.Option(min=1, help="Steps of the optimizer; else as many as --epochs take.")]
Epochs = Annotated[float | None, typer.Option(min=0.001, help="How often every row is seen.")]
Lr = Annotated[float | None, typer.Option(help="Learning rate of the language model's weights.")]
Rank = Annotated[int | None, typer.Option(min=0, help="Rank of the LoRA; 0 trains all weights.")]
Seed = Annotated[int | None, typer.Option(min=0, help="Of order, initial values and dropout.")]
DeviceOption = Annotated[str | None, typer.Option(help="auto (a GPU if there is one), cpu, cuda, cuda:1")]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="A TOML file with settings; --show prints one.")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Any setting; --show lists them.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")]
Shard = Annotated[bool, typer.Option("--shard", help="Several GPUs: cut the layers' weights among them (FSDP).")]
Show = Annotated[bool, typer.Option("--show", help="Print every setting as a TOML file, and train nothing.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print how it ended as one JSON object.")]


@app.command("sft")
def sft(
    rows: Rows = [],  # noqa: B006  # typer reads it, nobody changes it
    out: Out = Path("runs/sft"),
    pairs: Pairs = None,
    base: Base = None,
    fresh: Fresh = False,
    steps: Steps = None,
    epochs: Epochs = None,
    lr: Lr = None,
    rank: Rank = None,
    seed: Seed = None,
    device: DeviceOption = None,
    config: ConfigFile = None,
    assignments: Set = None,
    resume: Resume = False,
    shard: Shard = False,
    show: Show = False,
    as_json: AsJson = False,
) -> None:
    """Fine-tune a language model on tactics; the loss is on the tactic alone, its end included.

    --base takes any causal language model of Hugging Face's format and trains a LoRA on it; --fresh a small one from nothing.
    To go on from an earlier iteration, give the model that it finished with (RUN/model). With --pairs, the embeddings are
    watched for collapse while tactics are learned. Several GPUs: `accelerate launch --num_processes 4 -m burnqed train sft …`.

    [bold]Examples[/bold]

      burnqed train sft --rows data/rows --fresh --out runs/iter_0

      burnqed train sft --rows data/rows --base models/DeepSeek-Prover-V2-7B --rank 32 --out runs/sft

      burnqed train sft --rows data/rows --base models/7b --out runs/sft --resume
    """
    flags = _flags(base=base, fresh=fresh, steps=steps, epochs=epochs, lr=lr, rank=rank, seed=seed, device=device)
    defaults = {"lora.rank": 0 if fresh else 32}
    settings = _settings(config, {**flags, "contrastive.weight": 0.0}, assignments, defaults=defaults)
    _train(settings, "sft", rows=rows, pairs=pairs, out=out, resume=resume, shard=shard, show=show, as_json=as_json)


app.command("ebm")(train_ebm.ebm)


@app.command("joint")
def joint(
    rows: Rows = [],  # noqa: B006
    pairs: Pairs = None,
    out: Out = Path("runs/joint"),
    base: Base = None,
    fresh: Fresh = False,
    weight: Annotated[
        float | None, typer.Option("--lambda", min=0, help="λ, the weight of the contrastive loss.")
    ] = None,
    head: Annotated[
        Path | None, typer.Option(help="A head that `train ebm` trained on the base's embeddings, to start from.")
    ] = None,
    steps: Steps = None,
    epochs: Epochs = None,
    lr: Lr = None,
    rank: Rank = None,
    seed: Seed = None,
    device: DeviceOption = None,
    config: ConfigFile = None,
    assignments: Set = None,
    resume: Resume = False,
    shard: Shard = False,
    show: Show = False,
    as_json: AsJson = False,
) -> None:
    """Train policy and energy head at once: cross-entropy on tactics plus λ · InfoNCE on states, through one LoRA.

    Held-out theorems are probed as it trains; a red line that is crossed is told, stops the run or ends it, as its rule says.

    [bold]Examples[/bold]

      burnqed train joint --rows data/rows --pairs data/pairs --base runs/iter_0/model --head runs/head_0/head --out runs/iter_1

      burnqed train joint --rows data/rows --pairs data/pairs --base models/7b --lambda 0.5 --set contrastive.keys=ema

      burnqed train joint --show > joint.toml
    """
    flags = _flags(base=base, fresh=fresh, steps=steps, epochs=epochs, lr=lr, rank=rank, seed=seed, device=device)
    if weight is not None:
        flags["contrastive.weight"] = weight
    if head is not None:
        flags["head.start"] = head
    settings = _settings(config, flags, assignments, defaults={"lora.rank": 0} if fresh else {})
    _train(settings, "joint", rows=rows, pairs=pairs, out=out, resume=resume, shard=shard, show=show, as_json=as_json)


def _flags(
    *,
    base: Path | None,
    fresh: bool,
    steps: int | None,
    epochs: float | None,
    lr: float | None,
    rank: int | None,
    seed: int | None,
    device: str | None,
) -> dict[str, object]:
    if base is not None and fresh:
        raise BadInput("--base and --fresh exclude each other: one starts from a model, the other from nothing")
    named = {
        "model.base": base,
        "steps": steps,
        "epochs": epochs,
        "optimizer.lr": lr,
        "lora.rank": rank,
        "seed": seed,
        "model.device": device,
    }
    return {name: value for name, value in named.items() if value is not None}


def _settings(
    file: Path | None, flags: dict[str, object], assignments: list[str] | None, *, defaults: dict[str, int]
) -> JointConfig:
    _require_packages()
    from burnqed.assemble.sources import load_settings
    from burnqed.joint.config import JointConfig

    return load_settings(
        JointConfig, file=file, environment={}, flags=flags, assignments=assignments or (), defaults=defaults
    )


def _train(
    config: JointConfig,
    kind: str,
    *,
    rows: list[Path],
    pairs: list[Path] | None,
    out: Path,
    resume: bool,
    shard: bool,
    show: bool,
    as_json: bool,
) -> None:
    if show:
        from burnqed.assemble.sources import as_toml

        print(as_toml(config), end="")
        return
    if config.model.base is None and config.lora.rank:
        raise BadInput("say what to start from: --base MODEL, or --fresh for a small model from nothing")
    from burnqed.joint.prepare import Data
    from burnqed.joint.train import Listener, Training
    from burnqed.train.journal import METRICS
    from burnqed.train.report import write_report
    from burnqed.train.workers import Workers

    workers = Workers(device=config.model.device, shard=shard)
    try:
        with TrainBar(quiet=not workers.main) as bar, stopping() as stop:
            listener = Listener(
                plan=lambda plan: bar.say("\n".join(_planned(plan))),
                step=lambda told: bar.show(told.progress, told.metrics, told.chance),
                crossed=lambda crossing: bar.say(f"red line, {crossing.rule.reaction}: {crossing.sentence}"),
                note=bar.say,
            )
            bar.say("reading rows and loading the model …")
            training = Training(
                config,
                Data(rows=tuple(rows), pairs=tuple(pairs or ())),
                out,
                kind=kind,
                workers=workers,
                resume=resume,
                stop=stop,
                listener=listener,
            )
            for name, manifest in training.prepared.manifests.items():
                if manifest.rows_in:
                    bar.say(f"{name}: {manifest.told()}")
            try:
                ended = training.run()
            except BurnqedError:
                if workers.main and (out / METRICS).exists():
                    with contextlib.suppress(RunError):  # on a full disk: what ended the run is what is to be told
                        bar.say(f"report: {write_report(out, title=out.name)}")
                raise
            if (tally := training.prepared.tally).counts:
                bar.say(tally.told())
            del training
    finally:
        workers.close()
    # The others are gone by now: exporting a large model takes longer than they would wait.
    if workers.main:
        _finish(ended, config, out, as_json=as_json)
    if not ended.finished:
        raise typer.Exit(3)


def _finish(ended: Ended, config: JointConfig, out: Path, *, as_json: bool) -> None:
    """Export and report, and say where things are."""
    from burnqed.joint.finish import finish
    from burnqed.train.checkpoint import latest_checkpoint
    from burnqed.train.report import write_report

    folders: dict[str, str] = {}
    if ended.finished and config.export and ended.checkpoint is not None:
        checkpoint = latest_checkpoint(ended.checkpoint.parent)
        assert checkpoint is not None
        done = finish(checkpoint, out)
        folders = {"model": str(done.model)} | ({"head": str(done.head)} if done.head else {})
    report = write_report(out, title=out.name)
    if as_json:
        print(
            json.dumps(
                {
                    "finished": ended.finished,
                    "step": ended.step,
                    "total": ended.total,
                    "why": ended.why,
                    "metrics": ended.metrics,
                    "red_lines": [c.sentence for c in ended.crossings],
                    "checkpoint": str(ended.checkpoint) if ended.checkpoint else None,
                    "report": str(report),
                    **folders,
                },
                ensure_ascii=False,
            )
        )
        return
    if not ended.finished:
        why = "" if ended.why == "stopped" else f": {ended.why}"
        print(f"stopped at step {ended.step} of {ended.total}{why}. Go on with --resume.")
    if ended.metrics.keys() & _SHOWN.keys():
        print(", ".join(f"{told} {ended.metrics[name]:.3f}" for name, told in _SHOWN.items() if name in ended.metrics))
    for name, folder in folders.items():
        print(f"{name}: {folder}")
    print(f"report: {report}")


def _planned(plan: Plan) -> list[str]:
    again = f"{plan.checkpoint_layers} of {plan.layers} layers are computed again in the backward pass"
    return ["memory, estimated:", *plan.told, again]


def _require_packages() -> None:
    for package in ("torch", "transformers", "peft", "accelerate"):
        if importlib.util.find_spec(package) is None:
            raise BadInput(f"training needs the package {package}; install it with: pip install 'burnqed[train]'")
