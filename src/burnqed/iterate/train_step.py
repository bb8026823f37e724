"""The policy's training, alone or jointly with a head, and what it leaves behind for proving."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from burnqed.core.errors import BadInput, RunError
from burnqed.iterate.context import Context
from burnqed.iterate.digests import ABSENT, of_file, of_model, of_settings
from burnqed.iterate.place import Place
from burnqed.iterate.recipe import FRESH, PREVIOUS
from burnqed.iterate.step import Told
from burnqed.joint.config import JointConfig
from burnqed.trajectory.files import write_text

_TOLD = (
    "valid.loss", "probe.centroid_l2", "probe.linear_probe", "probe.trivial_probe", "ebm.rank_1", "ebm.chance", "temperature",
)  # fmt: skip

_WEIGHTS = "weights.txt"
"""In a finished training: the hash of its last checkpoint, which is large and may be cleared away once it is exported."""


class TrainStep:
    """``train/``: a run of ``burnqed train sft`` or ``joint``."""

    name = "train"

    def folders(self, place: Place) -> Sequence[Path]:
        """What the step writes."""
        return (place.training,)

    def inputs(self, context: Context) -> dict[str, str]:
        """Rows, pairs, the model to start from, settings."""
        learning, place = context.recipe.train, context.place
        if learning.mode == "decoupled":
            return {"mode": "decoupled"}
        base = start_of(context)
        config = training_config(context).model_dump(mode="json", exclude={"model": {"base", "device"}})
        found = {f"rows {p.name}": of_file(p) for p in sorted(place.rows.glob("sft_*.jsonl"))}
        found |= {f"pairs {p.name}": of_file(p) for p in sorted(place.labels.glob("pairs_*.jsonl"))}
        found["base"] = of_model(base) if base is not None else FRESH
        found["settings"] = of_settings(config, learning.mode)
        return found

    def run(self, context: Context) -> Told:
        """Train, or go on training."""
        if context.recipe.train.mode == "decoupled":
            return {}
        from burnqed.joint.prepare import Data
        from burnqed.joint.train import Listener, Training
        from burnqed.joint.train import Told as Stands
        from burnqed.train.journal import read_red_lines
        from burnqed.train.report import write_report
        from burnqed.train.workers import Workers

        place, config = context.place, training_config(context)
        workers = Workers(device=config.model.device)

        def step(told: Stands) -> None:
            context.listener.show("training", told.progress)

        try:
            training = Training(
                config,
                Data(rows=(place.rows,), pairs=(place.labels,) if has_pairs(place) else ()),
                place.training,
                kind=context.recipe.train.mode,
                workers=workers,
                resume=True,
                stop=context.stop,
                listener=Listener(
                    step=step,
                    crossed=lambda c: context.listener.say(f"red line, {c.rule.reaction}: {c.sentence}"),
                    note=context.listener.say,
                ),
            )
            ended = training.run()
        finally:
            workers.close()
        write_report(place.training, title=f"{place.folder.name}, training")
        context.check_stop()
        if not ended.finished:
            raise RunError(f"the training in {place.training} ended at step {ended.step} of {ended.total}: {ended.why}")
        # From the journal, which knows of those that were crossed before it was stopped, too.
        write_text(place.training / _WEIGHTS, f"{_weights_of(place.training)}\n")
        told: dict[str, float | int | str] = {"steps": ended.total, "red lines": len(read_red_lines(place.training))}
        return told | {name: round(ended.metrics[name], 4) for name in _TOLD if name in ended.metrics}

    def outputs(self, context: Context) -> dict[str, str]:
        """The weights of the last checkpoint."""
        if context.recipe.train.mode == "decoupled":
            return {}
        return {"weights": _weights_of(context.place.training)}


class ExportStep:
    """``model/`` and, after joint training, ``joint_head/``: what ``burnqed prove`` takes.

    Where a head alone is trained on a model from elsewhere, ``model/`` is a copy of that, for whoever takes the iteration's.
    """

    name = "export"

    def folders(self, place: Place) -> Sequence[Path]:
        """What the step writes."""
        return (place.model, place.joint_head)

    def inputs(self, context: Context) -> dict[str, str]:
        """The weights that were trained, and what they were trained on top of."""
        if context.recipe.train.mode == "decoupled":
            copied = _copied(context)
            return {"mode": "decoupled", **({"base": of_model(copied)} if copied is not None else {})}
        base = start_of(context)
        return {
            "weights": _weights_of(context.place.training),
            "base": of_model(base) if base is not None else FRESH,
            "mode": context.recipe.train.mode,
        }

    def run(self, context: Context) -> Told:
        """Merge what was learned into the model, and write both."""
        place, copied = context.place, _copied(context)
        scratch = place.folder / ".export"
        shutil.rmtree(scratch, ignore_errors=True)
        head: Path | None = None
        if copied is not None:
            model = Path(shutil.copytree(copied, scratch / "model"))
        elif context.recipe.train.mode == "decoupled":
            return {}
        else:
            model, head = _finished(place, scratch)
        # The model comes last: where it stands, everything does.
        for made, target in ((head, place.joint_head), (model, place.model)):
            if made is not None:
                shutil.rmtree(target, ignore_errors=True)
                made.rename(target)
        shutil.rmtree(scratch, ignore_errors=True)
        return {"bytes": sum(p.stat().st_size for p in place.model.glob("*.safetensors"))}

    def outputs(self, context: Context) -> dict[str, str]:
        """Weights, tokenizer and settings of the model, and the head's weights."""
        if context.recipe.train.mode == "decoupled" and _copied(context) is None:
            return {}
        found = {"model": of_model(context.place.model)}
        if context.recipe.train.mode == "joint":
            found["joint head"] = of_model(context.place.joint_head)
        return found


def _finished(place: Place, scratch: Path) -> tuple[Path, Path | None]:
    """Model and head of the last checkpoint."""
    from burnqed.joint.finish import finish
    from burnqed.train.checkpoint import latest_checkpoint

    checkpoint = latest_checkpoint(place.training / "checkpoints")
    if checkpoint is None:
        raise RunError(f"{place.training} has no checkpoint to export")
    done = finish(checkpoint, scratch)
    return done.model, done.head


def _copied(context: Context) -> Path | None:
    """The model from elsewhere that a head alone is trained on; None when the model is trained here, or is the one before."""
    learning = context.recipe.train
    return start_of(context) if learning.mode == "decoupled" and learning.start != PREVIOUS else None


def start_of(context: Context) -> Path | None:
    """The model to start from; None for a fresh one. Raises BadInput when there is none where the recipe says."""
    start, place = context.recipe.train.start, context.place
    if start == FRESH:
        return None
    if start != PREVIOUS:
        if not (Path(start) / "config.json").exists():
            raise BadInput(f"train.start: {start} is no model's folder; give one, or `{PREVIOUS}` or `{FRESH}`")
        return Path(start)
    found = place.previous.model_of() if place.previous is not None else None
    if found is None:
        raise BadInput(
            f"train.start: there is no model before {place.folder.name} to start from; set it to `{FRESH}`, or to a folder"
        )
    return found


def training_config(context: Context) -> JointConfig:
    """The settings of the training, with what the recipe says elsewhere filled in."""
    learning, base = context.recipe.train, start_of(context)
    config = learning.joint
    model = config.model.model_copy(update={"base": base})
    update: dict[str, object] = {"model": model, "export": False}
    chosen = "lora" in config.model_fields_set and "rank" in config.lora.model_fields_set
    if base is None and not chosen:  # there is nothing to adapt: all weights learn
        update["lora"] = config.lora.model_copy(update={"rank": 0})
    if learning.mode == "sft":
        update["contrastive"] = config.contrastive.model_copy(update={"weight": 0.0})
    return config.model_copy(update=update)


def has_pairs(place: Place, *, split: str = "*") -> bool:
    """Whether there is any pair, of a split or at all."""
    return any(p.stat().st_size for p in place.labels.glob(f"pairs_{split}.jsonl"))


def _weights_of(run: Path) -> str:
    """The hash of the weights in the last checkpoint of a run; where the checkpoints were cleared away, what it was."""
    from burnqed.train.checkpoint import TENSORS, latest_checkpoint

    folder = run / "checkpoints"
    checkpoint = latest_checkpoint(folder) if folder.exists() else None
    if checkpoint is not None:
        return of_file(checkpoint.folder / TENSORS)
    noted = run / _WEIGHTS
    return noted.read_text(encoding="utf-8").strip() if noted.exists() else ABSENT
