"""What a comparison says in words, and that it never says more than the numbers."""

from __future__ import annotations

import random
from typing import Any

import pytest
from compare_lab import changed, read, spec
from hypothesis import given, settings
from hypothesis import strategies as st

from burnqed.evaluate.comparison import Change, Pair, Share, Side, compare
from burnqed.evaluate.record import NO_VALUE, OWN
from burnqed.evaluate.statistics import ALPHA, Interval, bonett_price, mcnemar_exact, paired_bootstrap, wilson
from burnqed.evaluate.verdict import corrected, judged, p_value, points, rule, told, told_change, verdicts


def pair(lost: int, gained: int, tied: int = 80, **changes: Any) -> Pair:
    """A pair of one seed; the numbers are what the counts give, unless ``changes`` say otherwise."""
    n = lost + gained + tied
    differences = [-1] * lost + [1] * gained + [0] * tied
    p = mcnemar_exact(lost, gained)
    fields: dict[str, Any] = {
        "question": "systems",
        "first": Side("A", OWN),
        "second": Side("B", OWN),
        "first_share": Share(lost, n, wilson(lost, n), lost / n),
        "second_share": Share(gained, n, wilson(gained, n), gained / n),
        "both": 0,
        "neither": tied,
        "lost": tuple(f"l{i}" for i in range(lost)),
        "gained": tuple(f"g{i}" for i in range(gained)),
        "p": p,
        "p_holm": p,
        "by_seed": (),
        "difference": (gained - lost) / n,
        "interval": paired_bootstrap(differences, seed=0, resamples=1000),
        "adjusted": bonett_price(lost, gained, n),
        "costs": (),
    }
    return Pair(**{**fields, **changes})


def test_a_clear_difference_is_claimed_with_its_interval():
    answer = told(pair(2, 18))
    assert answer.finding == "more"
    assert answer.text.startswith("B with its own value proves more than A with its own value: +16.0 points (+")
    assert "p < 0.001; of 100 theorems it gains 18 and loses 2." in answer.text
    assert "Corrected" not in answer.text


def test_a_clear_loss_is_called_fewer():
    answer = told(pair(18, 2))
    assert answer.finding == "fewer"
    assert "B with its own value proves fewer than A with its own value: −16.0 points (−" in answer.text


def test_what_many_comparisons_bring_by_chance_is_said():
    found = pair(2, 11, p_holm=0.07)
    answer = told(found, comparisons=3)
    assert answer.finding == "more"
    assert "Corrected for 3 comparisons of this kind p = 0.07" in answer.text
    assert not corrected(found)
    assert corrected(pair(2, 18))


def test_no_difference_names_the_effects_that_are_compatible():
    answer = told(pair(9, 11))
    assert answer.finding == "open"
    assert "No difference between A with its own value and B with its own value was shown" in answer.text
    assert "is compatible with these 100 theorems" in answer.text


def test_too_few_discordant_theorems_cannot_show_anything():
    answer = told(pair(0, 5))
    assert answer.finding == "too few", "although the bootstrap alone excludes 0"
    assert 0.0 not in pair(0, 5).interval
    assert "only 5 of 85 theorems came out differently, and with fewer than 6" in answer.text


def test_equal_outcomes_are_no_proof_of_equality():
    answer = told(pair(0, 0, tied=66))
    adjusted = bonett_price(0, 0, 66)
    assert answer.finding == "too few"
    assert "none of 66 theorems came out differently" in answer.text
    assert f"between {points(adjusted.low)} and {points(adjusted.high)} points" in answer.text
    assert "between 0 and 0" not in answer.text


@pytest.mark.parametrize(
    "changes",
    [
        {"interval": Interval(0.01, 0.2), "p": 0.2},
        {"interval": Interval(-0.01, 0.2), "p": 0.01},
        {"interval": Interval(-0.2, -0.01), "difference": -0.1, "p": 0.01},
    ],
    ids=["only the interval", "only the test", "opposite directions"],
)
def test_what_only_one_measure_shows_is_not_claimed(changes):
    answer = told(pair(4, 12, **changes))
    assert answer.finding == "disagree"
    assert "is claimed, since the two measures disagree" in answer.text
    assert "proves" not in answer.text


@given(
    st.integers(0, 30),
    st.integers(0, 30),
    st.integers(1, 60),
    st.floats(-1, 1),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_more_or_fewer_is_said_only_when_interval_and_test_both_show_it(lost, gained, tied, low, width, p, p_holm):
    interval = Interval(low, min(1.0, low + width))
    found = pair(
        lost, gained, tied, interval=interval, difference=(interval.low + interval.high) / 2, p=p, p_holm=p_holm
    )
    text = told(found, comparisons=3).text
    claims = "proves more" in text or "proves fewer" in text
    if 0.0 in interval or p >= ALPHA or lost + gained < 6:
        assert not claims
    if claims:
        assert ("proves more" in text) == (gained > lost) == (interval.low > 0)
        assert (p_holm >= ALPHA) == ("Corrected for" in text)


@settings(max_examples=60)
@given(st.integers(0, 25), st.integers(0, 25), st.integers(0, 60))
def test_a_claim_from_real_counts_agrees_with_the_counts(lost, gained, tied):
    if lost + gained + tied == 0:
        return
    finding = judged(pair(lost, gained, tied))
    if finding == "more":
        assert gained > lost
        assert mcnemar_exact(lost, gained) < ALPHA
    if finding == "open":
        assert mcnemar_exact(lost, gained) >= ALPHA


def test_two_equal_systems_are_seldom_told_apart():
    # What is claimed of systems that differ by chance alone has to be rarer than one in twenty.
    rng = random.Random(3)
    claimed = 0
    for _ in range(150):
        flips = [rng.random() for _ in range(100)]
        lost, gained = sum(f < 0.1 for f in flips), sum(0.1 <= f < 0.2 for f in flips)
        claimed += judged(pair(lost, gained, 100 - lost - gained)) in ("more", "fewer")
    assert claimed <= 0.05 * 150 + 3


def test_the_change_of_the_values_worth_is_told_by_the_same_rules():
    def change(less: int, more: int, low: float, high: float) -> Change:
        p = mcnemar_exact(less, more)
        return Change("A", "B", NO_VALUE, (low + high) / 2, Interval(low, high), less, more, p, p)

    assert told_change(change(1, 12, 0.02, 0.2)).text.startswith(
        "Over no value, its own value adds more in B than in A"
    )
    assert "adds less" in told_change(change(12, 1, -0.2, -0.02)).text
    assert told_change(change(0, 5, 0.01, 0.1)).finding == "too few"
    assert told_change(change(8, 9, -0.1, 0.1)).text.startswith(
        "It was not shown that what the system's own value adds"
    )
    assert "disagree" in told_change(change(8, 9, 0.01, 0.1)).text


def test_the_questions_of_the_plan_and_what_each_system_is_asked(tmp_path):
    named = {
        x: read(tmp_path / x, spec(x), {OWN: [range(n)], NO_VALUE: [[0]]})
        for x, n in zip("ABC", (2, 3, 14), strict=True)
    }
    named["C"] = read(
        tmp_path / "same policy",
        changed(spec("C"), system_models={"policy": {"model": "hash of B"}, "head": "x"}),
        {OWN: [range(14)], NO_VALUE: [[0]]},
    )
    found = {verdict.question: verdict for verdict in verdicts(compare(named, resamples=500))}
    assert [q.split(":")[0] for q in found] == [
        "A → B", "B → C", "A → C", *(f"What is the value of {x} worth?" for x in "ABC")
    ]  # fmt: skip
    a_b, b_c = (next(v for q, v in found.items() if q.startswith(start)) for start in ("A → B", "B → C"))
    assert "joint training" in a_b.question
    assert "different policies" in a_b.note
    assert "same policy" in b_c.note
    assert [answer.finding for answer in b_c.answers] == ["more", "too few", "more"]
    assert found["What is the value of C worth?"].answers[0].finding == "more"


def test_other_labels_get_plain_questions(tmp_path):
    named = {x: read(tmp_path / x, spec(x), {OWN: [[0]], NO_VALUE: [[0]]}) for x in ("menu", "model")}
    assert (
        verdicts(compare(named, resamples=100))[0].question == "menu → model: does model prove more or fewer theorems?"
    )


def test_where_no_system_has_a_value_of_its_own_every_value_is_spoken_of(tmp_path):
    arms = (NO_VALUE, "size")
    named = {x: read(tmp_path / x, spec(x, arms=arms), {NO_VALUE: [[0]], "size": [[0]]}) for x in "AB"}
    (verdict,) = verdicts(compare(named, resamples=100))
    assert [a.text.split(" cannot")[0] for a in verdict.answers] == [
        "A with no value and B with no value",
        "A with the value size and B with the value size",
    ]


def test_numbers_keep_their_sign_and_are_never_rounded_to_nothing():
    assert [points(x) for x in (0.123, -0.05, 0.0, 0.0004, -0.00004)] == ["+12.3", "−5.0", "0", "+0.04", "−0.004"]
    assert [p_value(p) for p in (0.0498, 0.0001, 1.0)] == ["p = 0.0498", "p < 0.001", "p = 1"]


def test_the_rule_speaks_of_seeds_only_where_there_are_several():
    assert "seeds" not in rule(1)
    assert "at least half of its 3 seeds" in rule(3)
