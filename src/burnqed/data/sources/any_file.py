"""A file of theorems of whatever kind: burnqed's own records, a public set's file, or Lean text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from burnqed.core.errors import BadInput
from burnqed.core.theorem import DEFAULT_IMPORTS
from burnqed.data.reading import SUFFIXES, BadRow, columns_of, read_rows
from burnqed.data.records import Record, TheoremRecord
from burnqed.data.sources.cut import Uncut, cut, under
from burnqed.data.sources.lean_folder import load_folder
from burnqed.data.sources.registry import SOURCES
from burnqed.data.sources.source import GitHub, Loaded, Source, each, record_of
from burnqed.theorems.lean_text import body_start

_NOWHERE = GitHub("", ())


class Statement(msgspec.Struct):
    """A record, or what ``burnqed prove`` reads: a name, a statement with or without a proof, perhaps a header."""

    statement: str
    name: str = ""
    header: str = ""
    imports: tuple[str, ...] | None = None
    source: str = ""
    split: str = ""
    origin: str = ""
    lean: str = ""
    informal: str = ""
    proof: str | None = None
    flags: tuple[str, ...] = ()


class Restated(msgspec.Struct):
    """A row with a problem as it was published, and what became of it elsewhere; whatever states it counts."""

    name: str
    original: str
    statement: str | None = None
    statement_field: str | None = None
    statement_rat: str | None = None
    split: str = ""
    informal: str = ""


def benchmark_of(path: Path) -> Source:
    """How to read a file of what must not be trained on. Raises BadInput as :func:`source_of` does.

    Where a row has the original beside a restated form (``burnqed data restate`` writes such), each is a record.
    """
    if path.is_file() and path.suffix in SUFFIXES and "original" in columns_of(path):
        return RESTATED
    return source_of(path)


def source_of(path: Path) -> Source:
    """How to read a file or folder that was not fetched. Raises BadInput when its columns are those of no set.

    Of the sets whose columns it has, the one counts that knows most of them.
    """
    if path.is_dir() or path.suffix == ".lean":
        return LEAN
    if path.suffix not in SUFFIXES:
        raise BadInput(
            f"{path}: give a .jsonl, .json, .parquet or .lean file, a folder of .lean files, or the name of a set"
        )
    columns = columns_of(path)
    best, most = RECORDS, (0, 0)
    for source in SOURCES.values():
        for schema in source.schemas:
            fields = msgspec.structs.fields(schema)
            required = {f.encode_name for f in fields if f.required}
            fit = (sum(f.encode_name in columns for f in fields), len(required))
            if required <= columns and fit > most:
                best, most = source, fit
    if best is RECORDS and "statement" not in columns:
        has = ", ".join(sorted(columns)) or "no rows that can be read"
        raise BadInput(f"{path} has the columns of no set that burnqed knows: {has}")
    return best


def load_records(path: Path) -> Iterator[Loaded]:
    """Rows of burnqed's own records, or rows with a ``statement`` in Lean."""
    return each(read_rows(path, Statement), _record)


def _record(where: str, row: Statement) -> list[Record]:
    if row.imports is not None or body_start(row.statement) is None:
        return [
            TheoremRecord(
                name=row.name or where,
                statement=row.statement,
                header=row.header,
                imports=DEFAULT_IMPORTS if row.imports is None else row.imports,
                source=row.source,
                split=row.split,
                origin=row.origin or where,
                lean=row.lean,
                informal=row.informal,
                proof=row.proof,
                flags=tuple(sorted(row.flags)),
            )
        ]
    piece = cut(under(row.header, row.statement), imports=DEFAULT_IMPORTS, name=row.name or "unnamed")
    return [record_of(piece, origin=where, name=row.name, split=row.split, informal=row.informal, flags=row.flags)]


def load_restated(path: Path) -> Iterator[Loaded]:
    """Every form of every problem: the original, and each restated one that differs from it."""
    return each(read_rows(path, Restated), _forms)


def _forms(where: str, row: Restated) -> list[Record]:
    texts = (row.original, row.statement, row.statement_field, row.statement_rat)
    pieces = [cut(text, name=row.name) for text in dict.fromkeys(filter(None, texts))]
    if not pieces:
        raise Uncut("no theorem in it")
    return [record_of(p, origin=where, name=row.name, split=row.split, informal=row.informal) for p in pieces]


def load_lean(path: Path) -> Iterator[Loaded]:
    """The last theorem of a Lean file, or of each below a folder."""
    if path.is_dir():
        for entry in load_folder(path, lambda piece, inside: record_of(piece, origin=str(inside))):
            if not (isinstance(entry, BadRow) and entry.reason == "no theorem in it"):
                yield entry
        return
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} cannot be read: {error}") from error
    yield 1, record_of(cut(text, imports=DEFAULT_IMPORTS), origin=str(path))


RECORDS = Source(name="", title="theorems", home=_NOWHERE, licence="", load=load_records)
RESTATED = Source(name="", title="restated problems", home=_NOWHERE, licence="", load=load_restated, benchmark=True)
LEAN = Source(name="", title="Lean text", home=_NOWHERE, licence="", load=load_lean)
