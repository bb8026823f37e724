"""Checkpoints: tensors and a state, whole or not there, and never loaded when a byte of them has changed.

A checkpoint is a folder ``step-00000100`` with ``tensors.safetensors`` and ``state.json``, which holds the hash of the tensors
and of itself. It is written beside, flushed to disk and renamed; older ones, and what killed processes left half written, are
removed only after that.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from burnqed.core.errors import RunError

TENSORS = "tensors.safetensors"
STATE = "state.json"
VERSION = 1
_PREFIX = "step-"


@dataclass(frozen=True)
class Checkpoint:
    """One that is whole. ``skipped`` names later ones that are damaged, with what is wrong with each."""

    folder: Path
    step: int
    state: dict[str, Any]
    skipped: tuple[str, ...] = ()

    def tensors(self) -> dict[str, Tensor]:
        """All tensors, on the CPU. Raises RunError when the file cannot be read."""
        try:
            return load_file(self.folder / TENSORS)
        except (OSError, SafetensorError) as error:
            raise RunError(f"{self.folder / TENSORS} cannot be read: {error}") from error


def save_checkpoint(
    folder: Path, step: int, *, tensors: Mapping[str, Tensor], state: Mapping[str, Any], keep: int = 2
) -> Path:
    """Write the checkpoint of a step below ``folder``; the ``keep`` latest stay. Raises RunError when the disk refuses.

    ``state`` is anything that JSON holds. A checkpoint of the same step that is there already is replaced.
    """
    path = folder / f"{_PREFIX}{step:08d}"
    with whole_folder(path) as part:
        save_file({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, part / TENSORS)
        described = {"version": VERSION, "step": step, "tensors": _digest(part / TENSORS), "state": dict(state)}
        described["self"] = _own_digest(described)
        (part / STATE).write_text(json.dumps(described, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    half_written = [*folder.glob(f".{_PREFIX}*.part"), *folder.glob(f".{_PREFIX}*.old")]
    for old in [*half_written, *(_folders(folder)[:-keep] if keep else ())]:
        shutil.rmtree(old, ignore_errors=True)
    return path


def latest_checkpoint(folder: Path) -> Checkpoint | None:
    """The last whole checkpoint below a folder; None when there is none, RunError when there are only damaged ones."""
    skipped: list[str] = []
    for path in reversed(_folders(folder)):
        try:
            return Checkpoint(path, *_described(path), skipped=tuple(skipped))
        except RunError as error:
            skipped.append(str(error))
    if skipped:
        raise RunError(f"{folder} has no checkpoint that is whole: {skipped[0]}")
    return None


def latest_state(folder: Path) -> tuple[int, dict[str, Any]] | None:
    """Step and state of the last checkpoint below a folder whose ``state.json`` is whole; None when there is no such one.

    Its tensors, maybe gigabytes, are not read.
    """
    for path in reversed(_folders(folder)):
        with contextlib.suppress(RunError):
            return read_state(path)
    return None


def read_state(path: Path) -> tuple[int, dict[str, Any]]:
    """Step and state of the checkpoint in this very folder, its tensors unread. Raises RunError when it is none, or damaged."""
    return _read(path)[:2]


def open_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint in this very folder. Raises RunError when it is none, or damaged."""
    return Checkpoint(path, *_described(path))


@contextlib.contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder to write into, which takes its real name at the end, in place of one that was there. Raises RunError."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    old = path.with_name(f".{path.name}.{os.getpid()}.old")
    try:
        with _told(path):
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            yield part
            for file in part.rglob("*"):
                if file.is_file():
                    with file.open("rb+") as handle:
                        os.fsync(handle.fileno())
            _flush_folder(part)
            if path.exists():
                path.rename(old)
            part.rename(path)
            _flush_folder(path.parent)
    finally:
        if old.exists() and not path.exists():
            old.rename(path)
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _flush_folder(path: Path) -> None:
    """Names are on disk only when their folder is."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """What the system refuses becomes a sentence. safetensors has an exception of its own for a full disk."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
        full = full or any(word in str(error).lower() for word in ("no space", "file too large", "os error 28"))
        cure = "free some space; what was there before is as it was" if full else "what was there before is as it was"
        said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise RunError(f"{path} could not be written ({said}); {cure}") from error


def _folders(folder: Path) -> list[Path]:
    """All checkpoints, the oldest first."""
    return sorted(p for p in folder.glob(f"{_PREFIX}*") if p.is_dir() and p.name.removeprefix(_PREFIX).isdigit())


def _described(path: Path) -> tuple[int, dict[str, Any]]:
    """Step and state. Raises RunError when anything about it is not as it was written."""
    step, state, wanted = _read(path)
    try:
        found = _digest(path / TENSORS)
    except OSError as error:
        raise RunError(f"the checkpoint {path} is damaged: {error}") from error
    if found != wanted:
        raise RunError(f"the checkpoint {path} is damaged: {TENSORS} is not the file that was saved")
    return step, state


def _read(path: Path) -> tuple[int, dict[str, Any], str]:
    """Step, state, and the hash that the tensors have to have."""
    try:
        described = json.loads((path / STATE).read_text(encoding="utf-8"))
        step, state, tensors = int(described["step"]), described["state"], described["tensors"]
        version, own = described["version"], described.pop("self", "")
    except FileNotFoundError:
        raise RunError(f"{path} is no checkpoint: there is no {STATE} in it") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"the checkpoint {path} is damaged: {error}") from error
    if version != VERSION:
        raise RunError(f"the checkpoint {path} is of version {version}, not {VERSION}; it comes from another burnqed")
    if own != _own_digest(described):
        raise RunError(f"the checkpoint {path} is damaged: {STATE} is not the file that was saved")
    return step, state, tensors


def _own_digest(described: Mapping[str, Any]) -> str:
    """Of what JSON makes of it, so that tuples and lists are the same."""
    read_back = json.loads(json.dumps(described))
    return hashlib.blake2b(json.dumps(read_back, sort_keys=True).encode(), digest_size=16).hexdigest()


def _digest(path: Path) -> str:
    """Always read anew: a hash that is remembered would not see what a disk did to the file since."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()[:32]
