"""The steps of an iteration in order: skips what is done, redoes what changed, goes on with what was killed.

A step's key is a hash of its inputs, among them the outputs of earlier steps, so when anything changes, what depends on it is
redone, and nothing else. What a redone step had written is moved to ``superseded/``, not thrown away.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from filelock import FileLock, Timeout

from burnqed.core.errors import BadInput, BurnqedError, RunError
from burnqed.iterate.calibrate_step import CalibrateStep
from burnqed.iterate.context import Context, Stopped
from burnqed.iterate.digests import key_of
from burnqed.iterate.evaluate_step import EvaluateStep
from burnqed.iterate.head_step import HeadStep
from burnqed.iterate.label_step import LabelStep
from burnqed.iterate.manifest import (
    BEGUN,
    TIMES,
    Entry,
    Failure,
    IterationManifest,
    note_failure,
    read_manifest,
    read_table,
    write_manifest,
    write_table,
)
from burnqed.iterate.proofs_step import ProofsStep
from burnqed.iterate.rows_step import RowsStep
from burnqed.iterate.search_step import SearchStep
from burnqed.iterate.step import Step
from burnqed.iterate.train_step import ExportStep, TrainStep

STEPS: tuple[Step, ...] = (
    SearchStep(),
    ProofsStep(),
    LabelStep(),
    RowsStep(),
    TrainStep(),
    ExportStep(),
    HeadStep(),
    CalibrateStep(),
    EvaluateStep(),
)
SUPERSEDED = "superseded"

Standing = Literal["done", "to do", "begun", "changed", "waiting"]


@dataclass(frozen=True)
class StepStatus:
    """Where a step stands. ``changed`` names the inputs, or outputs, that are not what they were; ``entry`` is of what is done.

    ``waiting``: what it needs is not there yet, for ``why``.
    """

    step: str
    standing: Standing
    changed: tuple[str, ...] = ()
    why: str = ""
    entry: Entry | None = None


def run_iteration(
    context: Context, *, until: str = "", on_step: Callable[[str, bool], None] = lambda name, done: None
) -> IterationManifest:
    """Do what is not done, up to and with the step ``until`` (all when empty); ``on_step`` hears each step and if it is done.

    Raises what a step raises, after it is noted in ``failures.jsonl``; Stopped when asked to end; BadInput when another process
    is at work in the folder.
    """
    place = context.place
    names = [step.name for step in STEPS]
    if until and until not in names:
        raise BadInput(f"there is no step {until}; the steps are {', '.join(names)}")
    with _alone(context):
        manifest = read_manifest(place.manifest, place.number)
        for step in STEPS:
            context.check_stop()
            inputs = step.inputs(context)
            key = key_of(inputs)
            done = _is_done(step, context, manifest, key)
            on_step(step.name, done)
            if not done:
                _prepare(step, context, manifest, key)
                told, seconds = _timed(step, context)
                outputs = step.outputs(context)
                manifest.steps[step.name] = Entry(key=key, inputs=inputs, outputs=outputs, told=dict(told))
                write_manifest(place.manifest, manifest)
                _note_time(context, step.name, seconds)
            if step.name == until:
                break
    return manifest


def status(context: Context) -> list[StepStatus]:
    """Where each step stands, without doing anything. Raises RunError for a damaged manifest."""
    place = context.place
    manifest = read_manifest(place.manifest, place.number)
    begun = read_table(place.folder / BEGUN)
    found: list[StepStatus] = []
    for step in STEPS:
        entry = manifest.steps.get(step.name)
        try:
            inputs = step.inputs(context)
        except BurnqedError as error:
            found.append(StepStatus(step.name, "waiting", why=str(error), entry=entry))
            continue
        key = key_of(inputs)
        if entry is None:
            standing: Standing = "begun" if begun.get(step.name) == key else "to do"
            found.append(StepStatus(step.name, standing))
            continue
        outputs = step.outputs(context)
        changed = (*_differing(entry.inputs, inputs), *_differing(entry.outputs, outputs))
        found.append(StepStatus(step.name, "changed" if changed else "done", changed, entry=entry))
    return found


def _differing(before: dict[str, str], now: dict[str, str]) -> list[str]:
    return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))


def _is_done(step: Step, context: Context, manifest: IterationManifest, key: str) -> bool:
    entry = manifest.steps.get(step.name)
    return entry is not None and entry.key == key and entry.outputs == step.outputs(context)


def _prepare(step: Step, context: Context, manifest: IterationManifest, key: str) -> None:
    """Move away what was made of other inputs, and note that the step is begun with these."""
    place = context.place
    begun = read_table(place.folder / BEGUN)
    before = begun.get(step.name)
    if before is not None and before != key:
        for folder in step.folders(place):
            if folder.exists():
                target = place.folder / SUPERSEDED / f"{step.name}-{before}" / folder.name
                target.parent.mkdir(parents=True, exist_ok=True)
                number = 1
                while target.exists():
                    number += 1
                    target = target.with_name(f"{folder.name}-{number}")
                folder.rename(target)
        context.listener.say(
            f"{step.name}: its inputs have changed, so it is done anew; what it made before is in "
            f"{place.folder / SUPERSEDED / f'{step.name}-{before}'}"
        )
    if manifest.steps.pop(step.name, None) is not None:
        write_manifest(place.manifest, manifest)
    write_table(place.folder / BEGUN, {**begun, step.name: key})


def _timed(step: Step, context: Context) -> tuple[dict[str, float | int | str], float]:
    """Run it; what goes wrong is noted before it goes on its way."""
    began_s = time.monotonic()
    try:
        told = step.run(context)
    except Stopped:
        _note_time(context, step.name, time.monotonic() - began_s)
        raise
    except BurnqedError as error:
        when = datetime.datetime.now().isoformat(timespec="seconds")
        note_failure(context.place.folder, Failure(step=step.name, when=when, error=str(error)))
        raise
    return dict(told), time.monotonic() - began_s


def _note_time(context: Context, step: str, seconds: float) -> None:
    """Add to the seconds that a step has taken, over all the goes that it took."""
    path = context.place.folder / TIMES
    times = read_table(path)
    times[step] = f"{float(times.get(step, '0')) + seconds:.1f}"
    write_table(path, times)


@contextmanager
def _alone(context: Context) -> Iterator[None]:
    """No other process works on this iteration meanwhile."""
    folder = context.place.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        with lock.acquire(timeout=0):
            yield
    except Timeout:
        raise BadInput(f"another `burnqed iterate run` is at work in {folder}; wait for it, or end it") from None
    except PermissionError as error:
        raise RunError(f"{folder} cannot be written: {error.strerror or error}") from error
