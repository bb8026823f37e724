"""What a Lean term is, as a tree whose nodes know their places in the text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TermKind = Literal[
    "name",
    "number",
    "string",
    "apply",
    "field",
    "infix",
    "prefix",
    "postfix",
    "quantifier",
    "comprehension",
    "modulo",
    "typed",
    "paren",
    "tuple",
    "anonymous",
    "list",
    "set",
    "brackets",
    "index",
    "opaque",
    "raw",
]


@dataclass(frozen=True, slots=True)
class Binder:
    """Bound names with their type, if it is written. ``bound`` is ``("≥", 5)`` for ``∀ n ≥ 5``, ``("∈", S)`` for ``∑ k in S``."""

    names: tuple[str, ...]
    type: Term | None
    start: int
    end: int
    bracket: str = ""
    bound: tuple[str, Term] | None = None


@dataclass(frozen=True, slots=True)
class Term:
    """A term and the piece of text that it is. ``head`` is a leaf's text, or the sign or word that makes the construct."""

    kind: TermKind
    head: str
    args: tuple[Term, ...]
    start: int
    end: int
    binders: tuple[Binder, ...] = ()


QUANTIFIERS = frozenset({"∀", "∃", "∃!", "fun", "λ", "∑", "∏", "∑'", "∏'", "Π", "Σ"})
RELATIONS = frozenset({"=", "≠", "<", "≤", ">", "≥", "∣", "∤", "∈", "∉", "⊆", "⊂", "≡", "==", "!=", "≈", "∼"})
