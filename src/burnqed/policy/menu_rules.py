"""The file format of a tactic menu, and what is wrong with a line. What its words mean: :mod:`burnqed.policy.menu`."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from burnqed.core.errors import BadInput

_SEPARATOR = re.compile(r"\s+\|\s+")
_WHEN = re.compile(r"^(\w+)(?:\s+(.+))?$")
CONDITIONS = (
    "always",
    "goals",
    "target",
    "fact",
    "variable",
    "pair",
    "bounded",
    "modular",
    "numeral",
    "squares",
    "definition",
    "lemma",
    "premise",
)
"""The words that a rule's ``when`` may begin with."""
_WITH_PATTERN = ("target", "fact", "variable", "pair")
_WITH_COUNT = ("goals", "bounded", "modular", "numeral", "premise")
_NAMES = {
    "fact": ("h",),
    "variable": ("x",),
    "pair": ("x", "y"),
    "bounded": ("x", "cases", "patterns", "by_omega", "by_grind"),
    "modular": ("x", "m", "cases", "patterns", "T"),
    "numeral": ("x",),
    "squares": ("hints",),
    "definition": ("d",),
    "lemma": ("l",),
    "premise": ("p",),
}


@dataclass(frozen=True)
class Rule:
    """One line of a menu."""

    weight: float
    when: str
    pattern: re.Pattern[str] | None
    count: int
    tactic: str


def parse_menu(text: str, *, source: str) -> tuple[Rule, ...]:
    """The rules of a menu file. Raises BadInput that names the file and line of the first broken one."""
    rules: list[Rule] = []
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        rules.append(_parse_rule(line, f"{source}:{number}"))
    if not rules:
        raise BadInput(f"{source}: the tactic menu has no rules; a line is `weight | when | tactic`")
    return tuple(rules)


def load_menu(path: Path | None = None) -> tuple[Rule, ...]:
    """The user's menu, or the one that comes with burnqed. Raises BadInput when it cannot be read or parsed."""
    if path is None:
        return parse_menu(
            resources.files("burnqed.policy").joinpath("menu.txt").read_text(encoding="utf-8"), source="menu.txt"
        )
    try:
        return parse_menu(path.read_text(encoding="utf-8"), source=str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: the tactic menu cannot be read: {error}") from error


def fill(tactic: str, groups: Sequence[str], names: dict[str, str]) -> str:
    """A tactic with its placeholders filled in."""
    return tactic.format(*groups, **names)


def _parse_rule(line: str, where: str) -> Rule:
    parts = _SEPARATOR.split(line, maxsplit=2)  # blanks belong to it: a bare | is alternation in a regular expression
    if len(parts) != 3 or not parts[2]:
        raise BadInput(f"{where}: a menu line is `weight | when | tactic`, this one is not: {line}")
    try:
        weight = float(parts[0])
    except ValueError:
        raise BadInput(f"{where}: the weight {parts[0]!r} is not a number") from None
    if not weight > 0 or math.isinf(weight):
        raise BadInput(f"{where}: the weight must be a positive number, not {parts[0]}")
    match = _WHEN.match(parts[1])
    if match is None or match[1] not in CONDITIONS:
        raise BadInput(f"{where}: unknown condition {parts[1]!r}; use one of {', '.join(CONDITIONS)}")
    when, argument = match[1], match[2]
    pattern, count = None, 0
    if when in _WITH_PATTERN:
        if argument is None:
            raise BadInput(f"{where}: `{when}` needs a regular expression")
        try:
            pattern = re.compile(argument)
        except re.error as error:
            raise BadInput(f"{where}: bad regular expression {argument!r}: {error}") from None
    elif when in _WITH_COUNT:
        if argument is None or not argument.isdecimal():
            raise BadInput(f"{where}: `{when}` needs a whole number")
        count = int(argument)
    tactic = parts[2].replace("\\n", "\n")
    try:
        groups = pattern.groups + 1 if pattern else 2 if when == "numeral" else 0
        fill(tactic, [""] * groups, dict.fromkeys(("facts", *_NAMES.get(when, ())), "x"))
    except (KeyError, IndexError, ValueError) as error:
        raise BadInput(
            f"{where}: `{when}` does not give a placeholder of this tactic ({error}); {{{{ and }}}} are braces"
        ) from None
    return Rule(weight, when, pattern, count, tactic)
