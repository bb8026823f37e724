"""Polynomials with integer coefficients, multiplied out, to write identities whose two sides are equal by construction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Monomial = tuple[int, ...]
"""The exponent of each variable."""


class Polynomial:
    """A sum of monomials with coefficients that are not 0, in variables given by their number."""

    def __init__(self, terms: Mapping[Monomial, int]) -> None:
        self.terms = {m: c for m, c in terms.items() if c}

    @classmethod
    def linear(cls, coefficients: Sequence[int], constant: int = 0) -> Polynomial:
        """``c₀ x₀ + c₁ x₁ + … + constant``."""
        count = len(coefficients)
        terms = {tuple(int(i == j) for j in range(count)): c for i, c in enumerate(coefficients)}
        return cls({**terms, (0,) * count: constant})

    def __add__(self, other: Polynomial) -> Polynomial:
        return Polynomial(
            {m: self.terms.get(m, 0) + other.terms.get(m, 0) for m in self.terms.keys() | other.terms.keys()}
        )

    def __mul__(self, other: Polynomial) -> Polynomial:
        out: dict[Monomial, int] = {}
        for m, c in self.terms.items():
            for n, d in other.terms.items():
                key = tuple(i + j for i, j in zip(m, n, strict=True))
                out[key] = out.get(key, 0) + c * d
        return Polynomial(out)

    def __pow__(self, exponent: int) -> Polynomial:
        assert exponent >= 1
        return self if exponent == 1 else self * self ** (exponent - 1)

    def scaled(self, factor: int) -> Polynomial:
        """Every coefficient times ``factor``."""
        return Polynomial({m: c * factor for m, c in self.terms.items()})

    def text(self, names: Sequence[str]) -> str:
        """Highest degree first, as one would write it: ``2 * x ^ 2 - x * y + 3``."""
        ordered = sorted(self.terms.items(), key=lambda t: (-sum(t[0]), [-e for e in t[0]]))
        text = ""
        for monomial, coefficient in ordered:
            factors = [n if e == 1 else f"{n} ^ {e}" for n, e in zip(names, monomial, strict=True) if e]
            size = abs(coefficient)
            body = " * ".join([str(size)] * (size != 1 or not factors) + factors)
            if text:
                text += f" {'-' if coefficient < 0 else '+'} {body}"
            else:
                text = f"-{body}" if coefficient < 0 else body
        return text or "0"
