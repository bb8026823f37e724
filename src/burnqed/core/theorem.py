"""A theorem to prove: our own header and statement, never the prover's."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

DEFAULT_IMPORTS = ("Init", "Std")
CORE_ROOTS = ("Init", "Std")
"""The roots of the modules that Lean itself brings and that a proof may import."""


def import_lines(imports: Sequence[str]) -> str:
    """The first lines of a Lean file that imports exactly these modules.

    A file imports ``Init`` by itself unless it says ``prelude``; so it says that when only modules of Lean's own are
    imported and ``Init`` is not among them. What comes from elsewhere needs all of ``Init`` anyway.
    """
    exact = "Init" not in imports and all(module.split(".")[0] in CORE_ROOTS for module in imports)
    return ("prelude\n" if exact else "") + "".join(f"import {module}\n" for module in imports if module != "Init")


@dataclass(frozen=True)
class Theorem:
    """One statement in its context.

    ``signature`` is the text from ``theorem`` up to, but without, ``:=``. ``header`` is the Lean text (opens,
    namespaces, universes, options, definitions) that stands before it; ``imports`` are module names, and it is stated and
    proved in exactly what these hold (``Init`` is among them or it is not there). ``source`` says where it came from, for
    messages (``file.lean:12``).
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
