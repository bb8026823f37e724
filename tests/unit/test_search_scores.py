"""What goes into a score, and what becomes of models that answer nonsense or not at all."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.search_lab import STRATEGIES, make, proposing, run, tactics, tried

from burnqed.core.calibration import Calibration
from burnqed.core.errors import ModelError
from burnqed.core.events import NodeAdded
from burnqed.core.outcome import SearchStatus
from burnqed.core.tactic import Candidate
from burnqed.core.tally import Tally
from burnqed.search.config import SearchConfig
from burnqed.search.scoring import length_normalised, log_mass, ramped, step_nats
from burnqed.search.terms import Terms
from burnqed.testing.fakes import DONE, FakeLean, ScriptedPolicy, ToyValue

TWO_WAYS = {("start", "x"): "X", ("start", "y"): "Y", ("X", "go"): DONE, ("Y", "go"): DONE}


def test_formulas():
    assert length_normalised(-3.0, 0, exponent=1.0) == 0
    assert length_normalised(-3.0, 3, exponent=1.0) == -1
    assert length_normalised(-3.0, 3, exponent=0.0) == -3
    assert step_nats(-6.0, 9, exponent=0.0) == -6
    assert step_nats(-6.0, 9, exponent=0.5) == -2
    assert step_nats(-6.0, 0, exponent=1.0) == -6, "no tokens count as one"
    assert [ramped(2.0, depth, ramp_depth=4) for depth in (0, 1, 4, 9)] == [0.0, 0.5, 2.0, 2.0]
    assert ramped(2.0, 0, ramp_depth=0) == 2.0
    assert log_mass([]) == -math.inf
    assert log_mass([-1000.0, -1000.0]) == pytest.approx(-1000 + math.log(2))


@given(st.lists(st.floats(-50, 0), min_size=1), st.floats(0, 1))
def test_priors_of_all_candidates_are_one(logprobs, weight):
    terms = Terms(SearchConfig(strategy="puct", policy_weight=weight))
    nats = [terms.prior(terms.step(Candidate("t", p))) for p in logprobs]
    assert math.fsum(math.exp(x - log_mass(nats)) for x in nats) == pytest.approx(1.0)


def test_the_value_term_is_a_log_probability_where_one_is_needed_or_was_fitted():
    fitted = Calibration(intercept=1.0, slope=2.0)
    assert Terms(SearchConfig()).value(0.7, 1) == -0.7
    assert Terms(SearchConfig(strategy="puct")).value(0.7, 1) == pytest.approx(math.log(1 / (1 + math.exp(0.7))))
    for strategy in STRATEGIES:
        terms = Terms(SearchConfig(strategy=strategy, value_weight=3.0), fitted)
        assert terms.value(0.7, 1) == pytest.approx(3 * math.log(1 / (1 + math.exp(0.4))))


async def test_both_terms_are_told_as_they_enter_the_priority():
    _, events = await run(
        FakeLean(TWO_WAYS),
        ScriptedPolicy({"start": [("x", -1.0), ("y", -2.0)]}),
        value=ToyValue({"X": 0.5, "Y": 0.25}),
        policy_weight=2.0,
        value_weight=4.0,
        value_ramp_depth=2,
    )
    nodes = [e for e in events if isinstance(e, NodeAdded)]
    assert [(e.policy_term, e.value_term, e.priority) for e in nodes] == [
        (0.0, 0.0, 0.0),
        (-2.0, -1.0, -3.0),
        (-4.0, -0.5, -4.5),
    ]
    assert [e.energy for e in nodes] == [0.0, 0.5, 0.25]


async def test_the_value_counts_more_the_deeper_with_a_ramp():
    """X is likelier and Y has the better energy; near the root the policy decides, without a ramp the value does."""
    policy = ScriptedPolicy({"start": [("x", -1.0), ("y", -1.5)]}, default=[("go", -1.0)])
    value = ToyValue({"X": 1.0, "Y": 0.0})
    ramp, _ = await run(FakeLean(TWO_WAYS), policy, value=value, value_ramp_depth=10)
    full, _ = await run(FakeLean(TWO_WAYS), policy, value=value)
    assert (tactics(ramp)[0], tactics(full)[0]) == ("x", "y")


@pytest.mark.parametrize(("exponent", "first"), [(0.0, "x"), (1.0, "y")])
async def test_long_tactics_may_be_forgiven_their_tokens(exponent, first):
    class Tokens(ScriptedPolicy):
        async def propose(self, states, n):
            return [[Candidate("x", -2.0, 1), Candidate("y", -3.0, 6), Candidate("go", -9.0, 1)] for _ in states]

    result, _ = await run(FakeLean(TWO_WAYS), Tokens(), token_exponent=exponent)
    assert tactics(result)[0] == first


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
async def test_an_energy_that_is_no_number_is_the_worst_of_its_batch(strategy, wrong):
    tally = Tally()
    table = {("start", "x"): "X", ("start", "y"): "Y", ("start", "z"): "Z"}
    _, events = await run(
        FakeLean(table),
        ScriptedPolicy({"start": [("x", -1.0), ("y", -1.0), ("z", -1.0)]}),
        value=ToyValue({"start": wrong, "X": wrong, "Y": 3.0, "Z": -1.0}),
        strategy=strategy,
        parts={"tally": tally},
    )
    assert [e.energy for e in events if isinstance(e, NodeAdded)] == [0.0, 3.0, 3.0, -1.0]
    assert tally.counts == {"energies that are not finite": 2}


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_a_candidate_without_a_log_probability_is_dropped(strategy):
    tally = Tally()
    policy = ScriptedPolicy({"start": [("x", math.nan), ("y", -math.inf), ("go", -1.0)]})
    lean = FakeLean({("start", "go"): DONE, ("start", "x"): DONE})
    result, _ = await run(lean, policy, strategy=strategy, parts={"tally": tally})
    assert tactics(result) == ["go"]
    assert lean.applied == [("start", "go")]
    assert tally.counts == {"candidates whose log-probability is not a number": 2}


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_a_policy_that_proposes_nothing_ends_in_exhaustion(strategy):
    result, _ = await run(FakeLean({}), ScriptedPolicy(), strategy=strategy)
    assert result.status is SearchStatus.EXHAUSTED


async def test_texts_that_differ_in_outer_blanks_are_one_tactic():
    lean = FakeLean({})
    _, events = await run(lean, ScriptedPolicy({"start": [("a", -1.0), (" a ", -2.0), ("a\n", -3.0), ("b", -4.0)]}))
    assert tried(events) == [(0, "a"), (0, "b")]


@pytest.mark.parametrize("broken", ["policy", "value"])
async def test_a_model_that_fails_ends_the_search_with_its_error(broken):
    class Broken(ScriptedPolicy):
        async def propose(self, states, n):
            raise ModelError("the policy's model is damaged")

        async def energies(self, pairs):
            raise ModelError("the value's model is damaged")

    policy = Broken() if broken == "policy" else proposing("x")
    search, _ = make(FakeLean(TWO_WAYS), policy, value=Broken() if broken == "value" else None)
    with pytest.raises(ModelError, match=f"the {broken}'s model is damaged"):
        await search.run()
