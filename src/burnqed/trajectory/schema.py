"""Columns of the trajectory files. A change of them is a new VERSION."""

from __future__ import annotations

import pyarrow as pa

VERSION = 1

NODES = pa.schema(
    [
        ("theorem", pa.string()),
        ("node", pa.int32()),
        ("parent", pa.int32()),  # null for the root
        ("depth", pa.int32()),
        ("state", pa.string()),
        ("num_goals", pa.int32()),
        ("path_logprob_nats", pa.float64()),
        ("energy", pa.float64()),  # null for finished states, which are never scored
        ("priority", pa.float64()),
        ("finished", pa.bool_()),
    ],
    metadata={"burnqed.trajectory": str(VERSION)},
)

EDGES = pa.schema(
    [
        ("theorem", pa.string()),
        ("node", pa.int32()),
        ("order", pa.int32()),  # in which order the search tried it
        ("tactic", pa.string()),
        ("logprob_nats", pa.float64()),
        ("num_tokens", pa.int32()),
        ("outcome", pa.string()),  # "stepped" or the kind of refusal
        ("detail", pa.string()),
        ("child", pa.int32()),  # null when it led nowhere that was kept
        ("lean_ms", pa.float64()),
    ],
    metadata={"burnqed.trajectory": str(VERSION)},
)
