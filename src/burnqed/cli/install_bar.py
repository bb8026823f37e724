"""The progress bar of an installation."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from burnqed.lean.embedded.compile import compiled, is_compiled
from burnqed.lean.embedded.install import EmbeddedLean, install, installed
from burnqed.lean.embedded.programs import PROVER, Program


class InstallBar:
    """Draws installation progress on standard error. The InstallProgress protocol; a context manager."""

    def __init__(self) -> None:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TimeElapsedColumn(),
        )
        console = Console(stderr=True)
        self._progress = Progress(*columns, console=console, disable=not console.is_terminal)
        self._task: TaskID | None = None

    def __enter__(self) -> InstallBar:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._finish()
        self._progress.stop()

    def phase(self, name: str, total: int | None) -> None:
        """The next part of the work, ``total`` bytes long if known."""
        self._finish()
        self._task = self._progress.add_task(name, total=total)

    def advance(self, amount: int) -> None:
        """So many more bytes are done."""
        if self._task is not None:
            self._progress.advance(self._task, amount)

    def _finish(self) -> None:
        if self._task is not None:
            task = self._progress.tasks[-1]
            total = task.total if task.total is not None else max(task.completed, 1)
            self._progress.update(self._task, total=total, completed=total)


def ensure_lean(
    *, source: Path | None = None, force: bool = False, programs: Sequence[Program] = (PROVER,)
) -> EmbeddedLean:
    """The embedded Lean, installed now with a bar if it is not there yet, and programs of it compiled. Raises InstallError."""
    lean = None if force else installed()
    if lean is None:
        with InstallBar() as bar:
            lean = install(source=source, force=force, progress=bar)
    if missing := [p for p in programs if not is_compiled(p, lean)]:
        names = " and ".join(p.name for p in missing)
        with (
            Console(stderr=True).status(f"compiling the server ({names}), once; it takes half a minute"),
            ThreadPoolExecutor() as threads,
        ):
            list(threads.map(lambda p: compiled(p, lean), missing))
    return lean
