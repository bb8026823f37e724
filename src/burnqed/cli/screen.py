"""What a person sees while theorems are proved. On standard error, so that standard output stays clean."""

from __future__ import annotations

import time
from dataclasses import dataclass

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from burnqed.core.events import Event, NodeAdded, SearchEnded, SearchStarted, TacticApplied
from burnqed.run.result import TheoremResult


@dataclass
class _Running:
    began_s: float
    nodes: int = 0
    depth: int = 0
    tactics: int = 0
    best: float = float("-inf")


class ProveScreen:
    """An EventSink that draws: a bar over theorems, and a line for every search under way. A context manager."""

    def __init__(self, total: int, *, enabled: bool) -> None:
        self._console = Console(stderr=True)
        self._stdout = Console()
        self._running: dict[str, _Running] = {}
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
        )
        self._bar = Progress(*columns, console=self._console)
        self._task = self._bar.add_task("theorems", total=total, note="starting Lean")
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
        elif isinstance(event, SearchEnded):
            self._running.pop(event.theorem, None)
        elif (line := self._running.get(event.theorem)) is not None:
            if isinstance(event, NodeAdded):
                line.nodes += 1
                line.depth = max(line.depth, event.depth)
                line.best = max(line.best, event.priority) if event.depth else line.best
            elif isinstance(event, TacticApplied):
                line.tactics += 1

    def result(self, result: TheoremResult) -> None:
        """Count a finished theorem."""
        self._running.pop(result.name, None)
        self._proved += result.status == "proved"
        self._bar.update(self._task, advance=1, note=f"{self._proved} proved")

    def show(self, result: TheoremResult) -> None:
        """Print a result for a person: the proof on standard output, everything about it on standard error."""
        cost = f"{result.nodes} nodes, {result.tactics} tactics, {result.seconds:.1f} s"
        if result.status == "proved":
            axioms = f", axioms {', '.join(result.axioms)}" if result.axioms else ""
            self._console.print(
                f"[green]✓[/] [bold]{escape(result.name)}[/] proved ({cost}{escape(axioms)})", highlight=False
            )
            self._stdout.print(result.proof, highlight=False, markup=False, soft_wrap=True)
            self._stdout.print()
        else:
            mark, style = ("–", "yellow") if result.status == "not_proved" else ("✗", "red")
            head = f"{result.name} not proved ({cost})" if result.status == "not_proved" else result.name
            self._console.print(
                f"[{style}]{mark}[/] [bold]{escape(head)}[/]: {escape(result.reason)}", highlight=False, soft_wrap=True
            )

    def _render(self) -> Group:
        table = Table(box=None, pad_edge=False, show_header=bool(self._running), header_style="dim")
        for name in ("theorem", "nodes", "depth", "tactics/s", "best score", "seconds"):
            table.add_column(name, justify="left" if name == "theorem" else "right")
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
            )
        return Group(self._bar, table)
