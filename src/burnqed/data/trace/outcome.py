"""What Lean said of a text's commands, as theorems with their steps, or with the reason why they are left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from burnqed.data.records import TheoremRecord
from burnqed.data.trace.inputs import ProofText
from burnqed.data.trace.rows import Step, steps
from burnqed.lean.protocol import TracedCommand
from burnqed.theorems.lean_text import declared

BROKEN = "does not compile"
SORRY = "sorry"
PLAIN = "no tactics"


@dataclass(frozen=True)
class Outcome:
    """A theorem with its steps, none when there is a ``reason``. ``conv`` counts the steps inside ``conv``.

    ``command`` is its number in the text, ``made`` are the constants that the text made up to its end.
    """

    theorem: TheoremRecord
    command: int
    reason: str = ""
    detail: str = ""
    steps: tuple[Step, ...] = ()
    conv: int = 0
    made: frozenset[str] = frozenset()


def outcomes(proof: ProofText, text: str, commands: Sequence[TracedCommand]) -> list[Outcome]:
    """The theorems of a text, as it was sent, from its commands that have ended."""
    if proof.record is not None:
        return [_one_proof(proof.record, commands)] if commands else []
    found: list[Outcome] = []
    made: set[str] = set()
    for command in commands:
        made.update(command.made)
        name = name_of(text, command)
        is_theorem = bool(declared(piece_of(text, command))[1])
        if command.errors or command.invocations or (command.names and is_theorem):
            origin = f"{proof.key}:{line_of(text, command)}"
            theorem = TheoremRecord(name=name, statement="", source=proof.source, origin=origin)
            found.append(_outcome(theorem, command, made, command.errors or [], sorry=command.sorry))
    return found


def _one_proof(theorem: TheoremRecord, commands: Sequence[TracedCommand]) -> Outcome:
    """The proof is the last command that declares something; what stands before it has to be in order as well."""
    own = next((c for c in reversed(commands) if c.names or c.invocations), commands[-1])
    errors = [e for c in commands for e in c.errors or []]
    if not errors and not own.names and not own.invocations:
        errors = ["it declares no theorem"]
    made = {name for c in commands for name in c.made}
    return _outcome(theorem, own, made, errors, sorry=any(c.sorry for c in commands))


def _outcome(
    theorem: TheoremRecord, command: TracedCommand, made: set[str], errors: Sequence[str], *, sorry: bool
) -> Outcome:
    if errors:
        return Outcome(theorem, command.command, BROKEN, errors[0])
    if sorry:
        return Outcome(theorem, command.command, SORRY)
    found = steps(command.invocations)
    conv = len(command.invocations) - len(found)
    if not found:
        return Outcome(theorem, command.command, PLAIN)
    return Outcome(theorem, command.command, steps=tuple(found), conv=conv, made=frozenset(made))


def piece_of(text: str, command: TracedCommand) -> str:
    """The text of a command, with what stands between it and the next."""
    begin, end = command.boundary
    return text.encode()[begin:end].decode(errors="replace")


def line_of(text: str, command: TracedCommand) -> int:
    """The line in which a command begins, from 1."""
    return text.encode()[: command.boundary[0]].count(b"\n") + 1


def name_of(text: str, command: TracedCommand) -> str:
    """What a command declares; for an example, or one that did not come that far, the line in which it stands."""
    if command.names:
        return command.names[0]
    _, theorems = declared(piece_of(text, command))
    return theorems[0] if theorems else f"line {line_of(text, command)}"
