"""What Lean says of a file: where its sorries stand, and whether a filled one may take its place."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

from burnqed.core.outcome import ALLOWED_AXIOMS
from burnqed.core.theorem import Theorem


@dataclass(frozen=True)
class Place:
    """Where a ``sorry`` stands: characters ``start`` to ``end`` of the file, as a tactic or as a term.

    ``declaration`` is the name of the theorem or definition around it. ``obstacle`` says why it cannot be proved on its own, and
    is empty when it can.
    """

    index: int
    start: int
    end: int
    kind: Literal["tactic", "term"]
    declaration: str
    obstacle: str = ""


@dataclass(frozen=True)
class Hole:
    """One ``sorry`` of the file ``text``, to be proved where it stands, with the context that it has there.

    ``name`` is the declaration's, with ``#2`` and so on where it has several.
    """

    name: str
    text: str
    place: Place
    source: str = ""

    @property
    def digest(self) -> str:
        """A hash of everything that decides what is to be proved."""
        return hashlib.sha256(f"{self.place.index}\0{self.text}".encode()).hexdigest()[:16]


Target = Theorem | Hole
"""What a search proves."""


@dataclass(frozen=True)
class Declaration:
    """A theorem or definition of a checked file; ``sorry`` if it still rests on one."""

    name: str
    kind: str
    sorry: bool
    axioms: tuple[str, ...]

    @property
    def forbidden_axioms(self) -> tuple[str, ...]:
        """The axioms beyond the three that mathematics in Lean is done with, and beyond ``sorryAx``."""
        return tuple(a for a in self.axioms if a not in ALLOWED_AXIOMS and a != "sorryAx")


@dataclass(frozen=True)
class FileVerdict:
    """Whether a filled file states what the original did, and what its declarations rest on."""

    accepted: bool
    reason: str = ""
    declarations: tuple[Declaration, ...] = ()
