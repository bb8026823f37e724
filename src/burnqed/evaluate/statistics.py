"""Statistics of evaluations: intervals of shares, pass@k, paired tests, each a pure function with its source.

Shares and differences are fractions (0.25, not 25). Only the standard library is used, so that an evaluation needs no extras.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean

ALPHA = 0.05
"""What counts as rare: the level of every test, and one minus the confidence of every interval that no other is asked of."""


@dataclass(frozen=True)
class Interval:
    """Both bounds belong to it."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


def wilson(successes: float, trials: int, confidence: float = 1 - ALPHA) -> Interval:
    """Score interval of a share (Wilson 1927, J. Am. Stat. Assoc. 22, 209-212); no trials say nothing: [0, 1].

    A trial that was repeated may count with the mean of its outcomes.
    """
    assert 0 <= successes <= trials
    if trials == 0:
        return Interval(0.0, 1.0)
    z, share = _quantile(confidence), successes / trials
    shrink = 1 + z * z / trials
    middle = (share + z * z / (2 * trials)) / shrink
    half = z / shrink * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    # At both ends a bound is the share itself, but for rounding.
    low = 0.0 if successes == 0 else max(0.0, middle - half)
    high = 1.0 if successes == trials else min(1.0, middle + half)
    return Interval(low, high)


def pass_at_k(attempts: int, proved: int, k: int) -> float:
    """Unbiased estimate that one of k attempts proves it, from more attempts: 1 - C(n-c, k) / C(n, k).

    Chen et al. 2021, arXiv 2107.03374, section 2.1: the share of the k-subsets of the attempts that hold a success.
    """
    assert 0 <= proved <= attempts
    assert 1 <= k <= attempts
    return 1 - math.comb(attempts - proved, k) / math.comb(attempts, k)


def mean_pass_at_k(counts: Iterable[tuple[int, int]], k: int) -> float:
    """Mean over theorems of :func:`pass_at_k`; ``counts`` are attempts and successes of each, at least one theorem."""
    return fmean(pass_at_k(attempts, proved, k) for attempts, proved in counts)


def mcnemar_exact(only_first: int, only_second: int) -> float:
    """Two-sided p of McNemar's test in its exact form; the arguments count pairs in which one side alone succeeded.

    McNemar 1947, Psychometrika 12, 153-157. If both sides are equally good, each such pair is a fair coin, so
    p = min(1, 2 · P(Binomial(b + c, 1/2) <= min(b, c))). Without such pairs p is 1.
    """
    assert min(only_first, only_second) >= 0
    total = only_first + only_second
    term = tail = 1  # C(n, 0), and each next one from the one before
    for i in range(min(only_first, only_second)):
        term = term * (total - i) // (i + 1)
        tail += term
    return min(1.0, 2 * tail / (1 << total))


def fewest_discordant(alpha: float = ALPHA) -> int:
    """With fewer pairs than this in which one side alone succeeded, no outcome gives :func:`mcnemar_exact` below alpha."""
    return next(n for n in range(1, 1100) if mcnemar_exact(n, 0) < alpha)


def paired_bootstrap(
    differences: Sequence[float], *, seed: int, resamples: int = 10_000, confidence: float = 1 - ALPHA
) -> Interval:
    """Percentile interval of the mean difference; theorems are drawn with replacement, each with its one difference.

    Efron and Tibshirani 1993, An Introduction to the Bootstrap, section 13.3. Average the seeds of a theorem first: they are
    one cluster, not new theorems. Whole numbers (sums over seeds) are better than fractions, since thirds need not add up to 0.
    Too narrow for few differences that are not 0; see :func:`bonett_price`.
    """
    assert differences
    assert resamples > 0
    choices, n = random.Random(seed).choices, len(differences)
    # fsum: the same mean in whatever order the theorems were drawn, so that equal means are equal numbers.
    means = sorted(math.fsum(choices(differences, k=n)) / n for _ in range(resamples))
    tail = (1 - confidence) / 2
    return Interval(quantile(means, tail), quantile(means, 1 - tail))


def bonett_price(only_first: int, only_second: int, pairs: int, confidence: float = 1 - ALPHA) -> Interval:
    """Adjusted Wald interval of the second share minus the first, in pairs; good for few or no discordant ones.

    Bonett and Price 2012, J. Educ. Behav. Stat. 37, 479-488: one pair is added to each kind of discordant ones.
    """
    assert min(only_first, only_second) >= 0
    assert only_first + only_second <= pairs
    n, lost, won = pairs + 2, only_first + 1, only_second + 1
    middle = (won - lost) / n
    half = _quantile(confidence) * math.sqrt(((won + lost) / n - middle * middle) / n)
    return Interval(max(-1.0, middle - half), min(1.0, middle + half))


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values adjusted for being many, in the order given (Holm 1979, Scand. J. Stat. 6, 65-70).

    Of m values the i-th smallest (from 0) is multiplied by m - i, and none may fall below one that is smaller.
    """
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, at in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[at]))
        adjusted[at] = highest
    return adjusted


def quantile(ordered: Sequence[float], share: float) -> float:
    """Quantile of sorted values, linear between neighbours (Hyndman and Fan 1996, Am. Stat. 50, 361-365, their type 7)."""
    at = share * (len(ordered) - 1)
    below = math.floor(at)
    above = min(below + 1, len(ordered) - 1)
    low, high = ordered[below], ordered[above]
    return low if low == high else low + (at - below) * (high - low)


def _quantile(confidence: float) -> float:
    """How many standard deviations an interval of this confidence reaches to each side."""
    assert 0 < confidence < 1
    return NormalDist().inv_cdf((1 + confidence) / 2)
