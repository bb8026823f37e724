"""Visits and soft targets of labelled searches: by hand on small graphs, and by their properties on random ones."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burnqed.core.calibration import UNCALIBRATED, Calibration
from burnqed.data.labels import PART, Edge, Labelled, Node, SearchGraph, label
from burnqed.data.soft_targets import soft_targets, visits

CERTAIN = 50.0


def search(edges: str, *, spent: str = "", fails: str = "", proved: bool = False) -> SearchGraph:
    """A search from ``a-b b=c b-end``: ``-`` a tactic, ``=`` a part, ``end`` a finished state. Each letter of ``fails`` is a
    tactic tried in vain; nodes in ``spent`` were tried to the end. The first node is the root.
    """
    pairs = [(edge[0], edge[1], edge[2:]) for edge in edges.split()]
    names = list(dict.fromkeys(n for a, _, b in pairs for n in (a, b) if n != "end"))
    nodes = [Node(i, n, i, False, n in spent) for i, n in enumerate(names)]
    made = [Edge(names.index(n), f"fail{i}", "error", None) for i, n in enumerate(fails)]
    for a, kind, b in pairs:
        if b == "end":
            nodes.append(Node(len(nodes), "no goals", 9, True, False))
        child = len(nodes) - 1 if b == "end" else names.index(b)
        made.append(Edge(names.index(a), f"to {b}", PART if kind == "=" else "stepped", child))
    return SearchGraph("t", proved, nodes, made)


def targets(graph: SearchGraph, *, min_visits: int = 0, **energies: float) -> dict[str, float | None]:
    found = label(graph)
    return soft_targets(found, visits(found), energies=energies, calibration=UNCALIBRATED, min_visits=min_visits)


def energy(probability: float) -> float:
    """What sigmoid(−energy) reads as this probability."""
    return math.log(1 / probability - 1)


# -- visits -----------------------------------------------------------------------------------------------


def test_visits_count_tactics_on_a_state_and_below_it():
    found = visits(label(search("a-b b-c a-d", fails="abbd")))
    assert found == {"a": 7, "b": 3, "c": 0, "d": 1}


def test_a_state_reached_on_two_ways_counts_once():
    assert visits(label(search("a-b a-c b-d c-d", fails="ddd")))["a"] == 7


def test_all_states_of_a_circle_have_the_same_visits_and_what_stands_above_it_more():
    assert visits(label(search("a-b b-c c-b", fails="c"))) == {"a": 4, "b": 3, "c": 3}


def test_parts_are_below_their_whole_and_a_split_is_no_tactic():
    assert visits(label(search("a-p p=b p=c", fails="bcc"))) == {"a": 4, "p": 3, "b": 1, "c": 2}


# -- targets ----------------------------------------------------------------------------------------------


def test_what_is_known_is_one_or_zero_whatever_its_visits_and_energy():
    graph = search("a-b a-c b-end", spent="c", fails="c", proved=True)
    assert targets(graph, min_visits=99, a=9.0, b=9.0, c=-9.0) == {"a": 1.0, "b": 1.0, "c": 0.0}
    false = label(search("a-b"), refuted=True)
    assert soft_targets(false, visits(false), energies={}, calibration=None) == {"a": 0.0, "b": 0.0}


def test_an_unknown_state_has_a_target_from_so_many_visits_on():
    graph = search("a-b", fails="bb")
    assert targets(graph, min_visits=3, a=0.0, b=0.0) == {"a": 0.5, "b": None}
    assert targets(graph, min_visits=2, a=0.0, b=0.0) == {"a": 0.5, "b": 0.5}


def test_the_mean_of_what_visits_were_worth():
    found = targets(search("a-b a-c", fails="bbc"), a=energy(0.2), b=energy(0.8), c=energy(0.5))
    assert found["b"] == pytest.approx(0.8)
    assert found["a"] == pytest.approx((2 * 0.2 + 2 * 0.8 + 1 * 0.5) / 5)


def test_a_state_that_was_only_scored_is_worth_its_own_energy_and_does_not_weigh():
    found = targets(search("a-b", fails="a"), a=energy(0.2), b=energy(0.9))
    assert found == pytest.approx({"a": 0.2, "b": 0.9})


def test_dead_ends_pull_down_what_leads_to_them():
    graph = search("a-b", spent="b", fails="bb")
    assert targets(graph, a=energy(0.6), b=energy(0.9)) == pytest.approx({"a": 0.6 / 3, "b": 0.0})


def test_a_split_state_is_worth_the_product_of_its_parts_and_needs_no_energy():
    graph = search("a-p p=b p=c", fails="bc")
    found = targets(graph, a=energy(0.5), b=energy(0.5), c=energy(0.4))
    assert found["p"] == pytest.approx(0.2)
    assert found["a"] == pytest.approx((1 * 0.5 + 2 * 0.2) / 3)


def test_a_proved_part_is_worth_one():
    graph = replace(search("a-p p=b p=c b-end", fails="c"), proved=True)
    assert targets(graph, a=0.0, b=0.0, c=energy(0.4))["p"] == pytest.approx(0.4)


def test_states_of_a_circle_have_one_target_over_all_of_them():
    found = targets(search("a-b b-c c-b c-d", fails="bd"), a=0.0, b=energy(0.2), c=energy(0.4), d=energy(0.9))
    assert found["b"] == found["c"] == pytest.approx((2 * 0.2 + 2 * 0.4 + 1 * 0.9) / 5)


def test_a_way_back_to_the_whole_of_a_part_is_not_counted():
    graph = search("a-p p=b p=c b-p", fails="bc")
    found = targets(graph, a=0.0, b=energy(0.5), c=energy(0.4))
    assert found["b"] == pytest.approx(0.5)
    assert found["p"] == pytest.approx(0.2)


def test_without_a_calibration_or_an_energy_nothing_is_said_of_unknown_states():
    graph = search("a-b", fails="ab")
    found = label(graph)
    assert soft_targets(found, visits(found), energies={"a": 0.0}, calibration=None, min_visits=0) == {
        "a": None,
        "b": None,
    }
    assert targets(graph, a=0.0) == {"a": 0.5, "b": None}
    assert targets(graph, a=float("nan"), b=0.0) == {"a": None, "b": 0.5}


def test_a_split_state_without_a_value_for_each_part_has_none():
    assert targets(search("a-p p=b p=c", fails="bc"), a=0.0, b=0.0) == {"a": 0.5, "p": None, "b": 0.5, "c": None}


# -- on random graphs, with circles, states reached twice and splits -----------------------------------------


def random_search(rng: random.Random) -> SearchGraph:
    count = rng.randint(2, 9)
    names = [f"s{i}" for i in range(count)]
    split = {i for i in range(1, count) if rng.random() < 0.25 and i + 2 < count}
    nodes = [Node(i, names[i], i, False, i not in split and rng.random() < 0.5) for i in range(count)]
    edges = []
    for i in range(count):
        if i in split:
            edges += [Edge(i, "", PART, child) for child in rng.sample(range(i + 1, count), 2)]
            continue
        edges += [Edge(i, f"step {i} {n}", "stepped", rng.randrange(count)) for n in range(rng.randint(0, 3))]
        edges += [Edge(i, f"fail {i} {n}", "error", None) for n in range(rng.randint(0, 3))]
    rng.shuffle(edges)
    return SearchGraph("t", False, nodes, edges)


def all_targets(found: Labelled, energies: dict[str, float]) -> dict[str, float | None]:
    return soft_targets(found, visits(found), energies=energies, calibration=Calibration(0.3, 1.0), min_visits=0)


seeds = st.integers(0, 1 << 30)


@given(seeds)
def test_targets_are_probabilities_and_all_there(seed):
    rng = random.Random(seed)
    found = label(random_search(rng))
    energies = {text: rng.uniform(-CERTAIN, CERTAIN) for text, s in found.states.items() if not s.parts}
    for text, target in all_targets(found, energies).items():
        assert target is not None, text
        assert 0.0 <= target <= 1.0


@given(seeds)
def test_the_order_and_numbers_of_nodes_do_not_matter(seed):
    rng = random.Random(seed)
    graph = random_search(rng)
    energies = {node.state: rng.uniform(-4, 4) for node in graph.nodes}
    others = list(range(1, len(graph.nodes)))
    new = dict(zip(others, rng.sample(others, len(others)), strict=True)) | {0: 0}
    nodes = sorted((replace(n, id=new[n.id]) for n in graph.nodes), key=lambda n: n.id)
    edges = [replace(e, node=new[e.node], child=None if e.child is None else new[e.child]) for e in graph.edges]
    one, other = label(graph), label(replace(graph, nodes=nodes, edges=rng.sample(edges, len(edges))))
    assert visits(one) == visits(other)
    assert all_targets(one, energies) == all_targets(other, dict(sorted(energies.items())))


@given(seeds)
def test_when_more_is_proved_no_target_falls(seed):
    """A tactic that failed ends a proof instead: as many tactics, and one more state is proved."""
    rng = random.Random(seed)
    graph = random_search(rng)
    failed = [e for e in graph.edges if e.outcome == "error"]
    if not failed:
        return
    luckier = rng.choice(failed)
    end = Node(len(graph.nodes), "no goals", 99, True, False)
    edges = [replace(e, outcome="stepped", child=end.id) if e is luckier else e for e in graph.edges]
    before, after = label(graph), label(replace(graph, proved=True, nodes=[*graph.nodes, end], edges=edges))
    assert after.states[graph.nodes[luckier.node].state].label == "proved"
    energies = {text: rng.uniform(-4, 4) for text in before.states}
    was, now = all_targets(before, energies), all_targets(after, energies)
    for text in was:
        assert now[text] >= was[text] - 1e-12  # type: ignore[operator]  # every state has an energy here
