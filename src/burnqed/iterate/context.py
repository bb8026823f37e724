"""What every step of an iteration is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from burnqed.assemble.lean_side import LeanSide
from burnqed.core.errors import BadInput, BurnqedError
from burnqed.data.pace import Progress
from burnqed.iterate.place import Place
from burnqed.iterate.recipe import Recipe


class Stopped(BurnqedError):
    """Somebody asked for an end; what is done is kept."""


class AtWork(BadInput):
    """Another process is at work in the folder, so nothing is to be written there."""


@dataclass(frozen=True)
class Listener:
    """Who is told: sentences, and where a long piece of work stands."""

    say: Callable[[str], None] = lambda text: None
    show: Callable[[str, Progress], None] = lambda what, progress: None


@dataclass(frozen=True)
class Context:
    """An iteration that is being worked on. ``lean`` installs Lean at its first use; ``stop`` says whether to end."""

    place: Place
    recipe: Recipe
    lean: Callable[[], LeanSide]
    stop: Callable[[], bool] = lambda: False
    listener: Listener = field(default_factory=Listener)

    def check_stop(self) -> None:
        """Raise :class:`Stopped` when somebody asked for an end."""
        if self.stop():
            raise Stopped(f"{self.place.folder.name} was stopped; the same command goes on with it")
