"""Pantograph's JSON lines, and what we add to them, as types. The only place that knows JSON keys.

A request is ``command {json}`` on one line; a reply is one line of JSON, or ``{"error": kind, "desc": text}``.
Ours adds ``goal.tactics`` (many tactics on one state; ``partial`` lines may come before the reply),
``goal.verdict`` and ``theorem.check``, and echoes ``nonce``. docs/protocol.md tells all of it.
"""

from __future__ import annotations

import re
from typing import Any, Literal, TypeVar

import msgspec

from burnqed.core.files import Declaration, FileVerdict, Place
from burnqed.core.outcome import RefusalKind, Verdict
from burnqed.core.state import Goal, ProofState, Variable

T = TypeVar("T")


class Wire(msgspec.Struct, rename="camel", frozen=True):
    """Base of the reply types: camelCase on the wire, unknown fields ignored."""


class Envelope(Wire, frozen=True):
    """What can be told of any reply before its type is known."""

    nonce: str | None = None
    error: str | None = None
    desc: str = ""
    partial: list[msgspec.Raw] | None = None


class Expression(Wire, frozen=True):
    """An expression as text; ``sexp`` with the option ``printExprAST`` only."""

    pp: str = ""
    sexp: str | None = None


class WireVariable(Wire, frozen=True):
    """A variable of a goal."""

    user_name: str
    name: str = ""
    is_inaccessible: bool = False
    type: Expression | None = None
    value: Expression | None = None


class WireGoal(Wire, frozen=True):
    """A goal."""

    name: str
    target: Expression
    vars: list[WireVariable]
    user_name: str = ""
    key: str | None = None
    group: int = 0


class Position(Wire, frozen=True):
    """A place in a source text: lines from 1, columns from 0, as Lean counts."""

    line: int
    column: int


class Message(Wire, frozen=True):
    """A message of Lean."""

    data: str
    severity: str = "error"
    kind: str = ""
    pos: Position | None = None
    end_pos: Position | None = None


class TacticReply(Wire, frozen=True):
    """The reply to ``goal.tactic``, and one entry of the reply to ``goal.tactics``."""

    next_state_id: int | None = None
    goals: list[WireGoal] | None = None
    messages: list[Message] = []
    has_sorry: bool = False
    has_unsafe: bool = False
    parse_error: str | None = None
    reason: str = "error"
    micros: int = 0


class BatchReply(Wire, frozen=True):
    """The last line of the reply to ``goal.tactics``."""

    outcomes: list[TacticReply]


class ContinueReply(Wire, frozen=True):
    """The reply to ``goal.continue``."""

    next_state_id: int
    goals: list[WireGoal]


class StartReply(Wire, frozen=True):
    """The reply to ``goal.start``. ``goals`` and ``name`` come with the ``theorem`` form only."""

    state_id: int
    root: str = ""
    name: str = ""
    goals: list[WireGoal] = []


class VerdictReply(Wire, frozen=True):
    """The reply to ``goal.verdict`` and ``theorem.check``."""

    accepted: bool
    reason: str = ""
    axioms: list[str] = []
    messages: list[Message] = []

    def verdict(self) -> Verdict:
        """As the core type; an axiom beyond the allowed three makes it a refusal."""
        found = Verdict(self.accepted, self.reason, tuple(self.axioms))
        if found.forbidden_axioms:
            return Verdict(False, f"the proof rests on {', '.join(found.forbidden_axioms)}", found.axioms)
        return found


class WireHole(Wire, frozen=True):
    """A ``sorry`` of a file; ``range`` in bytes."""

    index: int
    range: tuple[int, int]
    kind: Literal["tactic", "term"]
    declaration: str = ""
    ready: bool = True
    reason: str = ""


class HolesReply(Wire, frozen=True):
    """The reply to ``file.holes``."""

    holes: list[WireHole]
    messages: list[Message] = []

    def places(self, text: str) -> list[Place]:
        """As the core type, bytes counted as characters."""
        data = text.encode()
        return [
            Place(
                index=h.index,
                # A range may begin with the `by` before it; the word itself is what is replaced.
                start=len(data[: h.range[1]].decode()) - len("sorry"),
                end=len(data[: h.range[1]].decode()),
                kind=h.kind,
                declaration=h.declaration,
                obstacle="" if h.ready else h.reason or "Lean does not say why",
            )
            for h in self.holes
        ]


class WireDeclaration(Wire, frozen=True):
    """A theorem or definition of a checked file."""

    name: str
    kind: str
    sorry: bool = False
    axioms: list[str] = []


class FileVerdictReply(Wire, frozen=True):
    """The reply to ``file.check``."""

    accepted: bool
    reason: str = ""
    declarations: list[WireDeclaration] = []
    messages: list[Message] = []

    def verdict(self) -> FileVerdict:
        """As the core type."""
        found = tuple(Declaration(d.name, d.kind, d.sorry, tuple(d.axioms)) for d in self.declarations)
        return FileVerdict(self.accepted, self.reason, found)


def request_line(command: str, payload: dict[str, Any]) -> bytes:
    """One request, ready to be written."""
    return command.encode() + b" " + msgspec.json.encode(payload) + b"\n"


def decode(data: bytes | msgspec.Raw, reply_type: type[T]) -> T:
    """A reply of the given type. Raises msgspec.DecodeError (ValidationError among them)."""
    return msgspec.json.decode(data, type=reply_type)


def proof_state(goals: list[WireGoal]) -> ProofState:
    """The goals of a reply as the core type."""
    return ProofState(
        tuple(
            Goal(
                variables=tuple(
                    Variable(
                        name=v.user_name,
                        type=v.type.pp if v.type else "",
                        value=v.value.pp if v.value else None,
                        accessible=not v.is_inaccessible,
                    )
                    for v in goal.vars
                ),
                target=goal.target.pp,
                case=goal.user_name,
                id=goal.name,
                key=goal.key,
                group=goal.group,
            )
            for goal in goals
        )
    )


def refusal(reply: TacticReply) -> tuple[RefusalKind, str]:
    """Why a tactic did not lead to a state that may be used; call it for such replies only."""
    if reply.parse_error is not None:
        return "parse", reply.parse_error
    if reply.next_state_id is None:
        kind: RefusalKind = "error"
        if reply.reason == "heartbeats":
            kind = "heartbeats"
        elif reply.reason == "recursion":
            kind = "recursion"
        elif reply.reason == "timeout":
            kind = "timeout"
        elif reply.reason == "unsafe":
            return "unsafe", "the tactic names something unsafe"
        errors = [m.data for m in reply.messages if m.severity == "error"]
        return kind, errors[0] if errors else ""
    return ("sorry", "the step leaves a sorry") if reply.has_sorry else ("unsafe", "the step uses an unsafe constant")


_SUGGESTION = re.compile(r"\ATry this:\s*(?:\[apply\]\s*)?(.+)\Z", re.DOTALL)


def suggestion(messages: list[Message]) -> str | None:
    """What ``exact?``, ``simp?`` and their kind propose to write instead, when it is one proposal."""
    found = [m for m in messages if m.severity == "information" and m.data.startswith("Try this:")]
    if len(found) != 1:
        return None
    match = _SUGGESTION.match(found[0].data.strip())
    return match.group(1).strip() if match else None


# Files and the library, for what makes training data of them. Only the complete program answers these.


class DescribeReply(Wire, frozen=True):
    """The reply to ``env.describe``: what was imported, and all modules that this brings, each after what it imports."""

    imports: list[str]
    modules: list[str]


class LibraryTheorem(Wire, frozen=True):
    """A theorem of a module; ``skip`` says why no person stated it, and is empty when one did."""

    index: int
    name: str
    skip: str = ""
    deprecated: bool = False
    instance: bool = False


class LibraryReply(Wire, frozen=True):
    """The reply to ``library.theorems``."""

    imports: list[str]
    theorems: list[LibraryTheorem]


class LibraryStatement(Wire, frozen=True):
    """A theorem as a task in its module's imports: the text of its statement, or a ``reason`` why there is none."""

    index: int
    name: str
    statement: str = ""
    form: str = ""
    reason: str = ""
    missing: list[str] = []
    detail: str = ""


class StatementsReply(Wire, frozen=True):
    """The last line of the reply to ``library.statements``; entries may come before it."""

    statements: list[LibraryStatement]


class Invocation(Wire, frozen=True):
    """A tactic that a person wrote in a file, with the goals around it; ``range`` in bytes of the file."""

    goal_before: str
    goal_after: str
    tactic: str
    range: tuple[int, int]
    used_constants: list[str] = []
    state_id: int | None = None
    mode: str = ""


class TracedCommand(Wire, frozen=True):
    """One command of a file: ``errors`` is None when it only begins. ``names`` are what a person would say that it declares,
    ``made`` all constants that it made.
    """

    command: int
    boundary: tuple[int, int]
    errors: list[str] | None = None
    sorry: bool = False
    names: list[str] = []
    made: list[str] = []
    invocations: list[Invocation] = []


class TraceReply(Wire, frozen=True):
    """The last line of the reply to ``trace.file``; the commands come before it."""

    commands: int


class TextReply(Wire, frozen=True):
    """The reply to ``goal.text``."""

    text: str
