"""Columns of the trajectory files. A change of them is a new VERSION.

4: ``accepted`` of nodes, null in files of earlier versions.
3: ``spent`` of nodes, null in files of earlier versions.
2: ``policy_term`` and ``value_term`` of nodes; edges with the outcome ``part``. Files of version 1 lack both.
"""

from __future__ import annotations

import pyarrow as pa

VERSION = 4

METADATA_KEY = b"burnqed.trajectory"
"""Under which a file's metadata has its version."""

NODES = pa.schema(
    [
        ("theorem", pa.string()),
        ("node", pa.int32()),
        ("parent", pa.int32()),  # null for the root
        ("depth", pa.int32()),
        ("state", pa.string()),
        ("num_goals", pa.int32()),
        ("path_logprob_nats", pa.float64()),
        ("energy", pa.float64()),  # null for finished and for split states, which are never scored
        ("priority", pa.float64()),
        ("finished", pa.bool_()),
        ("policy_term", pa.float64()),  # the two terms of the priority, weighted; null where the energy is
        ("value_term", pa.float64()),
        ("spent", pa.bool_()),  # every candidate of it was tried
        ("accepted", pa.bool_()),  # finished, and the gate accepted the proof that ends in it
    ],
    metadata={METADATA_KEY: str(VERSION)},
)

EDGES = pa.schema(
    [
        ("theorem", pa.string()),
        ("node", pa.int32()),
        ("order", pa.int32()),  # in which order the search tried it
        ("tactic", pa.string()),
        ("logprob_nats", pa.float64()),
        ("num_tokens", pa.int32()),
        (
            "outcome",
            pa.string(),
        ),  # "stepped", the kind of refusal, or "part": no tactic, the child is a part of the state
        ("detail", pa.string()),
        ("child", pa.int32()),  # null when it led nowhere that was kept
        ("lean_ms", pa.float64()),
    ],
    metadata={METADATA_KEY: str(VERSION)},
)
