"""Lean Workbook (InternLM): problems translated by a model, some with proofs, in two files of different kinds.

``lean_workbook.json`` has a row for a problem, its proofs as scripts at the margin. ``wkbk_1009.parquet`` has a row for a
tactic; a proof is a chain in which each state after is the next state before.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from burnqed.data.reading import BadRow, read_rows
from burnqed.data.records import NO_GOALS, Record, TacticRecord, TheoremRecord
from burnqed.data.sources.cut import MATHLIB, Cut, Uncut, claim_start, cut, indented
from burnqed.data.sources.source import Hub, Loaded, Source, each, record_of

_LICENCE = "Apache-2.0"
_LEAN = "4.8.0-rc1"
_HEADER = "open BigOperators Nat Real Rat"
"""What the makers' own header opens; the rows come without one."""

DISPROVED = "disproved"
"""The record proves the negated conclusion; the hypotheses are kept as they were."""
BOTH_WAYS = "proved-and-disproved"
"""The set has a proof of the theorem and one of its negation: its hypotheses contradict each other."""
BROKEN_CHAIN = "broken-chain"
"""The tactic rows do not lead from the theorem to ``no goals`` one after the other."""


class Problem(msgspec.Struct):
    """A row of ``lean_workbook.json``."""

    formal_statement: str
    natural_language_statement: str | None = None
    answer: str | None = None
    split: str | None = None
    proof: list[str] | None = None
    tags: list[str] | None = None


class Step(msgspec.Struct):
    """A row of ``wkbk_1009.parquet``."""

    id: str
    status: str
    tactic: str
    state_before: str
    state_after: str
    formal_statement: str
    natural_language_statement: str | None = None


def load_problems(path: Path) -> Iterator[Loaded]:
    """A record for each proof of a problem, and one without proof for a problem that has none."""
    return each(read_rows(path, Problem), _problem)


def _problem(where: str, row: Problem) -> list[Record]:
    piece = cut(row.formal_statement, imports=MATHLIB, header=_HEADER)
    record = record_of(
        piece,
        origin=where,
        split=row.split or "",
        informal=row.natural_language_statement or "",
    )
    scripts = dict.fromkeys(script for script in row.proof or () if script.strip())
    return [msgspec.structs.replace(record, proof=indented(script)) for script in scripts] or [record]


def load_steps(path: Path) -> Iterator[Loaded]:
    """The tactic rows, each proof in its order, and after each proof its theorem with the proof as a whole."""
    proofs: dict[tuple[str, str], list[tuple[str, Step]]] = {}
    for entry in read_rows(path, Step):
        if isinstance(entry, BadRow):
            yield entry
            continue
        where, row = entry
        if row.status not in ("proved", DISPROVED):
            yield BadRow(where, "status is neither proved nor disproved", row.status)
        else:
            proofs.setdefault((row.id, row.status), []).append(entry)
    for (theorem, status), rows in proofs.items():
        other = "proved" if status == DISPROVED else DISPROVED
        yield from _proof(theorem, status, rows, both=(theorem, other) in proofs)


def _proof(theorem: str, status: str, rows: list[tuple[str, Step]], *, both: bool) -> Iterator[Loaded]:
    flags = {DISPROVED} if status == DISPROVED else set()
    if both:
        flags.add(BOTH_WAYS)
    name = f"{theorem}_negated" if status == DISPROVED else theorem
    ordered = _chain(rows)
    if ordered is None:
        flags.add(BROKEN_CHAIN)
    for number, (where, row) in enumerate(ordered or rows):
        yield (
            1,
            TacticRecord(
                theorem=name,
                source=STEPS.name,
                state_before=row.state_before,
                tactic=row.tactic,
                state_after=row.state_after,
                origin=where,
                step=-1 if ordered is None else number,
                flags=tuple(sorted(flags)),
            ),
        )
    where, first = rows[0]
    try:
        whole = _whole(first, name, status, [row.tactic for _, row in ordered or ()], where, flags)
    except Uncut:
        return  # the tactic rows stand by themselves; the statement is not needed for them
    yield 0, whole


def _chain(rows: list[tuple[str, Step]]) -> list[tuple[str, Step]] | None:
    """The rows from the first state to ``no goals``; None when they are no single chain."""
    by_state = {row.state_before: (where, row) for where, row in rows}
    after = {row.state_after for _, row in rows}
    heads = [row.state_before for _, row in rows if row.state_before not in after]
    if len(by_state) != len(rows) or len(heads) != 1:
        return None
    state, chain = heads[0], []
    while (entry := by_state.pop(state, None)) is not None:
        chain.append(entry)
        state = entry[1].state_after
    return chain if state.strip() == NO_GOALS and not by_state else None


def _whole(row: Step, name: str, status: str, tactics: list[str], where: str, flags: set[str]) -> TheoremRecord:
    piece = cut(row.formal_statement, imports=MATHLIB, header=_HEADER)
    record = record_of(
        piece,
        origin=where,
        name=name,
        informal=row.natural_language_statement or "",
        flags=flags,
    )
    return msgspec.structs.replace(
        record,
        statement=_negated(piece, name) if status == DISPROVED else piece.statement,
        proof=indented("\n".join(tactics)) if tactics else None,
    )


def _negated(piece: Cut, name: str) -> str:
    """The statement with its conclusion negated, under another name."""
    at = claim_start(piece.statement)
    if at is None:
        raise Uncut("a statement without a conclusion")
    binders = piece.statement[:at].rstrip().removeprefix(f"theorem {piece.name}").strip()
    return f"theorem {' '.join(filter(None, (name, binders)))} : ¬ ({piece.statement[at + 1 :].strip()})"


PROBLEMS = Source(
    name="lean-workbook",
    title="Lean Workbook, problems and whole proofs",
    home=Hub("internlm/Lean-Workbook", ("lean_workbook.json",)),
    licence=_LICENCE,
    load=load_problems,
    lean=_LEAN,
    schemas=(Problem,),
    rows="140,214 problems, 12,823 with a proof",
    notes=(
        "rows have no header; Mathlib and what the makers' own header opens are put in",
        "proofs are scripts at the margin; they are moved under `by`",
    ),
)
STEPS = Source(
    name="lean-workbook-tactics",
    title="Lean Workbook, tactic rows",
    home=Hub("internlm/Lean-Workbook", ("wkbk_1009.parquet",)),
    licence=_LICENCE,
    load=load_steps,
    lean=_LEAN,
    schemas=(Step,),
    rows="about 25,200 tactics of 10,434 proved and 3,083 disproved problems",
    notes=(
        "an id repeats, a row a tactic; a proof is put in order by its states",
        "disproved: only the conclusion is negated, so 206 ids are both proved and disproved; they are flagged",
    ),
)
