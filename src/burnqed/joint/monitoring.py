"""What is watched while embeddings and head are trained, in one place, and as plain numbers for the journal.

:mod:`burnqed.joint.probe` looks at the embeddings, :mod:`burnqed.joint.ebm_metrics` at the energies and at energies that need
no learning, :mod:`burnqed.joint.red_lines` holds rules against both.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

from burnqed.joint.ebm_metrics import EbmMetrics, Ranking, baselines, ebm_metrics
from burnqed.joint.probe import Separation, separation_probe
from burnqed.joint.red_lines import Crossing, RedLines, Rule, default_rules, seed_rules, severest

__all__ = [
    "Crossing",
    "EbmMetrics",
    "Ranking",
    "RedLines",
    "Rule",
    "Separation",
    "baselines",
    "default_rules",
    "ebm_metrics",
    "flatten",
    "seed_rules",
    "separation_probe",
    "severest",
]


def flatten(**measured: object) -> dict[str, float]:
    """Measurements under dotted names: ``flatten(probe=…, ebm=…)`` has ``probe.centroid_l2`` and ``ebm.depth_4_plus.rank_1``.

    Takes dataclasses and mappings, one within the other, down to numbers. What could not be measured (None) is left out, and so
    are texts.
    """
    return dict(_numbers(measured, ""))


def _numbers(measured: object, name: str) -> Iterator[tuple[str, float]]:
    if isinstance(measured, int | float):
        yield name, float(measured)
        return
    if dataclasses.is_dataclass(measured):
        measured = {field.name: getattr(measured, field.name) for field in dataclasses.fields(measured)}
    if isinstance(measured, Mapping):
        for key, value in measured.items():
            yield from _numbers(value, f"{name}.{key}" if name else str(key))
