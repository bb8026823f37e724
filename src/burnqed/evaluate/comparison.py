"""Evaluations of several systems on the same theorems, in pairs: who proves what the other does not, and by how much.

All is computed from stored evaluations. Differences are the second side minus the first, as fractions of the theorems. A theorem
counts as proved by a side when at least half of its seeds proved it; differences of shares are means over seeds.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median
from typing import Literal

from burnqed.core.seeding import child_seed
from burnqed.evaluate.compare_check import check_comparable, what_differs
from burnqed.evaluate.record import NO_VALUE, OWN, EncoderFigures, EvalSpec, Evaluation
from burnqed.evaluate.statistics import Interval, bonett_price, holm, mcnemar_exact, paired_bootstrap, wilson

Question = Literal["systems", "systems, other value", "worth of the value"]
"""What a pair is about. Its p-values are corrected for the number of pairs of the same question."""

COSTS = ("tactics", "nodes", "tokens", "seconds")


@dataclass(frozen=True)
class Side:
    """A system with one of the values it was evaluated with."""

    label: str
    arm: str

    def __str__(self) -> str:
        values = {OWN: "its own value", NO_VALUE: "no value"}
        return f"{self.label} with {values.get(self.arm, f'the value {self.arm}')}"


@dataclass(frozen=True)
class Share:
    """Theorems proved with at least half of the seeds, the interval of that share (Wilson), and the mean share over seeds."""

    proved: int
    theorems: int
    interval: Interval
    mean: float


@dataclass(frozen=True)
class OneSeed:
    """Theorems that one side alone proved with this seed, and McNemar's p of that."""

    seed: int
    only_first: int
    only_second: int
    p: float


@dataclass(frozen=True)
class Cost:
    """Medians over the theorems that both sides prove, each theorem by the median over its searches that proved it."""

    what: str
    first: float
    second: float


@dataclass(frozen=True)
class Pair:
    """Two sides on the same theorems.

    ``lost`` only the first proves, ``gained`` only the second; ``p`` is McNemar's on these, ``p_holm`` corrected for all pairs of
    the same question. ``difference`` is that of the mean shares with its bootstrap interval, ``adjusted`` Bonett and Price's for
    theorems proved or not, which holds when few differ.
    """

    question: Question
    first: Side
    second: Side
    first_share: Share
    second_share: Share
    both: int
    neither: int
    lost: tuple[str, ...]
    gained: tuple[str, ...]
    p: float
    p_holm: float
    by_seed: tuple[OneSeed, ...]
    difference: float
    interval: Interval
    adjusted: Interval
    costs: tuple[Cost, ...]

    @property
    def theorems(self) -> int:
        """How many both were asked."""
        return self.first_share.theorems


@dataclass(frozen=True)
class Change:
    """Whether one system gains more from its value than another does: the difference of their gains over the same other value.

    ``interval`` is a bootstrap's over theorems; ``p`` a sign test's on the theorems whose gain changed, ``p_holm`` corrected for
    all changes.
    """

    first: str
    second: str
    over: str
    difference: float
    interval: Interval
    less: int
    more: int
    p: float
    p_holm: float


@dataclass(frozen=True)
class Comparison:
    """Everything that a report of a comparison shows. ``arm`` is the one that the systems are judged by."""

    specs: Mapping[str, EvalSpec]
    encoders: Mapping[str, EncoderFigures]
    arm: str
    shares: tuple[tuple[Side, Share], ...]
    pairs: tuple[Pair, ...]
    changes: tuple[Change, ...]
    notes: tuple[str, ...]
    resamples: int
    seed: int

    @property
    def theorems(self) -> int:
        """How many there are to prove."""
        return self.shares[0][1].theorems

    def pair(self, first: Side, second: Side) -> Pair | None:
        """The pair of these two, if they were compared."""
        return next((p for p in self.pairs if (p.first, p.second) == (first, second)), None)


def compare(named: Mapping[str, Evaluation], *, resamples: int = 10_000, seed: int = 0) -> Comparison:
    """Compare evaluations, by label and in their order. Raises BadInput where they cannot be compared."""
    check_comparable(named)
    return _Comparing(named, resamples, seed).run()


def steps(labels: Sequence[str]) -> list[tuple[str, str]]:
    """Which systems are compared: each with the next, and the first with the last."""
    found = list(itertools.pairwise(labels))
    return [*found, (labels[0], labels[-1])] if len(labels) > 2 else found


class _Comparing:
    def __init__(self, named: Mapping[str, Evaluation], resamples: int, seed: int) -> None:
        self.named, self.resamples, self.seed = named, resamples, seed
        first = next(iter(named.values())).spec
        self.seeds = sorted(first.seeds)
        self.arms = sorted(first.arms, key=lambda arm: (arm != OWN, arm != NO_VALUE, first.arms.index(arm)))
        self.names = [item.name for item in first.benchmark.theorems]
        self.proved = {
            Side(label, arm): _by_seed(evaluation, arm, self.names, self.seeds)
            for arm in self.arms
            for label, evaluation in named.items()
        }

    def run(self) -> Comparison:
        specs = {label: evaluation.spec for label, evaluation in self.named.items()}
        return Comparison(
            specs=specs,
            encoders={label: e.encoder for label, e in self.named.items() if e.encoder is not None},
            arm=self.arms[0],
            shares=tuple((side, self._share(side)) for side in self.proved),
            pairs=_corrected([self._pair(*which) for which in self._which()]),
            changes=_corrected_changes(list(self._changes())),
            notes=what_differs(specs),
            resamples=self.resamples,
            seed=self.seed,
        )

    def _which(self) -> Iterator[tuple[Question, Side, Side]]:
        for arm in self.arms:
            for one, two in steps(list(self.named)):
                yield "systems" if arm == self.arms[0] else "systems, other value", Side(one, arm), Side(two, arm)
        for label in self._with_value():
            for arm in self.arms[1:]:
                yield "worth of the value", Side(label, arm), Side(label, OWN)

    def _with_value(self) -> list[str]:
        """The systems of which can be asked what their value is worth."""
        if self.arms[0] != OWN:
            return []
        return [label for label, e in self.named.items() if e.spec.system.value not in ("", NO_VALUE)]

    def _share(self, side: Side) -> Share:
        searched = self.proved[side]
        proved = sum(map(_mostly, searched))
        return Share(proved, len(searched), wilson(proved, len(searched)), fmean(map(fmean, searched)))

    def _pair(self, question: Question, first: Side, second: Side) -> Pair:
        one, two = self.proved[first], self.proved[second]
        outcomes = [(_mostly(a), _mostly(b)) for a, b in zip(one, two, strict=True)]
        lost, gained, both = (
            tuple(name for name, outcome in zip(self.names, outcomes, strict=True) if outcome == kind)
            for kind in ((True, False), (False, True), (True, True))
        )
        p = mcnemar_exact(len(lost), len(gained))
        changes = [sum(b) - sum(a) for a, b in zip(one, two, strict=True)]
        return Pair(
            question=question,
            first=first,
            second=second,
            first_share=self._share(first),
            second_share=self._share(second),
            both=len(both),
            neither=len(outcomes) - len(lost) - len(gained) - len(both),
            lost=lost,
            gained=gained,
            p=p,
            p_holm=p,
            by_seed=tuple(_one_seed(seed, one, two, at) for at, seed in enumerate(self.seeds)),
            difference=fmean(changes) / len(self.seeds),
            interval=self._bootstrap(changes, str(first), str(second)),
            adjusted=bonett_price(len(lost), len(gained), len(outcomes)),
            costs=tuple(self._costs(first, second, both)),
        )

    def _changes(self) -> Iterator[Change]:
        able = self._with_value()
        for one, two in steps(list(self.named)):
            for arm in self.arms[1:]:
                if one in able and two in able:
                    yield self._change(one, two, arm)

    def _change(self, one: str, two: str, arm: str) -> Change:
        gains = [
            [sum(a) - sum(b) for a, b in zip(self.proved[Side(x, OWN)], self.proved[Side(x, arm)], strict=True)]
            for x in (one, two)
        ]
        changes = [later - earlier for earlier, later in zip(*gains, strict=True)]
        less, more = sum(c < 0 for c in changes), sum(c > 0 for c in changes)
        interval = self._bootstrap(changes, one, two, "change over", arm)
        p = mcnemar_exact(less, more)  # with changes of one sign or the other for outcomes it is the sign test
        return Change(one, two, arm, fmean(changes) / len(self.seeds), interval, less, more, p, p)

    def _bootstrap(self, differences: Sequence[int], *purpose: str) -> Interval:
        """The interval of the mean share, from how many more seeds of each theorem are proved."""
        found = paired_bootstrap(differences, seed=child_seed(self.seed, *purpose), resamples=self.resamples)
        return Interval(found.low / len(self.seeds), found.high / len(self.seeds))

    def _costs(self, first: Side, second: Side, both: Sequence[str]) -> Iterator[Cost]:
        if not both:
            return
        spent = [_spent(self.named[side.label], side.arm) for side in (first, second)]
        for what in COSTS:
            one, two = (median(median(by_name[name][what]) for name in both) for by_name in spent)
            if one or two:
                yield Cost(what, float(one), float(two))


def _by_seed(evaluation: Evaluation, arm: str, names: Sequence[str], seeds: Sequence[int]) -> list[list[bool]]:
    """For each theorem whether it was proved with each seed, theorems and seeds in the orders given."""
    proved = evaluation.proved(arm)
    order = [evaluation.spec.seeds.index(seed) for seed in seeds]
    return [[proved[name][at] for at in order] for name in names]


def _mostly(proved: Sequence[bool]) -> bool:
    return 2 * sum(proved) >= len(proved)


def _one_seed(seed: int, one: Sequence[Sequence[bool]], two: Sequence[Sequence[bool]], at: int) -> OneSeed:
    outcomes = [(a[at], b[at]) for a, b in zip(one, two, strict=True)]
    only_first, only_second = outcomes.count((True, False)), outcomes.count((False, True))
    return OneSeed(seed, only_first, only_second, mcnemar_exact(only_first, only_second))


def _spent(evaluation: Evaluation, arm: str) -> Mapping[str, Mapping[str, list[float]]]:
    """For each theorem what each search that proved it cost."""
    found: defaultdict[str, defaultdict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for result in evaluation.all_results(arm):
        if result.status == "proved":
            for what in COSTS:
                found[result.name][what].append(getattr(result, what))
    return found


def _corrected(pairs: Iterable[Pair]) -> tuple[Pair, ...]:
    """The pairs with p-values corrected for how many there are of each question."""
    by_question: defaultdict[str, list[int]] = defaultdict(list)
    found = list(pairs)
    for at, pair in enumerate(found):
        by_question[pair.question].append(at)
    for places in by_question.values():
        for at, p in zip(places, holm([found[at].p for at in places]), strict=True):
            found[at] = replace(found[at], p_holm=p)
    return tuple(found)


def _corrected_changes(changes: Sequence[Change]) -> tuple[Change, ...]:
    adjusted = holm([change.p for change in changes])
    return tuple(replace(change, p_holm=p) for change, p in zip(changes, adjusted, strict=True))
