"""The same for the folder of a run: how its searches ended, and what they say of their states."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from burnqed.data.generate.measure import head
from burnqed.data.labels import label
from burnqed.data.labels_proof import proof_records
from burnqed.data.labels_reading import search_graphs
from burnqed.data.manifest import Manifest
from burnqed.data.statistics import Measure, Statistics
from burnqed.data.statistics_lengths import lengths_of


def run_statistics(
    path: Path, *, measure: Measure = lambda text: len(text.encode()), unit: str = "bytes"
) -> Statistics:
    """Count a run; ``rows`` are its searches, heads and depths those of the shortest proofs. Raises BadInput and RunError."""
    manifest = Manifest(step="stats")
    found = Statistics(path=str(path), kind="run")
    found.size_bytes = sum(f.stat().st_size for f in (path / "trajectory").glob("*.parquet"))
    counts = {name: Counter[str]() for name in ("search", "state", "outcome", "fault")}
    heads: Counter[str] = Counter()
    depths: Counter[int] = Counter()
    lengths: list[int] = []
    theorems: set[str] = set()
    tactics: set[str] = set()
    for graph in search_graphs(path, manifest):
        searched = label(graph)
        theorems.add(graph.theorem)
        tactics.update(edge.tactic for edge in graph.edges)
        counts["search"]["proved" if graph.proved else "not proved"] += 1
        counts["state"].update(state.label for state in searched.states.values())
        counts["outcome"].update(edge.outcome for edge in graph.edges)
        counts["fault"].update(searched.faults)
        lengths += [measure(text) for text in searched.states]
        proof = list(proof_records(searched))
        heads.update(head(record.tactic) for record in proof)
        if proof:
            depths[len(proof)] += 1
    found.rows = manifest.rows_in
    found.bad_rows = manifest.rows_dropped
    found.counts = {name: dict(c.most_common()) for name, c in counts.items() if c}
    found.distinct = {"theorem": len(theorems), "tactic": len(tactics)}
    found.lengths = [lengths_of("state", unit, lengths)] if lengths else []
    found.heads = dict(heads.most_common(25))
    found.depths = dict(sorted(depths.items()))
    return found
