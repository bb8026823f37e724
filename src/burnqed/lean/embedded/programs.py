"""The server programs: Lean text put together from the parts in ``programs/``; :mod:`.compile` makes them fit to run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_PARTS = Path(__file__).parent / "programs"


@dataclass(frozen=True)
class Program:
    """A server program: its name and its parts, in order."""

    name: str
    parts: tuple[str, ...]

    @property
    def text(self) -> str:
        """The whole source."""
        return "\n".join(part_text(part) for part in self.parts)


_COMMON = ("goals", "statements", "tactics", "verdict", "inspect", "imports", "commands", "loop")
_FILES = ("files", "invocations", "holes", "made", "track", "check", "distil", "library", "trace")
PROVER = Program("prover", ("base", "keys", "brief", *_COMMON, "prover_main"))
"""What a proof search needs, and nothing else."""
COMPLETE = Program(
    "complete",
    (
        *("complete_imports", "base", "keys", "printing", *_COMMON),
        *("actions", "fragments", "sites", "subsume", "goal_commands", "environment", "corpus"),
        *(*_FILES, "saves", "complete_main"),
    ),
)
"""All of Pantograph's protocol, and files with sorries."""
LIBRARY = Program("library", ("complete_imports", "base", "statements", "imports", "loop", "corpus", "native_library"))
"""The theorems of compiled modules, for a native ``lean --run``, which elaborates it at every start: it has nothing else."""


def part_text(part: str) -> str:
    """The text of one part."""
    return (_PARTS / f"{part}.lean").read_text(encoding="utf-8")
