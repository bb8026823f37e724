"""What a person sees while theorems are proved. On standard error, so that standard output stays clean."""

from __future__ import annotations

import contextlib
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from burnqed.core.events import Event, NodeAdded, SearchEnded, SearchStarted, TacticApplied
from burnqed.run.result import TheoremResult

_MARKS = {"proved": ("✓", "green"), "not_proved": ("–", "yellow"), "error": ("✗", "red")}


@dataclass
class _Running:
    began_s: float
    nodes: int = 0
    depth: int = 0
    tactics: int = 0
    best: float = float("-inf")
    checking: bool = False


class ProveScreen:
    """An EventSink that draws: a bar over theorems, and a line for every search under way. A context manager."""

    def __init__(self, total: int, *, enabled: bool, what: str = "theorems") -> None:
        self._console = Console(stderr=True)
        self._running: dict[str, _Running] = {}
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
        )
        self._bar = Progress(*columns, console=self._console)
        self._task = self._bar.add_task(what, total=total, note="starting Lean")
        self._proved = 0
        self._live = (
            Live(console=self._console, get_renderable=self._render, refresh_per_second=4, transient=True)
            if enabled
            else None
        )

    def __enter__(self) -> ProveScreen:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._live:
            self._live.stop()

    def emit(self, event: Event) -> None:
        """Update the line of the event's theorem."""
        if isinstance(event, SearchStarted):
            self._running[event.theorem] = _Running(time.monotonic())
            self._note()
        elif isinstance(event, SearchEnded):
            self._running.pop(event.theorem, None)
        elif (line := self._running.get(event.theorem)) is not None:
            if isinstance(event, NodeAdded):
                line.nodes += 1
                line.depth = max(line.depth, event.depth)
                line.checking = event.finished
                if event.depth and not event.finished:
                    line.best = max(line.best, event.priority)
            elif isinstance(event, TacticApplied):
                line.tactics += 1
                line.checking = False

    def result(self, result: TheoremResult) -> None:
        """Count a finished theorem."""
        self._running.pop(result.name, None)
        self._proved += result.status == "proved"
        self._bar.advance(self._task)
        self._note()

    def show(self, result: TheoremResult) -> None:
        """Print a result for a person: the proof on standard output, everything about it on standard error."""
        cost = f"{result.nodes} nodes, {result.tactics} tactics, {result.seconds:.1f} s"
        mark, style = _MARKS[result.status]
        head = f"[{style}]{mark}[/] [bold]{escape(result.name)}[/]"
        if result.status == "proved":
            axioms = f", axioms {', '.join(result.axioms)}" if result.axioms else ""
            head += f" proved ({cost}{escape(axioms)})"
        elif result.status == "not_proved":
            head += f" not proved ({cost}): {escape(result.reason)}"
        else:
            head += f": {escape(result.reason)}"
        with self._paused():
            self._console.print(head, highlight=False, emoji=False, soft_wrap=True)
            if result.proof is not None:
                # Not through rich, which would take ``:x:`` in Lean for an emoji.
                print(textwrap.dedent(result.proof.lstrip("\n")).strip(" "), end="\n\n", flush=True)

    @contextlib.contextmanager
    def _paused(self) -> Iterator[None]:
        """Take the drawing away while something is printed, for both may go to one terminal."""
        if self._live:
            self._live.stop()
        try:
            yield
        finally:
            if self._live:
                sys.stderr.flush()
                self._live.start()

    def _note(self) -> None:
        self._bar.update(self._task, note=f"{self._proved} proved")

    def _render(self) -> Group:
        table = Table(
            box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=bool(self._running), header_style="dim"
        )
        for name in ("theorem", "states", "depth", "tactics/s", "best score", "seconds", ""):
            table.add_column(name, justify="left" if name in ("theorem", "") else "right", no_wrap=True)
        now = time.monotonic()
        for theorem, r in self._running.items():
            seconds = now - r.began_s
            best = f"{r.best:.2f}" if r.best > float("-inf") else "–"
            table.add_row(
                Text(theorem[:48]),
                str(r.nodes),
                str(r.depth),
                f"{r.tactics / max(seconds, 0.1):.0f}",
                best,
                f"{seconds:.0f}",
                "checking a proof" if r.checking else "",
            )
        return Group(self._bar, table)
