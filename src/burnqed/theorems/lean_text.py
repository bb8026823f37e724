"""Just enough of Lean's surface to find theorems in text: comments, strings, brackets, commands at the start of a line.

What is cut out here is parsed by Lean itself before anything is proved; this only decides where to cut.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_COMMAND = re.compile(
    r"^(?:@\[|attribute\b|set_option\b|open\b|export\b|namespace\b|section\b|end\b|universe\b|variable\b|import\b|mutual\b"
    r"|(?:private |protected |noncomputable |unsafe |partial |nonrec |scoped |local )*"
    r"(?:theorem|lemma|example|def|abbrev|instance|structure|class|inductive|axiom|opaque|notation|infixl?|infixr|prefix|postfix"
    r"|macro|macro_rules|syntax|elab|elab_rules|deriving|initialize|register_\w+)\b"
    r"|#|/--|/-!)",
    re.MULTILINE,
)
_NAMED = re.compile(
    r"^[ \t]*(?:@\[[^\]]*\]\s*)?(?:(?:private|protected|noncomputable|partial|nonrec)\s+)*"
    r"(def|abbrev|theorem|lemma)\s+([^\s({\[⦃]+)",
    re.MULTILINE,
)
_OPEN, _CLOSE = "([{⟨", ")]}⟩"
_QUIET = re.compile(r'--[^\n]*|/-|"(?:[^"\\]|\\.?)*"?', re.DOTALL)
"""A line comment, the beginning of a block comment, or a whole string literal."""
_COMMENT_EDGE = re.compile(r"/-|-/")
_STRUCTURE = re.compile(r"[(\[{⟨)\]}⟩]|:=|(?<![\w.'])(?:let|have)(?![\w'])")


def masked(text: str) -> str:
    """The text with comments and string literals blanked out, every other character in its place."""
    out: list[str] = []
    at = 0
    for start, end in quiet_spans(text):
        out += (text[at:start], "\n".join(" " * len(line) for line in text[start:end].split("\n")))
        at = end
    out.append(text[at:])
    return "".join(out)


def quiet_spans(text: str) -> Iterator[tuple[int, int]]:
    """Where comments and string literals stand, from start to end; a string literal begins with ``"``."""
    at = 0
    while m := _QUIET.search(text, at):
        at = _comment_end(text, m.start()) if m[0] == "/-" else m.end()
        yield m.start(), at


def command_starts(text: str) -> list[int]:
    """Where commands begin: words at the start of a line that begin one, outside comments and strings."""
    blank = masked(text)
    return [
        m.start()
        for m in _COMMAND.finditer(text)
        if blank[m.start()] != " " or text.startswith(("/--", "/-!"), m.start())
    ]


def declared(text: str) -> tuple[list[str], list[str]]:
    """The names of the definitions and of the theorems that a file declares, without their namespaces, in order."""
    definitions: list[str] = []
    theorems: list[str] = []
    for m in _NAMED.finditer(masked(text)):
        name = m[2].rstrip(":").rsplit(".", 1)[-1]
        (theorems if m[1] in ("theorem", "lemma") else definitions).append(name)
    return list(dict.fromkeys(definitions)), list(dict.fromkeys(theorems))


def body_start(command: str) -> int | None:
    """The index of the ``:=`` that separates a statement from its proof; None when there is none.

    A ``let`` or ``have`` in the statement has a ``:=`` of its own.
    """
    depth = bound = 0
    for m in _STRUCTURE.finditer(masked(command)):
        if m[0] in _OPEN:
            depth += 1
        elif m[0] in _CLOSE:
            depth -= 1
        elif depth == 0 and m[0] != ":=":
            bound += 1
        elif depth == 0 and bound:
            bound -= 1
        elif depth == 0:
            return m.start()
    return None


def is_sorry(body: str) -> bool:
    """Whether a proof is just ``sorry`` or ``by sorry``."""
    return re.fullmatch(r"\s*(by\s+)?sorry\s*", masked(body)) is not None


def _comment_end(text: str, start: int) -> int:
    """Past the end of a block comment; they nest."""
    depth = 0
    for m in _COMMENT_EDGE.finditer(text, start):
        depth += 1 if m[0] == "/-" else -1
        if depth == 0:
            return m.end()
    return len(text)
