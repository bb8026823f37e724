"""What rows and pairs are made of, read: steps from files and from runs, theorems, benchmarks to keep out, and the splits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from burnqed.core.errors import BadInput
from burnqed.data.decontaminate import Decontaminator
from burnqed.data.labels import Labelled, label
from burnqed.data.labels_proof import proof_records
from burnqed.data.labels_reading import READ, is_run, search_graphs
from burnqed.data.manifest import FileCard, Manifest
from burnqed.data.reading import SUFFIXES, BadRow, columns_of, read_rows
from burnqed.data.records import BENCHMARK, TacticRecord, TheoremRecord
from burnqed.data.sources.any_file import benchmark_of
from burnqed.data.splits import Assignment, SplitConfig, split_of

PARTS = ("train", "valid", "test", "held_out")
"""Splits that a record may name itself; what else stands in its ``split`` is the part of a set, and decides nothing here."""


def read_steps(paths: Sequence[Path], manifest: Manifest) -> list[TacticRecord]:
    """The steps of proofs: files of tactic records as they are, run folders by the shortest proof of each theorem.

    Bad rows, and searches without a proof, are dropped in the manifest; the steps themselves are not counted yet.
    Raises BadInput for a path that is neither, and for a file of theorems.
    """
    found: list[TacticRecord] = []
    for path in paths:
        if is_run(path):
            found += _of_run(path, manifest)
        elif path.suffix in SUFFIXES and path.is_file():
            manifest.inputs.append(FileCard.of(path))
            steps = [record for _, record in _good(read_rows(path, TacticRecord), manifest)]
            if not steps:
                _refuse_theorems(path)
            found += steps
        else:
            raise BadInput(
                f"{path}: give a file of tactic records (`burnqed data trace` and `generate` write them) or a run folder"
            )
    return found


def _refuse_theorems(path: Path) -> None:
    """Raises BadInput for a file without a step, if its rows are theorems, with the command that makes steps of them."""
    columns = columns_of(path)
    if "statement" not in columns:
        return
    if "proof" in columns:
        raise BadInput(
            f"{path} holds theorems with whole proofs, not steps of proofs; `burnqed data trace {path}` makes steps of those "
            "that need only Init and Std (docs/data.md)"
        )
    raise BadInput(
        f"{path} holds theorems without proofs, not steps of proofs; `burnqed prove {path}` looks for proofs"
    )


def _of_run(path: Path, manifest: Manifest) -> Iterator[TacticRecord]:
    """The steps of the proved theorems; each search stands for a row until its steps take its place."""
    for graph in search_graphs(path, manifest):
        steps = list(proof_records(label(graph)))
        if steps:
            manifest.rows_in -= 1
            yield from steps
        else:
            manifest.drop(READ, "search without a proof", f"{path.name}: {graph.theorem}")


def read_searches(
    paths: Sequence[Path], manifest: Manifest, *, refuted: Iterable[str] = (), false_states: Iterable[str] = ()
) -> list[Labelled]:
    """The labelled searches of run folders; ``refuted`` are names of false theorems, ``false_states`` texts of false states."""
    false_names, states = frozenset(refuted), frozenset(false_states)
    return [
        label(graph, refuted=graph.theorem in false_names, false_states=states)
        for path in paths
        for graph in search_graphs(path, manifest)
    ]


def read_theorems(paths: Iterable[Path], manifest: Manifest) -> list[TheoremRecord]:
    """Theorem records; bad rows are noted."""
    found: list[TheoremRecord] = []
    for path in paths:
        manifest.inputs.append(FileCard.of(path))
        for row in read_rows(path, TheoremRecord):
            if isinstance(row, BadRow):
                manifest.note(f"theorem that cannot be read: {row.reason}", str(row))
            else:
                found.append(row[1])
    return found


def read_proved(paths: Iterable[Path], manifest: Manifest) -> set[str]:
    """The states in traced proofs: each was proved from there."""
    found: set[str] = set()
    for path in paths:
        manifest.inputs.append(FileCard.of(path))
        for row in read_rows(path, TacticRecord):
            if isinstance(row, BadRow):
                manifest.note(f"step that cannot be read: {row.reason}", str(row))
            else:
                found.add(row[1].state_before)
    return found


class _Refuted(msgspec.Struct, frozen=True):
    """A statement known to be false: a flagged record, or a line of ``generated.jsonl``."""

    name: str
    flags: tuple[str, ...] = ()
    status: str = ""
    state: str = ""


def read_refuted(paths: Iterable[Path], manifest: Manifest) -> tuple[set[str], set[str]]:
    """Names and root states of the statements in these files that Lean has refuted (``refuted.jsonl``, ``generated.jsonl``)."""
    names: set[str] = set()
    states: set[str] = set()
    for path in paths:
        manifest.inputs.append(FileCard.of(path))
        for row in read_rows(path, _Refuted):
            if isinstance(row, BadRow):
                manifest.note(f"statement that cannot be read: {row.reason}", str(row))
            elif "refuted" in row[1].flags or row[1].status == "refuted":
                names.add(row[1].name)
                states |= {row[1].state} - {""}
    return names, states


def guard(paths: Sequence[Path], manifest: Manifest) -> Decontaminator:
    """A guard over the benchmarks in files of any kind. Raises BadInput when there is none, or a file has none.

    A benchmark row that cannot be read cannot be guarded; it is noted, so that somebody looks at it.
    """
    records: list[TheoremRecord] = []
    for path in paths:
        before = len(records)
        manifest.inputs.append(FileCard.of(path))
        source = benchmark_of(path)
        for entry in source.load(path):
            if isinstance(entry, BadRow):
                manifest.note("benchmark row that cannot be read", str(entry))
            elif isinstance(entry[1], TheoremRecord):
                flags = tuple(sorted({*entry[1].flags, BENCHMARK}))
                records.append(msgspec.structs.replace(entry[1], flags=flags, source=entry[1].source or path.stem))
        if len(records) == before:
            raise BadInput(f"{path}: there is no theorem of a benchmark in it")
    return Decontaminator(records)


class Splits:
    """Where a theorem belongs: what its record says, else the assignment, else a hash of its name."""

    def __init__(
        self,
        assignment: Assignment | None = None,
        theorems: Iterable[TheoremRecord] = (),
        config: SplitConfig | None = None,
    ) -> None:
        self._assignment = assignment
        self._own = {t.name: t.split for t in theorems if t.split in PARTS}
        self._config = config or SplitConfig()

    def of(self, theorem: str, *, own: str = "") -> str:
        """The split of a theorem; ``own`` is what its steps say themselves. May be ``left out``, see ``data/splits.py``."""
        if own in PARTS:
            return own
        if theorem in self._own:
            return self._own[theorem]
        if self._assignment is not None and theorem in self._assignment.places:
            return self._assignment[theorem]
        return split_of(theorem, self._config)


def _good(rows: Iterable[tuple[str, TacticRecord] | BadRow], manifest: Manifest) -> Iterator[tuple[str, TacticRecord]]:
    for row in rows:
        if isinstance(row, BadRow):
            manifest.rows_in += row.rows
            manifest.drop(READ, row.reason, str(row), times=row.rows)
        else:
            yield row


def scripts_of(theorems: Iterable[TheoremRecord]) -> Mapping[tuple[str, str], str]:
    """The proofs of theorems by source and name."""
    return {(t.source, t.name): t.proof for t in theorems if t.proof}
