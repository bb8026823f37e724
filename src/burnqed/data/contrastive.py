"""Pairs of a provable state and one that is not, for training an energy that tells them apart.

Tiers: *hard* are siblings (one tactic each from the same state), *medium* come from the same theorem, *easy* from another one.
A negative was refuted: its theorem or the state itself is known to be false, or it is exhausted. What was merely never proved
is no negative unless asked for, and then says so. Labels are those of :mod:`burnqed.data.labels`.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self

import msgspec
from pydantic import BaseModel, Field, model_validator

from burnqed.core.seeding import child_seed
from burnqed.data.labels import Labelled, State
from burnqed.data.manifest import Manifest
from burnqed.data.soft_targets import visits

Tier = Literal["hard", "medium", "easy"]
Why = Literal["refuted", "exhausted", "unproved"]

PAIR = "pair"
"""The stage under which pairs are dropped here."""
BOTH = "both provable: siblings that are both proved"
UNKNOWN = "sibling whose label is unknown"
ELSEWHERE = "negative that is proved elsewhere"
ENOUGH = "more than wanted for one positive"


class PairConfig(BaseModel, frozen=True, extra="forbid"):
    """How many pairs are made, and of what."""

    hard: int = Field(8, ge=0, description="siblings at most for one positive state")
    medium: int = Field(4, ge=0, description="negatives of the same theorem at most for one positive state")
    easy: int = Field(4, ge=0, description="negatives of other theorems for one positive state")
    exhausted: bool = Field(
        True,
        description="whether states on which every candidate failed count as negatives; a better policy may prove some",
    )
    unproved: bool = Field(
        False, description="whether states that were tried but neither proved nor refuted count as negatives as well"
    )
    unproved_visits: int = Field(
        0,
        ge=0,
        description="with unproved: only states on which, and on what they led to, at least so many tactics were tried",
    )
    off_path: bool = Field(
        False,
        description="with unproved: in a search that found a proof every state off it, tried or not, as a hard or medium"
        " negative; some of these are provable as well",
    )
    seed: int = Field(0, ge=0, description="which ones are taken where there are more")

    @model_validator(mode="after")
    def _of_unproved(self) -> Self:
        if self.off_path and not self.unproved:
            raise ValueError("off_path makes more unproved states negatives; set unproved with it")
        return self


class ContrastivePair(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a file of pairs. States and goals are texts as Lean prints them.

    ``goal`` is the root state of the theorem of ``positive``, ``negative_goal`` that of ``negative``; an energy is asked of
    (positive, goal) and of (negative, negative_goal). ``remaining`` tactics lead from the positive to a proof; ``depth`` and
    ``negative_depth`` count tactics from the roots. ``why`` says in what way the negative is one, ``parent`` is the state
    above both of a hard pair and empty otherwise. ``searches`` name the runs of the two, ``logprob_nats`` and
    ``negative_logprob_nats`` are those of the tactics that lead to them in these searches (None: not known).
    """

    tier: Tier
    why: Why
    theorem: str
    goal: str
    positive: str
    depth: int
    remaining: int
    negative_theorem: str
    negative_goal: str
    negative: str
    negative_depth: int
    parent: str
    split: str
    searches: tuple[str, str]
    logprob_nats: float | None = None
    negative_logprob_nats: float | None = None


@dataclass(frozen=True, eq=False)
class _Negative:
    search: Labelled
    state: State
    why: Why
    passed_by: bool
    """It is one beside a proof of its own theorem alone."""


class PairMaker:
    """Makes the pairs of some searches; theorems of different splits never meet in a pair.

    ``proved`` are states known to be provable from elsewhere: no negative is one of them.
    """

    def __init__(
        self,
        searches: Sequence[Labelled],
        splits: Mapping[str, str],
        config: PairConfig,
        *,
        proved: Collection[str] = (),
    ) -> None:
        self._searches = searches
        self._splits = splits
        self._config = config
        self._proved = {s.text for search in searches for s in search.states.values() if s.label == "proved"}
        self._proved.update(proved)
        self.elsewhere: Counter[str] = Counter()
        self._negatives = {id(search): self._negatives_of(search) for search in searches}
        self._pool: dict[str, dict[int, list[_Negative]]] = defaultdict(lambda: defaultdict(list))
        for search in searches:
            own = self._negatives[id(search)]
            for negative in own.values():
                if not negative.passed_by:
                    self._pool[splits[search.theorem]][negative.state.depth].append(negative)

    def _negatives_of(self, search: Labelled) -> dict[str, _Negative]:
        found: dict[str, _Negative] = {}
        needed = self._config.unproved_visits
        visited = visits(search) if self._config.unproved and needed else {}
        for state in search.states.values():
            why = self._why(state)
            tried = state.tried and visited.get(state.text, needed) >= needed
            passed_by = why == "unproved" and not tried
            if why is None or (passed_by and not (self._config.off_path and search.proved)):
                continue
            if state.text in self._proved:
                self.elsewhere[search.theorem] += 1
            else:
                found[state.text] = _Negative(search, state, why, passed_by)
        return found

    def _why(self, state: State) -> Why | None:
        if state.label == "refuted" or (state.label == "exhausted" and self._config.exhausted):
            return state.label
        return "unproved" if self._config.unproved and state.label == "unknown" else None

    def pairs(self, manifest: Manifest) -> Iterator[ContrastivePair]:
        """All pairs, theorem by theorem; what is left out is counted in the manifest."""
        for theorem, count in self.elsewhere.items():
            manifest.note(ELSEWHERE, theorem, times=count)
        seen: set[tuple[str, str, str]] = set()
        for search in self._searches:
            rng = random.Random(child_seed(self._config.seed, "pairs", search.source, search.theorem))
            siblings = self._siblings(search, manifest)
            for state in search.states.values():
                if state.label != "proved":
                    continue
                for pair in self._of(search, state, siblings.get(state.text, {}), rng, manifest):
                    key = (pair.positive, pair.goal, pair.negative)
                    manifest.rows_made += 1
                    if key in seen:
                        manifest.drop(PAIR, "same pair again", pair.theorem)
                    else:
                        seen.add(key)
                        yield pair

    def _siblings(self, search: Labelled, manifest: Manifest) -> dict[str, dict[str, str]]:
        """For each proved state its negative siblings, with the state above both."""
        found: dict[str, dict[str, str]] = defaultdict(dict)
        for parent in search.states.values():
            children = list(dict.fromkeys(m.to for m in parent.moves if m.to is not None))
            good = [c for c in children if search.states[c].label == "proved"]
            if not good:
                continue
            for child in children:
                if child in self._negatives[id(search)]:
                    for positive in good:
                        found[positive].setdefault(child, parent.text)
                elif child not in good:
                    manifest.note(UNKNOWN, search.theorem)
            if len(good) > 1:
                manifest.note(BOTH, search.theorem, times=len(good) * (len(good) - 1) // 2)
        return found

    def _of(
        self, search: Labelled, state: State, siblings: Mapping[str, str], rng: random.Random, manifest: Manifest
    ) -> Iterator[ContrastivePair]:
        own = self._negatives[id(search)]
        hard = [own[text] for text in siblings]
        medium = [n for text, n in own.items() if text not in siblings and text != state.text]
        tiers: tuple[tuple[Tier, list[_Negative], int], ...] = (
            ("hard", hard, self._config.hard),
            ("medium", medium, self._config.medium),
        )
        for tier, negatives, wanted in tiers:
            taken = negatives if len(negatives) <= wanted else rng.sample(negatives, wanted)
            if left := len(negatives) - len(taken):
                manifest.note(f"{tier}: {ENOUGH}", search.theorem, times=left)
            for negative in taken:
                yield self._pair(tier, search, state, negative, siblings.get(negative.state.text, ""))
        for negative in self._others(search, state.depth, rng):
            yield self._pair("easy", search, state, negative, "")

    def _others(self, search: Labelled, depth: int, rng: random.Random) -> list[_Negative]:
        """Negatives of other theorems of the same split, as deep as the positive if there are such, else the nearest.

        Searches in vain go deeper than proofs do; drawn from all depths alike, depth alone would tell most negatives apart.
        """
        pool = self._pool[self._splits[search.theorem]]
        found: list[_Negative] = []
        for level in sorted(pool, key=lambda d: (abs(d - depth), d)):
            if len(found) == self._config.easy:
                break
            found += _drawn(pool[level], self._config.easy - len(found), search.theorem, rng)
        return found

    def _pair(self, tier: Tier, search: Labelled, state: State, negative: _Negative, parent: str) -> ContrastivePair:
        assert state.remaining is not None
        return ContrastivePair(
            tier=tier,
            why=negative.why,
            theorem=search.theorem,
            goal=search.root,
            positive=state.text,
            depth=state.depth,
            remaining=state.remaining,
            negative_theorem=negative.search.theorem,
            negative_goal=negative.search.root,
            negative=negative.state.text,
            negative_depth=negative.state.depth,
            parent=parent,
            split=self._splits[search.theorem],
            searches=(search.source, negative.search.source),
            logprob_nats=state.logprob_nats,
            negative_logprob_nats=negative.state.logprob_nats,
        )


def _drawn(negatives: Sequence[_Negative], wanted: int, theorem: str, rng: random.Random) -> list[_Negative]:
    """So many of the negatives at most, none twice, none of the theorem itself."""
    found: list[_Negative] = []
    # Mostly a few draws are enough; where they are not, the others are picked out.
    for _ in range(4 * wanted):
        drawn = rng.choice(negatives)
        if drawn.search.theorem != theorem and drawn not in found:
            found.append(drawn)
            if len(found) == wanted:
                return found
    others = [n for n in negatives if n.search.theorem != theorem]
    return rng.sample(others, min(wanted, len(others)))
