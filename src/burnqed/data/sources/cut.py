"""One Lean text, as sets publish it, cut into what a record holds: imports, header, informal text, statement, proof.

Only places are decided here (:mod:`burnqed.theorems.lean_text`); what the pieces mean is Lean's business.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from burnqed.theorems.lean_text import body_start, command_starts, masked, quiet_spans

MATHLIB = ("Mathlib",)
OPENS = "open BigOperators Real Nat Topology Rat"
"""What the provers' headers open, for sets whose rows come without a header."""

_DECLARATION = re.compile(
    r"(?:^|\bin[ \t]+)[ \t]*(?:@\[[^\]]*\]\s*)?(?:(?:private|protected|nonrec|noncomputable)\s+)*(theorem|lemma|example)\b",
    re.MULTILINE,
)
_NAME = re.compile(r"((?:«[^»]*»|[^\s:({\[⦃.])+(?:\.(?:«[^»]*»|[^\s:({\[⦃.])+)*)(\.\{[^}]*\})?")
_IMPORT = re.compile(r"^(?:public[ \t]+)?import[ \t]+([^\n]*)\n?", re.MULTILINE)
_SCOPED = re.compile(r"^((?:open|set_option)\b[^\n]*?)[ \t]+in[ \t]*$", re.MULTILINE)
_EMPTY_PROOFS: tuple[list[str], ...] = ([], ["by"], ["sorry"], ["admit"], ["by", "sorry"], ["by", "admit"])
_CASES = re.compile(r"^\s*\|.*=>", re.MULTILINE)
_CLAIM = re.compile(r"[(\[{⟨⦃)\]}⟩⦄]|:(?!=)")
_BLANK_LINES = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")
_SORRY = re.compile(r"\bsorry\b")

SORRIED_DEFINITION = "sorried-definition"
"""The header has a definition that is a sorry: an answer to be found, which a proof must not use as it is."""
SORRIED_LEMMA = "sorried-lemma"
NO_COLON = "no-colon"
"""The statement has no ``:`` before what it claims, so Lean will not take it."""


class Uncut(ValueError):
    """A text in which there is no theorem to be found; says why in a few fixed words."""


@dataclass(frozen=True)
class Cut:
    """The pieces; ``proof`` is None when there is none or nothing but a sorry."""

    name: str
    statement: str
    proof: str | None
    header: str
    imports: tuple[str, ...]
    informal: str
    flags: tuple[str, ...]


def under(header: str, statement: str) -> str:
    """The text of a row that has its header apart."""
    return f"{header.rstrip()}\n\n{statement}"


def cut(text: str, *, imports: tuple[str, ...] = MATHLIB, header: str = "", name: str = "unnamed") -> Cut:
    """Cut at the last theorem of a text; what stands before it is its header, what stands after it is left out.

    ``imports`` and ``header`` serve a text that has no import line and no header; ``name`` an ``example``. Comments of the
    header go, since some sets put answers there, but for one right before the theorem: that is the informal statement.
    Raises Uncut.
    """
    text = text.replace("\r\n", "\n")
    blank = masked(text)
    found = list(_DECLARATION.finditer(blank))
    if not found:
        raise Uncut("no theorem in it")
    last = found[-1]
    rest = text[last.start(1) :]
    after = command_starts(rest)
    piece = rest[: after[1]] if len(after) > 1 else rest
    at = body_start(piece)
    if at is None and _CASES.search(masked(piece)):
        raise Uncut("a proof by cases without `:=`")
    signature = piece[len(last[1]) : at].strip()
    if last[1] == "example":
        signature = f"{name} {signature}"
    named = _NAME.match(signature)
    if named is None:
        raise Uncut("a theorem without a name")
    statement = f"theorem {signature}"
    proof = None if at is None else piece[at + 2 :].strip()
    before, informal = _informal(text[: last.start()])
    head, modules = _header(before)
    flags = set() if claim_start(statement) is not None else {NO_COLON}
    if _SORRY.search(masked(head)):
        flags |= _sorries(head)
    return Cut(
        name=named[1],
        statement=statement,
        proof=None if proof is None or masked(proof).split() in _EMPTY_PROOFS else proof,
        header=head or header,
        imports=modules or imports,
        informal=informal,
        flags=tuple(sorted(flags)),
    )


def claim_start(statement: str) -> int | None:
    """Where the ``:`` stands that separates binders from what is claimed; None when there is none."""
    depth = 0
    for m in _CLAIM.finditer(masked(statement)):
        if m[0] == ":" and depth == 0:
            return m.start()
        depth += {":": 0}.get(m[0], 1 if m[0] in "([{⟨⦃" else -1)
    return None


def indented(script: str) -> str:
    """A tactic script that stands at the margin, as the proof of a theorem."""
    return "by\n" + "\n".join(f"  {line}" if line.strip() else "" for line in script.strip("\n").splitlines())


def without_comments(text: str) -> str:
    """A Lean text without its comments, and without the blank lines that they leave."""
    out: list[str] = []
    at = 0
    for start, end in quiet_spans(text):
        out.append(text[at : end if text[start] == '"' else start])
        at = end
    out.append(text[at:])
    return _BLANK_LINES.sub("\n", "\n".join(line.rstrip() for line in "".join(out).splitlines())).strip()


def plain(informal: str) -> str:
    """An informal statement without the marks of the Lean comment that it may stand in."""
    inside = informal.strip().removeprefix("/--").removeprefix("/-").removesuffix("-/")
    return inside.strip()


def _informal(before: str) -> tuple[str, str]:
    """The text before the theorem without the block comment at its end, and that comment's text."""
    before = before.rstrip()
    begin = before.rfind("/-") if before.endswith("-/") else -1
    if begin < 0:
        return before, ""
    return before[:begin], plain(before[begin:])


def _header(before: str) -> tuple[str, tuple[str, ...]]:
    """The header without imports and comments, and the modules it imports."""
    text = without_comments(before)
    modules = tuple(dict.fromkeys(m for line in _IMPORT.findall(text) for m in line.split()))
    # `open X in` before the theorem: it is the only theorem, so the scope may as well be all of the file.
    return _SCOPED.sub(r"\1", _IMPORT.sub("", text)).strip(), modules


def _sorries(header: str) -> set[str]:
    """Which kinds of sorry a header has."""
    starts = command_starts(header)
    pieces = [masked(header[a:b]) for a, b in zip(starts, [*starts[1:], len(header)], strict=True)]
    return {
        SORRIED_LEMMA if _DECLARATION.match(piece) else SORRIED_DEFINITION for piece in pieces if _SORRY.search(piece)
    }
