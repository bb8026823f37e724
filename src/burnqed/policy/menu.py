r"""A policy that needs no model: a menu of tactics with priors that looks at the goal and its hypotheses.

The menu is a text file (``menu.txt`` beside this module, or the user's own), a rule a line::

    weight | when | tactic

``when`` is one of

- ``always``
- ``target REGEX``: the first goal's target matches; groups may be used in the tactic as ``{1}``, ``{2}``
- ``fact REGEX``: once for every accessible hypothesis that is a proposition and matches, named ``{h}``
- ``variable REGEX``: once for every other accessible variable whose type matches, named ``{x}``
- ``goals N``: at least N goals are open
- ``pair REGEX``: once for every two accessible variables of the same matching type, ``{x}`` and ``{y}``
- ``bounded N``: once for every Nat or Int variable that facts confine to at most N values; ``{x}`` is its name, ``{cases}``
  the disjunction ``x = a ∨ x = b ∨ …``, ``{patterns}`` is ``rfl | rfl | …``, ``{by_omega}`` and ``{by_grind}`` are tactics that
  try to finish the goal value by value
- ``modular N``: once for every Nat or Int variable and every modulus up to N in target or facts; ``{x}``, ``{m}``, ``{cases}``
  (``x % m = 0 ∨ …``), ``{patterns}`` (``hm | hm | …``), ``{T}`` (``Nat`` or ``Int``)
- ``numeral N``: once for every numeral from 2 to N in the facts, ``{1}``, and every Nat or Int variable ``{x}`` without an
  upper bound
- ``definition``: once for every definition of the theorem's own file that the goal mentions, named ``{d}``
- ``lemma``: once for every theorem of the same file that stands before, named ``{l}``
- ``premise N``: once for each of the N theorems of the library that are most like the first goal, named ``{p}``
- ``squares``: when a polynomial of the goal is a sum of squares; ``{hints}`` proves them (for an ordered ring), a line each

In tactics ``{facts}`` stands for all facts, comma-separated (the rule is skipped when there are none), ``\n`` is a
line break, ``{{`` and ``}}`` are braces. Weights are relative; within a state they are normalised to probabilities.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from burnqed.core.state import Goal, ProofState, Variable
from burnqed.core.tactic import Candidate, normalise
from burnqed.policy.menu_rules import Rule, fill
from burnqed.policy.squares import linear_forms
from burnqed.premises.file import library
from burnqed.premises.index import Premises

_PROPOSITION = re.compile(
    r"[=≠<>≤≥∧∨¬∃∀∣↔∈∉]|^True$|^False$|\bIs[A-Z]|Injective|Surjective|Nodup|Sorted|Pairwise|Even|Odd|\bWF\b"
)
_NAME = r"[A-Za-z_α-ωΑ-Ω][\w'₀-₉]*"
_LOWER = (
    (re.compile(rf"^(-?\d+) (<|≤) ({_NAME})$"), lambda n, op: int(n) + (op == "<")),
    (re.compile(rf"^({_NAME}) (>|≥) (-?\d+)$"), lambda n, op: int(n) + (op == ">")),
)
_UPPER = (
    (re.compile(rf"^({_NAME}) (<|≤) (-?\d+)$"), lambda n, op: int(n) - (op == "<")),
    (re.compile(rf"^(-?\d+) (>|≥) ({_NAME})$"), lambda n, op: int(n) - (op == ">")),
)


class MenuPolicy:
    """The TacticPolicy port over a menu. It looks at the first goal, where tactics work.

    ``definitions`` and ``lemmas`` are the names that the file around the theorem declares; ``premises`` is the library that
    rules about premises ask, read when the first of them applies.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        *,
        definitions: Sequence[str] = (),
        lemmas: Sequence[str] = (),
        premises: Callable[[], Premises] = library,
    ) -> None:
        self._rules = tuple(r for rule in rules for r in _for_names(rule, definitions, lemmas))
        self._most_premises = max((rule.count for rule in self._rules if rule.when == "premise"), default=0)
        self._premises = premises

    async def propose(self, states: Sequence[ProofState], n: int) -> list[list[Candidate]]:
        """The rules that apply to each state, heaviest first, equal weights in the menu's order."""
        return [self.candidates(state)[:n] for state in states]

    def candidates(self, state: ProofState) -> list[Candidate]:
        """Every candidate for a state, with log-probabilities that sum to one."""
        if not state.goals:
            return []
        weights: dict[str, float] = {}
        for rule in self._rules:
            for text in self._texts(rule, state):
                key = normalise(text)
                weights[key] = max(weights.get(key, 0.0), rule.weight)
        total = sum(weights.values())
        ranked = sorted(weights.items(), key=lambda item: -item[1])
        return [Candidate(text, math.log(weight / total), max(1, len(text.split()))) for text, weight in ranked]

    def _texts(self, rule: Rule, state: ProofState) -> Iterator[str]:
        """The tactics of a rule for a state."""
        goal = state.goals[0]
        if rule.when != "premise":
            yield from _instances(rule, goal, len(state.goals))
            return
        names = self._premises().alike(goal.text, state.imports, self._most_premises)[: rule.count]
        yield from _filled(rule, goal, (((), {"p": name}) for name in names))


def facts(goal: Goal) -> list[Variable]:
    """The accessible hypotheses that look like propositions."""
    return [
        v
        for v in goal.variables
        if v.accessible and v.value is None and _PROPOSITION.search(v.type) and not _is_sort(v.type)
    ]


def variables(goal: Goal) -> list[Variable]:
    """The other accessible variables."""
    known = {v.name for v in facts(goal)}
    return [v for v in goal.variables if v.accessible and v.name not in known]


def bounded(goal: Goal, limit: int) -> Iterator[tuple[str, list[int]]]:
    """The Nat and Int variables that facts of the form ``a < x`` and ``x ≤ b`` confine to at most ``limit`` values."""
    for v in variables(goal):
        low, high = _interval(goal, v)
        if low is not None and high is not None and 0 < high - low + 1 <= limit:
            yield v.name, list(range(low, high + 1))


def _interval(goal: Goal, v: Variable) -> tuple[int | None, int | None]:
    """The least and the greatest value of a Nat or Int variable as far as facts say so in numerals."""
    if v.type not in ("Nat", "Int"):
        return None, None
    low: int | None = 0 if v.type == "Nat" else None
    high: int | None = None
    for part in (p.strip() for f in facts(goal) for p in f.type.split("∧")):
        for found in _bounds(part, v.name, _LOWER):
            low = found if low is None else max(low, found)
        for found in _bounds(part, v.name, _UPPER):
            high = found if high is None else min(high, found)
    return low, high


def _bounds(part: str, name: str, forms: Sequence[tuple[re.Pattern[str], object]]) -> Iterator[int]:
    for pattern, value in forms:
        if (m := pattern.match(part)) and name in (m[1], m[3]):
            number = m[3] if m[1] == name else m[1]
            assert callable(value)
            yield value(number, m[2])


def _instances(rule: Rule, goal: Goal, num_goals: int) -> Iterator[str]:
    """The tactic texts of a rule for a goal."""
    yield from _filled(rule, goal, _MATCHES[rule.when](rule, goal, num_goals))


Binding = tuple[tuple[str, ...], dict[str, str]]


def _filled(rule: Rule, goal: Goal, bindings: Iterable[Binding]) -> Iterator[str]:
    """A rule's tactic for each way in which it applies."""
    all_facts = ", ".join(v.name for v in facts(goal))
    if "{facts}" in rule.tactic and not all_facts:
        return
    for groups, names in bindings:
        yield fill(rule.tactic, groups, {"facts": all_facts, **names})


def _always(rule: Rule, goal: Goal, num_goals: int) -> Iterator[Binding]:
    yield (), {}


def _goals(rule: Rule, goal: Goal, num_goals: int) -> Iterator[Binding]:
    if num_goals >= rule.count:
        yield (), {}


def _target(rule: Rule, goal: Goal, num_goals: int) -> Iterator[Binding]:
    assert rule.pattern is not None
    if m := rule.pattern.search(goal.target):
        yield _groups(m), {}


def _fact(rule: Rule, goal: Goal, num_goals: int) -> Iterator[Binding]:
    assert rule.pattern is not None
    for v in facts(goal):
        if m := rule.pattern.search(v.type):
            yield _groups(m), {"h": v.name}


def _variable(rule: Rule, goal: Goal, num_goals: int) -> Iterator[Binding]:
    assert rule.pattern is not None
    for v in variables(goal):
        if m := rule.pattern.search(v.type):
            yield _groups(m), {"x": v.name}


def _pair(rule: Rule, goal: Goal, num_goals: int) -> Iterator[Binding]:
    assert rule.pattern is not None
    for a, b in itertools.combinations(variables(goal), 2):
        if a.type == b.type and (m := rule.pattern.search(a.type)):
            yield _groups(m), {"x": a.name, "y": b.name}


def _bounded(rule: Rule, goal: Goal, num_goals: int) -> Iterator[Binding]:
    for name, values in bounded(goal, rule.count):
        cases, patterns = _cases(name, values)
        by_omega = "\n".join(_case_tree(name, values, "omega"))
        by_grind = "\n".join(_case_tree(name, values, "first | omega | grind"))
        yield (), {"x": name, "cases": cases, "patterns": patterns, "by_omega": by_omega, "by_grind": by_grind}


def _cases(name: str, values: list[int]) -> tuple[str, str]:
    """``x = a ∨ x = b ∨ …`` and the pattern that takes it apart."""
    return " ∨ ".join(f"{name} = {value}" for value in values), " | ".join(["rfl"] * len(values))


def _case_tree(name: str, values: list[int], closer: str) -> list[str]:
    """Lines of a tactic that closes the goal for each value apart.

    Split in halves, since omega takes too long to see that a variable has one of many values.
    """
    if len(values) <= _LEAF:
        cases, patterns = _cases(name, values)
        return [f"have hx : {cases} := by omega", f"rcases hx with {patterns} <;> ({closer})"]
    half = len(values) // 2
    lines = [f"rcases (by omega : {name} < {values[half]} ∨ {values[half]} ≤ {name}) with hx | hx"]
    for part in (values[:half], values[half:]):
        first, *rest = _case_tree(name, part, closer)
        lines += [f"· {first}", *(f"  {line}" for line in rest)]
    return lines


def _modular(rule: Rule, goal: Goal, num_goals: int) -> Iterator[Binding]:
    text = " ".join([goal.target, *(v.type for v in facts(goal))])
    moduli = sorted({int(a or b) for a, b in _MODULUS.findall(text)})
    for m in moduli:
        if not 2 <= m <= rule.count:
            continue
        for v in variables(goal):
            if v.type in ("Nat", "Int"):
                cases = " ∨ ".join(f"{v.name} % {m} = {r}" for r in range(m))
                yield (), {"x": v.name, "m": str(m), "cases": cases, "patterns": " | ".join(["hm"] * m), "T": v.type}


def _numeral(rule: Rule, goal: Goal, num_goals: int) -> Iterator[Binding]:
    numerals = sorted({int(n) for v in facts(goal) for n in re.findall(r"\b\d+\b", v.type)})
    for v in variables(goal):
        if v.type in ("Nat", "Int") and _interval(goal, v)[1] is None:
            for n in numerals:
                if 2 <= n <= rule.count:
                    yield (str(n), str(n)), {"x": v.name}


def _mentions(rule: Rule, goal: Goal, num_goals: int) -> Iterator[Binding]:
    assert rule.pattern is not None
    if rule.pattern.search(goal.text):
        yield (), {}


def _never(rule: Rule, goal: Goal, num_goals: int) -> Iterator[Binding]:
    yield from ()


def _for_names(rule: Rule, definitions: Sequence[str], lemmas: Sequence[str]) -> Iterator[Rule]:
    """The rule; one for each name if it is about names."""
    if rule.when == "definition":
        for name in definitions:
            mentioned = re.compile(rf"(?<![\w'])(?:[\w'.]*\.)?{re.escape(name)}(?![\w'])")
            yield Rule(rule.weight, "mentions", mentioned, 0, rule.tactic.replace("{d}", name))
    elif rule.when == "lemma":
        for name in lemmas:
            yield Rule(rule.weight, "always", None, 0, rule.tactic.replace("{l}", name))
    else:
        yield rule


def _squares(rule: Rule, goal: Goal, num_goals: int) -> Iterator[Binding]:
    if forms := linear_forms(goal):
        types = {v.name: v.type for v in goal.variables}
        lines = []
        for i, form in enumerate(forms):
            name = re.search(r"[^\W\d][\w'₀-₉]*", form)
            carrier = types.get(name[0], "_") if name else "_"
            lines.append(f"have hsq{i} : (0 : {carrier}) ≤ ({form}) ^ 2 := Lean.Grind.OrderedRing.sq_nonneg")
        yield (), {"hints": "\n".join(lines)}


_MATCHES: dict[str, Callable[[Rule, Goal, int], Iterator[Binding]]] = {
    "always": _always,
    "goals": _goals,
    "target": _target,
    "fact": _fact,
    "variable": _variable,
    "pair": _pair,
    "bounded": _bounded,
    "modular": _modular,
    "numeral": _numeral,
    "squares": _squares,
    "definition": _never,  # until it is known which there are
    "lemma": _never,
    "premise": _never,  # it takes the library
    "mentions": _mentions,
}
_LEAF = 8
_MODULUS = re.compile(r"% (\d+)|\b(\d+) ∣")


def _groups(m: re.Match[str]) -> tuple[str, ...]:
    return (m[0], *(g or "" for g in m.groups()))


def _is_sort(type_text: str) -> bool:
    return type_text == "Prop" or type_text.startswith(("Type", "Sort"))
