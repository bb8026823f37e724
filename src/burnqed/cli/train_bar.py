"""The bar of a training run: where it is, what it measures, how long it will take."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType

from rich.console import Console

from burnqed.cli.work_bar import make_bar, told
from burnqed.data.pace import Progress


class TrainBar:
    """Draws on standard error; a context manager. Off a terminal it writes a line every tenth of the way."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Console(stderr=True, quiet=quiet)
        self._plain = not self._console.is_terminal
        self._tenth = 0
        self._bar = make_bar(self._console, width=24, disable=self._plain)
        self._task = self._bar.add_task("training", total=None, pace="")

    def __enter__(self) -> TrainBar:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def say(self, text: str) -> None:
        """A line above the bar."""
        self._console.print(text, highlight=False, markup=False)

    def show(self, progress: Progress, values: Mapping[str, float], chance: float | None) -> None:
        """Where the run stands."""
        losses = summary(values, chance)
        self._bar.update(
            self._task, completed=progress.done, total=progress.total, description=losses, pace=told(progress)
        )
        tenth = 10 * progress.done // max(1, progress.total)
        if self._plain and tenth > self._tenth:
            self._tenth = tenth
            self.say(f"step {progress.done}/{progress.total}: {losses}, {told(progress)}")


def summary(values: Mapping[str, float], chance: float | None) -> str:
    """The losses in a few words; chance stands beside what it is the chance of."""
    parts = []
    if "loss.sft" in values:
        parts.append(f"tactics {values['loss.sft']:.3f}")
    if "loss.contrastive" in values:
        parts.append(f"contrast {values['loss.contrastive']:.3f} (chance {chance:.3f})")
    if "tokens_per_s" in values:
        parts.append(f"{values['tokens_per_s']:,.0f} tokens/s")
    return ", ".join(parts) or "training"
