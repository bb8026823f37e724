"""A whole proof, cut into steps that can be tried one after the other."""

from __future__ import annotations

import re

from burnqed.core.tactic import normalise

_CONTINUES = re.compile(r"^([|⟨⟩)\]}=∧∨→↔←,:;<>+*/^]|_\s|(with|at|using|then|else|from|by|fun)\b)")
_CHARACTER = re.compile(r"""'\\?"'""")  # the character " as Lean writes it, which begins no string
_BULLET = re.compile(r"^[·.] ?")


def steps_of(script: str) -> tuple[str, ...]:
    """The tactics of a script at its outermost level, each with the lines that belong to it.

    A line that is indented further, or that cannot begin a tactic (``| zero => …``, ``<;> simp``), belongs to the step before.
    Comments and empty lines go. The cut is by layout alone; Lean says of each step whether it was one.
    """
    steps: list[list[str]] = []
    for line in _without_comments(normalise(script)).splitlines():
        if not line.strip():
            continue
        if steps and (line[0].isspace() or _CONTINUES.match(line)):
            steps[-1].append(line)
        else:
            steps.append([line])
    return tuple(normalise("\n".join(step)) for step in steps)


def inside_bullet(step: str) -> tuple[str, ...]:
    """The steps inside a bullet; none when the step is no bullet."""
    head = _BULLET.match(step)
    if head is None or step.startswith(".."):
        return ()
    first, *rest = step[head.end() :].splitlines() or [""]
    margin = min((len(line) - len(line.lstrip()) for line in rest if line.strip()), default=0)
    return steps_of("\n".join([first, *(line[margin:] for line in rest)]))


def _without_comments(text: str) -> str:
    """Comments taken out: ``--`` to the end of the line unless in a string, ``/- … -/`` nested."""
    out: list[str] = []
    at = depth = 0
    in_string = False
    while at < len(text):
        two = text[at : at + 2]
        if in_string:
            step = 2 if text[at] == "\\" else 1
            in_string = text[at] != '"'
            out.append(text[at : at + step])
        elif two == "/-" or (depth and two == "-/"):
            depth += 1 if two == "/-" else -1
            step = 2
            if not depth and (not out or out[-1] == "\n"):
                # What stands behind a comment at the beginning of a line is not indented by it.
                step += len(text[at + 2 :]) - len(text[at + 2 :].lstrip(" "))
        elif depth:
            step = 1
        elif two == "--":
            end = text.find("\n", at)
            step = (len(text) if end < 0 else end) - at
        elif character := _CHARACTER.match(text, at):
            out.append(character.group())
            step = len(character.group())
        else:
            in_string = text[at] == '"'
            out.append(text[at])
            step = 1
        at += step
    return "".join(out)
