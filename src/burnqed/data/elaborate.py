"""What the embedded Lean says about theorems, each elaborated as a file of its own without its imports."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from burnqed.core.errors import WorkerLost
from burnqed.data.audit import Elaborated
from burnqed.data.records import TheoremRecord
from burnqed.lean.process import LeanProcess, RequestFailed

_UNKNOWN = re.compile(
    r"unknown (identifier|constant|namespace|tactic|universe level)\W+[`'‘]([^`'’\s]+)[`'’]", re.IGNORECASE
)
_TOKEN = re.compile(r"unexpected (token|identifier)\s*'([^'\n]*)'")
_WORD = re.compile(r"[\w'!?]+")
_QUOTED = re.compile(r"[`'‘][^`'’]*[`'’]")
_NO_LIMIT = re.compile(r"set_option maxHeartbeats 0\b")
_LONGEST = 60  # characters of a failure that has no name


async def elaborate(
    spawn: Callable[[], Awaitable[LeanProcess]],
    theorems: Sequence[TheoremRecord],
    *,
    timeout_s: float = 60.0,
    on_done: Callable[[], None] = lambda: None,
) -> Elaborated:
    """Elaborate theorems one after the other, with their proofs where they have one.

    ``spawn`` starts a server of the complete program; one that is lost is replaced, and its theorem counted as lost.
    """
    result = Elaborated()
    failures: Counter[str] = Counter()
    process: LeanProcess | None = None
    try:
        for theorem in theorems:
            process = process or await spawn()
            result.tried += 1
            try:
                said = await _errors(process, _text(theorem), timeout_s)
            except WorkerLost:
                await process.close()
                process = None
                result.lost += 1
            else:
                result.accepted += not said
                failures.update(said)
            on_done()
    finally:
        if process is not None:
            await process.close()
    result.failures = dict(failures.most_common())
    return result


def _text(theorem: TheoremRecord) -> str:
    """The theorem's file without imports, and with a limit to what one declaration may cost.

    Lean would take an unknown ℝ for a variable, and so accept a statement about anything, if it were not told not to.
    """
    header = _NO_LIMIT.sub("set_option maxHeartbeats 400000", theorem.header)
    return f"set_option autoImplicit false\n{header}\n\n{theorem.statement} := {theorem.proof or 'by sorry'}\n"


async def _errors(process: LeanProcess, text: str, timeout_s: float) -> set[str]:
    """The kinds of error in a text, each once."""
    try:
        _, reply = await process.request("frontend.process", {"file": text}, dict[str, Any], timeout_s=timeout_s)
    except RequestFailed as error:
        return {failure(error.desc)}
    lines = text.split("\n")
    found = set()
    for message in (message for unit in reply["units"] for message in unit["messages"]):
        if message["severity"] == "error":
            line = message["pos"]["line"] - 1
            word = _word_at(lines[line], message["pos"]["column"]) if line < len(lines) else ""
            found.add(failure(message["data"], word))
    return found


def _word_at(line: str, column: int) -> str:
    """The word that a column of a line belongs to, or its sign; the parser points into words that it does not know."""
    return next((m[0] for m in _WORD.finditer(line) if m.start() <= column < m.end()), line[column : column + 1])


def failure(message: str, word: str = "") -> str:
    """What failed, in a few words by which messages can be counted: the unknown name, the token, or the message's kind.

    ``word`` is what stands at the message's place, for a message that does not name what it is about.
    """
    if message.startswith("unknown tactic") and word:
        return f"unknown tactic {word}"
    if message.startswith("expected token") and word:
        return f"syntax at '{word}'"
    if m := _UNKNOWN.search(message):
        return f"unknown {m[1].lower()} {m[2]}"
    if m := _TOKEN.search(message):
        return f"syntax at '{m[2]}'"
    first = _QUOTED.sub("…", message.strip().split("\n", 1)[0]).rstrip(" :")
    return first if len(first) <= _LONGEST else f"{first[: _LONGEST - 1]}…"
