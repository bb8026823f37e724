"""Squares that may help to prove an inequality: what `nlinarith` would try, for a Lean that has only linear arithmetic.

A quadratic polynomial ``p`` that is never negative is a sum ``Σ dᵢ·ℓᵢ²`` of squares of linear forms with dᵢ > 0; completing
the square finds it (the rational LDLᵀ decomposition of its matrix; Horn and Johnson, Matrix Analysis, 4.5). Lean checks
everything that is proposed here, so reading a term wrongly costs a failed tactic and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from math import gcd, lcm

from burnqed.core.state import Goal

Monomial = tuple[tuple[str, int], ...]
Polynomial = dict[Monomial, Fraction]

_TOKEN = re.compile(r"\s*(?:(\d+)|([A-Za-zα-ωΑ-Ω_][\w'₀-₉]*)|(.))")
_RELATION = re.compile(r"^(.*?) (≤|<|≥|>|=) (.*)$", re.DOTALL)
_MAX_DEGREE = 4
_CONSTANT: Monomial = ()


class NotPolynomial(ValueError):
    """The text is not a polynomial with rational coefficients, or one of too high a degree."""


def linear_forms(goal: Goal) -> list[str]:
    """Linear forms, as Lean text, whose squares add up to a polynomial that the goal or a hypothesis compares."""
    found: dict[str, None] = {}
    for text in (goal.target, *(v.type for v in goal.variables if v.accessible)):
        for difference in _differences(text):
            for form in complete_squares(difference):
                found.setdefault(form)
    return list(found)


def complete_squares(p: Polynomial) -> list[str]:
    """The forms ℓᵢ of a quadratic polynomial, integer coefficients without common factor; none if it takes both signs.

    The constant term does not matter: what is missing or left of it is the rest of the proof.
    """
    degree = max((sum(e for _, e in m) for m in p), default=0)
    if degree != 2:
        return []
    names = sorted({name for m in p for name, _ in m})
    rest = dict(p)
    forms: list[str] = []
    for name in names:
        square = rest.get(((name, 2),), Fraction(0))
        if square < 0:
            return []
        if square == 0:
            continue
        # rest = square·(name + ℓ)² + what does not hold this name
        form: Polynomial = {((name, 1),): Fraction(1)}
        for monomial, coefficient in rest.items():
            exponents = dict(monomial)
            if exponents.pop(name, 0) == 1:
                other: Monomial = tuple(sorted(exponents.items()))
                form[other] = form.get(other, Fraction(0)) + coefficient / (2 * square)
        rest = _add(rest, _times(form, form), -square)
        forms.append(_text(form))
    # What is left may be linear (`y = x² + …` bounds y), but nothing of second degree may be.
    return [] if any(sum(e for _, e in m) > 1 for m in rest) else forms


def parse(text: str) -> Polynomial:
    """A polynomial from Lean text: numbers, names, + - * / ^ and parentheses. Raises NotPolynomial."""
    tokens = [m.group(1) or m.group(2) or m.group(3) for m in _TOKEN.finditer(text.strip())]
    value, rest = _sum(tokens)
    if rest:
        raise NotPolynomial(rest[0])
    return value


def _differences(text: str) -> Iterator[Polynomial]:
    """The difference of both sides, with either sign, of every comparison in a conjunction."""
    for part in text.split(" ∧ "):
        match = _RELATION.match(part)
        if match is None:
            continue
        try:
            difference = _add(parse(match[1]), parse(match[3]), Fraction(-1))
        except NotPolynomial:
            continue
        yield difference
        yield {m: -c for m, c in difference.items()}


def _sum(tokens: list[str]) -> tuple[Polynomial, list[str]]:
    value, tokens = _product(tokens)
    while tokens and tokens[0] in "+-":
        sign = Fraction(1 if tokens[0] == "+" else -1)
        term, tokens = _product(tokens[1:])
        value = _add(value, term, sign)
    return value, tokens


def _product(tokens: list[str]) -> tuple[Polynomial, list[str]]:
    value, tokens = _power(tokens)
    while tokens and tokens[0] in "*/":
        factor, rest = _power(tokens[1:])
        if tokens[0] == "/":
            number = factor.get(_CONSTANT, Fraction(0))
            if set(factor) - {_CONSTANT} or number == 0:
                raise NotPolynomial("/")
            factor = {_CONSTANT: 1 / number}
        value, tokens = _times(value, factor), rest
    return value, tokens


def _power(tokens: list[str]) -> tuple[Polynomial, list[str]]:
    base, tokens = _atom(tokens)
    if tokens and tokens[0] == "^":
        if len(tokens) < 2 or not tokens[1].isdigit() or int(tokens[1]) > _MAX_DEGREE:
            raise NotPolynomial("^")
        value: Polynomial = {_CONSTANT: Fraction(1)}
        for _ in range(int(tokens[1])):
            value = _times(value, base)
        return value, tokens[2:]
    return base, tokens


def _atom(tokens: list[str]) -> tuple[Polynomial, list[str]]:
    if not tokens:
        raise NotPolynomial("end")
    head, rest = tokens[0], tokens[1:]
    if head == "-":
        value, rest = _power(rest)
        return {m: -c for m, c in value.items()}, rest
    if head == "(":
        value, rest = _sum(rest)
        if not rest or rest[0] != ")":
            raise NotPolynomial(")")
        return value, rest[1:]
    if head.isdigit():
        return {_CONSTANT: Fraction(int(head))}, rest
    if re.match(r"[^\W\d]", head) and not (rest and (rest[0] == "(" or re.match(r"\w", rest[0]))):
        return {((head, 1),): Fraction(1)}, rest
    raise NotPolynomial(head)


def _add(a: Polynomial, b: Polynomial, factor: Fraction) -> Polynomial:
    out = dict(a)
    for monomial, coefficient in b.items():
        out[monomial] = out.get(monomial, Fraction(0)) + factor * coefficient
    return {m: c for m, c in out.items() if c}


def _times(a: Polynomial, b: Polynomial) -> Polynomial:
    out: Polynomial = {}
    for m, c in a.items():
        for n, d in b.items():
            exponents = dict(m)
            for name, e in n:
                exponents[name] = exponents.get(name, 0) + e
            if sum(exponents.values()) > _MAX_DEGREE:
                raise NotPolynomial("degree")
            key = tuple(sorted(exponents.items()))
            out[key] = out.get(key, Fraction(0)) + c * d
    return {m: c for m, c in out.items() if c}


def _text(form: Polynomial) -> str:
    """A linear form with integer coefficients, as Lean text."""
    scale = lcm(*(c.denominator for c in form.values()))
    common = gcd(*(int(c * scale) for c in form.values()))
    parts: list[str] = []
    for monomial, coefficient in sorted(form.items(), key=lambda item: (item[0] == _CONSTANT, item[0])):
        number = int(coefficient * scale) // common
        name = monomial[0][0] if monomial else ""
        size = f"{abs(number)}" if not name else name if abs(number) == 1 else f"{abs(number)} * {name}"
        sign = "-" if number < 0 else "+"
        parts.append(f"{sign} {size}" if parts else size if number > 0 else f"-{size}")
    return " ".join(parts)
