"""A search over a Lean that is a table, for the tests of the search."""

from __future__ import annotations

from typing import Any

from burnqed.core.events import Event, NodeAdded, TacticApplied
from burnqed.core.outcome import Verdict
from burnqed.core.theorem import Theorem
from burnqed.search.config import SearchConfig
from burnqed.search.engine import Search, SearchResult
from burnqed.testing.fakes import FakeLean, ManualClock, RecordingSink, ScriptedPolicy, ToyValue

THEOREM = Theorem("t", "theorem t : True")
STRATEGIES = ("best-first", "puct", "and-or")
Table = dict[tuple[str, str], str | tuple[str, ...]]


async def yes(steps: object) -> Verdict:
    """A gate that accepts everything."""
    return Verdict(True)


def make(
    lean: FakeLean,
    policy: Any,
    *,
    value: Any = None,
    judge: Any = yes,
    clock: Any = None,
    parts: dict[str, Any] | None = None,
    **config: Any,
) -> tuple[Search, RecordingSink]:
    """A search and the sink that hears of it; ``parts`` are more arguments of Search, the rest is its configuration."""
    sink = RecordingSink()
    search = Search(
        THEOREM,
        session=lean,
        policy=policy,
        value=value or ToyValue(),
        judge=judge,
        config=SearchConfig(**config),
        events=sink,
        clock=clock or ManualClock(),
        **(parts or {}),
    )
    return search, sink


async def run(lean: FakeLean, policy: Any, **kwargs: Any) -> tuple[SearchResult, list[Event]]:
    """The result and the events of a search whose graph has kept its invariants."""
    search, sink = make(lean, policy, **kwargs)
    result = await search.run()
    search.graph.check_invariants()
    return result, sink.events


def proposing(*tactics: str, **table: list[tuple[str, float]]) -> ScriptedPolicy:
    """A policy with these tactics for every state, each less likely than the one before; ``table`` for some targets."""
    return ScriptedPolicy(table, default=[(t, -0.5 - i / 2) for i, t in enumerate(tactics)])


def tactics(result: SearchResult) -> list[str]:
    """The tactics of the proof that was found."""
    assert result.proof is not None
    return [step.tactic for step in result.proof]


def tree(events: list[Event]) -> list[tuple[Any, ...]]:
    """Nodes in the order of their discovery: number, parent, state."""
    return [(e.node, e.parent, e.state.replace("\n\n", " ")) for e in events if isinstance(e, NodeAdded)]


def tried(events: list[Event]) -> list[tuple[int, str]]:
    """Tactics in the order in which they were tried, with their nodes."""
    return [(e.node, e.tactic) for e in events if isinstance(e, TacticApplied)]


def replayed(table: Table, start: str, steps: list[str]) -> list[str]:
    """The goals that a table leaves after these tactics, each on the first goal."""
    goals = [start]
    for step in steps:
        result = table[goals[0], step]
        goals = [g for g in ([result] if isinstance(result, str) else result) if g] + goals[1:]
    return goals
