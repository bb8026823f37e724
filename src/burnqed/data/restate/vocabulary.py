"""What core Lean calls the numbers, and what it lacks, each with the reason under which a problem that needs it is counted."""

from __future__ import annotations

from collections.abc import Sequence

from burnqed.data.lean_tokens import Token

CORE_TYPES = {"ℕ": "Nat", "ℤ": "Int", "ℚ": "Rat"}
REALS = frozenset({"ℝ", "Real"})
COMPLEXES = frozenset({"ℂ", "Complex"})

OPENED = {"gcd": "Nat.gcd", "lcm": "Nat.lcm", "Coprime": "Nat.Coprime", "succ": "Nat.succ"}
"""What `open Nat` brings into view and core knows under its whole name."""

ORDERED_FIELD = (
    "Lean.Grind.Field {F}",
    "LE {F}",
    "LT {F}",
    "Std.LawfulOrderLT {F}",
    "Std.IsLinearOrder {F}",
    "Lean.Grind.OrderedRing {F}",
)
"""What core Lean can ask of a type so that it is a linearly ordered field."""

WITH_MAXIMUM = ("Max {F}", "Std.LawfulOrderMax {F}")
WITH_MINIMUM = ("Min {F}", "Std.LawfulOrderMin {F}")
FIELD_OF_CHARACTERISTIC_0 = ("Lean.Grind.Field {F}", "Lean.Grind.IsCharP {F} 0")

_SYMBOLS = {
    "∑": "a sum or product over a finite set",
    "∏": "a sum or product over a finite set",
    "∑'": "limits and infinite sums",
    "∏'": "limits and infinite sums",
    "√": "roots, logarithms or real exponents",
    "!": "factorials",
    "⌊": "floor or ceiling",
    "⌈": "floor or ceiling",
    "|": "absolute values or sets",
    "‖": "norms",
    "∃!": "unique existence",
    "≡": "congruences",
    "''": "sets",
    "⁻¹'": "sets",
    "∪": "sets",
    "∩": "sets",
    "\\": "sets",
    "⊆": "sets",
    "∅": "sets",
    "∀ᶠ": "limits and infinite sums",
    "•": "other algebraic structures",
}

_NAMES = {
    "a sum or product over a finite set": "Finset.sum Finset.prod sum prod BigOperators",
    "a finite set": """
        Finset card toFinset Finset.range Finset.Icc Finset.filter Finset.card Fintype Fintype.card ncard
        encard
    """,
    "sets": """
        Set Set.Icc Set.Ioo Set.Ico Set.Ioc Set.Ici Set.Iic Set.Ioi Set.Iio Set.univ Set.InjOn Set.range
        Set.image
    """,
    "least or greatest elements": "IsLeast IsGreatest IsLUB IsGLUB sInf sSup InfSet SupSet iSup iInf upperBounds lowerBounds",
    "roots, logarithms or real exponents": """
        Real.sqrt sqrt Real.log Real.logb log logb Real.exp exp Real.rpow NNReal.sqrt Nat.sqrt Nat.log
        Real.nthRoot
    """,
    "trigonometry": """
        Real.sin Real.cos Real.tan Real.pi π sin cos tan Real.arcsin Real.arccos Real.arctan cot Real.cot
        Real.sinh
    """,
    "complex numbers beyond a field": "Complex.I Complex.abs Complex.re Complex.im re im Complex.exp I conj Complex.conj",
    "floor or ceiling": "Int.floor Int.ceil Nat.floor Nat.ceil floor ceil Int.fract fract round",
    "absolute values or sets": "abs",
    "primes": """
        Nat.Prime Prime Nat.primeFactors primeFactors Irreducible Nat.minFac nth_prime Nat.nth factorization
        Nat.factorization
    """,
    "factorials": "Nat.factorial factorial Nat.choose choose Nat.descFactorial",
    "divisors": "Nat.divisors divisors Nat.properDivisors properDivisors",
    "digits": "Nat.digits digits Nat.ofDigits",
    "congruences": "Nat.ModEq Int.ModEq ModEq MOD ZMOD",
    "parity": "Even Odd",
    "another type of numbers": "NNReal ℝ≥0 ℝ≥0∞ ENNReal PNat ℕ+ ℕ∞ ENat EReal ZMod",
    "other algebraic structures": """
        Polynomial Matrix Equiv Fintype Function.Bijective Function.Surjective MvPolynomial Subgroup
        Submodule Module Group Field Ring CommRing LinearMap Equiv.Perm EuclideanSpace
    """,
    "limits and infinite sums": """
        Filter.Tendsto Filter.atTop tsum tprod Continuous ContinuousOn Differentiable deriv HasSum Summable
        nhds 𝓝 intervalIntegral Monotone StrictMono Antitone StrictAnti
    """,
    "irrational numbers": "Irrational",
}
_REASON_OF = {name: reason for reason, names in _NAMES.items() for name in names.split()}


def lacking(pieces: Sequence[Token]) -> str:
    """Why core Lean cannot take a statement with these tokens, in a few fixed words; empty when nothing is known against it.

    Of several reasons it is the one that stands first in the tables above.
    """
    found = {reason for token in pieces if (reason := _reason(token))}
    order = [*dict.fromkeys(_SYMBOLS.values()), *_NAMES]
    return min(found, key=order.index, default="")


def _reason(token: Token) -> str:
    if token.kind == "symbol":
        return _SYMBOLS.get(token.text, "")
    if token.kind not in ("name", "field"):
        return ""
    name = token.text.lstrip(".")
    return _REASON_OF.get(name) or next((_REASON_OF[part] for part in name.split(".")[1:] if part in _REASON_OF), "")
