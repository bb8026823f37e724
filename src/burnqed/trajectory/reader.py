"""Reading the record of a run."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from burnqed.core.errors import RunError
from burnqed.trajectory.schema import EDGES, NODES


def read_nodes(folder: Path) -> pa.Table:
    """All nodes of a run's ``trajectory`` folder, theorem by theorem. Raises RunError for a damaged part."""
    return _read(folder, "nodes", NODES)


def read_edges(folder: Path) -> pa.Table:
    """All edges, in the order in which each search tried them. Raises RunError for a damaged part."""
    return _read(folder, "edges", EDGES)


def _read(folder: Path, kind: str, schema: pa.Schema) -> pa.Table:
    tables = []
    for path in sorted(folder.glob(f"{kind}-*.parquet")):
        try:
            tables.append(pq.read_table(path, schema=schema))
        except (pa.ArrowException, OSError) as error:
            raise RunError(f"{path} is damaged: {error}") from error
    return pa.concat_tables(tables) if tables else schema.empty_table()
