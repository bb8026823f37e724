"""Augmented views: the same proof state said another way, so that no label is needed to know that the two belong together.

Hypotheses get other names, and those that do not rest on each other another order. Lean's key of a goal
(:mod:`burnqed.core.state`) sees neither, and is kept. All is read off the text, so where it is not certain that a change is
none in meaning, it is left out: see :mod:`burnqed.joint.local_names`.
"""

from __future__ import annotations

import dataclasses
import itertools
import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from burnqed.core.seeding import child_seed
from burnqed.core.state import Goal, ProofState, Variable
from burnqed.joint.local_names import is_plain, names, perhaps_bound, replaced, words

_FOR_FACTS = "h₁ h₂ h₃ h₄ h₅ h₆ ha hb hc hd hk hm hn hp hq hr hs ht hx hy hz h' hh H"
_HYPOTHESES = tuple(_FOR_FACTS.split())
_METAVARIABLE = re.compile(r"(?<![\w\])}⟩])\?\w")
_LATIN = tuple("abcdkmnpqrstuvwxyz")
_FUNCTIONS = tuple("fg")
_CAPITAL = tuple("ABGHKMNPQRSTUVXYZ")
_GREEK = tuple("αβγδικ")

_CLASS_NAMES = """
Decidable DecidableEq DecidablePred DecidableRel Inhabited Nonempty Subsingleton Unique Nontrivial Fintype Finite Fact
NeZero BEq LawfulBEq Ord Hashable Add Mul Sub Neg Zero One LE LT Min Max Semigroup Monoid CommMonoid Group CommGroup
AddGroup AddCommGroup Semiring CommSemiring Ring CommRing DivisionRing Field LinearOrderedField IsDomain Module Algebra
Preorder PartialOrder LinearOrder Lattice IsStrictOrderedRing TopologicalSpace MetricSpace NormedField MeasurableSpace
Monad
"""
_CLASSES = frozenset(_CLASS_NAMES.split())
"""Classes whose instances are now and then given a name. Later types rest on an instance without showing it."""


def view(state: ProofState, seed: int, *, rename: bool = True, reorder: bool = True) -> ProofState:
    """A view of the state, the same for the same seed. Goals keep their places, cases, keys and targets.

    A name has one new name in all goals. Names stay that are inaccessible, that occur twice in a goal, or that anything else in
    the state may own. Instances stay where they are, and nothing moves past them.
    """
    if reorder:
        state = reordered(state, child_seed(seed, "order"))
    return renamed(state, renaming(state, child_seed(seed, "names"))) if rename else state


def renaming(state: ProofState, seed: int) -> dict[str, str]:
    """A new name for every hypothesis that can be renamed; no new name occurs anywhere in the state."""
    rng = random.Random(seed)
    taken = set[str]().union(*(words(text) for text in _texts(state)))
    new: dict[str, str] = {}
    for name in _renameable(state):
        new[name] = next(fresh for fresh in _like(name, rng) if fresh not in taken)
        taken.add(new[name])
    return new


def renamed(state: ProofState, new: Mapping[str, str]) -> ProofState:
    """The state with its hypotheses renamed, where they are declared and where they are spoken of."""

    def variable(v: Variable) -> Variable:
        value = None if v.value is None else replaced(v.value, new)
        return dataclasses.replace(v, name=new.get(v.name, v.name), type=replaced(v.type, new), value=value)

    def goal(g: Goal) -> Goal:
        return dataclasses.replace(g, variables=tuple(map(variable, g.variables)), target=replaced(g.target, new))

    return ProofState(tuple(map(goal, state.goals)))


def reordered(state: ProofState, seed: int) -> ProofState:
    """The state with the hypotheses of each goal in another order, in which each still follows what it speaks of."""
    rng = random.Random(seed)
    every = dict.fromkeys(v.name for g in state.goals for v in g.variables)
    rank = {name: rng.random() for name in every}  # one for all goals, whose contexts mostly are alike
    return ProofState(tuple(dataclasses.replace(g, variables=tuple(_shuffled(g.variables, rank))) for g in state.goals))


def _texts(state: ProofState) -> Iterator[str]:
    """All texts of a state in which a name may stand."""
    for goal in state.goals:
        yield goal.case
        yield goal.target
        for v in goal.variables:
            yield from (v.name, v.type, v.value or "")


def _renameable(state: ProofState) -> list[str]:
    """The names that can be changed, in the order in which they come up."""
    bound = set[str]()
    stuck = set[str]()
    for goal in state.goals:
        for text in (goal.target, *(t for v in goal.variables for t in (v.type, v.value or ""))):
            bound |= perhaps_bound(text)
        counts = Counter(v.name for v in goal.variables)
        stuck |= {v.name for v in goal.variables if not v.accessible or counts[v.name] > 1 or not is_plain(v.name)}
    every = dict.fromkeys(v.name for goal in state.goals for v in goal.variables)
    return [name for name in every if name not in bound and name not in stuck]


def _like(name: str, rng: random.Random) -> Iterator[str]:
    """Names of the same kind in random order, without end: what one would call a hypothesis, a number, a function, a type."""
    if re.match(r"h|ih|this", name):
        pool = _HYPOTHESES
    elif name[0] in "fgφψ":
        pool = _FUNCTIONS
    elif "α" <= name[0] <= "ω":
        pool = _GREEK
    else:
        pool = _CAPITAL if name[0].isupper() else _LATIN
    yield from rng.sample(pool, len(pool))
    for number in itertools.count(1):
        yield from (f"{stem}_{number}" for stem in rng.sample(pool, len(pool)))


def _shuffled(variables: Sequence[Variable], rank: Mapping[str, float]) -> Iterator[Variable]:
    """The variables, those between two that must stay in an order by rank that respects what speaks of what."""
    for stays, group in itertools.groupby(variables, key=_stays):
        between = list(group)
        yield from between if stays else _by_rank(between, rank)


def _stays(v: Variable) -> bool:
    """Whether a variable is, or may be, one that others rest on or that rests on others without the text showing it."""
    said = f"{v.type} {v.value or ''}"
    hidden = "⋯" in said or _METAVARIABLE.search(said) is not None
    return hidden or v.name.startswith("inst") or not _CLASSES.isdisjoint(words(said))


def _by_rank(variables: list[Variable], rank: Mapping[str, float]) -> Iterator[Variable]:
    """Always next: of those that wait for nothing, the one of the lowest rank. Two that speak of each other keep their order."""
    spoken = [{name for text in (v.type, v.value or "") for name, _, _ in names(text)} | {v.name} for v in variables]
    waits = {
        later: {
            earlier
            for earlier in range(later)
            if variables[earlier].name in spoken[later] or variables[later].name in spoken[earlier]
        }
        for later in range(len(variables))
    }
    while waits:
        chosen = min((i for i, on in waits.items() if not on), key=lambda i: (rank[variables[i].name], i))
        del waits[chosen]
        for on in waits.values():
            on.discard(chosen)
        yield variables[chosen]
