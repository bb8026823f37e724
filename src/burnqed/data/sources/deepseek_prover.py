"""DeepSeek-Prover-V1's synthetic proofs: header, statement and proof, to be put together."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from burnqed.data.reading import read_rows
from burnqed.data.records import Record
from burnqed.data.sources.cut import Uncut, cut, under
from burnqed.data.sources.source import Hub, Loaded, Source, each, record_of


class Proof(msgspec.Struct):
    """A row; ``formal_statement`` ends in ``:= by`` and the proof begins on the next line."""

    name: str
    formal_statement: str
    formal_proof: str
    header: str = ""
    split: str = ""
    goal: str = ""


def load(path: Path) -> Iterator[Loaded]:
    """A record for each proof."""
    return each(read_rows(path, Proof), _record)


def _record(where: str, row: Proof) -> list[Record]:
    gap = "" if row.formal_statement.endswith("\n") or row.formal_proof.startswith("\n") else "\n"
    piece = cut(under(row.header, f"{row.formal_statement}{gap}{row.formal_proof}"))
    if piece.proof is None:
        raise Uncut("no proof in it")
    return [record_of(piece, origin=where, name=row.name, split=row.split)]


SOURCE = Source(
    name="deepseek-prover-v1",
    title="DeepSeek-Prover-V1",
    home=Hub("deepseek-ai/DeepSeek-Prover-V1", ("*.jsonl", "*.parquet", "data/*.parquet")),
    licence="see its card",
    load=load,
    lean="",
    schemas=(Proof,),
    rows="about 27,500",
    notes=("its card names no toolchain",),
)
