"""The only way to write a training file: through a guard that lets no benchmark's theorem in."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from burnqed.core.errors import BadInput
from burnqed.data.decontaminate import DECONTAMINATE, Decontaminator, Leak
from burnqed.data.manifest import FileCard, Manifest
from burnqed.data.records import BENCHMARK, Record, TheoremRecord
from burnqed.trajectory.files import whole_file

MARKED = "marked as a benchmark's"


class TrainingFile:
    """An open training file; made by :func:`training_file` alone."""

    def __init__(self, handle: BinaryIO, decontaminator: Decontaminator, manifest: Manifest) -> None:
        self.rows = 0
        self._handle = handle
        self._decontaminator = decontaminator
        self._manifest = manifest
        self._last: tuple[Record, Leak | None] | None = None

    def write(self, row: msgspec.Struct | Mapping[str, Any], *, of: Record, states: Sequence[str] = ()) -> bool:
        """Write a row, unless the theorem ``of`` which it is, or one of the proof states in it, is a benchmark's.

        Returns whether it was written; a row that was not is counted in the manifest with what it matches.
        """
        if not self.admits(of, states=states):
            return False
        self._handle.write(msgspec.json.encode(row) + b"\n")
        self.rows += 1
        self._manifest.rows_out += 1
        return True

    def admits(self, of: Record, *, states: Sequence[str] = ()) -> bool:
        """Whether rows of a theorem may be written; one that may not is counted with what it matches.

        For a step that has more to ask of it before it writes; :meth:`write` asks in any case.
        """
        if (reason := self._why_not(of, states)) is None:
            return True
        name = of.name if isinstance(of, TheoremRecord) else of.theorem
        how = reason if isinstance(reason, str) else reason.how
        self._manifest.drop(DECONTAMINATE, how, f"{f'{of.origin}: ' if of.origin else ''}{name} is {reason}")
        return False

    def _why_not(self, of: Record, states: Sequence[str]) -> Leak | str | None:
        """What speaks against a row; None when nothing does."""
        if BENCHMARK in of.flags:
            return MARKED
        if self._last is None or self._last[0] is not of:  # rows of one theorem come one after the other
            self._last = of, self._decontaminator.leak(of)
        found = (self._last[1], *map(self._decontaminator.leak_in_state, states))
        return next((leak for leak in found if leak is not None), None)


@contextlib.contextmanager
def training_file(path: Path, decontaminator: Decontaminator, *, manifest: Manifest) -> Iterator[TrainingFile]:
    """A file of JSON lines to be trained on; it is there whole at the end, and its card in the manifest, or not at all.

    Raises BadInput when it is to be written without a guard. What is written and what is kept out counts in ``manifest``; the
    rows that come in are counted by the caller, who writes the manifest when all files of the step are there.
    """
    if not isinstance(decontaminator, Decontaminator):
        raise BadInput(f"{path}: a training file is written with a Decontaminator that knows the benchmarks")
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as part, part.open("wb") as handle:
        file = TrainingFile(handle, decontaminator, manifest)
        yield file
        handle.flush()
    manifest.outputs.append(FileCard.of(path, rows=file.rows))
    manifest.settings["kept out"] = ", ".join(f"{n} of {s or 'a file'}" for s, n in decontaminator.sources.items())
