"""From Lean's list of a proof's tactics to rows.

Lean gives every tactic that a person wrote: ``t <;> s``, a bullet or ``have … := by`` as a whole, and what is inside as
well. A row says how deep it stands: ``depth`` counts the tactics around it, so the rows of depth 0 are the steps of the
proof, each taking over the state that the one before has left. A row with others inside has the flag ``whole``, one
inside another the flag ``inner``; a bullet in a bullet has both, a plain step neither.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from burnqed.data.records import NO_GOALS, TacticRecord, TheoremRecord
from burnqed.lean.protocol import Invocation

WHOLE = "whole"
INNER = "inner"


class Step(msgspec.Struct, frozen=True):
    """A tactic of a proof with what stands around and inside it."""

    invocation: Invocation
    depth: int
    whole: bool


def steps(invocations: Sequence[Invocation]) -> list[Step]:
    """The tactics in the order of the text, outer ones before what is inside them; steps inside ``conv`` are left out.

    A tactic that ran on several goals (after ``<;>``) comes once for each, at the same place.
    """
    own = [i for i in invocations if not i.mode]
    ranges = sorted({i.range for i in own}, key=lambda r: (r[0], -r[1]))
    around: dict[tuple[int, int], int] = {}
    whole: set[tuple[int, int]] = set()
    open_: list[tuple[int, int]] = []
    for place in ranges:
        while open_ and open_[-1][1] <= place[0]:
            open_.pop()
        around[place] = len(open_)
        whole.update(open_)
        open_.append(place)
    order = {place: number for number, place in enumerate(ranges)}
    ordered = sorted(enumerate(own), key=lambda item: (order[item[1].range], item[0]))
    return [Step(i, around[i.range], i.range in whole) for _, i in ordered]


def row(step: Step, number: int, theorem: TheoremRecord, made: frozenset[str]) -> TacticRecord:
    """A step as a row of the theorem; ``made`` are the constants that its file made, which are not the library's."""
    invocation = step.invocation
    level = ({WHOLE} if step.whole else set()) | ({INNER} if step.depth else set())
    return TacticRecord(
        theorem=theorem.name,
        source=theorem.source,
        state_before=invocation.goal_before or NO_GOALS,
        tactic=invocation.tactic,
        state_after=invocation.goal_after or NO_GOALS,
        split=theorem.split,
        origin=theorem.origin,
        lean=theorem.lean,
        step=number,
        depth=step.depth,
        constants=tuple(c for c in invocation.used_constants if c not in made),
        flags=tuple(sorted(set(theorem.flags) | level)),
    )
