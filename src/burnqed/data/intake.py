"""What a set's loader yields, taken in: stamped with the set, counted, and no row twice.

A name that already stands for another statement gets a number, so that nothing is lost and every name means one theorem.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

import msgspec

from burnqed.data.manifest import Manifest
from burnqed.data.reading import BadRow
from burnqed.data.records import BENCHMARK, Record, TheoremRecord
from burnqed.data.sources.source import Loaded, Source

READ = "read"
"""The stage under which rows are dropped here."""
AGAIN = "same row again"
TAKEN = "name used for different statements"
RENAMED = "renamed"
"""The flag of a record whose name was taken by another statement."""


def take_in(loaded: Iterable[Loaded], source: Source, manifest: Manifest) -> Iterator[Record]:
    """The records of a set, each stamped; what is dropped, renamed or flagged is counted in the manifest with its place."""
    names = _Names()
    for entry in loaded:
        if isinstance(entry, BadRow):
            manifest.rows_in += entry.rows
            manifest.drop(READ, entry.reason, str(entry), times=entry.rows)
            continue
        rows, record = entry
        manifest.rows_in += rows
        manifest.rows_made += int(rows == 0)
        record = _stamped(record, source)
        if isinstance(record, TheoremRecord):
            own = names.name_for(record)
            if own is None:
                manifest.drop(READ, AGAIN, f"{record.origin}: {record.name}")
                continue
            if own != record.name:
                first = names.place_of(record.name)
                manifest.note(TAKEN, f"{record.origin}: {record.name} is already at {first}; here it is {own}")
                record = msgspec.structs.replace(record, name=own, flags=_with(record.flags, RENAMED))
        for flag in record.flags:
            if flag not in (BENCHMARK, RENAMED):
                manifest.note(f"flag {flag}", record.name if isinstance(record, TheoremRecord) else record.theorem)
        manifest.rows_out += 1
        yield record


def _stamped(record: Record, source: Source) -> Record:
    flags = _with(record.flags, BENCHMARK) if source.benchmark else record.flags
    return msgspec.structs.replace(
        record, source=record.source or source.name, lean=record.lean or source.lean, flags=flags
    )


def _with(flags: tuple[str, ...], flag: str) -> tuple[str, ...]:
    return tuple(sorted({*flags, flag}))


class _Names:
    """Which name stands for which statement, and where it was first seen."""

    def __init__(self) -> None:
        self._statements: dict[str, tuple[bytes, str]] = {}
        self._rows: set[bytes] = set()

    def name_for(self, record: TheoremRecord) -> str | None:
        """A name that stands for this statement alone; None when the very same row was seen."""
        # The declared name stands in the statement too: where a set repeats a name, what follows it tells rows apart.
        statement = _digest(*record.imports, record.header, record.statement)
        row = _digest(record.name, statement.hex(), record.proof or "", *record.flags)
        if row in self._rows:
            return None
        self._rows.add(row)
        number, name = 1, record.name
        while self._statements.setdefault(name, (statement, record.origin))[0] != statement:
            number += 1
            name = f"{record.name}~{number}"
        return name

    def place_of(self, name: str) -> str:
        """Where a name was first seen."""
        return self._statements[name][1]


def _digest(*parts: str) -> bytes:
    return hashlib.blake2b("\0".join(parts).encode(errors="surrogatepass"), digest_size=12).digest()
