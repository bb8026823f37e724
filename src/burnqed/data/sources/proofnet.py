"""ProofNet: undergraduate mathematics, in one of its Lean 4 ports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from burnqed.core.errors import BadInput
from burnqed.data.reading import columns_of, pick_schema, read_rows
from burnqed.data.records import Record
from burnqed.data.sources.cut import cut, under
from burnqed.data.sources.source import GitHub, Hub, Loaded, Source, each, problem_of


class WithHeader(msgspec.Struct):
    """As DeepSeek-Prover-V1.5 published it."""

    name: str
    split: str
    formal_statement: str
    header: str
    informal_prefix: str = ""


class Sharp(msgspec.Struct):
    """ProofNet#: statements end in ``:=``; the split is the name of the file."""

    id: str
    nl_statement: str
    lean4_src_header: str
    lean4_formalization: str


class Ported(msgspec.Struct):
    """A port whose rows name the file that they were cut from."""

    name: str
    formal_statement: str
    header: str
    informal_stmt: str | None
    source: str = ""


SCHEMAS: tuple[type[msgspec.Struct], ...] = (WithHeader, Sharp, Ported)


def load(path: Path) -> Iterator[Loaded]:
    """The problems of any of the ports. Raises BadInput for the original, which is Lean 3."""
    if "src_header" in columns_of(path):
        raise BadInput(f"{path} is ProofNet in Lean 3, which no Lean 4 reads; fetch a port: proofnet or proofnet-sharp")
    schema = pick_schema(path, SCHEMAS, name="a ProofNet file")
    split = "valid" if "valid" in path.stem else "test" if "test" in path.stem else ""
    return each(read_rows(path, schema), lambda where, row: _record(where, row, split))


def _record(where: str, row: msgspec.Struct, split: str) -> list[Record]:
    if isinstance(row, WithHeader):
        text, name, informal = under(row.header, row.formal_statement), row.name, row.informal_prefix
        split = row.split
    elif isinstance(row, Sharp):
        text, name, informal = under(row.lean4_src_header, row.lean4_formalization), row.id, row.nl_statement
    else:
        assert isinstance(row, Ported)
        text, name, informal = under(row.header, row.formal_statement), row.name, row.informal_stmt or ""
    return [problem_of(cut(text), origin=where, name=name, split=split, informal=informal)]


_NOTES = ("all of it needs Mathlib",)
SOURCE = Source(
    name="proofnet",
    title="ProofNet in Lean 4, as DeepSeek-Prover-V1.5 published it",
    home=GitHub("deepseek-ai/DeepSeek-Prover-V1.5", ("datasets/proofnet.jsonl",)),
    licence="MIT",
    load=load,
    lean="4.9.0",
    schemas=(WithHeader, Sharp, Ported),
    benchmark=True,
    rows="371 (185 valid, 186 test)",
    notes=_NOTES,
)
SHARP = Source(
    name="proofnet-sharp",
    title="ProofNet#, corrected",
    home=Hub("PAug/ProofNetSharp", ("*.jsonl", "*.parquet", "data/*.parquet")),
    licence="MIT",
    load=load,
    schemas=(Sharp,),
    benchmark=True,
    rows="371 (185 valid, 186 test)",
    notes=(*_NOTES, "the split is the name of the file"),
)
