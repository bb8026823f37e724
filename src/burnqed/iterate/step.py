"""What a step of an iteration is to the driver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from burnqed.iterate.context import Context
from burnqed.iterate.place import Place

Told = Mapping[str, float | int | str]
"""What is worth a line in the report; the same for two runs of one recipe."""


class Step(Protocol):
    """A part of the work that can be killed at any moment and begun again.

    ``inputs`` and ``outputs`` are hashes by name. ``run`` goes on with what is in its folders, which nobody else writes to; when
    the inputs have changed the driver has moved them away before. It raises Stopped when asked to end.
    """

    name: str

    def folders(self, place: Place) -> Sequence[Path]:
        """What the step writes."""
        ...

    def inputs(self, context: Context) -> dict[str, str]:
        """Hashes of all that decides what comes out. Raises BadInput for an input that is missing."""
        ...

    def run(self, context: Context) -> Told:
        """Do the work, or the rest of it."""
        ...

    def outputs(self, context: Context) -> dict[str, str]:
        """Hashes of what is there; ``absent`` for what is not."""
        ...
