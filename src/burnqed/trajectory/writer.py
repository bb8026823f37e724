"""An EventSink that keeps a search's nodes and edges and writes them as one part file each when the search ends.

Part files are named after the theorem, written whole, and never rewritten by later theorems: a crash loses at most the
search in flight, and a finished theorem's record does not depend on its neighbours.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from burnqed.core.events import Event, NodeAdded, NodeSpent, ProofAccepted, StateSplit, TacticApplied
from burnqed.trajectory.files import whole_file
from burnqed.trajectory.schema import EDGES, NODES

_PART = {"tactic": "", "logprob_nats": 0.0, "num_tokens": 0, "outcome": "part", "lean_ms": 0.0}
"""What stands in the row of an edge from a split state to one of its parts, where nothing was tried."""


class TrajectoryWriter:
    """Collects the events of any number of searches at once. ``write`` finishes one, ``drop`` forgets one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._nodes: dict[str, dict[int, dict[str, Any]]] = {}
        self._edges: dict[str, list[dict[str, Any]]] = {}

    def emit(self, event: Event) -> None:
        """Keep nodes and edges; other events are not part of the record."""
        if isinstance(event, NodeAdded):
            self._nodes.setdefault(event.theorem, {})[event.node] = {
                **asdict(event),
                "spent": False,
                "accepted": False,
            }
        elif isinstance(event, NodeSpent):
            self._nodes[event.theorem][event.node]["spent"] = True
        elif isinstance(event, ProofAccepted):
            self._nodes[event.theorem][event.node]["accepted"] = True
        elif isinstance(event, TacticApplied):
            rows = self._edges.setdefault(event.theorem, [])
            rows.append({**asdict(event), "order": len(rows)})
        elif isinstance(event, StateSplit):
            rows = self._edges.setdefault(event.theorem, [])
            for child, places in event.parts:
                goals = " ".join(map(str, places))
                rows.append(
                    {
                        **_PART,
                        "theorem": event.theorem,
                        "node": event.node,
                        "child": child,
                        "detail": goals,
                        "order": len(rows),
                    }
                )

    def write(self, theorem: str) -> None:
        """Write the part files of a theorem. Raises RunError when they cannot be written."""
        nodes, edges = list(self._nodes.pop(theorem, {}).values()), self._edges.pop(theorem, [])
        stem = part_name(theorem)
        for kind, rows, schema in (("nodes", nodes, NODES), ("edges", edges, EDGES)):
            with whole_file(self._folder / f"{kind}-{stem}.parquet") as part:
                pq.write_table(pa.Table.from_pylist(rows, schema=schema), part, compression="zstd")

    def drop(self, theorem: str) -> None:
        """Forget a theorem whose search did not come to an end."""
        self._nodes.pop(theorem, None)
        self._edges.pop(theorem, None)


def part_name(theorem: str) -> str:
    """A file name for a theorem: readable, safe on any file system, and different for different names."""
    safe = re.sub(r"[^A-Za-z0-9_.-]", "_", theorem)[:80]
    return safe if safe == theorem else f"{safe}-{hashlib.sha256(theorem.encode()).hexdigest()[:8]}"
