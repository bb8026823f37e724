"""Which theorem is searched next: order, shares, budgets, and what must never happen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from burnqed.core.errors import CanaryProved
from burnqed.iterate.matchmaker import Assignment, Attempt, MatchmakerConfig, assign_attempts

NO_NEGATIONS = MatchmakerConfig(negation_share=0)


def attempt(theorem: str, **fields) -> Attempt:
    defaults = {"digest": "d", "negated": False, "proved": False, "error": False, "nodes": 10, "tactics": 80}
    defaults |= {"budget_factor": 1.0, "promise": None, "iteration": 0, "ended": "out_of_nodes"}
    return Attempt(theorem=theorem, **{**defaults, **fields})


def names(assignments: list[Assignment]) -> list[str]:
    return [("¬" if a.negated else "") + a.theorem for a in assignments]


def assigned(theorems: str, *history: Attempt, config: MatchmakerConfig = NO_NEGATIONS, seed: int = 0, **more):
    return assign_attempts(theorems.split(), history, config, seed=seed, **more)


def test_without_a_past_each_theorem_has_one_search_in_an_order_of_the_seed():
    theorems = " ".join(f"t{i}" for i in range(20))
    found = assigned(theorems)
    assert sorted(names(found)) == sorted(theorems.split())
    assert {(a.budget_factor, a.why) for a in found} == {(1.0, "never tried")}
    assert names(found) == names(assigned(" ".join(reversed(theorems.split()))))
    assert names(found) != names(assigned(theorems, seed=1))


def test_never_tried_come_first_then_by_promise_and_errors_last():
    past = (attempt("low", promise=0.2), attempt("high", promise=0.9), attempt("broken", error=True, ended="error"))
    found = assigned("broken low high unknown new", *past, attempt("unknown"))
    assert names(found) == ["new", "high", "unknown", "low", "broken"]
    assert [a.why for a in found] == [
        "never tried",
        "failed once, promise 0.90",
        "failed once, promise unknown",
        "failed once, promise 0.20",
        "nothing but errors so far (1)",
    ]


def test_few_attempts_go_round_in_proportion_to_promise_and_forget_nobody():
    promises = {"likely": 0.9, "fair": 0.3, "hopeless": 0.0}
    history: list[Attempt] = []
    config = MatchmakerConfig(attempts=1, negation_share=0, solved_share=0)
    for _ in range(130):
        (chosen,) = assign_attempts(list(promises), history, config, seed=3)
        history.append(attempt(chosen.theorem, promise=promises[chosen.theorem]))
    counts = {name: sum(a.theorem == name for a in history) for name in promises}
    assert counts["likely"] == pytest.approx(90, abs=2)
    assert counts["fair"] == pytest.approx(30, abs=2)
    assert counts["hopeless"] == pytest.approx(10, abs=2), "a promise of nothing counts as a tenth"


def test_budgets_grow_with_each_failure_of_the_same_form_up_to_the_cap():
    config = MatchmakerConfig(negation_share=1.0, solved_share=0, growth=2.0, max_factor=8.0)
    history = [attempt("a") for _ in range(3)] + [attempt("a", negated=True)]
    factors = {a.negated: a.budget_factor for a in assigned("a", *history, config=config)}
    assert factors == {False: 8.0, True: 2.0}
    assert assigned("a", *[attempt("a")] * 500)[0].budget_factor == 8.0
    assert assigned("a", attempt("a", error=True), attempt("a", ended="stopped"))[0].budget_factor == 1.0


def test_a_search_that_was_broken_off_does_not_count():
    (found,) = assigned("a", attempt("a", ended="stopped", promise=0.1))
    assert found.why == "never tried"


def test_negations_are_tried_for_what_failed_most_and_their_own_failures_count_against_them():
    config = MatchmakerConfig(negation_share=0.25, solved_share=0)
    history = [*[attempt("often")] * 4, *[attempt("twice")] * 2, attempt("once"), attempt("solved", proved=True)]
    assert names(assigned("often twice once solved", *history, config=config))[-1] == "¬often"
    history += [attempt("often", negated=True), attempt("often", negated=True)]
    assert names(assigned("often twice once solved", *history, config=config))[-1] == "¬twice"
    only = assigned("often twice once solved", *history, config=config, negatable={"once"})
    assert names(only)[-1] == "¬once"
    all_ = assigned("often twice once solved new", *history, config=MatchmakerConfig(negation_share=1, solved_share=0))
    assert {a.theorem for a in all_ if a.negated} == {"often", "twice", "once"}, "neither solved nor never tried"


def test_of_two_that_failed_alike_the_less_promising_is_doubted():
    config = MatchmakerConfig(attempts=2, negation_share=0.5, solved_share=0)
    found = assigned("near far", attempt("near", promise=0.8), attempt("far", promise=0.1), config=config)
    assert names(found) == ["near", "¬far"]


def test_solved_theorems_are_searched_rarely_and_with_a_budget_that_was_enough():
    theorems = " ".join(f"t{i}" for i in range(20))
    history = [attempt(f"t{i}", proved=True, budget_factor=4.0) for i in range(19)]
    found = assigned(theorems, *history, attempt("t3", proved=True, budget_factor=2.0))
    assert len(found) == 2
    assert names(found)[0] == "t19"
    assert found[1].budget_factor == 4.0, "not t3, which was searched twice"
    assert found[1].why == "solved; there may be a shorter proof"
    assert len(assigned("a b", attempt("a", proved=True), attempt("b", proved=True))) == 0


def test_retired_and_given_up_theorems_are_left_alone():
    history = [attempt("false", negated=True, proved=True), *[attempt("hard")] * 3, attempt("new")]
    config = MatchmakerConfig(give_up_after=3, negation_share=0.1)
    found = assigned("false hard new", *history, config=config)
    assert names(found) == ["new", "¬hard"], "its negation was not given up"
    history += [attempt("hard", negated=True)] * 3
    assert names(assigned("false hard new", *history, config=config)) == ["new", "¬new"]


def test_a_theorem_and_its_negation_both_proved_stop_everything():
    history = [attempt("liar", proved=True), attempt("liar", negated=True, proved=True)]
    with pytest.raises(CanaryProved, match="both liar and its negation are on record as proved"):
        assigned("liar", *history)
    with pytest.raises(CanaryProved):
        assigned("another", *history)


def test_a_statement_that_changed_begins_anew():
    old = [attempt("a", digest="old", negated=True, proved=True)]
    (found,) = assigned("a", *old, attempt("a", digest="new"))
    assert found.budget_factor == 2.0
    assert found.why.startswith("failed once")


def test_attempts_are_an_upper_bound_and_unused_shares_go_to_the_unsolved():
    theorems = " ".join(f"t{i}" for i in range(9))
    assert len(assigned(theorems, config=MatchmakerConfig(attempts=5, negation_share=0.4))) == 5
    assert len(assigned(theorems, config=MatchmakerConfig(attempts=50))) == 9


def test_shares_that_do_not_fit_are_refused():
    with pytest.raises(ValidationError, match="together must not be more than 1"):
        MatchmakerConfig(negation_share=0.7, solved_share=0.4)


ATTEMPTS = st.builds(
    attempt,
    st.sampled_from("abcdef"),
    negated=st.booleans(),
    proved=st.booleans(),
    error=st.booleans(),
    promise=st.none() | st.floats(0, 1),
    ended=st.sampled_from(["exhausted", "out_of_nodes", "stopped"]),
)


@given(
    st.lists(ATTEMPTS, max_size=30),
    st.integers(0, 12),
    st.sampled_from([(0.0, 0.0), (0.1, 0.05), (0.5, 0.5), (1.0, 0.0), (0.0, 1.0)]),
    st.integers(0, 3),
)
def test_whatever_the_past_no_form_comes_twice_and_the_limits_hold(history, attempts, shares, give_up):
    config = MatchmakerConfig(
        attempts=attempts, negation_share=shares[0], solved_share=shares[1], give_up_after=give_up
    )
    try:
        found = assign_attempts("abcdefg", history, config, seed=5)
    except CanaryProved:
        assert any(a.proved and a.negated for a in history)
        return
    assert len({(a.theorem, a.negated) for a in found}) == len(found)
    assert not attempts or len(found) <= attempts
    assert all(1 <= a.budget_factor <= config.max_factor for a in found)
    counted = [a for a in history if a.ended != "stopped" and not a.error]
    solved = {a.theorem for a in counted if a.proved and not a.negated}
    refuted = {a.theorem for a in counted if a.proved and a.negated}
    assert not refuted & {a.theorem for a in found}
    assert not solved & {a.theorem for a in found if a.negated}
    assert found == assign_attempts("gfedcba", history, config, seed=5)
