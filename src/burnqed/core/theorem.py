"""A theorem to prove: our own header and statement, never the prover's."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

DEFAULT_IMPORTS = ("Init", "Std")


@dataclass(frozen=True)
class Theorem:
    """One statement in its context.

    ``signature`` is the text from ``theorem`` up to, but without, ``:=``. ``header`` is the Lean text (opens,
    namespaces, universes, options, definitions) that stands before it; ``imports`` are module names. ``source``
    says where it came from, for messages (``file.lean:12``).
    """

    name: str
    signature: str
    header: str = ""
    imports: tuple[str, ...] = DEFAULT_IMPORTS
    source: str = ""

    @property
    def sorried(self) -> str:
        """The statement with its proof left out, as Lean parses it."""
        return f"{self.signature} := by sorry"

    def proved_by(self, script: str) -> str:
        """The statement with a tactic script (its lines already indented) as its proof."""
        return f"{self.signature} := by\n{script}"

    @property
    def digest(self) -> str:
        """A hash of everything that decides what is to be proved; the name is part of the signature."""
        text = "\0".join((*self.imports, self.header, self.signature))
        return hashlib.sha256(text.encode()).hexdigest()[:16]
