"""Red lines: rules, as data, about what is measured in training, and what happens when one is crossed.

A rule names a measurement as the journal does (``probe.centroid_l2``, ``temperature``). Where that was not measured in a step,
the rule says nothing about the step.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

from pydantic import BaseModel, Field, model_validator

from burnqed.core.errors import BadInput

Reaction = Literal["warn", "stop", "abort"]


class Rule(BaseModel, frozen=True, extra="forbid"):
    """One red line. A value that is not a number is beyond every line; infinity is where it compares to be."""

    metric: str = Field(min_length=1, description="dotted name of the measurement, e.g. ebm.depth_4_plus.rank_1")
    below: float | None = Field(None, description="crossed by values below this")
    above: float | None = Field(None, description="crossed by values above this")
    finite: bool = Field(False, description="crossed by values that are infinite or not a number")
    relative_to: Literal["absolute", "start"] = Field(
        "absolute",
        description="start: the limits are factors of the run's first value of the measurement that is positive",
    )
    after_step: int = Field(0, ge=0, description="measurements before this step do not count")
    times: int = Field(1, ge=1, description="measurements in a row that have to be beyond the line")
    reaction: Reaction = Field(
        "warn", description="warn: go on; stop: save a checkpoint and end in order; abort: end with an error"
    )
    why: str = Field("", description="a sentence on what it means, for the person who reads the warning")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.below is None and self.above is None and not self.finite:
            raise ValueError(f"the rule for {self.metric} has no limit; set below, above or finite")
        return self

    @property
    def key(self) -> str:
        """What makes two rules the same when a run is resumed: everything but the sentence."""
        return self.model_dump_json(exclude={"why"})

    def limit_crossed(self, value: float, start: float | None) -> str | None:
        """The limit that the value is beyond, as words; None when it is within, or there is no start to compare with."""
        if math.isnan(value) or (self.finite and math.isinf(value)):
            return "not finite"
        factor, of_start = 1.0, ""
        if self.relative_to == "start":
            if start is None:
                return None
            factor, of_start = start, f" × {start:.4g} at the start"
        if self.below is not None and value < self.below * factor:
            return f"below {self.below:g}{of_start}"
        if self.above is not None and value > self.above * factor:
            return f"above {self.above:g}{of_start}"
        return None


@dataclass(frozen=True)
class Crossing:
    """A rule that was crossed: by which value, beyond which limit, and for how many measurements in a row."""

    rule: Rule
    step: int
    value: float
    limit: str
    in_a_row: int

    @property
    def sentence(self) -> str:
        """What a person is told."""
        row = f", {self.in_a_row} times in a row" if self.in_a_row > 1 else ""
        why = f": {self.rule.why}" if self.rule.why else ""
        return f"step {self.step}: {self.rule.metric} is {self.value:.4g}, {self.limit}{row}{why}"


class RedLines:
    """Holds rules against measurements, step by step. What it remembers can be stored and given back for a resumed run."""

    def __init__(self, rules: Sequence[Rule], *, remembered: Mapping[str, Any] | None = None) -> None:
        self.rules = tuple(rules)
        self._starts: dict[str, float] = {}
        self._in_a_row: dict[str, int] = {}
        if remembered is not None:
            try:
                self._starts = {str(name): float(value) for name, value in remembered["starts"].items()}
                self._in_a_row = {str(key): int(count) for key, count in remembered["in_a_row"].items()}
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise BadInput(f"what the red lines remember of a run cannot be read: {error!r}") from error

    def check(self, step: int, metrics: Mapping[str, float]) -> list[Crossing]:
        """The rules that these measurements cross, in the order of the rules; again at every step for as long as they do."""
        for name, value in metrics.items():
            if name not in self._starts and value > 0 and math.isfinite(value):
                self._starts[name] = float(value)
        found = []
        for rule in self.rules:
            if rule.metric not in metrics or step < rule.after_step:
                continue
            value = float(metrics[rule.metric])
            limit = rule.limit_crossed(value, self._starts.get(rule.metric))
            count = self._in_a_row.get(rule.key, 0) + 1 if limit else 0
            self._in_a_row[rule.key] = count
            if limit and count >= rule.times:
                found.append(Crossing(rule, step, value, limit, count))
        return found

    def remembered(self) -> dict[str, dict[str, float] | dict[str, int]]:
        """What a resumed run has to be given, as JSON can hold it: first values, and how long lines have been crossed."""
        return {"starts": dict(self._starts), "in_a_row": {key: n for key, n in self._in_a_row.items() if n}}


def severest(crossings: Sequence[Crossing]) -> Reaction | None:
    """The reaction that all of these together ask for; None when there is none."""
    order: tuple[Reaction, ...] = ("abort", "stop", "warn")
    asked = {crossing.rule.reaction for crossing in crossings}
    return next((reaction for reaction in order if reaction in asked), None)


def default_rules(*, temperature_floor: float = 0.1, temperature_ceiling: float = 10.0) -> tuple[Rule, ...]:
    """Rules that mean the same at every size of model; the bounds of the temperature are those of the head."""
    slack = 1e-3  # the temperature comes out of a float32 exponential, and need not hit its bound exactly
    stuck = "a temperature at its bound learns no more, since its gradient is cut off there"
    return (
        *(
            Rule(metric=name, finite=True, reaction="abort", why=why)
            for name, why in (
                ("loss", "a loss that is not finite spoils every weight at the next step"),
                ("gradient_norm", "a gradient that is not finite spoils every weight at the next step"),
            )
        ),
        Rule(
            metric="temperature",
            below=temperature_floor * (1 + slack),
            above=temperature_ceiling * (1 - slack),
            reaction="abort",
            why=stuck,
        ),
        Rule(metric="temperature", below=0.5, above=3.0, why="the learned temperature is healthy between 0.5 and 3"),
        Rule(
            metric="probe.centroid_spreads",
            below=0.5,
            relative_to="start",
            times=2,
            reaction="stop",
            why="the embeddings of provable states and of the others fall together (collapse)",
        ),
        Rule(
            metric="probe.centroid_l2",
            below=0.5,
            relative_to="start",
            times=2,
            why="the two kinds come closer; if centroid_spreads has not fallen, all embeddings have shrunk alike",
        ),
        Rule(
            metric="ebm.inverted_p",
            below=0.01,
            after_step=100,
            times=2,
            reaction="stop",
            why="provable states get the higher energies: the polarity is inverted",
        ),
        Rule(
            metric="ebm.spread",
            below=0.01,
            after_step=1000,
            times=2,
            reaction="stop",
            why="the head gives all states nearly the same energy, which says nothing",
        ),
    )


def seed_rules() -> tuple[Rule, ...]:
    """The absolute red lines that were set for a 7B model with embeddings of 4096 numbers; add them for such a one only."""
    return (
        Rule(metric="probe.centroid_l2", below=3.0, reaction="stop", why="red line of the 7B plan"),
        Rule(metric="probe.linear_probe", below=0.65, reaction="stop", why="red line of the 7B plan"),
        Rule(
            metric="ebm.depth_4_plus.rank_1",
            below=0.25,
            after_step=2000,
            reaction="stop",
            why="red line of the 7B plan; with three negatives this is chance",
        ),
    )


PRESETS = {"default": default_rules, "seed": seed_rules}
