"""A declaration's text as what it says: its kind, its name, its binders and what it claims."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from burnqed.data.lean_terms import binder_of, raw, term_of
from burnqed.data.lean_tokens import Token, tokens
from burnqed.data.lean_tree import Binder, Term

_KEYWORDS = frozenset({"theorem", "lemma", "example", "def", "abbrev", "instance", "axiom"})
_MODIFIERS = frozenset({"private", "protected", "nonrec", "noncomputable", "unsafe", "partial", "public"})
_PROOF_BEGINS = frozenset({"by", "from", "where"})
_CLOSERS = {"(": ")", "{": "}", "[": "]", "⦃": "⦄", "⟨": "⟩"}


@dataclass(frozen=True, slots=True)
class Declaration:
    """``keyword name binders : goal``; ``binders_start`` is where the text after the name begins.

    ``name`` is empty for an example. ``goal`` is None when the text names none, as in ``def f := 3``.
    """

    keyword: str
    name: str
    binders: tuple[Binder, ...]
    goal: Term | None
    binders_start: int
    end: int


def declaration(text: str) -> Declaration | None:
    """The first declaration of a text, up to its ``:=``, or to a ``|`` or ``where`` that stands for it.

    What precedes it (attributes, docstrings, ``open … in``) is skipped. None when the text holds no declaration.
    """
    return declaration_of(tokens(text))


def declaration_of(all_tokens: list[Token]) -> Declaration | None:
    """The same of tokens."""
    begin = next((i for i, t in enumerate(all_tokens) if t.kind == "name" and t.text in _KEYWORDS), None)
    if begin is None:
        return None
    keyword = all_tokens[begin].text
    rest = all_tokens[begin + 1 :]
    name = ""
    place = all_tokens[begin].end
    if rest and rest[0].kind == "name" and keyword != "example":
        name, place, rest = rest[0].text, rest[0].end, rest[1:]
        if len(rest) > 1 and rest[0].text == "." and rest[1].text == "{":
            closer = next((i for i, t in enumerate(rest) if t.text == "}"), len(rest) - 1)
            place, rest = rest[closer].end, rest[closer + 1 :]
    binders: list[Binder] = []
    at = 0
    while at < len(rest) and rest[at].text in _CLOSERS and rest[at].text != "⟨":
        end = _closer(rest, at)
        binders.append(binder_of(rest[at:end]))
        at = end
    if at < len(rest) and rest[at].kind == "name":  # binders without brackets: `theorem foo x y : P`
        while at < len(rest) and rest[at].kind == "name":
            binders.append(Binder((rest[at].text,), None, rest[at].start, rest[at].end))
            at += 1
    if at >= len(rest) or rest[at].text != ":":
        return Declaration(keyword, name, tuple(binders), None, place, rest[at - 1].end if at else place)
    stop = _end_of_claim(rest, at + 1)
    piece = rest[at + 1 : stop]
    goal = term_of(piece) if piece else raw(piece)
    return Declaration(keyword, name, tuple(binders), goal, place, goal.end)


def theorems_in(text: str) -> Iterator[Declaration]:
    """Every theorem, lemma and example of a text, nested ones in namespaces too."""
    all_tokens = tokens(text)
    for i, token in enumerate(all_tokens):
        if token.kind == "name" and token.text in ("theorem", "lemma", "example"):
            found = declaration_of(all_tokens[i:])
            if found is not None and found.goal is not None:
                yield found


def claims_in(proof: str) -> Iterator[Declaration]:
    """What a proof claims on its way: every ``have … : P`` and ``suffices … : P``, with binders if it has some."""
    all_tokens = tokens(proof)
    for i, token in enumerate(all_tokens):
        if token.kind != "name" or token.text not in ("have", "suffices"):
            continue
        rest = all_tokens[i + 1 :]
        end = _end_of_claim(rest, 0, _PROOF_BEGINS)
        found = declaration_of([Token("name", "theorem", 0, 0), *rest[:end]])
        if found is not None and found.goal is not None:
            yield found


def _closer(piece: list[Token], at: int) -> int:
    """Past the bracket that closes the one at ``at``; the end when none does."""
    depth = 0
    for i in range(at, len(piece)):
        if piece[i].text in _CLOSERS:
            depth += 1
        elif piece[i].text in _CLOSERS.values():
            depth -= 1
            if depth == 0:
                return i + 1
    return len(piece)


def _end_of_claim(piece: list[Token], begin: int, words: frozenset[str] = frozenset({"where"})) -> int:
    depth = 0
    for i in range(begin, len(piece)):
        text = piece[i].text
        if text in _CLOSERS:
            depth += 1
        elif text in _CLOSERS.values():
            depth -= 1
        elif depth == 0 and (text == ":=" or (text in words and piece[i].kind == "name")):
            return i
    return len(piece)
