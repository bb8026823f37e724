"""A first look at a source for the native gate: whether it is the statement that was asked for, and nothing beside it.

It keeps honest mistakes and plain tricks from costing a compilation. It guarantees nothing: Lean's grammar can be
extended, and what runs while a file is compiled is held by the sandbox and judged from outside.
"""

from __future__ import annotations

import re

from burnqed.core.theorem import Theorem

_NAME = re.compile(r"theorem\s+((?:«[^»]*»|[^\s:({\[⦃.«]+)(?:\.(?:«[^»]*»|[^\s:({\[⦃.«]+))*)")
_LIMIT = re.compile(r"\A(?:set_option\s+maxHeartbeats\s+\d+\s+in\s+)*")
_COMMAND = re.compile(
    r"\A\s*(?:@\[.*?\]\s*)?(?:#\w|(?:theorem|lemma|def|abbrev|example|instance|axiom|opaque|structure|class|inductive|coinductive"
    r"|namespace|section|end|import|universe|variable|attribute|initialize|builtin_initialize|run_cmd|run_elab|run_meta"
    r"|macro|macro_rules|syntax|notation|notation3|infix|infixl|infixr|prefix|postfix|elab|elab_rules|declare_syntax_cat"
    r"|private|protected|public|noncomputable|unsafe|partial|mutual|local|scoped|export|simproc|deriving|meta)\b)"
)


def declared_name(theorem: Theorem) -> str:
    """The name as it is written in the statement; empty when there is none."""
    match = _NAME.match(theorem.signature)
    return match[1] if match else ""


def objection(theorem: Theorem, source: str) -> str:
    """Why a source is not one theorem with that statement; empty when it looks so."""
    text = source[_LIMIT.match(source).end() :]  # type: ignore[union-attr]  # it matches the empty text too
    if not text.startswith(theorem.signature):
        return "the source does not begin with the statement"
    rest = text[len(theorem.signature) :]
    if not rest.lstrip().startswith(":="):
        return "the source has no proof after the statement"
    for line in rest.split("\n")[1:]:
        if _COMMAND.match(line):
            return f"the source is not one theorem: {line.strip()[:60]!r} begins another command"
    return ""
