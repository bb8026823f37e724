"""Which theorem is searched next, in which form, and with how large a budget: from what became of earlier searches.

The name and the idea are AlphaProof's (Hubert et al., Nature 2025): a matchmaker gives each theorem, or its negation, to the
search with a weight that depends on whether it is proved, disproved or undecided; its budgets grow where a search failed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Self

import msgspec
from pydantic import BaseModel, Field, model_validator

from burnqed.core.errors import CanaryProved
from burnqed.core.seeding import child_seed

STOPPED = "stopped"
"""What ``Attempt.ended`` says of a search that somebody broke off: it tells nothing, and does not count."""
_UNKNOWN = 0.5
"""The promise of a failed theorem of which nothing is known."""
_LEAST = 0.1
"""No promise counts for less, so that every theorem has its turn again."""
_ROUNDING = 1e-9
"""A tenth of 70 is 7, also where floats say a little more."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One search of one theorem, or of its negation.

    ``theorem`` and ``digest`` are those of the theorem itself in both cases. ``error`` says that the search did not take place
    or broke down; ``nodes`` are states expanded, ``budget_factor`` is what the budget was multiplied by, ``promise`` is how
    near it came (:func:`burnqed.iterate.promise.promise`), ``ended`` how it ended, in the words of ``SearchStatus``.
    """

    theorem: str
    digest: str
    negated: bool
    proved: bool
    error: bool
    nodes: int
    tactics: int
    budget_factor: float
    promise: float | None
    iteration: int
    ended: str


class MatchmakerConfig(BaseModel, frozen=True, extra="forbid"):
    """How the searches of an iteration are shared out."""

    attempts: int = Field(0, ge=0, description="searches of an iteration at most; 0 = one for each theorem worth one")
    negation_share: float = Field(
        0.1, ge=0, le=1, description="share of the searches that try to prove the negation, rounded up"
    )
    solved_share: float = Field(
        0.05,
        ge=0,
        le=1,
        description="share of the searches for theorems solved before, rounded down: for shorter proofs",
    )
    growth: float = Field(2.0, ge=1, description="the budget is multiplied by this for each failed search")
    max_factor: float = Field(8.0, ge=1, description="the budget is never multiplied by more than this")
    give_up_after: int = Field(
        0, ge=0, description="failed searches after which a theorem, or its negation, is left alone; 0 = never"
    )

    @model_validator(mode="after")
    def _shares_fit(self) -> Self:
        if self.negation_share + self.solved_share > 1:
            raise ValueError("negation_share and solved_share together must not be more than 1")
        return self


@dataclass(frozen=True)
class Assignment:
    """A search to be made; ``why`` says in a few words why this one."""

    theorem: str
    negated: bool
    budget_factor: float
    why: str


@dataclass
class _Past:
    """What is known of one theorem. ``failures`` count searches that ended without a proof and without an error."""

    name: str
    tie: int
    tries: int = 0
    failures: int = 0
    errors: int = 0
    negation_failures: int = 0
    negation_errors: int = 0
    promise: float | None = None
    solved_at: list[float] = field(default_factory=list)
    refuted: bool = False

    @property
    def solved(self) -> bool:
        return bool(self.solved_at)


def assign_attempts(
    theorems: Sequence[str],
    history: Sequence[Attempt],
    config: MatchmakerConfig,
    *,
    seed: int,
    negatable: Collection[str] | None = None,
) -> list[Assignment]:
    """The searches of the next iteration in the order in which they should be made, at most one a theorem and form.

    First come unsolved theorems: those never tried, then those that failed, by promise divided by one more than their
    failures. These are the divisors of D'Hondt (1878): over the iterations each theorem gets searches in proportion to its
    promise, and none is forgotten. Theorems of which nothing but errors is known come last among them.

    Then come negations of theorems that failed, those with most failures first, divided in the same way by the failures of the
    negation, so that the share is not spent on one theorem. Last come a few theorems that are solved, those searched least
    first, with the smallest budget that was enough before. A theorem whose negation is proved is never searched again; the
    negation of one that is solved never is. Each failure multiplies the budget of its own form by ``growth``, up to
    ``max_factor``; errors and searches that somebody broke off do not.

    With ``attempts`` = 0 every unsolved theorem gets its search, and the two shares are of all theorems that are not retired.
    Else a share that cannot be used goes to unsolved theorems, and what these cannot use is left.

    ``history`` is in the order of time. Attempts on another digest than a theorem's last one are on a statement that has
    changed, and do not count. ``negatable`` are the theorems whose negation can be stated, None for all. Ties are broken by the
    seed. Raises CanaryProved when theorem and negation are both proved, since one of the two is false.
    """
    refuse_contradictions(history)
    pasts = _pasts(theorems, history, seed)
    alive = [p for p in pasts if not p.refuted]
    solved = [p for p in alive if p.solved]
    unsolved = [p for p in alive if not p.solved and not _given_up(p.failures, config)]
    doubted = [
        p
        for p in alive
        if not p.solved
        and p.failures
        and not _given_up(p.negation_failures, config)
        and (negatable is None or p.name in negatable)
    ]
    total = config.attempts or len(alive)
    negations = min(len(doubted), math.ceil(total * config.negation_share - _ROUNDING))
    again = min(len(solved), math.floor(total * config.solved_share + _ROUNDING), total - negations)
    direct = total - negations - again if config.attempts else len(unsolved)
    return [
        *(_direct(p, config) for p in _first(unsolved, direct, _hope)),
        *(_negation(p, config) for p in _first(doubted, negations, _doubt)),
        *(_again(p) for p in _first(solved, again, lambda p: (-p.tries,))),
    ]


def _pasts(theorems: Iterable[str], history: Sequence[Attempt], seed: int) -> list[_Past]:
    """One for each theorem, in order of name."""
    pasts = {name: _Past(name, child_seed(seed, "matchmaker", name)) for name in sorted(set(theorems))}
    current = {attempt.theorem: attempt.digest for attempt in history}
    for attempt in history:
        past = pasts.get(attempt.theorem)
        if past is not None and attempt.digest == current[attempt.theorem] and attempt.ended != STOPPED:
            _take(past, attempt)
    return list(pasts.values())


def refuse_contradictions(history: Iterable[Attempt]) -> None:
    """Raise CanaryProved when a statement and its negation are both on record as proved, whoever asks for it now."""
    proved = {(a.theorem, a.digest, a.negated) for a in history if a.proved}
    both = sorted(name for name, digest, negated in proved if negated and (name, digest, False) in proved)
    if both:
        raise CanaryProved(
            f"both {both[0]} and its negation are on record as proved, so Lean accepted something false; "
            "trust no result of these runs, and find out which of the two proofs is wrong"
        )


def _take(past: _Past, attempt: Attempt) -> None:
    """One attempt more. An error counts as such even where it says that it proved something."""
    if attempt.negated:
        past.negation_errors += attempt.error
        past.negation_failures += not attempt.error and not attempt.proved
        past.refuted = past.refuted or (attempt.proved and not attempt.error)
        return
    past.tries += 1
    past.errors += attempt.error
    if attempt.error:
        return
    if attempt.proved:
        past.solved_at.append(attempt.budget_factor)
        return
    past.failures += 1
    if attempt.promise is not None:
        past.promise = attempt.promise


def _given_up(failures: int, config: MatchmakerConfig) -> bool:
    return bool(config.give_up_after) and failures >= config.give_up_after


def _first(pasts: Iterable[_Past], count: int, worth: Callable[[_Past], tuple[float, ...]]) -> list[_Past]:
    """The ``count`` of most worth, the best first."""
    return sorted(pasts, key=lambda p: (*(-w for w in worth(p)), p.tie, p.name))[:count]


def _hope(past: _Past) -> tuple[float, ...]:
    """Never tried, then failed, then errors only, the fewest of them first."""
    if not past.tries:
        return (2.0, 0.0)
    if not past.failures:
        return (0.0, -float(past.errors))
    promise = _UNKNOWN if past.promise is None else past.promise
    return (1.0, max(_LEAST, promise) / (1 + past.failures))


def _doubt(past: _Past) -> tuple[float, ...]:
    """Failures, each search of the negation that came to nothing weighed against them; then how little the theorem promised."""
    promise = _UNKNOWN if past.promise is None else past.promise
    return (past.failures / (1 + past.negation_failures + past.negation_errors), -promise)


def _factor(failures: int, config: MatchmakerConfig) -> float:
    """``growth`` to the power of ``failures``, at most ``max_factor``, whatever floats can hold."""
    if config.growth == 1 or failures * math.log(config.growth) < math.log(config.max_factor):
        return float(config.growth**failures)
    return config.max_factor


def _direct(past: _Past, config: MatchmakerConfig) -> Assignment:
    factor = _factor(past.failures, config)
    if not past.tries:
        return Assignment(past.name, False, factor, "never tried")
    if not past.failures:
        return Assignment(past.name, False, factor, f"nothing but errors so far ({past.errors})")
    told = "unknown" if past.promise is None else f"{past.promise:.2f}"
    return Assignment(past.name, False, factor, f"failed {_times(past.failures)}, promise {told}")


def _negation(past: _Past, config: MatchmakerConfig) -> Assignment:
    why = f"failed {_times(past.failures)}, so it may be false"
    return Assignment(past.name, True, _factor(past.negation_failures, config), why)


def _again(past: _Past) -> Assignment:
    return Assignment(past.name, False, min(past.solved_at), "solved; there may be a shorter proof")


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
