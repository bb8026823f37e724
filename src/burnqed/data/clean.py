"""Theorem records that may be trained on, out of files of records: leaks, filters and duplicates out, each under its reason."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from burnqed.core.errors import BadInput
from burnqed.data.decontaminate import Decontaminator
from burnqed.data.fetch import THEOREMS
from burnqed.data.filters import FilterConfig, filter_theorems
from burnqed.data.intake import READ
from burnqed.data.manifest import Manifest
from burnqed.data.reading import BadRow, columns_of, read_rows
from burnqed.data.records import TheoremRecord
from burnqed.data.sources.any_file import source_of
from burnqed.data.training_files import training_file


def write_clean(
    files: Sequence[Path], out: Path, config: FilterConfig, *, guard: Decontaminator, manifest: Manifest
) -> Manifest:
    """Write the theorems that may stay, in order and each as it was, into ``theorems.jsonl`` of a folder; the manifest last.

    What matches a benchmark goes first: so a row that leaves for that is never the earlier one of two duplicates. Raises
    BadInput for a file without a theorem record, before anything is written.
    """
    for path in files:
        if all(isinstance(row, BadRow) for row in read_rows(path, TheoremRecord)):
            raise BadInput(_why_none(path))
    with training_file(out / THEOREMS, guard, manifest=manifest) as file:
        admitted = (record for record in _records(files, manifest) if file.admits(record))
        # The filter's drops go into this account; what comes out of the filter is counted when it is written.
        account = Manifest(step=manifest.step, dropped=manifest.dropped)
        for record in filter_theorems(admitted, config, account):
            file.write(record, of=record)
    manifest.settings |= config.model_dump(mode="json", exclude={"max_step_chars"})
    manifest.write(out)
    return manifest


def _records(files: Sequence[Path], manifest: Manifest) -> Iterator[TheoremRecord]:
    """All theorem records of the files; every row is counted, and bad ones are dropped with their place."""
    for path in files:
        for row in read_rows(path, TheoremRecord):
            if isinstance(row, BadRow):
                manifest.rows_in += row.rows
                manifest.drop(READ, row.reason, str(row), times=row.rows)
            else:
                manifest.rows_in += 1
                yield row[1]


def _why_none(path: Path) -> str:
    """What to do with a file in which no row is a theorem record."""
    columns = columns_of(path)
    if {"tactic", "state_before"} <= columns and "full_proof" not in columns:
        return f"{path} holds steps of proofs, not theorems; `burnqed data rows {path}` filters those as it makes rows"
    try:
        name = source_of(path).name
    except BadInput:
        name = ""
    if name:
        return (
            f"{path} holds rows of {name} as published; `burnqed data fetch {name} --from {path}` makes records of them"
        )
    return (
        f"{path}: no row of it is a theorem record; it has {', '.join(sorted(columns)) or 'no rows that can be read'}"
    )
