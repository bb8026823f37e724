"""Re-check a finished file with nothing but Lean: does it compile, does the kernel take it, on what does it rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from burnqed.core.files import Declaration
from burnqed.core.ports import Gate


@dataclass(frozen=True)
class Recheck:
    """What a fresh Lean says of a file; ``reason`` when it does not hold."""

    holds: bool
    reason: str
    declarations: tuple[Declaration, ...]

    @property
    def good(self) -> bool:
        """Whether every theorem in the file is proved."""
        return self.holds and not any(faults(d) for d in self.declarations)


def faults(declaration: Declaration) -> str:
    """What is wrong with a declaration; empty when nothing is."""
    if declaration.sorry:
        return "rests on sorry"
    if beyond := declaration.forbidden_axioms:
        return f"rests on {', '.join(beyond)}"
    return ""


async def recheck(gate: Gate, text: str, against: str | None = None) -> Recheck:
    """Judge a file in a process that has seen nothing else.

    With ``against``, the same file with sorries, it must also state what that one states and change nothing but proofs.
    """
    verdict = await gate.check_file(text if against is None else against, text)
    return Recheck(verdict.accepted, verdict.reason, tuple(_theorems_first(verdict.declarations)))


def _theorems_first(declarations: Sequence[Declaration]) -> list[Declaration]:
    return sorted(declarations, key=lambda d: d.kind != "theorem")
