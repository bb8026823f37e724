"""The bar of a long work whose speed is measured as it goes."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from burnqed.data.pace import Progress


def make_bar(console: Console, *, width: int | None = 40, disable: bool) -> Bar:
    """A bar with description, count, time, and the field ``pace`` for what is told of the speed."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=width),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[pace]}"),
    )
    return Bar(*columns, console=console, disable=disable)


class WorkBar:
    """Draws on standard error; a context manager. The time left is told only once there is a speed to tell it from."""

    def __init__(self, what: str, *, waiting: str = "starting Lean") -> None:
        console = Console(stderr=True)
        self._bar = make_bar(console, disable=not console.is_terminal)
        self._task = self._bar.add_task(what, total=None, pace=waiting)
        self.last: Progress | None = None

    def __enter__(self) -> WorkBar:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def show(self, progress: Progress) -> None:
        """Where the work stands."""
        self.last = progress
        self._bar.update(self._task, completed=progress.done, total=progress.total, pace=told(progress))


def told(progress: Progress) -> str:
    """The speed and the time left, as far as they are known."""
    if progress.rate is None or progress.eta_s is None:
        return "no speed measured yet"
    return f"{progress.rate:.1f}/s, {duration(progress.eta_s)} left"


def duration(seconds: float) -> str:
    """A time as people say it: ``45 s``, ``12 min``, ``3.2 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
