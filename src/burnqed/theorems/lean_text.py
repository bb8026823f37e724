"""Just enough of Lean's surface to find theorems in text: comments, strings, brackets, commands at the start of a line.

What is cut out here is parsed by Lean itself before anything is proved; this only decides where to cut.
"""

from __future__ import annotations

import re

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


def masked(text: str) -> str:
    """The text with comments and string literals blanked out, every other character in its place."""
    out = list(text)
    i = 0
    while i < len(text):
        if text.startswith("--", i):
            end = text.find("\n", i)
            end = len(text) if end < 0 else end
        elif text.startswith("/-", i):
            end = _comment_end(text, i)
        elif text[i] == '"':
            end = _string_end(text, i)
        else:
            i += 1
            continue
        for j in range(i, end):
            if out[j] != "\n":
                out[j] = " "
        i = end
    return "".join(out)


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
    """The index of the ``:=`` that separates a statement from its proof; None when there is none."""
    blank = masked(command)
    depth = 0
    for i, c in enumerate(blank):
        if c in _OPEN:
            depth += 1
        elif c in _CLOSE:
            depth -= 1
        elif depth == 0 and blank.startswith(":=", i):
            return i
    return None


def is_sorry(body: str) -> bool:
    """Whether a proof is just ``sorry`` or ``by sorry``."""
    return re.fullmatch(r"\s*(by\s+)?sorry\s*", masked(body)) is not None


def _comment_end(text: str, start: int) -> int:
    """Past the end of a block comment; they nest."""
    depth, i = 0, start
    while i < len(text):
        if text.startswith("/-", i):
            depth, i = depth + 1, i + 2
        elif text.startswith("-/", i):
            depth, i = depth - 1, i + 2
            if depth == 0:
                return i
        else:
            i += 1
    return len(text)


def _string_end(text: str, start: int) -> int:
    i = start + 1
    while i < len(text):
        if text[i] == "\\":
            i += 2
        elif text[i] == '"':
            return i + 1
        else:
            i += 1
    return len(text)
