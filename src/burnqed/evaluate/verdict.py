"""What a comparison says, in words that claim no more than its intervals: pure functions of the pairs' statistics.

A difference is claimed when both the bootstrap interval excludes 0 and McNemar's test is below the level, never on one alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from burnqed.evaluate.comparison import Change, Comparison, Pair, Side, steps
from burnqed.evaluate.record import NO_VALUE, OWN, EvalSpec
from burnqed.evaluate.statistics import ALPHA, Interval, fewest_discordant

Finding = Literal["more", "fewer", "open", "too few", "disagree"]
"""``open``: neither measure shows a difference; ``too few``: no outcome could have; ``disagree``: only one of them does."""

_PLAN = {
    ("A", "B"): "did joint training protect or improve what the search has from the embeddings?",
    ("B", "C"): "did live gradients help the energy head?",
    ("A", "C"): "what did the whole change?",
}


@dataclass(frozen=True)
class Answer:
    """A sentence or a few, and what they amount to."""

    finding: Finding
    text: str


@dataclass(frozen=True)
class Verdict:
    """A question, its answers, and what to bear in mind with them."""

    question: str
    answers: tuple[Answer, ...]
    note: str = ""


def verdicts(comparison: Comparison) -> tuple[Verdict, ...]:
    """Answers to which system proves more, and to what the value of each is worth."""
    return (*_about_systems(comparison), *_about_values(comparison))


def judged(pair: Pair) -> Finding:
    """What a pair amounts to."""
    return _judged(pair.difference, pair.interval, len(pair.lost), len(pair.gained), pair.p)


def corrected(pair: Pair) -> bool:
    """Whether a difference is shown also when its p-value is corrected for all pairs of the same question."""
    return judged(pair) in ("more", "fewer") and pair.p_holm < ALPHA


def told(pair: Pair, *, comparisons: int = 1) -> Answer:
    """A pair in words; ``comparisons`` is how many its corrected p-value allows for."""
    finding = judged(pair)
    lost, gained, n = len(pair.lost), len(pair.gained), pair.theorems
    span = f"{points(pair.difference)} points ({_span(pair.interval)})"
    if finding in ("more", "fewer"):
        text = (
            f"{pair.second} proves {finding} than {pair.first}: {span}, {p_value(pair.p)}; of {n:,} theorems "
            f"it gains {gained:,} and loses {lost:,}."
        )
        text += _by_chance(pair.p_holm, comparisons)
    elif finding == "open":
        compatible = f"an effect between {_span(pair.interval, ' and ')} points is compatible with these {n:,} theorems"
        text = (
            f"No difference between {pair.first} and {pair.second} was shown: {points(pair.difference)} points, "
            f"{p_value(pair.p)}; {compatible}."
        )
    elif finding == "too few":
        wide = Interval(min(pair.interval.low, pair.adjusted.low), max(pair.interval.high, pair.adjusted.high))
        text = (
            f"{pair.first} and {pair.second} cannot be told apart: {_differently(lost + gained, n)}. An effect between "
            f"{_span(wide, ' and ')} points is compatible with that."
        )
    else:
        text = (
            f"No difference between {pair.first} and {pair.second} is claimed, since the two measures disagree: "
            f"{span}, but McNemar's test on {gained:,} theorems gained and {lost:,} lost has {p_value(pair.p)}."
        )
    return Answer(finding, text)


def told_change(change: Change, *, comparisons: int = 1) -> Answer:
    """Whether a later system has more from its value than an earlier one, in words; ``comparisons`` as for :func:`told`."""
    finding = _judged(change.difference, change.interval, change.less, change.more, change.p)
    over = "no value" if change.over == NO_VALUE else f"the value {change.over}"
    what = f"what the system's own value adds over {over} changed from {change.first} to {change.second}"
    span = f"{points(change.difference)} points ({_span(change.interval)}), {p_value(change.p)}"
    if finding in ("more", "fewer"):
        more = "more" if finding == "more" else "less"
        text = f"Over {over}, its own value adds {more} in {change.second} than in {change.first}: {span}, sign test."
        text += _by_chance(change.p_holm, comparisons)
    elif finding == "too few":
        text = (
            f"Whether {what} cannot be said: on {change.less + change.more} theorems alone it is not the same, and fewer than "
            f"{fewest_discordant()} show nothing."
        )
    elif finding == "open":
        text = f"It was not shown that {what}: {span}."
    else:
        text = f"That {what} is not claimed, since the interval and the sign test disagree: {span}."
    return Answer(finding, text)


def rule(seeds: int) -> str:
    """When a difference is claimed, for the reader."""
    told = "A difference is claimed where the bootstrap interval excludes 0 and McNemar's p is below 0.05, never on one alone."
    several = (
        f" A theorem counts as gained or lost by at least half of its {seeds} seeds; points are means over all of them."
    )
    return told + (several if seeds > 1 else "")


def points(share: float) -> str:
    """A difference of shares in points with its sign; more digits where it would otherwise look like 0."""
    value = 100 * share
    digits = next((d for d in (1, 2, 3) if abs(value) >= 0.5 * 10**-d), 1)
    text = f"{value:+.{digits}f}"
    return "0" if float(text) == 0 else text.replace("-", "−")


def p_value(p: float) -> str:
    """``p = 0.031``, ``p < 0.001``."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3g}"


def _judged(difference: float, interval: Interval, fewer: int, more: int, p: float) -> Finding:
    """``fewer`` and ``more`` count theorems that speak for either side."""
    if fewer + more < fewest_discordant():
        return "too few"
    shown_by_interval, shown_by_test = 0.0 not in interval, p < ALPHA
    if not shown_by_interval and not shown_by_test:
        return "open"
    # With several seeds the mean may point the other way than the theorems that most seeds prove.
    if shown_by_interval and shown_by_test and (difference > 0) == (more > fewer):
        return "more" if difference > 0 else "fewer"
    return "disagree"


def _about_systems(comparison: Comparison) -> Iterator[Verdict]:
    labels = list(comparison.specs)
    counts = {q: sum(pair.question == q for pair in comparison.pairs) for q in {p.question for p in comparison.pairs}}
    planned = tuple(labels) == ("A", "B", "C")
    # Trivial values are what an own one is compared with; without an own one they are all that there is.
    arms = (OWN, NO_VALUE) if comparison.arm == OWN else tuple(dict.fromkeys(s.arm for s, _ in comparison.shares))
    for one, two in steps(labels):
        answers = []
        for arm in arms:
            pair = comparison.pair(Side(one, arm), Side(two, arm))
            if pair is not None:
                answers.append(told(pair, comparisons=counts[pair.question]))
        answers += [
            told_change(c, comparisons=len(comparison.changes))
            for c in comparison.changes
            if (c.first, c.second, c.over) == (one, two, NO_VALUE)
        ]
        question = _PLAN[one, two] if planned else f"does {two} prove more or fewer theorems?"
        note = _about_policies(one, two, comparison.specs[one], comparison.specs[two])
        yield Verdict(f"{one} → {two}: {question}", tuple(answers), note)


def _about_values(comparison: Comparison) -> Iterator[Verdict]:
    worth = [pair for pair in comparison.pairs if pair.question == "worth of the value"]
    for label in comparison.specs:
        mine = [told(pair, comparisons=len(worth)) for pair in worth if pair.second == Side(label, OWN)]
        if mine:
            yield Verdict(f"What is the value of {label} worth?", tuple(mine))


def _about_policies(one: str, two: str, first: EvalSpec, second: EvalSpec) -> str:
    """Whether a difference can be the value's alone."""
    if _policy(first) == _policy(second):
        return f"{one} and {two} have the same policy, so what differs is the value, or a setting that is told below."
    return (
        f"{one} and {two} have different policies, so who proves more is about policy and value together; only the change of "
        "what the value adds is about the value."
    )


def _policy(spec: EvalSpec) -> tuple[Any, ...]:
    """What makes two policies the same: their models by hash, or what is said of them, and how tactics are drawn."""
    models, settings = spec.system.models, spec.system.config.get("policy", {})
    who = [models[name] for name in ("policy", "menu") if name in models]
    drawn = {key: settings.get(key) for key in ("kind", "sampling", "menu_share", "quantization")}
    return who or spec.system.policy, drawn


def _by_chance(p_holm: float, comparisons: int) -> str:
    """What has to be added where a difference is not shown any more when its p-value is corrected."""
    if p_holm < ALPHA:
        return ""
    return (
        f" Corrected for {comparisons} comparisons of this kind {p_value(p_holm)}, so it may be what so many comparisons bring "
        "by chance."
    )


def _differently(count: int, theorems: int) -> str:
    if count == 0:
        return f"none of {theorems:,} theorems came out differently"
    return (
        f"only {count} of {theorems:,} theorems came out differently, and with fewer than {fewest_discordant()} McNemar's test "
        "shows nothing, even if all speak for one side"
    )


def _span(interval: Interval, between: str = " to ") -> str:
    return f"{points(interval.low)}{between}{points(interval.high)}"
