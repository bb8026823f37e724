"""Where the names of hypotheses stand in the text of a goal, and which names may stand for something else there.

A text alone does not say what a name in it refers to, and not every notation is known here. So every rule errs to one side: a
name that a binder, a field, a metavariable or a universe might own is reported, and whoever changes texts leaves it alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from burnqed.data.lean_tokens import Token, tokens

_DAGGER = re.compile(r"✝[⁰¹²³⁴-⁹]*")
_WORD = re.compile(r"[^\W\d][\w'!?]*")
_OPENERS, _CLOSERS = frozenset("([{⟨⦃"), frozenset(")]}⟩⦄")
_ARROWS = frozenset({"=>", "↦"})
_CODE = frozenset({"by", "do", "calc", "match", "where", "rec"})
"""Words after which patterns and programs may stand, whose binders this module does not look for one by one."""
_SIGNS = r"""
( ) [ ] { } ⟨ ⟩ ⦃ ⦄ , : := ; | ‖ ⌊ ⌋ ⌈ ⌉ ⌋₊ ⌉₊ ↑ ↥ ⇑ · √ ! ' ∅ ⊤ ⊥ @ ? . .. ... ✝ ⋯ // => ↦ + - * / % ^ = ≠ < ≤ > ≥
∣ ∣∣ ∤ ∧ ∨ ¬ → ↔ ← × ∈ ∉ ⊆ ⊂ ⊇ ∪ ∩ \ • ∘ ++ :: && || == != <| |> |>. <|> <;> ▸ >>> <<< &&& ||| ^^^ ≈ ≃ ≡ ≅ ∼ ⊔ ⊓ ∆
⁻¹ ⁻ ¹ ² ³ $ # ~ ` <= >= -> <- <-> /ₘ %ₘ
"""
_BIND_NOTHING = frozenset(_SIGNS.split())
"""Signs that never begin a binder. Any other one may: what follows it up to the next comma is taken for bound."""


def names(text: str) -> Iterator[tuple[str, int, int]]:
    """Every name in a text with its place; of ``h.left`` it is ``h``, and a dagger belongs to its name."""
    for token in tokens(text):
        if token.kind == "name":
            head = _head(token)
            end = token.start + len(head)
            dagger = _DAGGER.match(text, end)
            yield (head + dagger[0], token.start, dagger.end()) if dagger else (head, token.start, end)


def replaced(text: str, new: Mapping[str, str]) -> str:
    """The text with whole names replaced, all at once."""
    out, at = [], 0
    for name, start, end in names(text):
        if name in new:
            out += [text[at:start], new[name]]
            at = end
    return "".join([*out, text[at:]])


def words(text: str) -> set[str]:
    """All that reads like a name, parts of dotted names and words in strings too."""
    return set(_WORD.findall(text))


def is_plain(name: str) -> bool:
    """Whether the name is one word that could be any other: no dots, daggers, quotes or signs at its end."""
    cut = tokens(name)
    return len(cut) == 1 and cut[0].kind == "name" and bool(re.fullmatch(r"[^\W\d_][\w']*", name))


def perhaps_bound(text: str) -> set[str]:
    """The names that something in the text may own: a binder, a field, a metavariable, a universe, a string with names in it."""
    ts = tokens(text)
    bare = [t.text for t in ts]
    functions = sum(t in ("fun", "λ") for t in bare)
    if _CODE & set(bare) or sum(t in _ARROWS for t in bare) > functions:
        return words(text)
    found: set[str] = set()
    for at, token in enumerate(ts):
        if token.kind == "string":
            found |= words(token.text) | words(token.text[1:-1])
        elif token.kind == "name":
            found |= _at_name(ts, at)
        elif token.text in (":", ":="):
            found |= _run_before(ts, at)
        elif token.text in (",", "∈"):
            # `𝔼 i, f i` and `𝔼 i ∈ s, f i`: a word may be the head of a binder too.
            if token.text == "," or _until(ts, at + 1, {","}) is not None:
                found |= _run_before(ts, at, skip_first=True)
        elif token.text == "{":
            end = _until(ts, at + 1, {"|", "//"})
            found |= {_head(t) for t in ts[at + 1 : end] if t.kind == "name"} if end is not None else set()
        if token.text in ("fun", "λ") or (token.kind == "symbol" and token.text not in _BIND_NOTHING):
            found |= _binders(ts, at + 1)
    return found


def _at_name(ts: Sequence[Token], at: int) -> set[str]:
    """What the name at this place says by itself about names."""
    token, before = ts[at], ts[at - 1] if at else None
    found: set[str] = set()
    if before is not None and before.end == token.start and before.text.endswith((".", "?")):
        found.add(_head(token))  # `.succ`, `?x`
    if token.text[-1] in "!?":
        found.add(_head(token).rstrip("!?"))  # `n!`, which may be n and a sign
    if token.text in ("let", "have"):
        end = _until(ts, at + 1, {":="})
        found |= {_head(t) for t in ts[at + 1 : end] if t.kind == "name"}
    following = ts[at + 1] if at + 1 < len(ts) else None
    if following is None:
        return found
    if token.text in ("Type", "Sort"):  # `Type u`, `Type (max u v)`
        end = _until(ts, at + 2, set()) if following.text == "(" else at + 2
        found |= {_head(t) for t in ts[at + 1 : end] if t.kind == "name"}
    if following.text == "." and at + 2 < len(ts) and ts[at + 2].text == "{":  # `f.{u}`
        end = _until(ts, at + 3, set())
        found |= {_head(t) for t in ts[at + 3 : end] if t.kind == "name"}
    return found


def _binders(ts: Sequence[Token], at: int) -> set[str]:
    """The names from here to the comma or arrow that ends a list of binders, their types and bounds left out.

    Empty when nothing ends it, since it is none then.
    """
    end = _until(ts, at, {",", *_ARROWS})
    if end is None or ts[end].text in _CLOSERS:
        return set()
    found: set[str] = set()
    depth = 0
    typed: int | None = None  # how deep the brackets were where a type or bound began
    for token in ts[at:end]:
        if token.text in _OPENERS:
            depth += 1
        elif token.text in _CLOSERS:
            depth -= 1
            if typed is not None and depth < typed:
                typed = None
        elif typed is None and token.kind == "name":
            found.add(_head(token))
        elif typed is None and token.kind == "symbol" and token.text not in (",", "_", "✝"):
            typed = depth
    return found


def _until(ts: Sequence[Token], at: int, ends: set[str]) -> int | None:
    """Where, outside of brackets that open from here on, one of these tokens stands; None where it is closed off before.

    With no ``ends``: where the bracket that is open here closes; the end of the text if nowhere.
    """
    depth = 0
    for place in range(at, len(ts)):
        text = ts[place].text
        if depth == 0 and text in ends:
            return place
        if text in _OPENERS:
            depth += 1
        elif text in _CLOSERS:
            if depth == 0:
                return None if ends else place
            depth -= 1
    return None if ends else len(ts)


def _run_before(ts: Sequence[Token], at: int, *, skip_first: bool = False) -> set[str]:
    """The names directly before a place; without the first one if that may be a function that the others are arguments of."""
    start = at
    while start and ts[start - 1].kind == "name":
        start -= 1
    if skip_first and start and ts[start - 1].text in (":", "∈"):  # `∀ x ∈ range n, …`: no head stands there
        return set()
    return {_head(t) for t in ts[start + skip_first : at]}


def _head(token: Token) -> str:
    return token.text if token.text.startswith("«") else token.text.partition(".")[0]
