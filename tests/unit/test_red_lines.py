"""Red lines: what crosses them, what does not, and what is remembered."""

from __future__ import annotations

import json
import math

import pytest
from pydantic import ValidationError

from burnqed.core.errors import BadInput
from burnqed.joint.ebm_head import HeadConfig
from burnqed.joint.red_lines import PRESETS, RedLines, Rule, default_rules, seed_rules, severest


def crossed(rule: Rule, *values: float, every: int = 1) -> list[int]:
    """The steps at which these values, one each step, cross the rule."""
    lines = RedLines([rule])
    return [step for i, v in enumerate(values) for step in [i * every] if lines.check(step, {rule.metric: v})]


def test_a_value_beyond_a_limit_crosses_and_one_on_it_does_not():
    rule = Rule(metric="m", below=1.0, above=2.0)
    assert crossed(rule, 1.5, 0.9, 1.0, 2.0, 2.1, -math.inf, math.inf) == [1, 4, 5, 6]


def test_what_is_no_number_crosses_every_rule():
    assert crossed(Rule(metric="m", below=1.0), math.nan) == [0]
    assert crossed(Rule(metric="m", above=1.0), math.nan) == [0]
    assert crossed(Rule(metric="m", below=0.5, relative_to="start"), 4.0, math.nan) == [1]


def test_finiteness_can_be_the_whole_rule():
    assert crossed(Rule(metric="loss", finite=True), 1e30, math.nan, -1e30, math.inf, -math.inf) == [1, 3, 4]


def test_a_relative_limit_is_a_factor_of_the_first_positive_value():
    rule = Rule(metric="m", below=0.5, relative_to="start")
    assert crossed(rule, 6.4, 3.3, 3.1, 20.0, 3.19, 3.21) == [2, 4]
    assert crossed(rule, -1.0, 0.0, 10.0, 4.0) == [3], "there is no share of what is not positive"


def test_a_start_is_remembered_from_before_the_rule_counts():
    assert crossed(Rule(metric="m", below=0.5, relative_to="start", after_step=2), 10.0, 1.0, 1.0, 1.0) == [2, 3]


def test_early_measurements_do_not_count():
    assert crossed(Rule(metric="m", below=1.0, after_step=20, times=2), 0.0, 0.0, 0.0, 0.0, 0.0, every=10) == [30, 40]


def test_only_so_many_in_a_row_cross():
    rule = Rule(metric="m", below=1.0, times=3)
    assert crossed(rule, 0, 0, 5, 0, 0, 0, 0, 5, 0, 0) == [5, 6]


def test_steps_without_the_measurement_neither_count_nor_break_a_row():
    lines = RedLines([Rule(metric="m", below=1.0, times=2)])
    assert lines.check(1, {"m": 0.0}) == []
    assert lines.check(2, {"other": 0.0}) == []
    (crossing,) = lines.check(3, {"m": 0.0})
    assert crossing.in_a_row == 2


def test_a_crossing_is_one_sentence():
    rule = Rule(metric="probe.centroid_l2", below=0.5, relative_to="start", times=2, why="collapse")
    lines = RedLines([rule])
    lines.check(0, {"probe.centroid_l2": 6.4})
    lines.check(100, {"probe.centroid_l2": 1.4})
    (crossing,) = lines.check(200, {"probe.centroid_l2": 1.33})
    assert crossing.sentence == (
        "step 200: probe.centroid_l2 is 1.33, below 0.5 × 6.4 at the start, 2 times in a row: collapse"
    )


def test_a_resumed_run_goes_on_where_it_was():
    rules = [
        Rule(metric="a", below=0.5, relative_to="start", times=2),
        Rule(metric="b", above=1.0, times=2),
        Rule(metric="a", above=100.0),
    ]
    values = [{"a": 8.0, "b": 0.0}, {"a": 3.0, "b": 2.0}, {"a": 3.0, "b": 2.0}, {"a": 3.0, "b": 0.0}]
    whole = RedLines(rules)
    expected = [whole.check(step, v) for step, v in enumerate(values)]
    for cut in range(1, 4):
        first = RedLines(rules)
        found = [first.check(step, v) for step, v in enumerate(values[:cut])]
        second = RedLines(rules, remembered=json.loads(json.dumps(first.remembered())))
        found += [second.check(step, v) for step, v in enumerate(values[cut:], start=cut)]
        assert found == expected
    assert [[c.rule.metric for c in step] for step in expected] == [[], [], ["a", "b"], ["a"]]


def test_another_sentence_is_the_same_rule_and_another_limit_is_not():
    first = RedLines([Rule(metric="m", below=1.0, times=2, why="one")])
    first.check(1, {"m": 0.0})
    assert RedLines([Rule(metric="m", below=1.0, times=2, why="two")], remembered=first.remembered()).check(2, {"m": 0})
    changed = RedLines([Rule(metric="m", below=0.9, times=2)], remembered=first.remembered())
    assert changed.check(2, {"m": 0.0}) == []


@pytest.mark.parametrize("remembered", [{}, {"starts": 3, "in_a_row": {}}, {"starts": {"m": "x"}, "in_a_row": {}}])
def test_a_damaged_memory_is_named(remembered):
    with pytest.raises(BadInput, match="red lines remember"):
        RedLines([], remembered=remembered)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"metric": "m"}, "has no limit"),
        ({"metric": "m", "below": 1, "reaction": "panic"}, "reaction"),
        ({"metric": "m", "belov": 1}, "belov"),
        ({"metric": "m", "below": 1, "times": 0}, "times"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(fields, message):
    with pytest.raises(ValidationError, match=message):
        Rule.model_validate(fields)


def test_the_severest_reaction_wins():
    rules = [Rule(metric="m", below=b, reaction=r) for b, r in ((3.0, "warn"), (2.0, "abort"), (2.5, "stop"))]
    assert severest(RedLines(rules).check(1, {"m": 1.0})) == "abort"
    assert severest(RedLines(rules).check(1, {"m": 2.2})) == "stop"
    assert severest(RedLines(rules).check(1, {"m": 2.7})) == "warn"
    assert severest(RedLines(rules).check(1, {"m": 5.0})) is None


def reactions(rules: tuple[Rule, ...], *steps: tuple[int, dict[str, float]]) -> list[str | None]:
    lines = RedLines(rules)
    return [severest(lines.check(step, values)) for step, values in steps]


@pytest.mark.parametrize(
    ("temperature", "expected"),
    [(0.1, "abort"), (0.11, "warn"), (0.49, "warn"), (0.5, None), (3.0, None), (3.1, "warn"), (10.0, "abort")],
)
def test_the_temperature_is_watched_by_default(temperature, expected):
    assert reactions(default_rules(), (50, {"temperature": temperature})) == [expected]


def test_the_bounds_of_the_default_temperature_rule_are_the_heads():
    config = HeadConfig(dim=1)
    rules = default_rules(temperature_floor=config.temperature_floor, temperature_ceiling=config.temperature_ceiling)
    assert rules == default_rules()


def test_the_collapse_that_was_seen_stops_a_run_and_what_shrinks_by_a_third_does_not():
    def measured(name: str, *values: float) -> list[tuple[int, dict[str, float]]]:
        return [(100 * i, {f"probe.{name}": v}) for i, v in enumerate(values)]

    assert reactions(default_rules(), *measured("centroid_spreads", 1.6, 1.1, 1.1, 1.0)) == [None] * 4
    assert reactions(default_rules(), *measured("centroid_spreads", 1.6, 0.7, 0.33)) == [None, None, "stop"]
    assert reactions(default_rules(), *measured("centroid_l2", 6.4, 3.0, 1.33)) == [None, None, "warn"], "not alone"


def test_a_run_that_is_well_crosses_nothing_by_default():
    well = {"loss": 2.0, "gradient_norm": 1.0, "temperature": 1.0, "ebm.inverted_p": 1.0, "ebm.spread": 0.5}
    assert reactions(default_rules(), *((1000 * i, well) for i in range(4))) == [None] * 4


@pytest.mark.parametrize("name", ["loss", "gradient_norm"])
def test_what_is_not_finite_ends_a_run_at_once(name):
    assert reactions(default_rules(), (1, {name: math.nan}), (2, {name: math.inf})) == ["abort", "abort"]


def test_inverted_polarity_and_a_dead_head_stop_a_run_once_it_had_time():
    for values in ({"ebm.inverted_p": 1e-5}, {"ebm.spread": 1e-4}):
        assert reactions(default_rules(), (50, values), (1500, values), (2000, values)) == [None, None, "stop"]


def test_the_absolute_red_lines_are_the_seeds():
    at = (3000, {"probe.centroid_l2": 3.0, "probe.linear_probe": 0.65, "ebm.depth_4_plus.rank_1": 0.25})
    assert reactions(seed_rules(), at) == [None]
    for name in at[1]:
        assert reactions(seed_rules(), (3000, {**at[1], name: at[1][name] - 0.01})) == ["stop"]
    assert {name: type(make()[0]) for name, make in PRESETS.items()} == {"default": Rule, "seed": Rule}
