"""Completing squares."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from burnqed.core.state import Goal
from burnqed.policy.squares import NotPolynomial, complete_squares, linear_forms, parse


def evaluate(text: str, **at: int) -> Fraction:
    return sum(
        (c * Fraction(prod([at[name] ** e for name, e in m])) for m, c in parse(text).items()),
        Fraction(0),
    )


def prod(numbers: list[int]) -> int:
    out = 1
    for n in numbers:
        out *= n
    return out


@given(st.integers(-9, 9), st.integers(-9, 9))
def test_parsing_means_what_lean_means(x, y):
    assert evaluate("2 * x ^ 2 - (x - 3 * y) * y / 2 + -x", x=x, y=y) == 2 * x**2 - Fraction((x - 3 * y) * y, 2) - x
    assert evaluate("x - y - 1", x=x, y=y) == x - y - 1
    assert evaluate("-x ^ 2", x=x) == -(x**2)


@pytest.mark.parametrize("text", ["f x", "x / y", "x ^ n", "x ^ 9", "√x", "(x", "x +", ""])
def test_what_is_no_polynomial_is_refused(text):
    with pytest.raises(NotPolynomial):
        parse(text)


forms = st.tuples(st.integers(-5, 5), st.integers(-5, 5), st.integers(-5, 5))


@given(forms, forms)
def test_a_sum_of_squares_is_found_and_adds_up(first, second):
    def as_text(f):
        return f"({f[0]} * x + {f[1]} * y + {f[2]}) ^ 2".replace("+ -", "- ")

    p = parse(f"{as_text(first)} + {as_text(second)}")
    assume(any(sum(e for _, e in m) == 2 for m in p))
    found = complete_squares(p)
    assert found
    # p minus the right multiples of the squares found is linear at most: all second differences agree.
    squares = [parse(f"({f}) ^ 2") for f in found]
    rest = dict(p)
    for square, lead in zip(squares, found, strict=True):
        name = next(n for n in ("x", "y") if n in lead and ((n, 2),) in square)
        factor = rest.get(((name, 2),), Fraction(0)) / square[((name, 2),)]
        assert factor > 0
        rest = {m: rest.get(m, Fraction(0)) - factor * square.get(m, Fraction(0)) for m in {*rest, *square}}
    assert all(c == 0 for m, c in rest.items() if sum(e for _, e in m) == 2)


def test_what_takes_both_signs_gives_nothing():
    assert complete_squares(parse("x * y")) == []
    assert complete_squares(parse("x ^ 2 - y ^ 2")) == []
    assert complete_squares(parse("x + 1")) == []


def test_forms_of_a_goal():
    goal = Goal(variables=(), target="4 * b * (a + 1) ≤ 4 * b ^ 2 + (a + 1) ^ 2 ∧ f x = 2")
    assert linear_forms(goal) == ["a - 2 * b + 1"]
