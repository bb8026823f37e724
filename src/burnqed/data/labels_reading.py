"""From the folder of a run to the graphs of its searches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from burnqed.core.errors import BadInput
from burnqed.data.labels import PART, Edge, Node, SearchGraph
from burnqed.data.manifest import Manifest
from burnqed.trajectory.files import whole_lines
from burnqed.trajectory.reader import read_edges, read_nodes

READ = "read"
"""The stage under which a search leaves that cannot be used."""
_ALL_TRIED = "every candidate was tried"
"""How the reason of a search that ended with nothing left to try begins."""


class Result(msgspec.Struct, frozen=True):
    """What is needed of a line of ``results.jsonl``."""

    name: str
    status: str
    proof: str | None = None
    reason: str = ""


class _SearchSettings(msgspec.Struct, frozen=True):
    candidates: int = 0
    slice_size: int = 0
    whole_proofs: int = 0


class _Config(msgspec.Struct, frozen=True):
    search: _SearchSettings = _SearchSettings()


class _Run(msgspec.Struct, frozen=True):
    config: _Config = _Config()


def is_run(path: Path) -> bool:
    """Whether a folder is that of a run."""
    return (path / "run.json").is_file() and (path / "trajectory").is_dir()


def results(folder: Path, manifest: Manifest) -> dict[str, Result]:
    """The results of a run by name, the last one of a name; damaged lines are counted."""
    found: dict[str, Result] = {}
    for number, text in enumerate(whole_lines(folder / "results.jsonl"), start=1):
        try:
            result = msgspec.json.decode(text, type=Result)
        except msgspec.DecodeError as error:
            manifest.note("damaged line of results.jsonl", f"{folder}/results.jsonl:{number}: {error}")
            continue
        found[result.name] = result
    return found


@dataclass(frozen=True)
class RecordedSearch:
    """A search as it stands in the record: its graph, and the rows of its nodes with all that is known of each."""

    graph: SearchGraph
    nodes: list[dict[str, Any]]


def search_graphs(folder: Path, manifest: Manifest) -> Iterator[SearchGraph]:
    """The graphs of :func:`recorded_searches`."""
    return (search.graph for search in recorded_searches(folder, manifest))


def recorded_searches(folder: Path, manifest: Manifest) -> Iterator[RecordedSearch]:
    """The searches of a run, one a theorem; each counts as a row that came in.

    A theorem whose search has no result yet, or that ended in an error, is dropped. Raises BadInput when the folder is no
    run's, and RunError for a damaged trajectory.
    """
    if not is_run(folder):
        raise BadInput(f"{folder} is not the folder of a run: it has no run.json with a trajectory beside it")
    try:
        settings = msgspec.json.decode((folder / "run.json").read_bytes(), type=_Run).config.search
    except msgspec.DecodeError as error:
        raise BadInput(f"{folder / 'run.json'} cannot be read: {error}") from error
    known = results(folder, manifest)
    nodes, edges = _by_theorem(read_nodes(folder / "trajectory")), _by_theorem(read_edges(folder / "trajectory"))
    for theorem, rows in nodes.items():
        manifest.rows_in += 1
        result = known.get(theorem)
        if result is None or result.status == "error":
            manifest.drop(READ, "search without a result", f"{folder.name}: {theorem}")
            continue
        yield RecordedSearch(_graph(theorem, rows, edges.get(theorem, []), result, settings, folder.name), rows)


def _by_theorem(table: Any) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in table.to_pylist():
        found[row["theorem"]].append(row)
    return found


def _graph(
    theorem: str,
    nodes: list[dict[str, Any]],
    edges: list[dict[str, Any]],
    result: Result,
    settings: _SearchSettings,
    source: str,
) -> SearchGraph:
    edges.sort(key=lambda e: e["order"])
    nodes.sort(key=lambda n: n["node"])
    recorded = all(n["spent"] is not None for n in nodes)
    spent = {n["node"] for n in nodes if n["spent"]} if recorded else _guessed_spent(nodes, edges, result, settings)
    known = {n["node"] for n in nodes}
    return SearchGraph(
        theorem,
        result.status == "proved",
        [
            Node(
                n["node"],
                n["state"],
                n["depth"],
                n["finished"],
                n["node"] in spent,
                n["path_logprob_nats"],
                n["accepted"],
            )
            for n in nodes
        ],
        # A search that was stopped while new states waited for their score has edges to states that are not on record.
        [
            Edge(e["node"], e["tactic"], e["outcome"], e["child"] if e["child"] in known else None)
            for e in edges
            if e["node"] in known and not (e["outcome"] == PART and e["child"] not in known)
        ],
        source,
    )


def _guessed_spent(
    nodes: list[dict[str, Any]], edges: list[dict[str, Any]], result: Result, settings: _SearchSettings
) -> set[int]:
    """The nodes of which every candidate was tried, as far as a record of version 1 or 2 shows.

    All of them when the search ended because nothing was left. Else those with as many tries as candidates were asked for,
    and those whose last slice was not full: a slice is short only when the candidates are used up. The node that was worked
    on when the search ended may have been interrupted and does not count, nor does any when whole proofs were run.
    """
    if result.reason.startswith(_ALL_TRIED):
        return {n["node"] for n in nodes}
    if settings.whole_proofs or not settings.slice_size or not edges:
        return set()
    tries: dict[int, int] = defaultdict(int)
    for edge in edges:
        tries[edge["node"]] += edge["outcome"] != PART
    last = edges[-1]["node"]
    return {
        node
        for node, count in tries.items()
        if node != last and count and (count >= settings.candidates or count % settings.slice_size)
    }
