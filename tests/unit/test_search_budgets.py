"""Budgets in tactics and tokens: what a search may spend, whatever the machine's speed, and how it says that it is spent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.search_lab import STRATEGIES, proposing, run, tactics, tried

from burnqed.core.outcome import SearchStatus
from burnqed.core.tactic import Candidate
from burnqed.testing.fakes import DONE, FakeLean, ScriptedWriter

LADDER = {(str(i), "up"): str(i + 1) for i in range(50)} | {("start", "up"): "0"}
"""A search without an end: one tactic leads on, the others fail."""
PROPOSALS = ("x", "y", "up", "z")


class Wordy:
    """Proposes the same for every state, each text of so many tokens."""

    def __init__(self, texts: str, tokens: int) -> None:
        self.candidates = [Candidate(t, -0.5 - i / 2, tokens) for i, t in enumerate(texts.split())]

    async def propose(self, states, n):
        return [self.candidates[:n] for _ in states]


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("slice_size", [1, 2, 3, 8])
@pytest.mark.parametrize("expand_batch", [1, 3])
@pytest.mark.parametrize("most", [1, 5, 7, 16])
async def test_not_one_tactic_more_than_allowed_is_tried_and_not_one_less(strategy, slice_size, expand_batch, most):
    lean = FakeLean(LADDER)
    result, events = await run(
        lean,
        proposing(*PROPOSALS),
        strategy=strategy,
        slice_size=slice_size,
        expand_batch=expand_batch,
        max_tactics=most,
    )
    assert result.status is SearchStatus.OUT_OF_TACTICS
    assert result.tactics == most
    assert len(lean.applied) == most
    assert len(tried(events)) == most


async def test_without_a_limit_of_tactics_only_other_limits_count():
    result, _ = await run(FakeLean(LADDER), proposing(*PROPOSALS), max_nodes=12)
    assert result.status is SearchStatus.OUT_OF_NODES
    assert result.tactics == 12 * len(PROPOSALS)


@pytest.mark.parametrize("most", [3, 4])
async def test_a_proof_by_the_last_tactic_counts_and_one_tactic_later_does_not(most):
    lean = FakeLean({("start", "up"): "A", ("A", "up"): DONE})
    result, _ = await run(lean, proposing("x", "up"), max_tactics=most)
    assert result.status is (SearchStatus.PROVED if most == 4 else SearchStatus.OUT_OF_TACTICS)
    assert result.tactics == most


async def test_a_larger_budget_only_goes_on():
    def first(most: int):
        return run(FakeLean(LADDER), proposing(*PROPOSALS), max_tactics=most, slice_size=3)

    (_, short), (_, long) = await first(7), await first(30)
    # The last slice may have been cut short, and then the next state that is chosen may be another.
    whole = len(tried(short)) // 3 * 3
    assert tried(long)[:whole] == tried(short)[:whole]


@given(
    most=st.integers(1, 40),
    slice_size=st.integers(1, 9),
    expand_batch=st.integers(1, 4),
    strategy=st.sampled_from(STRATEGIES),
    edges=st.dictionaries(
        st.tuples(st.sampled_from(["start", *"ABCDE"]), st.sampled_from("uvwx")),
        st.sampled_from([*"ABCDE", "A B", "C D"]),
        max_size=14,
    ),
)
async def test_whatever_lean_says_slices_stay_within_the_limit(most, slice_size, expand_batch, strategy, edges):
    table = {key: tuple(to.split()) for key, to in edges.items()}
    lean = FakeLean(table)
    result, _ = await run(
        lean,
        proposing(*"uvwx"),
        strategy=strategy,
        max_tactics=most,
        slice_size=slice_size,
        expand_batch=expand_batch,
        max_nodes=30,
    )
    assert result.tactics == len(lean.applied) <= most
    if result.status is SearchStatus.OUT_OF_TACTICS:
        assert result.tactics == most


@pytest.mark.parametrize("most", [1, 2, 3])
async def test_whole_proofs_are_broken_off_where_the_tactics_are_spent(most):
    writer = ScriptedWriter({"start": [(("up", "up", "up", "up", "up"), -3.0)]})
    lean = FakeLean(LADDER)
    result, _ = await run(lean, proposing(*PROPOSALS), whole_proofs=1, max_tactics=most, parts={"writer": writer})
    assert result.status is SearchStatus.OUT_OF_TACTICS
    assert result.tactics == len(lean.applied) == most


async def test_a_search_ends_after_the_proposals_that_spent_its_tokens():
    result, _ = await run(FakeLean(LADDER), Wordy("x up z", tokens=10), max_tokens=70)
    assert result.status is SearchStatus.OUT_OF_TOKENS
    assert (result.tokens, result.expansions) == (90, 3), "each proposal costs 30, and the third one went beyond 70"


async def test_tokens_that_are_spent_exactly_are_spent():
    result, _ = await run(FakeLean(LADDER), Wordy("x up z", tokens=10), max_tokens=60)
    assert (result.status, result.tokens) == (SearchStatus.OUT_OF_TOKENS, 60)


async def test_a_state_asked_for_once_is_paid_for_once_however_many_slices_it_has():
    result, _ = await run(FakeLean({}), Wordy("a b c d e f", tokens=1), slice_size=2)
    assert (result.status, result.tokens) == (SearchStatus.EXHAUSTED, 6)


async def test_a_proof_among_the_last_proposals_counts():
    lean = FakeLean({("start", "up"): "A", ("A", "up"): DONE})
    result, _ = await run(lean, Wordy("x up", tokens=10), max_tokens=40)
    assert tactics(result) == ["up", "up"]
    assert result.tokens == 40
