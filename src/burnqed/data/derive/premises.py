"""Which theorems of the library may help to prove a task: those that its imports have, the most alike first.

Two signs of likeness. By symbols: the cosine of two statements as sets of names and operators, each weighted by its inverse
document frequency (Salton and Buckley 1988), as premise selection by k-NN does (Blanchette et al. 2016). By name: what is the
same for another type has the same last name in the library (``Std.TreeMap.size_insert``, ``Std.DTreeMap.size_insert``). The
name of the task's own theorem is known while training data is made, and never while proving.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from burnqed.data.harvest.catalogue import Module

_WORD = re.compile(
    r"[A-Za-z_À-ÿα-ωΑ-Ω₀-₉ℕ][\w'.!?₀-₉]*"  # a name, with its dots
    r"|[^\sA-Za-z0-9_(){}\[\],:;@]+"  # an operator
    r"|\d+"
)
_SAYS_NOTHING = frozenset(("Type", "Sort", "Prop", "fun", "theorem", "=>", "·", "inst", "u_1", "u_2"))
_COMMON = 1.0
"""Symbols in more than one statement of e tell nothing, and would be most of the work."""


def symbols(statement: str) -> frozenset[str]:
    """What a statement speaks of: operators, and names of more than one letter with their last two parts."""
    found: set[str] = set()
    for word in _WORD.findall(re.sub(r"^theorem \S+", "", statement)):
        if word in _SAYS_NOTHING or (len(word) == 1 and word.isalpha()):
            continue
        found.add(word)
        if "." in word and not word.startswith("."):
            found.update(word.split(".")[-2:])
    return frozenset(found)


class Premises:
    """The theorems of some modules, to be looked up by likeness.

    ``statements`` are the texts of those that have one, by name; of the others their names' words stand for it.
    """

    def __init__(self, modules: Iterable[Module], statements: Mapping[str, str]) -> None:
        self._imports: dict[str, tuple[str, ...]] = {}
        self._names: list[str] = []
        self._module: list[str] = []
        said: list[frozenset[str]] = []
        for module in modules:
            self._imports[module.name] = module.imports
            for theorem in module.candidates:
                self._names.append(theorem.name)
                self._module.append(module.name)
                text = statements.get(theorem.name)
                said.append(symbols(re.sub(r"[._]", " ", theorem.name) if text is None else text))
        frequency = Counter(symbol for each in said for symbol in each)
        self._weight = {symbol: math.log(len(said) / count) for symbol, count in frequency.items()}
        self._length = [math.sqrt(sum(self._weight[s] ** 2 for s in each)) or 1.0 for each in said]
        self._with: dict[str, list[int]] = defaultdict(list)
        for i, each in enumerate(said):
            for symbol in each:
                if self._weight[symbol] >= _COMMON:
                    self._with[symbol].append(i)
        self._called: dict[str, list[int]] = defaultdict(list)
        for i, name in enumerate(self._names):
            self._called[_last(name)].append(i)
        self._visible: dict[tuple[str, ...], frozenset[str]] = {}

    def visible(self, imports: Sequence[str]) -> frozenset[str]:
        """The modules that these imports bring along, themselves included."""
        key = tuple(imports)
        if key not in self._visible:
            seen: set[str] = set()
            todo = list(imports)
            while todo:
                module = todo.pop()
                if module not in seen:
                    seen.add(module)
                    todo += self._imports.get(module, ())
            self._visible[key] = frozenset(seen)
        return self._visible[key]

    def alike(self, statement: str, imports: Sequence[str], count: int) -> list[str]:
        """At most ``count`` theorems by their symbols, most alike first; equals in the library's order."""
        visible, score = self.visible(imports), defaultdict[int, float](float)
        for symbol in symbols(statement):
            weight = self._weight.get(symbol, 0.0) ** 2
            for i in self._with.get(symbol, ()):
                score[i] += weight
        # The square root of the length: of two that share the same symbols the shorter comes first, but not by far.
        ranked = sorted(
            (-shared / math.sqrt(self._length[i]), i) for i, shared in score.items() if self._module[i] in visible
        )
        return [self._names[i] for _, i in ranked[:count]]

    def namesakes(self, name: str, imports: Sequence[str], count: int) -> list[str]:
        """At most ``count`` theorems whose last name is that of ``name``, in the library's order."""
        visible = self.visible(imports)
        found = (i for i in self._called.get(_last(name), ()) if self._module[i] in visible and self._names[i] != name)
        return [self._names[i] for i, _ in zip(found, range(count), strict=False)]


def _last(name: str) -> str:
    return name.rsplit(".", 1)[-1]
