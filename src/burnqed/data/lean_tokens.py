"""Lean text as tokens, each with its place: a statement is changed piece by piece, never by a pattern over all of it.

The rules of names are Lean's own (letters, Greek but for λ Π Σ, letter-like signs such as ℝ, subscripts, ``'``, ``!``, ``?``).
Symbols are the longest of a table; an unknown character is a symbol of its own, so every text can be cut.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["name", "number", "string", "field", "symbol"]

_TABLE = """
:= => -> → ← <- <-> ↔ <= ≤ >= ≥ != ≠ == && || ++ :: <;> <|> <| |>. |> .. ... ⁻¹' ⁻¹ ∃! ∑' ∏' '' ⌋₊ ⌉₊ //
=ᶠ ≤ᶠ ∀ᶠ ∃ᶠ ^^^ &&& ||| <<< >>> ∣∣ %ₘ /ₘ
"""
_SIGNS = ("ℝ≥0∞", "ℝ≥0", "ℕ+", "ℕ∞", "Type*", "Sort*")
"""What reads like a name and a sign, and is one token."""

_LETTERS = "α-κμ-ωΑ-ΟΡΤ-Ωϊ-ϻἀ-῾℀-⅏𝒜-𝖟À-ÖØ-öø-ſ"
_FIRST = rf"A-Za-z_{_LETTERS}"
_LATER = rf"{_FIRST}0-9'!?₀-₉ₐ-ₜᵢ-ᵪⱼ"
_PART = rf"(?:«[^»]*(?:»|$)|[{_FIRST}][{_LATER}]*)"
_DIGITS = r"[0-9](?:_?[0-9])*"
_TOKEN = re.compile(
    rf"(?P<blank>\s+|--[^\n]*)"
    rf"|(?P<comment>/-)"
    rf'|(?P<string>"(?:[^"\\]|\\.)*(?:"|\\?$)|\'(?:\\[^\n]{{1,10}}?|[^\'\\\n])\')'
    rf"|(?P<number>0[xXbBoO][0-9A-Za-z_]+|{_DIGITS}(?:\.{_DIGITS})?(?:[eE][-+]?{_DIGITS})?)"
    rf"|(?P<name>{'|'.join(map(re.escape, _SIGNS))}|{_PART}(?:\.{_PART})*)"
    rf"|(?P<field>\.(?:[0-9]+|{_PART}))"
    rf"|(?P<symbol>{'|'.join(map(re.escape, sorted(_TABLE.split(), key=len, reverse=True)))}|.)",
    re.DOTALL,
)
_COMMENT_MARK = re.compile(r"/-|-/")


@dataclass(frozen=True, slots=True)
class Token:
    """One token: ``text`` is what stands from character ``start`` to ``end``.

    A ``field`` is ``.num`` after a bracket, or ``.1`` after anything.
    """

    kind: Kind
    text: str
    start: int
    end: int


def tokens(text: str) -> list[Token]:
    """All tokens of a text; blank space and comments (nested ones too) are left out."""
    out: list[Token] = []
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        assert found is not None, "any character is a symbol"
        kind, end = found.lastgroup, found.end()
        if kind == "comment":
            end = _comment_end(text, at)
        elif kind == "field" and not (out and out[-1].end == at and _closes(out[-1])):
            # A dot that follows nothing is a sign of its own, or the beginning of `..` and `...`.
            end = at + len(_symbol(text, at))
            out.append(Token("symbol", text[at:end], at, end))
        elif kind != "blank":
            out.append(Token(kind, found[0], at, end))  # type: ignore[arg-type]
        at = end
    return out


def _symbol(text: str, at: int) -> str:
    return next((dots for dots in ("...", "..") if text.startswith(dots, at)), ".")


def _closes(token: Token) -> bool:
    """Whether a dot right after it begins a field."""
    return token.kind in ("name", "field") or token.text in (")", "]", "⟩", "}")


def _comment_end(text: str, start: int) -> int:
    """Past the block comment that begins at ``start``; they nest."""
    depth = 0
    for mark in _COMMENT_MARK.finditer(text, start):
        depth += 1 if mark[0] == "/-" else -1
        if depth == 0:
            return mark.end()
    return len(text)
