"""The shortest proof in a labelled search, as tactics with the states around them."""

from __future__ import annotations

from collections.abc import Iterator

from burnqed.data.labels import Labelled
from burnqed.data.records import NO_GOALS, TacticRecord


def proof_records(search: Labelled, *, split: str = "") -> Iterator[TacticRecord]:
    """The steps of the shortest proof that the search knows of, each on the very state on which it was tried.

    Nothing for a theorem whose root is not proved. It may be shorter than the proof that was found, since states reached on
    several ways are one; detours and steps that change nothing are not in it. After a split come the steps of each part.
    """
    if search.states[search.root].label != "proved":
        return
    todo = [search.root]
    number = 0
    while todo:
        state = search.states[todo.pop()]
        if state.parts:
            todo += reversed(state.parts)
            continue
        assert state.remaining is not None
        move = next(m for m in state.moves if _left(search, m.to) == state.remaining - 1)
        yield TacticRecord(
            theorem=search.theorem,
            source=search.source,
            state_before=state.text,
            tactic=move.tactic,
            state_after=move.to or NO_GOALS,
            split=split,
            step=number,
        )
        number += 1
        if move.to is not None:
            todo.append(move.to)


def _left(search: Labelled, text: str | None) -> int | None:
    """Tactics from there to the end of a proof; None where none is known."""
    return 0 if text is None else search.states[text].remaining
