"""The server programs: Lean text put together from the parts in ``programs/``, written where a process can read it.

Lean elaborates a program's source at every start, so a process gets the parts that it needs and no others.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from dataclasses import dataclass
from pathlib import Path

from burnqed.core.errors import InstallError
from burnqed.lean.embedded.install import home

_PARTS = Path(__file__).parent / "programs"


@dataclass(frozen=True)
class Program:
    """A server program: its name and its parts, in order."""

    name: str
    parts: tuple[str, ...]

    @property
    def text(self) -> str:
        """The whole source."""
        return "\n".join((_PARTS / f"{part}.lean").read_text(encoding="utf-8") for part in self.parts)


_COMMON = ("base", "keys", "goals", "statements", "tactics", "verdict", "inspect", "commands", "loop")
PROVER = Program("prover", (*_COMMON, "prover_main"))
"""What a proof search needs, and nothing else."""
COMPLETE = Program("complete", (*_COMMON, "goal_commands", "environment", "files", "complete_main"))
"""All of Pantograph's protocol, and files with sorries."""


def written(program: Program) -> Path:
    """The program as a file, alone in its folder, which is named by its content. Written if it is not there yet.

    Raises InstallError when burnqed's folder cannot be written.
    """
    source = program.text.encode()
    path = home() / "programs" / f"{program.name}-{hashlib.sha256(source).hexdigest()[:16]}" / "server.lean"
    try:
        if not path.is_file() or path.read_bytes() != source:
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = path.with_name(f"{secrets.token_hex(4)}.tmp")
            try:
                draft.write_bytes(source)
                draft.replace(path)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    draft.unlink()
    except OSError as error:
        raise InstallError(f"the Lean program cannot be written to {path.parent}: {error.strerror or error}") from error
    return path
