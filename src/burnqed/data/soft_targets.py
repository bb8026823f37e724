"""How much a search has looked into a state, and what it makes of it: a number of visits, and a target between 0 and 1.

The visits of a state are the tactics that were tried on it and on every state that moves and parts lead to from it, each such
state counted once, however many ways lead there and whether or not they lead back. So all states of a circle have the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from burnqed.core.calibration import Calibration
from burnqed.data.labels import Labelled

MIN_VISITS = 32
"""Four slices of a search with the usual settings."""

_KNOWN = {"proved": 1.0, "refuted": 0.0, "exhausted": 0.0}

_Ways = Mapping[str, list[str]]


def visits(search: Labelled) -> dict[str, int]:
    """The visits of every state of a search, by its text."""
    ways = _ways(search)
    return {text: sum(search.states[t].tries for t in _reached(text, ways)) for text in search.states}


def soft_targets(
    search: Labelled,
    visited: Mapping[str, int],
    *,
    energies: Mapping[str, float],
    calibration: Calibration | None,
    min_visits: int = MIN_VISITS,
) -> dict[str, float | None]:
    """For every state of a search a target in [0, 1], by its text; None where there is nothing to say.

    1 for proved states, 0 for refuted and exhausted ones. An unknown state with at least ``min_visits`` of its ``visited`` gets
    the mean W/N of what its visits were worth, in the manner of HTPS (Lample et al., HyperTree Proof Search, 2022, which
    trains its critic so): a tactic tried on a state s is one visit, worth P(s), the probability that ``calibration`` reads
    off its energy, and what lies below comes up with its own mean, weighted by its visits:

        V(s) = (n(s)·P(s) + Σ N(t)·V(t)) / (n(s) + Σ N(t))      n tries, N visits, the sum over states t that moves lead to
        V(s) = Π V(part) for a split state,      V(s) = P(s) where nothing was tried

    States that moves lead to from one another are as provable as each other, and have one V over all of them; a move back to
    a split state of which the state is a part is no way to a proof, and left out. The paper takes the tactic most visited
    alone, and none that is dead; this is the mean of all, so it is lower, and never falls when more is proved. Unknown states
    get None without a calibration, and where their value is not on record.
    """
    states = search.states
    found = {text: _KNOWN[state.label] for text, state in states.items() if state.label != "unknown"}
    own = {
        text: calibration.provable(energy)
        for text, energy in energies.items()
        if calibration is not None and text in states and math.isfinite(energy)
    }
    ways = _without_ways_back(search)
    for circle in _circles(ways):
        unknown = sorted(circle - found.keys())
        if (value := _value(search, unknown, ways, found, own, visited)) is not None:
            found |= dict.fromkeys(unknown, value)
    return {
        text: found.get(text) if state.label != "unknown" or visited[text] >= min_visits else None
        for text, state in states.items()
    }


def _value(
    search: Labelled,
    unknown: list[str],
    ways: _Ways,
    found: Mapping[str, float],
    own: Mapping[str, float],
    visited: Mapping[str, int],
) -> float | None:
    """V of states in one circle (mostly one state alone), from that of all that they lead to."""
    below = sorted({t for text in unknown for t in ways[text]}.difference(unknown))
    if any(search.states[text].parts for text in unknown):
        # Parts have fewer goals than the whole, so it stands alone; in a record where it does not, it has no value.
        return math.prod(found[t] for t in below) if len(unknown) == 1 and all(t in found for t in below) else None
    judged = [text for text in unknown if text in own]
    worth = [(search.states[text].tries, own[text]) for text in judged]
    if not worth:
        return None
    worth += [(visited[t], found[t]) for t in below if t in found]
    if not any(n for n, _ in worth):
        worth = [(1, own[text]) for text in judged]
    return min(1.0, math.fsum(n * v for n, v in worth) / sum(n for n, _ in worth))


def _ways(search: Labelled) -> dict[str, list[str]]:
    """Where moves and parts lead from each state, no state twice."""
    return {
        text: sorted({*(move.to for move in state.moves if move.to is not None), *state.parts})
        for text, state in search.states.items()
    }


def _without_ways_back(search: Labelled) -> dict[str, list[str]]:
    """The ways without moves to a split state from which one can come back: no smallest proof takes them."""
    ways = _ways(search)
    circle_of = {text: number for number, circle in enumerate(_circles(ways)) for text in circle}
    return {
        text: to
        if search.states[text].parts
        else [t for t in to if not (search.states[t].parts and circle_of[t] == circle_of[text])]
        for text, to in ways.items()
    }


def _reached(start: str, ways: _Ways) -> set[str]:
    found = {start}
    todo = [start]
    while todo:
        new = set(ways[todo.pop()]) - found
        found |= new
        todo += new
    return found


def _circles(ways: _Ways) -> list[set[str]]:
    """The strongly connected components, each after all those that it leads to (Tarjan 1972, without recursion)."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    waiting: list[str] = []
    found: list[set[str]] = []
    done: set[str] = set()
    for start in ways:
        if start in number:
            continue
        stack = [_enter(start, ways, number, low, waiting)]
        while stack:
            text, rest = stack[-1]
            for to in rest:
                if to not in number:
                    stack.append(_enter(to, ways, number, low, waiting))
                    break
                if to not in done:
                    low[text] = min(low[text], number[to])
            else:
                stack.pop()
                if stack:
                    above = stack[-1][0]
                    low[above] = min(low[above], low[text])
                if low[text] == number[text]:
                    circle = {waiting.pop()}
                    while text not in circle:
                        circle.add(waiting.pop())
                    done |= circle
                    found.append(circle)
    return found


def _enter(
    text: str, ways: _Ways, number: dict[str, int], low: dict[str, int], waiting: list[str]
) -> tuple[str, Iterator[str]]:
    number[text] = low[text] = len(number)
    waiting.append(text)
    return text, iter(ways[text])
