"""miniF2F as it was first put into Lean 4: several files bear that name, and they differ in statements, too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import msgspec

from burnqed.data.reading import BadRow, pick_schema, read_rows
from burnqed.data.records import Record, TheoremRecord
from burnqed.data.sources.cut import MATHLIB, OPENS, Cut, cut, under
from burnqed.data.sources.lean_folder import load_folder
from burnqed.data.sources.source import GitHub, Hub, Loaded, Source, each, problem_of


class WithHeader(msgspec.Struct):
    """DeepSeek-Prover-V1.5 and Goedel-Prover-V1: header apart, ``formal_statement`` ends in ``:= by``."""

    name: str
    split: str
    formal_statement: str
    header: str
    informal_prefix: str = ""
    goal: str = ""


class WithCode(msgspec.Struct):
    """Goedel-Prover-V2: ``formal_statement`` with its header, ``lean4_code`` ends in a sorry."""

    name: str
    formal_statement: str
    lean4_code: str
    problem_id: str
    split: str = "test"
    informal_prefix: str = ""


class Traced(msgspec.Struct):
    """InternLM: the statement without ``:= by``, no header."""

    full_name: str
    statement: str
    split: str
    file_path: str = ""
    url: str = ""
    commit: str = ""


class Bare(msgspec.Struct):
    """AI-MO: the test problems with Kimina's corrections; the hub calls their split ``train``."""

    name: str
    formal_statement: str
    informal_prefix: str = ""


SCHEMAS: tuple[type[msgspec.Struct], ...] = (WithCode, WithHeader, Traced, Bare)


def load(path: Path) -> Iterator[Loaded]:
    """The problems of any of the published files, or of a folder of Lean files (yangky11)."""
    if path.is_dir():
        return _folder(path)
    schema = pick_schema(path, SCHEMAS, name="a miniF2F file")
    return each(read_rows(path, schema), _record)


def _record(where: str, row: msgspec.Struct) -> list[Record]:
    name, split, informal = "", "test", ""
    if isinstance(row, WithHeader):
        text = under(row.header, row.formal_statement)
        name, split, informal = row.name, row.split, row.informal_prefix
    elif isinstance(row, WithCode):
        text, name, split, informal = row.lean4_code, row.name, row.split, row.informal_prefix
    elif isinstance(row, Traced):
        text, name, split = row.statement, row.full_name, row.split
    else:
        assert isinstance(row, Bare)
        text, name, informal = row.formal_statement, row.name, row.informal_prefix
    piece = cut(text, imports=MATHLIB, header=OPENS)
    return [problem_of(piece, origin=where, name=name, split=split, informal=informal)]


def _folder(path: Path) -> Iterator[Loaded]:
    for entry in load_folder(path, _problem):
        # Files that only import the others are part of the repository, not problems.
        if not (isinstance(entry, BadRow) and entry.reason == "no theorem in it"):
            yield entry


def _problem(piece: Cut, path: PurePosixPath) -> TheoremRecord:
    parts = {part.lower() for part in path.parts}
    split = "valid" if "valid" in parts else "test" if "test" in parts else ""
    record = problem_of(piece, origin=str(path), split=split)
    own = tuple(module for module in record.imports if not module.startswith("MiniF2F"))
    return msgspec.structs.replace(record, imports=own or MATHLIB)


_NOTES = (
    "what is called miniF2F v1 differs between publishers; name the file and its commit beside every result",
    "proofs that a file may hold are left out: a benchmark's proofs are nobody's training data",
)
V1 = Source(
    name="minif2f-v1",
    title="miniF2F v1, as DeepSeek-Prover-V1.5 published it",
    home=GitHub("deepseek-ai/DeepSeek-Prover-V1.5", ("datasets/minif2f.jsonl",)),
    licence="MIT",
    load=load,
    lean="4.9.0",
    schemas=(WithHeader, WithCode, Traced, Bare),
    benchmark=True,
    rows="488",
    notes=_NOTES,
)
GOEDEL_V2 = Source(
    name="minif2f-v1-goedel-v2",
    title="miniF2F v1 test, as Goedel-Prover-V2 published it",
    home=GitHub("Goedel-LM/Goedel-Prover-V2", ("dataset/minif2f.jsonl",)),
    licence="none found",
    load=load,
    lean="4.9.0",
    schemas=(WithCode,),
    benchmark=True,
    rows="244, the test problems, nine of them with Kimina's corrections",
    notes=_NOTES,
)
INTERNLM = Source(
    name="minif2f-v1-internlm",
    title="miniF2F v1, as InternLM published it",
    home=GitHub("InternLM/InternLM-Math", ("minif2f/data/minif2f-lean4.7.0.jsonl",)),
    licence="none found",
    load=load,
    lean="4.7.0",
    schemas=(Traced,),
    benchmark=True,
    rows="488",
    notes=(*_NOTES, "rows have no header; the provers' usual one is put in"),
)
AIMO = Source(
    name="minif2f-v1-aimo",
    title="miniF2F v1 test, as AI-MO published it",
    home=Hub("AI-MO/minif2f_test", ("data/train-*.parquet", "*.parquet", "*.jsonl")),
    licence="none on its card",
    load=load,
    lean="",
    schemas=(Bare,),
    benchmark=True,
    rows="244",
    notes=(*_NOTES, "the hub calls the split train; it is the test split"),
)
FILES = Source(
    name="minif2f-v1-files",
    title="miniF2F v1, a Lean file a problem (yangky11)",
    home=GitHub("yangky11/miniF2F-lean4", ("MiniF2F/Test/*.lean", "MiniF2F/Valid/*.lean"), archive=True),
    licence="none found",
    load=load,
    lean="4.24.0",
    benchmark=True,
    rows="488",
    notes=(*_NOTES, "corrected several times since it was published"),
)
