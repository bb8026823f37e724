"""From records to statements that Lean has taken, each row accounted for."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from burnqed.core.errors import LeanError, StatementRejected
from burnqed.core.ports import LeanSession
from burnqed.core.theorem import Theorem
from burnqed.data.lean_tokens import tokens
from burnqed.data.manifest import Manifest
from burnqed.data.records import TheoremRecord
from burnqed.data.restate.rendering import Unstatable
from burnqed.data.restate.statement import Kind, Restated, restate

RESTATE = "restate"
"""The stage under which rows are dropped here."""
KINDS: tuple[Kind, ...] = ("core", "field")

_STRICT = "set_option autoImplicit false"
"""Without it Lean would take a name that core lacks for a variable, and the statement would be another one."""
_WHOLE = frozenset({"ℕ", "Nat", "ℤ", "Int"})


class RestatedRow(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a restated file: what `burnqed prove` reads, and where it comes from.

    ``original`` is the statement as the benchmark has it; ``lean`` the version that has elaborated this one.
    """

    name: str
    statement: str
    header: str
    kind: Kind
    split: str
    original: str
    changes: tuple[str, ...]
    caveats: tuple[str, ...]
    flags: tuple[str, ...]
    informal: str
    source: str
    origin: str
    lean: str


async def restate_all(
    records: Iterable[TheoremRecord],
    session: LeanSession,
    *,
    lean: str,
    unfold: bool,
    manifest: Manifest,
    kinds: tuple[Kind, ...] = KINDS,
    on_done: Callable[[], None] = lambda: None,
) -> list[RestatedRow]:
    """The rows of every record that core Lean can take, in order; the others are counted with their reason in the manifest.

    ``lean`` is the version behind the session. The manifest must have counted the records as they came in.
    """
    rows: list[RestatedRow] = []
    for record in records:
        try:
            found = await _taken(record, session, unfold=unfold, kinds=kinds)
        except Unstatable as error:
            manifest.drop(RESTATE, error.reason, f"{record.name}{f': {error.detail}' if error.detail else ''}")
        else:
            rows.append(_row(record, found, lean))
            for kind in (found.kind, *found.changes, *found.caveats):
                manifest.note(kind, record.name)
        on_done()
    manifest.rows_out += len(rows)
    return rows


async def _taken(record: TheoremRecord, session: LeanSession, *, unfold: bool, kinds: tuple[Kind, ...]) -> Restated:
    """The first way to restate a record that Lean takes. Raises Unstatable."""
    first = restate(record, unfold=unfold)
    if first.kind not in kinds:
        raise Unstatable("is of the other kind")
    refused = await _refusal(session, first)
    if refused is None:
        return first
    whole = any(t.text in _WHOLE for t in tokens(record.statement))
    for casts, typed_exponents in ((True, False), (False, True), (True, True)) if first.kind == "field" else ():
        if whole or not casts:
            again = restate(record, unfold=unfold, casts=casts, typed_exponents=typed_exponents)
            if await _refusal(session, again) is None:
                return again
    raise refused


async def _refusal(session: LeanSession, restated: Restated) -> Unstatable | None:
    """What Lean says against a statement; None when it elaborates, every name in it known."""
    theorem = Theorem(restated.name, restated.statement, header=f"{_STRICT}\n{restated.header}".strip())
    try:
        await session.start(theorem)
    except LeanError as error:
        return Unstatable(_reason(error, restated), str(error))
    return None


def _reason(error: LeanError, restated: Restated) -> str:
    said = str(error)
    if not isinstance(error, StatementRejected) or "no answer" in said:
        return "no answer from Lean in time"
    field = restated.statement.partition("{")[2].partition(" ")[0]
    if restated.kind == "field" and f"HPow {field} {field}" in said:
        return "needs roots, logarithms or real exponents"
    return "leaves a type undetermined" if "undetermined" in said else "does not elaborate"


def _row(record: TheoremRecord, found: Restated, lean: str) -> RestatedRow:
    return RestatedRow(
        name=record.name,
        statement=f"{found.statement} := by\n  sorry",
        header=found.header,
        kind=found.kind,
        split=record.split,
        original=record.statement,
        changes=found.changes,
        caveats=found.caveats,
        flags=record.flags,
        informal=record.informal,
        source=record.source,
        origin=record.origin,
        lean=lean,
    )
