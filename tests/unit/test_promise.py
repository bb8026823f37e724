"""How near a failed search came: energies that fell, goals that were closed, and what says nothing."""

from __future__ import annotations

import math

import pytest

from burnqed.core.calibration import Calibration
from burnqed.iterate.promise import promise


def rows(*nodes: tuple, spent: bool = True) -> list[dict]:
    """Nodes as (parent, goals, energy); an optional fourth says that it is a part of its parent."""
    found: list[dict] = []
    for number, (parent, goals, energy, *part) in enumerate(nodes):
        depth = 0 if parent is None else found[parent]["depth"] + (not part)
        node = {"node": number, "parent": parent, "depth": depth, "num_goals": goals, "energy": energy}
        found.append(node | {"finished": goals == 0, "spent": spent})
    return found


def test_the_share_of_the_odds_that_is_gone():
    flat = rows((None, 1, 3.0), (0, 1, 3.0 - math.log(4)))
    assert promise(flat) == pytest.approx((0.75 + 0) / 2)
    steep = Calibration(intercept=1.0, slope=2.0)
    assert promise(flat, calibration=steep) == pytest.approx((15 / 16) / 2)
    assert promise(rows((None, 1, 3.0), (0, 1, 9.0))) == 0.0, "worse than the root is no progress"


def test_goals_alone_decide_where_the_value_knows_nothing():
    way = rows((None, 1, 0.0), (0, 3, 0.0), (1, 2, 0.0), (2, 1, 0.0))
    assert promise(way) == pytest.approx(2 / 3)
    assert promise([row | {"energy": None} for row in way]) == pytest.approx(2 / 3)
    assert promise([row | {"energy": math.nan} for row in way]) == pytest.approx(2 / 3)


def test_claims_on_the_way_that_are_closed_at_once_do_not_add_up():
    way = rows((None, 1, 0.0), *((parent, 2 - parent % 2, 0.0) for parent in range(9)))
    assert [row["num_goals"] for row in way] == [1, 2, 1, 2, 1, 2, 1, 2, 1, 2]
    assert promise(way) == 0.5


def test_the_best_state_counts_wherever_it_is():
    found = promise(rows((None, 1, 2.0), (0, 2, 2.5), (1, 1, 2.0 - math.log(2)), (0, 1, 1.9)))
    assert found == pytest.approx((0.5 + 0.5) / 2)


def test_goals_of_other_parts_are_open():
    split = rows((None, 3, None), (0, 2, 0.0, "part"), (0, 1, 0.0, "part"), (1, 1, 0.0), (3, 0, None))
    assert promise(split[:-1]) == pytest.approx(1 / 3)
    assert promise(split) == pytest.approx(2 / 3), "one part is done, the other's goal is not"


def test_a_refused_proof_says_nothing():
    assert promise(rows((None, 1, 0.0), (0, 0, None))) == 0.0
    assert promise(rows((None, 1, 0.0), (0, 0, None), spent=False)) is None


def test_nothing_to_go_by():
    assert promise([]) is None
    assert promise(rows((None, 1, 1.0), spent=False)) is None
    assert promise(rows((None, 1, 1.0))) == 0.0, "everything was tried, and nothing worked"


def test_the_order_of_rows_does_not_matter():
    way = rows((None, 1, 1.0), (0, 2, 0.5), (1, 1, 0.25))
    assert promise(reversed(way)) == promise(way)
