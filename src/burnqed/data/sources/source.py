"""What a public set is: where it lives, whose it is, which Lean it was made for, and how its rows become records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import msgspec

from burnqed.data.reading import BadRow, Read
from burnqed.data.records import Record, TheoremRecord
from burnqed.data.sources.cut import Cut, Uncut, plain

T = TypeVar("T")

Loaded = tuple[int, Record] | BadRow
"""A record with the number of rows that it used up (0 when an earlier record already counted its row), or a bad row."""

Load = Callable[[Path], Iterator[Loaded]]


@dataclass(frozen=True)
class Hub:
    """A data set on the Hugging Face hub; of the patterns in ``files`` the first that matches any file counts."""

    repo: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class GitHub:
    """Files of a GitHub repository: paths, or with ``archive`` patterns of what is taken out of the whole repository."""

    repo: str
    files: tuple[str, ...]
    archive: bool = False


@dataclass(frozen=True)
class Source:
    """One set. ``lean`` is the toolchain of its makers, empty when they name none or several.

    ``schemas`` are the row types that its files may have, the usual one first; a set that is a folder of Lean files has none.
    ``rows`` is what its makers or readers counted, for a look at whether all of it came.
    """

    name: str
    title: str
    home: Hub | GitHub
    licence: str
    load: Load
    lean: str = ""
    schemas: tuple[type[msgspec.Struct], ...] = ()
    benchmark: bool = False
    rows: str = ""
    notes: tuple[str, ...] = field(default=())

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the usual schema that are looked at."""
        return tuple(f.encode_name for f in msgspec.structs.fields(self.schemas[0])) if self.schemas else ()

    @property
    def address(self) -> str:
        """Where a person finds it."""
        if isinstance(self.home, Hub):
            return f"https://huggingface.co/datasets/{self.home.repo}"
        return f"https://github.com/{self.home.repo}"


def each(rows: Iterable[Read[T]], make: Callable[[str, T], list[Record]]) -> Iterator[Loaded]:
    """Every row through ``make``, which may raise Uncut; the first record of a row counts it."""
    for entry in rows:
        if isinstance(entry, BadRow):
            yield entry
            continue
        where, row = entry
        try:
            records = make(where, row)
        except Uncut as error:
            yield BadRow(where, str(error))
            continue
        assert records, "a row that becomes nothing is a bad row"
        for i, record in enumerate(records):
            yield int(i == 0), record


def problem_of(
    piece: Cut,
    *,
    origin: str,
    name: str = "",
    split: str = "",
    informal: str = "",
    flags: Iterable[str] = (),
) -> TheoremRecord:
    """A benchmark's problem: as :func:`record_of`, and never with a proof, which is nobody's training data."""
    record = record_of(piece, origin=origin, name=name, split=split, informal=informal, flags=flags)
    return msgspec.structs.replace(record, proof=None)


def record_of(
    piece: Cut,
    *,
    origin: str,
    name: str = "",
    split: str = "",
    informal: str = "",
    flags: Iterable[str] = (),
) -> TheoremRecord:
    """A record from the pieces of a text; name and informal text are the set's own where it has them.

    Set, toolchain and whether it is a benchmark are put in when it is taken in.
    """
    return TheoremRecord(
        name=name or piece.name,
        statement=piece.statement,
        header=piece.header,
        imports=piece.imports,
        split=split,
        origin=origin,
        informal=plain(informal) or piece.informal,
        proof=piece.proof,
        flags=tuple(sorted({*piece.flags, *flags})),
    )
