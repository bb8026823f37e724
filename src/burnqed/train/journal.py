"""What a training run says of itself: one JSON line a measurement, and the same for TensorBoard where that is installed."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from burnqed.core.errors import RunError
from burnqed.trajectory.files import append_line, drop_torn_line, whole_lines, write_text

METRICS = "metrics.jsonl"
RED_LINES = "red_lines.jsonl"


class Journal:
    """Appends measurements to ``metrics.jsonl`` in a folder, and red lines that were crossed to ``red_lines.jsonl``.

    A context manager. A run that is resumed after step ``resume_at`` takes out what was written of later steps, which will be
    written again.
    """

    def __init__(self, folder: Path, *, resume_at: int | None = None, tensorboard: bool = True) -> None:
        make_folder(folder)
        self.path = folder / METRICS
        self._red_lines = folder / RED_LINES
        for path, rows in ((self.path, read_journal), (self._red_lines, read_red_lines)):
            if resume_at is None:
                path.unlink(missing_ok=True)
            elif path.exists():
                drop_torn_line(path)
                kept = [row for row in rows(folder) if row["step"] <= resume_at]
                write_text(path, "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in kept))
        self._writer = _summary_writer(folder / "tensorboard", resume_at) if tensorboard else None
        self.has_tensorboard = self._writer is not None

    def log(self, step: int, values: Mapping[str, float | None]) -> None:
        """Write some named values of a step; None, and what is not finite, is null."""
        row = {name: _finite(value) for name, value in values.items()}
        append_line(self.path, json.dumps({"step": step, **row}, ensure_ascii=False))
        if self._writer is not None:
            for name, value in row.items():
                if value is not None:
                    self._writer.add_scalar(name.replace(".", "/", 1), value, step)

    def crossed(self, step: int, *, reaction: str, sentence: str) -> None:
        """Write that a red line was crossed."""
        row = {"step": step, "reaction": reaction, "sentence": sentence}
        append_line(self._red_lines, json.dumps(row, ensure_ascii=False))

    def close(self) -> None:
        """Write out what TensorBoard still holds."""
        if self._writer is not None:
            self._writer.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def make_folder(folder: Path) -> None:
    """Make the folder of a run, and those above it, where it is not there yet. Raises RunError when the system refuses."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(
            f"the folder {folder} cannot be made ({error.strerror or error}); choose another --out"
        ) from error


def read_journal(folder: Path) -> list[dict[str, Any]]:
    """All measurements of a run, in order. Raises RunError for a line that is none."""
    found = []
    for number, line in enumerate(whole_lines(folder / METRICS), start=1):
        try:
            row = json.loads(line)
            row["step"] = int(row["step"])
            _ = [float(value) for value in row.values() if value is not None]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RunError(f"{folder / METRICS}:{number} is no measurement: {error}") from error
        found.append(row)
    return found


def read_red_lines(folder: Path) -> list[dict[str, Any]]:
    """The red lines that a run crossed, in order: ``step``, ``reaction``, ``sentence``. Raises RunError for a damaged line."""
    found = []
    for number, line in enumerate(whole_lines(folder / RED_LINES), start=1):
        try:
            row = json.loads(line)
            found.append({"step": int(row["step"]), **{k: str(row[k]) for k in ("reaction", "sentence")}})
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"{folder / RED_LINES}:{number} is no red line: {error}") from error
    return found


def series(rows: Iterable[Mapping[str, Any]], name: str) -> tuple[list[int], list[float]]:
    """Steps and values of one name, where it has a value."""
    points = [(row["step"], float(row[name])) for row in rows if row.get(name) is not None]
    return [step for step, _ in points], [value for _, value in points]


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _summary_writer(folder: Path, resume_at: int | None) -> Any:
    """TensorBoard's writer; None where TensorBoard is not installed. What an earlier start wrote of later steps is purged."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    make: Any = SummaryWriter
    return make(str(folder), purge_step=0 if resume_at is None else resume_at + 1, flush_secs=30)
