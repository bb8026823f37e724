"""Laws of Bool, of bit vectors and of Option."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from burnqed.data.generate.boolean import BITS, BOOL, Formula, falsifying, negated, random_formula, rewritten, tidied
from burnqed.data.generate.draft import Draft
from burnqed.data.generate.list_terms import affine

FAMILY = "finite_types"


def draft(rng: random.Random, false: bool) -> Draft:
    """One of the templates below."""
    return rng.choice((_bool, _bits, _bit_arithmetic, _option))(rng, false)


def _sides(rng: random.Random, names: Sequence[str], heads: Sequence[str], false: bool) -> tuple[Formula, Formula]:
    """A formula and what laws make of it, or something close to that which is not equivalent."""
    while True:
        left = right = random_formula(rng, names, rng.randint(2, 3), heads)
        for _ in range(rng.randint(1, 3)):
            right = tidied(rewritten(right, rng))
        if false:
            right = rng.choice((negated(right), Formula(rng.choice(("and", "or", "xor")), (right, left.parts[0]))))
        if left != right and (falsifying(Formula("iff", (left, right)), names) is not None) == false:
            return left, right


def _bool(rng: random.Random, false: bool) -> Draft:
    """An equation between Boolean expressions."""
    names = rng.choice((("a", "b", "c"), ("x", "y", "z"), ("p", "q", "r")))[: rng.randint(2, 3)]
    left, right = _sides(rng, names, ("and", "or", "xor", "not"), false)
    values = falsifying(Formula("iff", (left, right)), names)
    every = " <;> ".join(f"cases {n}" for n in names)
    return Draft(
        family=FAMILY,
        template="Bool",
        variables=((names, "Bool"),),
        hypotheses=(),
        goal=f"({BOOL.show(left)}) = ({BOOL.show(right)})",
        scripts=((f"{every} <;> rfl",), (f"revert {' '.join(names)}", ("decide",)), (f"cases {names[0]} <;> simp",)),
        counterexample=tuple("true" if values[n] else "false" for n in names) if values else None,
        quantified=rng.random() < 0.3,
    )


def _bits(rng: random.Random, false: bool) -> Draft:
    """The same bit by bit, on vectors of some width."""
    width = rng.choice((4, 8, 16, 32))
    names = ("x", "y", "z")[: rng.randint(2, 3)]
    left, right = _sides(rng, names, ("and", "or", "xor", "not"), false)
    values = falsifying(Formula("iff", (left, right)), names)
    return Draft(
        family=FAMILY,
        template="bitwise",
        variables=((names, f"BitVec {width}"),),
        hypotheses=(),
        goal=f"{BITS.show(left, 51)} = {BITS.show(right, 51)}",
        parameters={"width": width},
        scripts=(
            ("ext i hi", ("simp", "simp; grind", "grind")),
            ("apply BitVec.eq_of_getLsbD_eq", "intro i hi", ("simp; grind", "simp", "grind")),
            (
                "ext i hi",
                "simp only [BitVec.getElem_and, BitVec.getElem_or, BitVec.getElem_xor, BitVec.getElem_not]",
                ("grind", "simp", " <;> ".join(f"cases {n}[i]" for n in names) + " <;> rfl"),
            ),
        ),
        counterexample=tuple(f"{1 if values[n] else 0}#{width}" for n in names) if values else None,
        quantified=rng.random() < 0.3,
    )


_ARITHMETIC = (
    ("{x} + {y} - {y} = {x}", lambda x, y, k, m: (x + y - y) % m == x % m),
    ("{x} - {y} + {y} = {x}", lambda x, y, k, m: True),
    ("{x} + {k} - {k} = {x}", lambda x, y, k, m: True),
    ("-(-{x}) + {k} = {k} + {x}", lambda x, y, k, m: True),
    ("{x} * {y} + {x} * {k} = {x} * ({y} + {k})", lambda x, y, k, m: True),
    ("~~~{x} + 1 + {k} = {k} - {x}", lambda x, y, k, m: True),
    ("{x} + {x} = {x} <<< 1", lambda x, y, k, m: True),
    ("({x} &&& {y}) + ({x} ||| {y}) = {x} + {y}", lambda x, y, k, m: True),
    ("({x} ^^^ {k}) ^^^ {k} = {x}", lambda x, y, k, m: True),
    # false ones
    ("{x} + {y} - {k} = {x}", lambda x, y, k, m: (x + y - k) % m == x),
    ("{x} + {k} = {x}", lambda x, y, k, m: k % m == 0),
    ("{x} &&& {y} = {x} ||| {y}", lambda x, y, k, m: x & y == x | y),
    ("({x} ^^^ {y}) + {k} = {x} + {y}", lambda x, y, k, m: ((x ^ y) + k) % m == (x + y) % m),
    ("{x} * {k} = {x} <<< 1", lambda x, y, k, m: x * k % m == 2 * x % m),
)
_TRUE_ARITHMETIC = 9


def _bit_arithmetic(rng: random.Random, false: bool) -> Draft:
    """Arithmetic modulo a power of two, alone and mixed with bits."""
    width = rng.choice((3, 4, 8, 16))
    number = rng.randint(3, 2 ** min(width, 6) - 1)
    text, true = rng.choice(_ARITHMETIC[_TRUE_ARITHMETIC:] if false else _ARITHMETIC[:_TRUE_ARITHMETIC])
    x, y = rng.choice((("x", "y"), ("a", "b"), ("u", "v")))
    low = range(min(2**width, 16))
    against = next(((i, j) for i in low for j in low if not true(i, j, number, 2**width)), None)
    names = (x, y) if "{y}" in text else (x,)
    return Draft(
        family=FAMILY,
        template="bit arithmetic",
        variables=((names, f"BitVec {width}"),),
        hypotheses=(),
        goal=text.format(x=x, y=y, k=f"{number}#{width}"),
        parameters={"width": width},
        scripts=(
            (f"revert {' '.join(names)}", ("decide",)),
            ("apply BitVec.eq_of_toNat_eq", "simp", ("omega",)),
            ("simp [BitVec.mul_add, BitVec.add_comm, BitVec.sub_toAdd, BitVec.add_assoc]",),
        ),
        counterexample=tuple(f"{v}#{width}" for v in against[: len(names)]) if against else None,
        quantified=rng.random() < 0.3,
    )


def _option(rng: random.Random, false: bool) -> Draft:
    """map, filter, bind and getD of Option, with numbers."""
    a, b, c, d, k = (rng.randint(1, 5) for _ in range(5))
    wrong = rng.randint(1, 3) if false else 0
    goal, against = rng.choice(
        (
            (
                f"(o.map (fun x => {affine(a, b)})).map (fun x => {affine(c, d)}) = "
                f"o.map (fun x => {affine(a * c, b * c + d + wrong)})",
                "some 1",
            ),
            (
                f"(o.map (fun x => {affine(a, b)})).getD {a * k + b + wrong} = (fun x => {affine(a, b)}) (o.getD {k})",
                "none",
            ),
            (f"(o.bind (fun x => some ({affine(a, b)}))) = o.map (fun x => {affine(a, b + wrong)})", "some 0"),
            (f"(o.map (fun x => {affine(a, b)})).isSome = o.{'isNone' if false else 'isSome'}", "none"),
            (f"(o.filter (fun x => x < {k})).getD {k if false else 0} < {k}", "none"),
            (f"o.map (fun x => x + {a}) = some {a + k} → o = some {k + wrong}", f"some {k}"),
            (f"(o.or (some {k})).getD {c} = o.getD {k + wrong}", "none"),
        )
    )
    found: Mapping[str, str] = {"none": "none", "some 1": "(some 1)", "some 0": "(some 0)"}
    return Draft(
        family=FAMILY,
        template="Option",
        variables=((("o",), "Option Nat"),),
        hypotheses=(),
        goal=goal,
        scripts=(
            (
                "cases o with\n| none => ?_\n| some v => ?_",
                ("rfl", "simp", "decide", "grind"),
                ("rfl", "simp; omega", "simp [Nat.mul_add]; omega", "simp [Option.filter]; grind", "grind"),
            ),
            ("cases o <;> simp", ("omega", "grind")),
            ("cases o <;> grind",),
        ),
        counterexample=(found.get(against, f"({against})"),) if false else None,
        quantified=rng.random() < 0.3,
    )
