"""Which steps of an iteration are done: what went in and what came out, by hash.

Nothing in it depends on when, or in how many goes, the work was done; two runs of one recipe have the same manifest. Times
are in ``times.json``, what failed in ``failures.jsonl``.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import msgspec

from burnqed.core.errors import RunError
from burnqed.trajectory.files import append_line, write_text

BEGUN, TIMES, FAILURES = "begun.json", "times.json", "failures.jsonl"
VERSION = 1


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A step that is done. ``key`` is the hash of its inputs; ``told`` what is worth a line in the report."""

    key: str
    inputs: dict[str, str]
    outputs: dict[str, str]
    told: dict[str, float | int | str] = {}


class IterationManifest(msgspec.Struct, kw_only=True):
    """The steps that are done, by name."""

    iteration: int
    steps: dict[str, Entry] = {}
    version: int = VERSION


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A step that went wrong, and when."""

    step: str
    when: str
    error: str


def read_manifest(path: Path, iteration: int) -> IterationManifest:
    """The manifest in a file, an empty one when there is none. Raises RunError for a damaged one."""
    if not path.exists():
        return IterationManifest(iteration=iteration)
    try:
        found = msgspec.json.decode(path.read_bytes(), type=IterationManifest)
    except (OSError, msgspec.DecodeError) as error:
        raise RunError(
            f"{path} is damaged: {error}; without it all steps are looked at anew, so move it away"
        ) from error
    if found.version != VERSION:
        raise RunError(f"{path} is of version {found.version}, and this burnqed writes {VERSION}")
    if found.iteration != iteration:
        raise RunError(
            f"{path} is that of iteration {found.iteration}, not of {iteration}: the folder was copied; keep its recipe, and "
            "move everything else away"
        )
    return found


def write_manifest(path: Path, manifest: IterationManifest) -> None:
    """Write it whole."""
    write_text(path, msgspec.json.format(msgspec.json.encode(manifest), indent=1).decode() + "\n")


def read_table(path: Path) -> dict[str, str]:
    """A small table of texts; empty when it is not there or was cut off."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {str(k): str(v) for k, v in found.items()}
    except (OSError, ValueError, AttributeError):
        return {}


def write_table(path: Path, table: dict[str, str]) -> None:
    """Write it whole."""
    write_text(path, json.dumps(table, indent=1, ensure_ascii=False) + "\n")


def read_times(folder: Path) -> dict[str, float]:
    """The seconds of each step of an iteration; what is no number is left out."""
    found: dict[str, float] = {}
    for step, seconds in read_table(folder / TIMES).items():
        with contextlib.suppress(ValueError):
            found[step] = float(seconds)
    return found


def note_failure(folder: Path, failure: Failure) -> None:
    """Add a failure to the record of an iteration."""
    append_line(folder / FAILURES, msgspec.json.encode(failure).decode())
