"""How near a search that found no proof came to one, as a number, from its record."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from burnqed.core.calibration import UNCALIBRATED, Calibration


@dataclass(frozen=True)
class _Way:
    """The way to a node: goals open at its end, and where most were open; goals of other parts of a split state are open."""

    open: int
    widest: int
    elsewhere: int

    @property
    def closed_share(self) -> float:
        return (self.widest - self.open) / self.widest if self.widest else 0.0


def promise(rows: Iterable[Mapping[str, Any]], *, calibration: Calibration = UNCALIBRATED) -> float | None:
    """A number in [0, 1] for a finished search without a proof, from the rows of its nodes; None when nothing can be said.

    For each open state that was reached, two shares: of the odds against the root, how many are gone,
    1 − exp(−slope · (energy of the root − its energy)), or 0 where the energy is no lower; and of the goals that were open at the
    widest place on the way to it, how many are closed. The promise is the greatest mean of the two over all states.

    Where the value gave every state the same energy, or none, the goals alone decide. A state without goals in the record of a
    failed search is a proof that was refused, and says nothing; but the end of a part of a split state counts as progress
    among the other parts' goals. Where no state was reached the promise is 0 if everything was tried, else None.
    """
    nodes = {row["node"]: row for row in sorted(rows, key=lambda row: row["node"])}
    root = nodes.get(0)
    if root is None:
        return None
    ways = _ways(nodes)
    reached = [row for number, row in nodes.items() if number != 0 and ways[number].open]
    if not reached:
        return 0.0 if root["spent"] else None
    told = [row["energy"] for row in (root, *reached) if _is_number(row["energy"])]
    if not _is_number(root["energy"]) or len(set(told)) < 2:
        return max(ways[row["node"]].closed_share for row in reached)
    return max(
        (_odds_gone(root["energy"], row["energy"], calibration) + ways[row["node"]].closed_share) / 2 for row in reached
    )


def _odds_gone(root: float, energy: Any, calibration: Calibration) -> float:
    """The share of the odds against the root that is gone in a state of this energy; 0 where it has none."""
    if not _is_number(energy):
        return 0.0
    return -math.expm1(-max(0.0, calibration.logit(energy) - calibration.logit(root)))


def _ways(nodes: Mapping[int, Mapping[str, Any]]) -> dict[int, _Way]:
    """The way to each node along the edges by which it was first reached. A parent's number is always less than its child's.

    A part of a split state stands at its parent's depth, since no tactic lies between them.
    """
    ways: dict[int, _Way] = {}
    for number, row in nodes.items():
        goals, above = row["num_goals"], ways.get(row["parent"]) if row["parent"] is not None else None
        if above is None:
            ways[number] = _Way(goals, goals, 0)
            continue
        is_part = row["depth"] == nodes[row["parent"]]["depth"]
        elsewhere = above.open - goals if is_part else above.elsewhere
        ways[number] = _Way(goals + elsewhere, max(above.widest, goals + elsewhere), elsewhere)
    return ways


def _is_number(energy: Any) -> bool:
    return energy is not None and math.isfinite(energy)
