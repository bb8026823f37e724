"""The steps of an iteration in order: skips what is done, redoes what changed, goes on with what was killed.

A step's key is a hash of its inputs, among them the outputs of earlier steps, so when anything changes, what depends on it is
redone, and nothing else. What a redone step had written is moved to ``superseded/``, not thrown away.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from filelock import FileLock, Timeout

from burnqed.core.errors import BadInput, BurnqedError, RunError
from burnqed.iterate.calibrate_step import CalibrateStep
from burnqed.iterate.context import AtWork, Context, Stopped
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
    read_times,
    write_manifest,
    write_table,
)
from burnqed.iterate.needs import require_files, unfinished_before
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
_UNKNOWN = "unknown"
"""What stands for the key of a step that nothing is on record of."""

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
    context: Context,
    *,
    until: str = "",
    on_step: Callable[[str, bool], None] = lambda name, done: None,
    steps: Sequence[Step] = STEPS,
) -> IterationManifest:
    """Do what is not done, up to and with the step ``until`` (all when empty); ``on_step`` hears each step and if it is done.

    Raises what a step raises, after it is noted in ``failures.jsonl``; Stopped when asked to end; AtWork when another process is
    at work in the folder; BadInput, before anything is done, for a file that is not there and for an iteration before that is not
    finished.
    """
    place = context.place
    names = [step.name for step in steps]
    if until and until not in names:
        raise BadInput(f"there is no step {until}; the steps are {', '.join(names)}")
    with _alone(context):
        if why := unfinished_before(place, names):
            raise BadInput(why)
        require_files(context)
        manifest = read_manifest(place.manifest, place.number)
        for step in steps:
            context.check_stop()
            inputs = step.inputs(context)
            key = key_of(inputs)
            done = _is_done(step, context, manifest, key)
            on_step(step.name, done)
            if not done:
                _prepare(step, context, manifest, key)
                told = _timed(step, context)
                outputs = step.outputs(context)
                manifest.steps[step.name] = Entry(key=key, inputs=inputs, outputs=outputs, told=told)
                # In the order of the steps, however often each was redone: the file shall not tell.
                manifest.steps = {name: manifest.steps[name] for name in names if name in manifest.steps}
                write_manifest(place.manifest, manifest)
            if step.name == until:
                break
    return manifest


def status(context: Context, *, steps: Sequence[Step] = STEPS) -> list[StepStatus]:
    """Where each step stands, without doing anything. Raises RunError for a damaged manifest."""
    place = context.place
    manifest = read_manifest(place.manifest, place.number)
    begun = read_table(place.folder / BEGUN)
    unfinished = unfinished_before(place, [step.name for step in steps])
    return [_standing(step, context, manifest.steps.get(step.name), begun.get(step.name), unfinished) for step in steps]


def _standing(step: Step, context: Context, entry: Entry | None, begun: str | None, unfinished: str) -> StepStatus:
    """``begun`` is the key that it was begun with, ``unfinished`` why the iteration before is no ground to build on."""
    if unfinished:
        return StepStatus(step.name, "waiting", why=unfinished, entry=entry)
    try:
        inputs = step.inputs(context)
        outputs = step.outputs(context) if entry is not None else {}
    except BurnqedError as error:
        return StepStatus(step.name, "waiting", why=str(error), entry=entry)
    if entry is None:
        return StepStatus(step.name, "begun" if begun == key_of(inputs) else "to do")
    changed = (*_differing(entry.inputs, inputs), *_differing(entry.outputs, outputs))
    return StepStatus(step.name, "changed" if changed else "done", changed, entry=entry)


def _differing(before: dict[str, str], now: dict[str, str]) -> list[str]:
    return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))


def _is_done(step: Step, context: Context, manifest: IterationManifest, key: str) -> bool:
    entry = manifest.steps.get(step.name)
    return entry is not None and entry.key == key and entry.outputs == step.outputs(context)


def _prepare(step: Step, context: Context, manifest: IterationManifest, key: str) -> None:
    """Move away what was made of other inputs, or of nobody knows what, and note that the step is begun with these."""
    place = context.place
    begun = read_table(place.folder / BEGUN)
    entry = manifest.steps.get(step.name)
    before = begun.get(step.name, entry.key if entry is not None else _UNKNOWN)
    there = [folder for folder in step.folders(place) if folder.exists()]
    if before != key:
        for folder in there:
            target = place.folder / SUPERSEDED / f"{step.name}-{before}" / folder.name
            target.parent.mkdir(parents=True, exist_ok=True)
            number = 1
            while target.exists():
                number += 1
                target = target.with_name(f"{folder.name}-{number}")
            folder.rename(target)
    if before not in (key, _UNKNOWN):
        _forget_time(context, step.name)
    if before != key and there:
        where = place.folder / SUPERSEDED / f"{step.name}-{before}"
        context.listener.say(
            f"{step.name}: its inputs have changed, so it is done anew; what was there before is in {where}"
        )
    if manifest.steps.pop(step.name, None) is not None:
        write_manifest(place.manifest, manifest)
    write_table(place.folder / BEGUN, {**begun, step.name: key})


def _timed(step: Step, context: Context) -> dict[str, float | int | str]:
    """Run it; what goes wrong is noted before it goes on its way."""
    began_s = time.monotonic()
    try:
        return dict(step.run(context))
    except Stopped:
        raise
    except Exception as error:
        when = datetime.datetime.now().isoformat(timespec="seconds")
        what = str(error) if isinstance(error, BurnqedError) else f"{type(error).__name__}: {error}"
        note_failure(context.place.folder, Failure(step=step.name, when=when, error=what))
        raise
    finally:
        _note_time(context, step.name, time.monotonic() - began_s)


def _note_time(context: Context, step: str, seconds: float) -> None:
    """Add to the seconds that a step has taken, over all the goes that it took."""
    folder = context.place.folder
    times = read_times(folder)
    times[step] = times.get(step, 0.0) + seconds
    write_table(folder / TIMES, {name: f"{spent:.1f}" for name, spent in times.items()})


def _forget_time(context: Context, step: str) -> None:
    """What was spent on what is superseded is not what the step takes."""
    table = read_table(context.place.folder / TIMES)
    if table.pop(step, None) is not None:
        write_table(context.place.folder / TIMES, table)


@contextmanager
def _alone(context: Context) -> Iterator[None]:
    """No other process works on this iteration meanwhile."""
    folder = context.place.folder
    lock = FileLock(folder / ".lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise AtWork(f"another `burnqed iterate run` is at work in {folder}; wait for it, or end it") from None
    except OSError as error:
        raise RunError(f"{folder} cannot be written: {error.strerror or error}") from error
    try:
        yield
    finally:
        lock.release()
