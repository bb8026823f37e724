"""Which harvested tasks a derivation tries, and what the library calls each."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from pathlib import Path

from burnqed.data.derive.config import DeriveConfig
from burnqed.data.manifest import Manifest
from burnqed.data.reading import BadRow, read_rows
from burnqed.data.records import HARVESTED, TheoremRecord


def library_name(task: TheoremRecord) -> str:
    """What the library calls the theorem that a task states; empty for a task that was not harvested."""
    name = task.origin.partition(":")[2]
    return name if task.name == f"{HARVESTED}{name}" else ""


def read_tasks(path: Path, manifest: Manifest) -> list[TheoremRecord]:
    """All tasks of a file, in its order; rows that are none are counted as dropped. Raises BadInput for a file that is none."""
    found: dict[str, TheoremRecord] = {}
    for row in read_rows(path, TheoremRecord):
        if isinstance(row, BadRow):
            manifest.rows_in += row.rows
            manifest.drop("read", row.reason, str(row), times=row.rows)
        elif row[1].name in found:
            manifest.rows_in += 1
            manifest.drop("read", "name was there already", f"{row[0]}: {row[1].name}")
        else:
            found[row[1].name] = row[1]
    return list(found.values())


def chosen(
    tasks: Sequence[TheoremRecord], splits: Collection[str], config: DeriveConfig, manifest: Manifest
) -> list[TheoremRecord]:
    """The tasks of these splits to try: all, or ``limit`` of them at random, the others being counted; in the file's order."""
    open_ones = [t for t in tasks if t.split in splits and not t.benchmark]
    if config.limit is None or config.limit >= len(open_ones):
        return open_ones
    drawn = random.Random(f"derive {config.seed}").sample(range(len(open_ones)), config.limit)
    left = len(open_ones) - config.limit
    manifest.rows_in += left
    manifest.drop("limit", "not drawn", times=left)
    return [open_ones[i] for i in sorted(drawn)]
