"""Which commands of a header only make its scope, so that they may be run twice."""

from __future__ import annotations

import re
from collections.abc import Sequence

_SCOPE = re.compile(
    r"(?:(?:@\[expose\]\s*)?(?:public\s+|noncomputable\s+|meta\s+)*section"
    r"|namespace|end|open|export|universe|variable|include|omit|set_option|unsuppress_compilation|suppress_compilation)\b"
)
_IN = re.compile(r"\bin\b")
_IN_COMMAND = re.compile(
    r"\bin\s+(?:@\[|#|(?:open|set_option|theorem|lemma|def|abbrev|instance|example|structure|class"
    r"|inductive|noncomputable|private|protected|axiom|opaque|local|scoped|attribute|variable)\b)"
)
_BEFORE = re.compile(r"(?:\s+|--[^\n]*(?:\n|\Z)|/-(?:[^-]|-(?!/))*-/)*")


def scope_commands(header: str, boundaries: Sequence[tuple[int, int]]) -> str:
    """The scope commands of a header, each on a line; ``boundaries`` are the commands' places in bytes.

    ``open … in`` and its like belong to the command after them and are left out with it.
    """
    data = header.encode()
    kept: list[str] = []
    for begin, end in boundaries:
        text = data[begin:end].decode(errors="replace")
        text = text[_BEFORE.match(text).end() :].strip()  # type: ignore[union-attr]  # it matches the empty text too
        word = _SCOPE.match(text)
        if word is None or (_IN if word[0] in ("open", "set_option") else _IN_COMMAND).search(text):
            continue
        kept.append(text)
    return "".join(f"{text}\n" for text in kept)
