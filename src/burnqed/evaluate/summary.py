"""What an evaluation says, computed from its stored searches alone.

Shares are fractions of all theorems of the benchmark. What was not searched and what ended in an error counts as not proved.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import fsum
from pathlib import Path
from statistics import fmean, median

import msgspec

from burnqed.evaluate.record import Evaluation
from burnqed.evaluate.sessions import Session
from burnqed.evaluate.statistics import Interval, mean_pass_at_k, wilson
from burnqed.run.result import TheoremResult
from burnqed.trajectory.files import write_text

SUMMARY = "summary.json"
UNITS = ("nodes", "tactics", "seconds", "tokens")
"""What a search costs."""
PARTS = ("lean", "gate", "policy", "value")
"""What a search waits for; the rest is our own work."""
ERROR = "error"
NOT_TOLD = "not told"


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """A theorem that could not be tried, by which arm and seeds, and why."""

    theorem: str
    arm: str
    seeds: tuple[int, ...]
    reason: str


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """Mean and median over the searches that found a proof, and ``per_proof``: what all searches cost, over the proofs found."""

    mean: float
    median: float
    per_proof: float


class ArmSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One arm.

    ``share`` is the mean over seeds, ``low`` and ``high`` its 95 % interval made as ``interval`` says. ``pass_at_k[k - 1]`` is
    the unbiased estimate for k attempts. ``curves[unit]`` has the cost of every proof, sorted. ``ended`` counts the searches
    without a proof by how they ended. ``spent_s`` has where all seconds went, ``own`` being our own work; ``busy`` is the share
    of the time of all Lean processes in which a theorem was searched, None where it was not noted.
    ``troubles`` counts what was survived.
    """

    proved: tuple[int, ...]
    share: float
    low: float
    high: float
    interval: str
    pass_at_k: tuple[float, ...]
    curves: dict[str, tuple[float, ...]]
    ended: dict[str, int]
    costs: dict[str, Cost]
    seconds: float
    spent_s: dict[str, float]
    wall_s: float
    busy: float | None
    axioms: dict[str, int]
    troubles: dict[str, int] = {}


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The whole evaluation; ``searches`` are all that it consists of, ``missing`` those that are still to be done."""

    name: str
    benchmark: str
    revision: str
    theorems: int
    seeds: tuple[int, ...]
    searches: int
    missing: int
    failed: tuple[Failed, ...]
    arms: dict[str, ArmSummary]
    encoder: dict[str, float] | None = None

    def written(self) -> str:
        """As JSON on one line."""
        return msgspec.json.encode(self).decode()


def summarize(found: Evaluation, sessions: Sequence[Session] = ()) -> Summary:
    """All figures; ``sessions`` is how long processes worked on it."""
    spec = found.spec
    arms = {arm: _arm(found, arm, [session for session in sessions if session.arm == arm]) for arm in found.spec.arms}
    return Summary(
        name=spec.name,
        benchmark=spec.benchmark.name,
        revision=spec.benchmark.revision,
        theorems=len(spec.benchmark.theorems),
        seeds=spec.seeds,
        searches=len(spec.arms) * len(spec.seeds) * len(spec.benchmark.theorems),
        missing=found.missing,
        failed=tuple(failed for arm in spec.arms for failed in _failed(found, arm)),
        arms=arms,
        encoder=found.encoder.figures if found.encoder else None,
    )


def write_summary(folder: Path, summary: Summary) -> None:
    """Write ``summary.json``, whole."""
    write_text(folder / SUMMARY, msgspec.json.format(msgspec.json.encode(summary), indent=1).decode() + "\n")


def _arm(found: Evaluation, arm: str, sessions: Sequence[Session]) -> ArmSummary:
    outcomes = list(found.proved(arm).values())
    results = list(found.all_results(arm))
    proofs = [r for r in results if r.status == "proved"]
    seeds = len(found.spec.seeds)
    interval, how = _interval(outcomes)
    seconds = sum(r.seconds for r in results)
    spent = {part: round(sum(r.spent_s.get(part, 0.0) for r in results), 3) for part in PARTS}
    walls = sum(s.workers * s.wall_s for s in sessions)
    return ArmSummary(
        proved=tuple(sum(outcome[at] for outcome in outcomes) for at in range(seeds)),
        share=fmean(fmean(outcome) for outcome in outcomes) if outcomes else 0.0,
        low=interval.low,
        high=interval.high,
        interval=how,
        pass_at_k=tuple(mean_pass_at_k([(seeds, sum(o)) for o in outcomes], k) for k in range(1, seeds + 1))
        if outcomes
        else (),
        curves={unit: tuple(sorted(float(getattr(r, unit)) for r in proofs)) for unit in _told(results)},
        ended=dict(Counter(_ending(r) for r in results if r.status != "proved").most_common()),
        costs={unit: _cost(unit, proofs, results) for unit in _told(results)} if proofs else {},
        seconds=round(seconds, 3),
        spent_s={**spent, "own": round(max(0.0, seconds - sum(spent.values())), 3)},
        wall_s=round(sum(s.wall_s for s in sessions), 3),
        busy=min(1.0, sum(s.searched_s for s in sessions) / walls) if walls else None,
        axioms=dict(Counter(axiom for r in proofs for axiom in r.axioms).most_common()),
        troubles=_added(session.troubles for session in sessions),
    )


def _interval(outcomes: Sequence[Sequence[bool]]) -> tuple[Interval, str]:
    """The 95 % interval of the mean share over theorems. Several seeds of a theorem are no new theorems: they are averaged first.

    Averaging makes the variance of a theorem's outcome at most what one seed's is, so Wilson's interval is too wide if anything.
    """
    total = fsum(fmean(outcome) for outcome in outcomes)
    how = f"Wilson, {len(outcomes)} theorems"
    if any(len(set(outcome)) > 1 for outcome in outcomes):
        how += ", seeds averaged (rather too wide then)"
    return wilson(total, len(outcomes)), how


def _added(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    whole: Counter[str] = Counter()
    for each in counts:
        whole.update(each)
    return dict(whole.most_common())


def _told(results: Sequence[TheoremResult]) -> list[str]:
    """The units that mean something here: a menu's tactics have no tokens."""
    return [unit for unit in UNITS if unit != "tokens" or any(r.tokens for r in results)]


def _cost(unit: str, proofs: Sequence[TheoremResult], results: Sequence[TheoremResult]) -> Cost:
    values = [float(getattr(r, unit)) for r in proofs]
    whole = sum(float(getattr(r, unit)) for r in results)
    return Cost(mean=round(fmean(values), 3), median=round(median(values), 3), per_proof=round(whole / len(values), 3))


def _ending(result: TheoremResult) -> str:
    return ERROR if result.status == "error" else result.ended or NOT_TOLD


def _failed(found: Evaluation, arm: str) -> list[Failed]:
    """Errors of an arm; those of several seeds with one reason are one."""
    seeds: dict[tuple[str, str], list[int]] = {}
    for seed, by_name in found.results.get(arm, {}).items():
        for result in by_name.values():
            if result.status == "error":
                seeds.setdefault((result.name, result.reason), []).append(seed)
    return [Failed(theorem=name, arm=arm, seeds=tuple(of), reason=reason) for (name, reason), of in seeds.items()]
