"""LEAN-GitHub: tactic rows from public repositories of many Lean versions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from burnqed.data.reading import BadRow, read_rows
from burnqed.data.records import TacticRecord
from burnqed.data.sources.source import Hub, Loaded, Source

BY_FILE = "theorem-unknown"
"""The set does not say to which theorem of its file a tactic belongs; the file stands for it."""


class Step(msgspec.Struct):
    """A row; ``full_name`` is in some exports only."""

    state_before: str
    tactic: str
    state_after: str
    file: str
    full_name: str | None = None


def load(path: Path) -> Iterator[Loaded]:
    """The tactic rows.

    Where no theorem is named, all rows of a file count as one theorem: a split by theorem then never parts a proof. States
    cannot tell where a proof ends, since an inner block ends in ``no goals`` too.
    """
    for entry in read_rows(path, Step):
        if isinstance(entry, BadRow):
            yield entry
            continue
        where, row = entry
        yield (
            1,
            TacticRecord(
                theorem=row.full_name or f"file:{row.file}",
                source=SOURCE.name,
                state_before=row.state_before,
                tactic=row.tactic,
                state_after=row.state_after,
                origin=f"{where} {row.file}",
                flags=() if row.full_name else (BY_FILE,),
            ),
        )


SOURCE = Source(
    name="lean-github",
    title="LEAN-GitHub, tactic rows",
    home=Hub("internlm/Lean-Github", ("*.parquet", "data/*.parquet")),
    licence="Apache-2.0",
    load=load,
    lean="",
    schemas=(Step,),
    rows="218,866 tactics of 28,600 theorems",
    notes=("many Lean versions, none named", "no theorem names: a file counts as one theorem when rows are split"),
)
