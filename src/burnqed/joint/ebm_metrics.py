"""How well energies tell a provable state from others, beside what is had without learning anything.

Shapes: ``G`` groups, each with its positive in column 0 and up to ``K`` negatives; ``mask`` [G, K+1] says which columns take
part (true); the positive always does. Energies are lower for what is more provable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtr

from burnqed.core.errors import ModelError
from burnqed.joint.depth_bins import rows_by_depth

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Ranking:
    """Figures over some groups; groups without a negative are not among them.

    ``rank_1``: share of groups whose positive has the lowest energy, a tie with t−1 negatives counting 1/t; ``chance`` is what
    guessing gets, the mean of 1 / candidates. ``pairwise``: share of the pairs of a positive and a negative in which the
    positive is lower, ties counting ½. ``gap``: mean of E₋ − E₊ over these pairs. ``spread``: standard deviation of all energies.
    ``inverted_p``: one-sided p-value of a sign test that positives are the higher ones. Its unit is the group (pairs of one group
    share their positive): does the positive beat more, or fewer, than half of its negatives?
    """

    groups: int
    pairs: int
    rank_1: float
    chance: float
    pairwise: float
    gap: float
    spread: float
    inverted_p: float


@dataclass(frozen=True)
class EbmMetrics(Ranking):
    """Figures over all groups, and by the depth of the positive; a bin without groups is None.

    ``without_negatives`` groups were left out.
    """

    without_negatives: int
    depth_0_1: Ranking | None
    depth_2_3: Ranking | None
    depth_4_plus: Ranking | None


def ebm_metrics(energies: ArrayLike, *, depths: ArrayLike, mask: ArrayLike | None = None) -> EbmMetrics | None:
    """Figures of energies [G, K+1] for positives of these depths [G]; None when no group has a negative.

    Raises ModelError for an energy that takes part and is not finite.
    """
    e = np.asarray(energies, dtype=np.float64)
    deep = np.asarray(depths, dtype=np.int64)
    present = np.ones(e.shape, dtype=bool) if mask is None else np.array(mask, dtype=bool)
    assert e.ndim == 2
    assert present.shape == e.shape
    assert deep.shape == e.shape[:1]
    present[:, :1] = True
    if bad := int(np.sum(~np.isfinite(e) & present)):
        raise ModelError(
            f"{bad} of {int(present.sum())} energies are not finite; the head's weights, or the embeddings, hold such numbers"
        )
    usable = present[:, 1:].any(axis=1)
    e, present, deep = e[usable], present[usable], deep[usable]
    overall = _ranking(e, present)
    if overall is None:
        return None
    bins = {name: _ranking(e[rows], present[rows]) for name, rows in rows_by_depth(deep).items()}
    return EbmMetrics(
        **vars(overall),
        without_negatives=int(np.sum(~usable)),
        depth_0_1=bins["depth_0_1"],
        depth_2_3=bins["depth_2_3"],
        depth_4_plus=bins["depth_4_plus"],
    )


def baselines(
    texts: Sequence[Sequence[str]],
    *,
    depths: ArrayLike,
    logprobs_nats: ArrayLike | None = None,
    mask: ArrayLike | None = None,
) -> dict[str, EbmMetrics]:
    """The same figures for energies that nobody had to learn, by name; empty when no group has a negative.

    ``texts`` [G][K+1] and ``depths`` [G, K+1] are those of the candidates, ``logprobs_nats`` [G, K+1] of the paths to them. Where
    a column does not take part its entries may be anything. Energies are: ``length`` of the text in characters, number of
    ``goals``, ``depth``, and minus the ``logprob``.
    """
    deep = np.asarray(depths, dtype=np.float64)
    energies: dict[str, Numbers] = {
        "length": np.array([[len(text) for text in row] for row in texts], dtype=np.float64),
        "goals": np.array([[text.count("⊢") for text in row] for row in texts], dtype=np.float64),
        "depth": deep,
    }
    if logprobs_nats is not None:
        energies["logprob"] = -np.asarray(logprobs_nats, dtype=np.float64)
    found = {name: ebm_metrics(e, depths=deep[:, 0], mask=mask) for name, e in energies.items()}
    return {name: metrics for name, metrics in found.items() if metrics is not None}


def logprobs_of(positives: Sequence[float | None], negatives: Sequence[Sequence[float | None]]) -> Numbers | None:
    """Log-probabilities [G, K+1] of candidates, for :func:`baselines`; None where any of them is not known."""
    rows = [[first, *rest] for first, rest in zip(positives, negatives, strict=True)]
    if not rows or any(value is None for row in rows for value in row):
        return None
    return np.array(rows, dtype=np.float64)


def _ranking(e: Numbers, present: Flags) -> Ranking | None:
    """Figures over these groups, each of which has a negative."""
    if not len(e):
        return None
    positive, negatives, taking_part = e[:, :1], e[:, 1:], present[:, 1:]
    lower = ((negatives < positive) & taking_part).sum(axis=1)
    tied = ((negatives == positive) & taking_part).sum(axis=1)
    count = taking_part.sum(axis=1)
    beaten = count - lower - tied / 2
    wins, losses = int(np.sum(beaten > count / 2)), int(np.sum(beaten < count / 2))
    pairs = int(count.sum())
    return Ranking(
        groups=len(e),
        pairs=pairs,
        rank_1=float(np.mean(np.where(lower == 0, 1 / (1 + tied), 0.0))),
        chance=float(np.mean(1 / (1 + count))),
        pairwise=float(beaten.sum() / pairs),
        gap=float(np.where(taking_part, negatives - positive, 0.0).sum() / pairs),
        spread=float(e[present].std()),
        inverted_p=_at_most(wins, wins + losses),
    )


def _at_most(wins: int, trials: int) -> float:
    """Probability that a fair coin shows heads at most so often."""
    return float(bdtr(wins, trials, 0.5)) if trials else 1.0
