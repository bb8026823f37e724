"""NuminaMath-LEAN (Project Numina, Kimi): competition problems, some proved by people, some by a model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from burnqed.data.reading import read_rows
from burnqed.data.records import Record, TheoremRecord
from burnqed.data.sources.cut import Uncut, cut
from burnqed.data.sources.source import Hub, Loaded, Source, each, record_of

RESTATED = "restated"
"""The proof's file states the theorem in other words than the set's own statement."""
AUTOFORMALIZED = "autoformalized"
"""A model wrote the statement."""
HUMAN_PROOF = "human-proof"


class Problem(msgspec.Struct):
    """A row; a text that is not there is null or empty."""

    uuid: str
    formal_statement: str
    problem: str | None = None
    author: str | None = None
    formal_ground_truth: str | None = None
    ground_truth_type: str | None = None
    formal_proof: str | None = None
    question_type: str | None = None
    answer: str | None = None
    source: str | None = None
    problem_type: str | None = None
    exam: str | None = None


def load(path: Path) -> Iterator[Loaded]:
    """A record for each proof of a problem, the human one first, and one without proof for a problem that has none."""
    return each(read_rows(path, Problem), _records)


def _records(where: str, row: Problem) -> list[Record]:
    flags = {AUTOFORMALIZED} if row.author == "autoformalizer" else set()
    stated = _piece(row, row.formal_statement, where, flags)
    proofs: list[TheoremRecord] = []
    if row.ground_truth_type == "complete" and (row.formal_ground_truth or "").strip():
        proofs += _proof(row, row.formal_ground_truth or "", where, flags | {HUMAN_PROOF}, stated)
    if (row.formal_proof or "").strip():
        proofs += _proof(row, row.formal_proof or "", where, flags, stated)
    return [*proofs] or [msgspec.structs.replace(stated, proof=None)]


def _proof(row: Problem, text: str, where: str, flags: set[str], stated: TheoremRecord) -> list[TheoremRecord]:
    """The record of a proof's file; none when there is no proof in it after all."""
    try:
        found = _piece(row, text, where, flags)
    except Uncut:
        return []
    if found.proof is None:
        return []
    same = found.statement.split() == stated.statement.split()
    return [found if same else msgspec.structs.replace(found, flags=tuple(sorted({*found.flags, RESTATED})))]


def _piece(row: Problem, text: str, where: str, flags: set[str]) -> TheoremRecord:
    return record_of(cut(text), origin=f"{where} {row.uuid}", informal=row.problem or "", flags=flags)


SOURCE = Source(
    name="numinamath-lean",
    title="NuminaMath-LEAN",
    home=Hub("AI-MO/NuminaMath-LEAN", ("data/train-*.parquet",)),
    licence="Apache-2.0",
    load=load,
    lean="4.15.0",
    schemas=(Problem,),
    rows="104,155",
    notes=(
        "a ground truth counts as a proof only where its type is complete",
        "names of theorems may repeat between problems",
    ),
)
