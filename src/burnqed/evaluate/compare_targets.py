"""Targets and red lines of a comparison: what was to be reached, what was, and how sure that is.

Without a plan all that is asked is that a later system is not below an earlier one. The plan ``seed`` is that of the project's
start: two iterations of a model of 7B parameters on the 244 problems of miniF2F.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from burnqed.evaluate.comparison import Comparison, Side, steps
from burnqed.evaluate.record import NO_VALUE, OWN
from burnqed.evaluate.statistics import Interval, wilson
from burnqed.joint.red_lines import PRESETS

Status = Literal["reached", "not reached", "red line crossed", "not measured"]

RANK_1 = "ebm.depth_4_plus.rank_1"
FIGURES = {
    "probe.centroid_l2": "distance of centroids",
    "probe.linear_probe": "linear probe",
    RANK_1: "rank-1 at depth 4 and more",
}
PLANS = ("seed",)
_PROBLEMS = 244


@dataclass(frozen=True)
class Target:
    """What was asked of a system. ``goal`` and ``red`` are least values; the interval, where there is one, is at 95 %."""

    system: str
    what: str
    value: float | None
    interval: Interval | None
    goal: float
    red: float | None = None
    share: bool = True

    @property
    def status(self) -> Status:
        """By the value alone."""
        if self.value is None:
            return "not measured"
        if self.red is not None and self.value < self.red:
            return "red line crossed"
        return "reached" if self.value >= self.goal else "not reached"

    @property
    def sure(self) -> bool:
        """Whether every value of the interval has the same status; false where there is no interval."""
        if self.interval is None or self.value is None:
            return False
        lines = [self.goal] if self.red is None else [self.goal, self.red]
        return not any(self.interval.low < line <= self.interval.high for line in lines)


@dataclass(frozen=True)
class Planned:
    """The targets, and sentences on what they were meant for."""

    targets: tuple[Target, ...]
    notes: tuple[str, ...]


def targets(comparison: Comparison, plan: str | None = None) -> Planned:
    """The targets of a plan, None for those that need no numbers."""
    assert plan is None or plan in PLANS
    if plan is None:
        return Planned(
            tuple(_not_below(comparison)), ("Asked is only that a later system is not below an earlier one.",)
        )
    notes: tuple[str, ...] = (
        "The targets are those of the plan that the project started with: the first system is held to those of its first "
        "iteration, the others to those of its second.",
    )
    name = next(iter(comparison.specs.values())).benchmark.name
    if comparison.theorems != _PROBLEMS or "minif2f" not in name.lower().replace("-", ""):
        notes += (
            f"They were set for a model of 7B parameters on the {_PROBLEMS} problems of miniF2F; this is {name} with "
            f"{comparison.theorems:,} theorems, where the numbers mean something else.",
        )
    return Planned(tuple(_seed(comparison)), notes)


def rank_1_interval(figures: Mapping[str, float], name: str) -> Interval | None:
    """Wilson's interval of a share of groups, as if groups were independent; those of one theorem are not, so it is narrow."""
    value, groups = figures.get(name), figures.get(name.replace("rank_1", "groups"))
    if value is None or not groups:
        return None
    return wilson(min(round(value * groups), int(groups)), int(groups))


def _seed(comparison: Comparison) -> Iterator[Target]:
    labels = list(comparison.specs)
    # The language model alone: at least 35 % in both iterations, red below 25 %. With the head: 40, then 45 %, red below 35 %.
    for arm, what, goals, red in (
        (NO_VALUE, "proved without a value", (0.35, 0.35), 0.25),
        (OWN, "proved with its own value", (0.40, 0.45), 0.35),
    ):
        for at, label in enumerate(labels):
            yield Target(label, what, *_share(comparison, label, arm), goals[min(at, 1)], red)
    red_lines = {rule.metric: rule.below for rule in PRESETS["seed"]()}
    first = comparison.encoders.get(labels[0])
    for name, goal, later in (
        ("probe.centroid_l2", 5.0, None),
        ("probe.linear_probe", 0.75, None),
        (RANK_1, 0.30, 0.40),
    ):
        # Where the plan has no number for the second iteration, it is the first one's own.
        reached = first.figures.get(name) if first is not None else None
        for at, label in enumerate(labels):
            asked = goal if at == 0 else later if later is not None else reached
            value, interval = _figure(comparison, label, name)
            if asked is not None:
                yield Target(label, FIGURES[name], value, interval, asked, red_lines.get(name), name == RANK_1)


def _not_below(comparison: Comparison) -> Iterator[Target]:
    for one, two in steps(list(comparison.specs)):
        for arm in dict.fromkeys((comparison.arm, NO_VALUE)):
            earlier, _ = _share(comparison, one, arm)
            if earlier is not None:
                what = f"proved by {Side(two, arm)}, not below {one}"
                yield Target(two, what, *_share(comparison, two, arm), earlier)
        for name, what in FIGURES.items():
            known, _ = _figure(comparison, one, name)
            value, interval = _figure(comparison, two, name)
            if known is not None and value is not None:
                yield Target(two, f"{what}, not below {one}", value, interval, known, None, name == RANK_1)


def _share(comparison: Comparison, label: str, arm: str) -> tuple[float | None, Interval | None]:
    found = dict(comparison.shares).get(Side(label, arm))
    return (None, None) if found is None else (found.proved / found.theorems, found.interval)


def _figure(comparison: Comparison, label: str, name: str) -> tuple[float | None, Interval | None]:
    encoder = comparison.encoders.get(label)
    if encoder is None or name not in encoder.figures:
        return None, None
    return encoder.figures[name], rank_1_interval(encoder.figures, name) if name.endswith("rank_1") else None
