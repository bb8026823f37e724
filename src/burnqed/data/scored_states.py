"""What became of the states that a value scored: the data that a calibration is fitted to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from burnqed.core.errors import BadInput
from burnqed.data.labels import label
from burnqed.data.labels_reading import recorded_searches
from burnqed.data.manifest import Manifest


@dataclass
class ScoredStates:
    """States that a value scored, as columns. ``proved``: the search that met the state found a proof of it.

    ``names`` are those of the theorems that the states belong to, ``theorems`` counts searches.
    """

    policy_terms: list[float] = field(default_factory=list)
    energies: list[float] = field(default_factory=list)
    proved: list[bool] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    theorems: int = 0


def scored_states(folders: Sequence[Path], manifest: Manifest) -> ScoredStates:
    """The scored states of all finished searches of these runs.

    The root does not count: its policy term is zero by definition. "Not proved" means: not within the budget of its
    search, which is what a search wants to foretell; it is no label to train a head with. Policy terms come without the weight
    that the run gave them. Raises BadInput for a folder without a finished search, or whose policy had no weight, and for runs
    of different values, since the energies of one say nothing of the other's.
    """
    found = ScoredStates()
    judged = ""
    for folder in folders:
        before = found.theorems
        searches = list(recorded_searches(folder, manifest))
        weight = _policy_weight(folder)
        value = _value(folder)
        if judged and value != judged:
            raise BadInput(
                f"{folder} was run with the value {value}, {folders[0]} with {judged}; calibrate one at a time"
            )
        judged = value
        for search in searches:
            states = label(search.graph).states
            found.theorems += 1
            for row in search.nodes:
                if row["parent"] is not None and row["energy"] is not None and row["policy_term"] is not None:
                    found.policy_terms.append(row["policy_term"] / weight)
                    found.energies.append(row["energy"])
                    found.proved.append(states[row["state"]].label == "proved")
                    found.names.append(search.graph.theorem)
        if found.theorems == before:
            raise BadInput(f"{folder} holds no finished search; give the folder of a `burnqed prove` run")
    return found


def _value(folder: Path) -> str:
    """Which value a run had, in words that are the same for the same one."""
    run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    value = run["config"].get("value", {})
    about = run.get("models", {}).get("value", {})
    parts = (value.get("kind"), value.get("head"), value.get("url"), about.get("encoder"))
    return ", ".join(str(part) for part in parts if part) or "not named"


def _policy_weight(folder: Path) -> float:
    weight = json.loads((folder / "run.json").read_text(encoding="utf-8"))["config"]["search"]["policy_weight"]
    if not weight:
        raise BadInput(
            f"{folder} was run with search.policy_weight = 0, so nothing can be learned of the policy's weight"
        )
    return float(weight)
