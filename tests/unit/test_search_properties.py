"""What holds for every strategy, over random tables."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.search_lab import STRATEGIES, Table, make, proposing, replayed, run

from burnqed.core.events import NodeAdded, NodeSpent, StateSplit, TacticApplied
from burnqed.core.outcome import SearchStatus, Verdict
from burnqed.testing.fakes import DONE, FakeLean, ScriptedWriter, ToyValue

NAMES = "ABCDEF"
TIED = ("G ?m", "H ?m", "K ?n")
targets = st.sampled_from((*NAMES, *TIED))
tactic_names = st.sampled_from("abc")
results = st.one_of(targets, st.just(DONE), st.tuples(targets, targets), st.tuples(targets, targets, targets))
tables = st.dictionaries(st.tuples(targets, tactic_names), results, max_size=24)
scripts = st.lists(st.lists(tactic_names, min_size=1, max_size=5).map(lambda s: (tuple(s), -2.0)), max_size=3)
energies = st.dictionaries(targets, st.one_of(st.floats(-2, 3), st.sampled_from((float("nan"), float("inf")))))


class OnceValue(ToyValue):
    """Notes every state that it is asked about."""

    def __init__(self, table):
        super().__init__(table)
        self.asked = []

    async def energies(self, pairs):
        self.asked += [state for state, _ in pairs]
        return await super().energies(pairs)


@pytest.mark.parametrize("strategy", STRATEGIES)
@settings(max_examples=120)
@given(
    table=tables,
    energy=energies,
    proofs=scripts,
    slice_size=st.integers(1, 3),
    expand_batch=st.integers(1, 3),
    alone=st.sets(tactic_names, max_size=1),
    refused=st.sets(tactic_names, max_size=1),
)
def test_any_table_gives_a_sound_and_repeatable_search(
    strategy, table, energy, proofs, slice_size, expand_batch, alone, refused
):
    def once():
        lean = FakeLean(table, start_target="A", alone=frozenset(alone), refused_tactics=frozenset(refused))
        policy, value = proposing("a", "b", "c"), OnceValue(energy)
        writer = ScriptedWriter(dict.fromkeys(NAMES, proofs))
        search = run(
            lean,
            policy,
            value=value,
            strategy=strategy,
            slice_size=slice_size,
            expand_batch=expand_batch,
            max_nodes=30,
            max_depth=8,
            whole_proofs=2,
            whole_proof_every=3,
            parts={"writer": writer},
        )
        return (*asyncio.run(search), lean, policy, value)

    (result, events, lean, policy, value), (again, events_again, *_) = once(), once()
    assert result == again
    assert events == events_again
    assert result.expansions <= 30
    if result.proof is not None:
        steps = [step.tactic for step in result.proof]
        assert replayed(table, "A", steps) == [], "replaying the proof closes every goal"
        assert steps[-1] not in refused
        assert result.proof[0].goals_before == 1
        for before, after in zip(result.proof, result.proof[1:], strict=False):
            assert before.goals_after == after.goals_before
    nodes = {e.node: e for e in events if isinstance(e, NodeAdded)}
    assert len(nodes) == sum(isinstance(e, NodeAdded) for e in events) == result.nodes
    times = Counter((e.node, e.tactic) for e in events if isinstance(e, TacticApplied))
    assert set(times.values()) <= {1}, "no tactic is run twice on a state"
    spent = [e.node for e in events if isinstance(e, NodeSpent)]
    tried_to_the_end = {n for n in nodes if all((n, tactic) in times for tactic in "abc")}
    assert len(spent) == len(set(spent))
    assert set(spent) <= tried_to_the_end, "spent states had every candidate tried"
    if not proofs:  # whole proofs may try all of it on a state for which the policy was never asked
        assert set(spent) == tried_to_the_end
    if strategy != "and-or":
        assert len(lean.asked) == len(set(lean.asked)) == result.tactics
    split = {e.node for e in events if isinstance(e, StateSplit)}
    assert split == {n for n, e in nodes.items() if e.energy is None and not e.finished}, "only they are not scored"
    assert not any(e.finished and e.energy is not None for e in nodes.values())
    assert len(value.asked) == sum(e.energy is not None for e in nodes.values()), "no state is scored twice"
    assert not any(state.finished for state in value.asked)
    assert len(policy.asked) == result.expansions


def provable(table: Table) -> set[str]:
    """The targets that have a proof: the least fixed point."""
    proved: set[str] = {DONE}
    while True:
        more = {
            target
            for (target, _), to in table.items()
            if all(part in proved for part in ([to] if isinstance(to, str) else to))
        } - proved
        if not more:
            return proved
        proved |= more


names = st.sampled_from(NAMES)
closed_tables = st.dictionaries(
    st.tuples(names, tactic_names), st.one_of(names, st.just(DONE), st.tuples(names, names)), max_size=18
)
chains = st.dictionaries(st.tuples(names, tactic_names), st.one_of(names, st.just(DONE)), max_size=18)


@settings(max_examples=300)
@given(closed_tables, st.integers(1, 3), st.integers(1, 3), st.dictionaries(names, st.floats(-2, 3)))
def test_and_or_finds_a_proof_exactly_when_there_is_one(table, slice_size, expand_batch, energy):
    """With goals that can be taken apart there are only as many states as targets: in circles or not, it comes to an end."""
    result, _ = asyncio.run(
        run(
            FakeLean(table, start_target="A"),
            proposing("a", "b", "c"),
            value=ToyValue(energy),
            strategy="and-or",
            slice_size=slice_size,
            expand_batch=expand_batch,
        )
    )
    assert result.status is (SearchStatus.PROVED if "A" in provable(table) else SearchStatus.EXHAUSTED)
    assert result.expansions <= len(NAMES)


@pytest.mark.parametrize("strategy", STRATEGIES)
@settings(max_examples=100)
@given(closed_tables, st.sets(st.tuples(names, tactic_names), max_size=6), st.integers(1, 3))
def test_a_gate_that_refuses_some_tactics_is_obeyed_and_the_search_ends(strategy, table, poison, slice_size):
    async def gate(steps):
        goals = ["A"]
        for step in steps:
            if (goals[0], step.tactic) in poison:
                return Verdict(False, "poison")
            goals = replayed(table, goals[0], [step.tactic]) + goals[1:]
        assert goals == [], "only finished proofs are judged"
        return Verdict(True)

    result, _ = asyncio.run(
        run(
            FakeLean(table, start_target="A"),
            proposing("a", "b", "c"),
            strategy=strategy,
            slice_size=slice_size,
            judge=gate,
            max_nodes=30,
            max_depth=8,
        )
    )
    if result.status is SearchStatus.PROVED:
        assert "A" in provable({key: to for key, to in table.items() if key not in poison})
    else:
        assert result.proof is None


@pytest.mark.parametrize("strategy", ["best-first", "puct"])
@settings(max_examples=100)
@given(chains, st.integers(1, 3), st.integers(1, 3), st.dictionaries(names, st.floats(-2, 3)))
def test_the_others_do_where_states_are_single_goals(strategy, table, slice_size, expand_batch, energy):
    search, _ = make(
        FakeLean(table, start_target="A"),
        proposing("a", "b", "c"),
        value=ToyValue(energy),
        strategy=strategy,
        slice_size=slice_size,
        expand_batch=expand_batch,
    )
    result = asyncio.run(search.run())
    assert result.status is (SearchStatus.PROVED if "A" in provable(table) else SearchStatus.EXHAUSTED)
