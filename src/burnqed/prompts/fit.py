"""A state that is longer than the model's context is shortened, never refused, and counted."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from burnqed.core.errors import ModelError
from burnqed.core.state import ProofState
from burnqed.core.tally import Tally
from burnqed.prompts.formats import PromptFormat

CUT = "state cut to fit the context"
_MARK = "…"


def fitted_prompt(
    form: PromptFormat, state: ProofState, *, tokens: Callable[[str], int], limit: int, tally: Tally
) -> str:
    """The prompt of a state in at most ``limit`` tokens.

    A tactic works on the first goal and mostly with its latest hypotheses, so first the other goals go, last one first, then
    the first goal's hypotheses, oldest first, then the middle of its target. Raises ModelError when even that is too long.
    """
    text = form.prompt(state)
    # A token is at least one byte, and a beginning-of-text token may come on top: most prompts need no counting.
    if len(text.encode()) < limit or tokens(text) <= limit:
        return text
    tally.count(CUT, state.text)

    def fits(candidate: ProofState) -> bool:
        return tokens(form.prompt(candidate)) <= limit

    first = state.goals[0]
    if len(state.goals) > 1:
        keep = _largest(len(state.goals) - 1, lambda k: fits(ProofState(state.goals[:k])) if k else True)
        if keep:
            return form.prompt(ProofState(state.goals[:keep]))
    total = len(first.variables)
    keep = _largest(
        total, lambda k: fits(ProofState((dataclasses.replace(first, variables=first.variables[total - k :]),)))
    )
    bare = dataclasses.replace(first, variables=first.variables[total - keep :])
    if fits(ProofState((bare,))):
        return form.prompt(ProofState((bare,)))
    size = len(first.target)

    def shortened(k: int) -> ProofState:
        target = f"{first.target[: k // 2]}{_MARK}{first.target[size - (k - k // 2) :]}"
        return ProofState((dataclasses.replace(first, variables=(), target=target),))

    kept = shortened(_largest(size, lambda k: fits(shortened(k))))
    if not fits(kept):
        raise ModelError(
            f"the prompt format {form.name} alone is longer than the {limit} tokens that a prompt may have"
        )
    return form.prompt(kept)


def _largest(top: int, good: Callable[[int], bool]) -> int:
    """The largest number up to ``top`` that is good, if goodness ends once (bisection); 0 when none is."""
    low, high = 0, top
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if good(middle) else (low, middle - 1)
    return low
