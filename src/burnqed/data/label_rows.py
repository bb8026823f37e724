"""The states of finished searches with their labels, visits and soft targets, as a training file of one line a state."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from burnqed.core.calibration import Calibration
from burnqed.data.decontaminate import Decontaminator
from burnqed.data.labels import Label, Labelled, label
from burnqed.data.labels_reading import recorded_searches
from burnqed.data.manifest import Manifest
from burnqed.data.records import TacticRecord
from burnqed.data.rows import ROWS
from burnqed.data.rows_files import search_may_stay
from burnqed.data.rows_reading import Splits
from burnqed.data.soft_targets import MIN_VISITS, soft_targets, visits
from burnqed.data.training_files import training_file

ELSEWHERE = "state that is proved elsewhere"


class LabelRow(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a file of labels: an open state of a search. States and goals are texts as Lean prints them.

    ``search`` is the run, ``goal`` the root state of ``theorem``. ``depth`` counts tactics from the root, ``remaining`` those to
    the end of a proof (None: not proved). ``visits`` and ``target`` are those of :mod:`burnqed.data.soft_targets`, ``energy`` is
    what the run's value said (None: not asked).
    """

    theorem: str
    search: str
    goal: str
    state: str
    label: Label
    depth: int
    remaining: int | None
    visits: int
    target: float | None
    energy: float | None
    split: str


@dataclass(frozen=True)
class JudgedSearch:
    """A labelled search, and the energies of its states by their text; of several of one text the lowest."""

    labels: Labelled
    energies: Mapping[str, float]


def read_judged(
    folders: Iterable[Path], manifest: Manifest, *, refuted: Iterable[str] = (), false_states: Iterable[str] = ()
) -> Iterator[JudgedSearch]:
    """The searches of run folders; ``refuted`` are names of false theorems, ``false_states`` texts of false states."""
    false_names, states = frozenset(refuted), frozenset(false_states)
    for folder in folders:
        for search in recorded_searches(folder, manifest):
            found = label(search.graph, refuted=search.graph.theorem in false_names, false_states=states)
            yield JudgedSearch(found, _energies(search.nodes))


def _energies(nodes: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for node in nodes:
        energy = node["energy"]
        if energy is not None and math.isfinite(energy):
            found[node["state"]] = min(energy, found.get(node["state"], energy))
    return found


def label_rows(
    search: JudgedSearch, *, split: str, calibration: Calibration | None = None, min_visits: int = MIN_VISITS
) -> Iterator[LabelRow]:
    """The rows of one search, in the order in which its states were found."""
    labels = search.labels
    visited = visits(labels)
    targets = soft_targets(labels, visited, energies=search.energies, calibration=calibration, min_visits=min_visits)
    for text, state in labels.states.items():
        yield LabelRow(
            theorem=labels.theorem,
            search=labels.source,
            goal=labels.root,
            state=text,
            label=state.label,
            depth=state.depth,
            remaining=state.remaining,
            visits=visited[text],
            target=targets[text],
            energy=search.energies.get(text),
            split=split,
        )


def write_labels(
    out: Path,
    searches: Sequence[JudgedSearch],
    *,
    guard: Decontaminator,
    splits: Splits,
    manifest: Manifest,
    calibration: Calibration | None = None,
    min_visits: int = MIN_VISITS,
    proved: Collection[str] = (),
) -> Manifest:
    """Write the rows of all searches into one file, and its manifest last. The searches have come in as rows already.

    A state that another search proved, or that is in ``proved`` (texts of states known to be provable), gets no row that says
    anything else.
    """
    provable = {s.text for search in searches for s in search.labels.states.values() if s.label == "proved"}
    provable.update(proved)
    with training_file(out, guard, manifest=manifest) as file:
        for search in searches:
            labels = search.labels
            for fault, count in labels.faults.items():
                manifest.note(fault, f"{labels.source}: {labels.theorem}", times=count)
            split = splits.of(labels.theorem)
            if not search_may_stay(labels, split, guard, manifest):
                continue
            manifest.drop(ROWS, "search turned into labels")
            of = TacticRecord(
                theorem=labels.theorem, source=labels.source, state_before=labels.root, tactic="", state_after=""
            )
            for row in label_rows(search, split=split, calibration=calibration, min_visits=min_visits):
                manifest.rows_made += 1
                if row.label != "proved" and row.state in provable:
                    manifest.drop(ROWS, ELSEWHERE, f"{labels.source}: {labels.theorem}")
                elif file.write(row, of=of, states=[row.state]):
                    manifest.note(f"state {row.label}")
                    if row.label == "unknown" and row.target is not None:
                        manifest.note("unknown state with a target")
    manifest.settings |= {"min_visits": min_visits}
    if calibration is not None:
        manifest.settings |= {"intercept": calibration.intercept, "slope": calibration.slope}
    manifest.write(out.parent, f"{out.stem}.manifest.json")
    return manifest
