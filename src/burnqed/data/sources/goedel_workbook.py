"""Goedel-Prover's proofs of Lean Workbook problems: whole files, with long comments inside the proofs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from burnqed.data.reading import read_rows
from burnqed.data.records import Record
from burnqed.data.sources.cut import Uncut, cut
from burnqed.data.sources.source import Hub, Loaded, Source, each, record_of


class Proof(msgspec.Struct):
    """A row."""

    problem_id: str
    full_proof: str


def load(path: Path) -> Iterator[Loaded]:
    """A record for each proof."""
    return each(read_rows(path, Proof), _record)


def _record(where: str, row: Proof) -> list[Record]:
    piece = cut(row.full_proof)
    if piece.proof is None:
        raise Uncut("no proof in it")
    return [record_of(piece, origin=where, name=row.problem_id)]


SOURCE = Source(
    name="goedel-workbook-proofs",
    title="Goedel-Prover, Lean Workbook proofs",
    home=Hub("Goedel-LM/Lean-workbook-proofs", ("*.parquet", "data/*.parquet")),
    licence="none on its card",
    load=load,
    lean="4.9.0",
    schemas=(Proof,),
    rows="29,750",
    notes=(
        "about 94% compile on Lean 4.27 once renamed lemmas are put right; most failures are renames",
        "the informal statement is a comment before the theorem",
    ),
)
