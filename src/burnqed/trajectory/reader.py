"""Reading the record of a run, of this version or an earlier one; columns that an earlier one lacks are null."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from burnqed.core.errors import RunError
from burnqed.trajectory.schema import EDGES, METADATA_KEY, NODES, VERSION


def read_nodes(folder: Path) -> pa.Table:
    """All nodes of a run's ``trajectory`` folder, theorem by theorem. Raises RunError for a damaged part or a later version."""
    return _read(folder, "nodes", NODES)


def read_edges(folder: Path) -> pa.Table:
    """All edges, in the order in which each search tried them. Raises RunError for a damaged part or a later version."""
    return _read(folder, "edges", EDGES)


def _read(folder: Path, kind: str, schema: pa.Schema) -> pa.Table:
    tables = []
    for path in sorted(folder.glob(f"{kind}-*.parquet")):
        try:
            _check_version(path)
            tables.append(pq.read_table(path, schema=schema))
        except (pa.ArrowException, OSError) as error:
            raise RunError(f"{path} is damaged: {error}") from error
    return pa.concat_tables(tables) if tables else schema.empty_table()


def _check_version(path: Path) -> None:
    version = (pq.read_schema(path).metadata or {}).get(METADATA_KEY, b"").decode(errors="replace")
    if not version.isdecimal():
        raise RunError(f"{path} is not a trajectory file of burnqed: it says no version")
    if int(version) > VERSION:
        raise RunError(
            f"{path} is of version {version}, this burnqed reads up to {VERSION}; read it with the burnqed that wrote it"
        )
