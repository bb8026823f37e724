"""Rows of JSON lines, JSON arrays and Parquet files, typed, as a stream; a bad row is told with its place and the rest goes on.

A row is a ``msgspec.Struct`` whose fields without a default must be there; what a file has besides them is not looked at.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from burnqed.core.errors import BadInput

T = TypeVar("T")
StructT = TypeVar("StructT", bound=msgspec.Struct)

SUFFIXES = (".jsonl", ".ndjson", ".json", ".parquet")
"""Of the files that rows are read from."""

_BATCH = 4096  # rows of Parquet that are made Python objects at once
_LOOK = 50  # JSON rows that are looked at to find out which columns a file has
_NEXT_OBJECT = re.compile(r"\}\s*,\s*(?=\{)")
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be used: where (``file:line``, or ``file row 12``), and why in a few fixed words.

    ``detail`` is what the parser said; ``rows`` is more than one when a whole block of a file cannot be read.
    """

    where: str
    reason: str
    detail: str = ""
    rows: int = 1

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}" + (f" ({self.detail})" if self.detail else "")


Read = tuple[str, T] | BadRow
"""A row with its place, or what is wrong with it."""


def read_rows(path: Path, row: type[T]) -> Iterator[Read[T]]:
    """All rows of a file, by its suffix: ``.jsonl``, ``.json`` (an array, or lines after all) or ``.parquet``.

    Raises BadInput when the file as a whole cannot be read.
    """
    try:
        if path.suffix == ".parquet":
            yield from _parquet(path, row)
        elif path.suffix == ".json" and _is_array(path):
            yield from _array(path, row)
        elif path.suffix in SUFFIXES:
            yield from _lines(path, row)
        else:
            raise BadInput(f"{path}: rows are read from .jsonl, .json or .parquet files")
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}") from error


def columns_of(path: Path) -> frozenset[str]:
    """The columns of a file: a Parquet file's own, or all keys of the first rows of a JSON file. Raises BadInput."""
    if path.suffix == ".parquet":
        return frozenset(_open_parquet(path).schema_arrow.names)
    rows = (entry[1] for entry in read_rows(path, dict) if not isinstance(entry, BadRow))
    return frozenset(key for row in itertools.islice(rows, _LOOK) for key in row)


def pick_schema(path: Path, schemas: tuple[type[StructT], ...], *, name: str) -> type[StructT]:
    """The first schema whose required columns a file has. Raises BadInput that names what is missing."""
    columns = columns_of(path)
    missing = [sorted(_required(schema) - columns) for schema in schemas]
    for schema, absent in zip(schemas, missing, strict=True):
        if not absent:
            return schema
    least = min(missing, key=len)
    has = ", ".join(sorted(columns)) or "no rows that can be read"
    raise BadInput(f"{path} is not {name}: it lacks {', '.join(least)}; it has {has}")


def _required(row: type[msgspec.Struct]) -> set[str]:
    return {f.encode_name for f in msgspec.structs.fields(row) if f.required}


def _told(error: Exception) -> tuple[str, str]:
    """The fixed words for what a parser said, and what it said."""
    said = str(error)
    if isinstance(error, UnicodeDecodeError):
        return "invalid UTF-8", said
    if isinstance(error, msgspec.ValidationError):
        return ("missing field" if "missing required" in said else "wrong type"), said
    if isinstance(error, RecursionError):
        return "nested too deep", ""
    return ("truncated JSON" if "truncated" in said else "not JSON"), said


def _lines(path: Path, row: type[T]) -> Iterator[Read[T]]:
    decode = msgspec.json.Decoder(row).decode
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if number == 1:
                line = line.removeprefix(_BOM)
            try:
                yield f"{path.name}:{number}", decode(line.rstrip())
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                if line.strip():
                    yield BadRow(f"{path}:{number}", *_told(error))


def _is_array(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(64).removeprefix(_BOM).lstrip().startswith(b"[")


def _array(path: Path, row: type[T]) -> Iterator[Read[T]]:
    data = path.read_bytes().removeprefix(_BOM)
    try:
        elements = msgspec.json.decode(data, type=list[msgspec.Raw])
    except (msgspec.DecodeError, RecursionError):
        yield from _broken_array(path, data, row)
        return
    decode = msgspec.json.Decoder(row).decode
    for number, element in enumerate(elements, start=1):
        try:
            yield f"{path.name} row {number}", decode(element)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            yield BadRow(f"{path} row {number}", *_told(error))


def _broken_array(path: Path, data: bytes, row: type[T]) -> Iterator[Read[T]]:
    """The elements of an array that is not JSON as a whole: each that can be read, and a BadRow for every gap."""
    text = data.decode(errors="surrogateescape")  # invalid bytes stay visible as surrogates
    decoder = json.JSONDecoder()
    at, number = text.index("[") + 1, 0
    while True:
        at = _skip(text, at)
        if at >= len(text) or text[at] == "]":
            return
        number += 1
        line = text.count("\n", 0, at) + 1
        try:
            value, at = decoder.raw_decode(text, at)
        except (json.JSONDecodeError, RecursionError) as error:
            gap = _NEXT_OBJECT.search(text, at)
            cut = "" if gap else "; nothing after it can be read"
            yield BadRow(f"{path}:{line}", "truncated JSON" if not gap else "not JSON", f"row {number}: {error}{cut}")
            if gap is None:
                return
            at = gap.end()
            continue
        try:
            json.dumps(value, ensure_ascii=False).encode()
            yield f"{path.name} row {number}", msgspec.convert(value, row)
        except (msgspec.ValidationError, UnicodeEncodeError) as error:
            bad = isinstance(error, UnicodeEncodeError)
            yield BadRow(f"{path}:{line}", *(("invalid UTF-8", str(error)) if bad else _told(error)))


def _skip(text: str, at: int) -> int:
    """Past blank space and commas."""
    while at < len(text) and text[at] in " \t\r\n,":
        at += 1
    return at


def _open_parquet(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        first = str(error).splitlines()[0]
        raise BadInput(f"{path} is no Parquet file that can be read: {first}") from error


def _parquet(path: Path, row: type[T]) -> Iterator[Read[T]]:
    with _open_parquet(path) as file:
        known = {f.encode_name for f in msgspec.structs.fields(row)} if issubclass(row, msgspec.Struct) else None
        columns = [c for c in file.schema_arrow.names if known is None or c in known]
        first = 1
        for group in range(file.num_row_groups):
            size = file.metadata.row_group(group).num_rows
            done = 0
            try:
                for batch in file.iter_batches(_BATCH, row_groups=[group], columns=columns):
                    yield from _batch(path, batch, row, first + done)
                    done += batch.num_rows
            except (pa.ArrowException, OSError) as error:
                where = f"{path} rows {first + done} to {first + size - 1}"
                yield BadRow(where, "damaged block", str(error).splitlines()[0], rows=size - done)
            first += size


def _batch(path: Path, batch: pa.RecordBatch, row: type[T], first: int) -> Iterator[Read[T]]:
    """The rows of a batch; one by one only when something in it is wrong."""
    try:
        rows = msgspec.convert(batch.to_pylist(), list[row])  # type: ignore[valid-type]
    except (msgspec.ValidationError, UnicodeDecodeError):
        for i in range(batch.num_rows):
            try:
                yield f"{path.name} row {first + i}", msgspec.convert(batch.slice(i, 1).to_pylist()[0], row)
            except (msgspec.ValidationError, UnicodeDecodeError) as error:
                yield BadRow(f"{path} row {first + i}", *_told(error))
        return
    for i, value in enumerate(rows, start=first):
        yield f"{path.name} row {i}", value
