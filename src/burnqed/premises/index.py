"""Theorems of a library to be looked up by likeness: those that a goal's environment has, the most alike first.

Two signs of likeness. By symbols: the cosine of two statements as sets of names and operators, each weighted by its inverse
document frequency (Salton and Buckley 1988), as premise selection by k-NN does (Blanchette et al. 2016). By name: what is the
same for another type has the same last name in the library (``Std.TreeMap.size_insert``, ``Std.DTreeMap.size_insert``). The
name of a task's own theorem is known while training data is made, and never while proving.
"""

from __future__ import annotations

import math
import re
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_WORD = re.compile(
    r"[A-Za-z_À-ÿα-ωΑ-Ω₀-₉ℕ][\w'.!?₀-₉]*"  # a name, with its dots
    r"|[^\sA-Za-z0-9_(){}\[\],:;@]+"  # an operator
    r"|\d+"
)
_SAYS_NOTHING = frozenset(("Type", "Sort", "Prop", "fun", "theorem", "=>", "·", "inst", "u_1", "u_2"))
_NUMERALS = frozenset("012")
"""Others are rare in a library, so that they would weigh most, and tell nothing: 857 in a goal has no theorem of its own."""
_COMMON = 1.0
"""Symbols in more than one statement of e tell nothing, and would be most of the work."""
_KEPT = 4096


def symbols(statement: str) -> frozenset[str]:
    """What a statement, or a goal as Lean prints it, speaks of: operators, and longer names with their last two parts."""
    found: set[str] = set()
    for word in _WORD.findall(re.sub(r"^theorem \S+", "", statement)):
        if word in _SAYS_NOTHING or (len(word) == 1 and word.isalpha()) or (word.isdigit() and word not in _NUMERALS):
            continue
        found.add(word)
        if "." in word and not word.startswith("."):
            found.update(word.split(".")[-2:])
    return frozenset(found)


@dataclass(frozen=True)
class Known:
    """A theorem of the library: its name, its module, and what its statement speaks of."""

    name: str
    module: str
    symbols: frozenset[str]


class Premises:
    """The theorems of a library, in its order, and what each module imports."""

    def __init__(self, theorems: Sequence[Known], imports: Mapping[str, Sequence[str]]) -> None:
        self.theorems = tuple(theorems)
        self.imports = {module: tuple(found) for module, found in imports.items()}
        frequency = Counter(symbol for known in self.theorems for symbol in known.symbols)
        self._weight = {symbol: math.log(len(self.theorems) / count) for symbol, count in frequency.items()}
        self._length = [math.sqrt(sum(self._weight[s] ** 2 for s in known.symbols)) or 1.0 for known in self.theorems]
        self._with: dict[str, list[int]] = defaultdict(list)
        self._called: dict[str, list[int]] = defaultdict(list)
        self._module: dict[str, str] = {}
        for i, known in enumerate(self.theorems):
            for symbol in known.symbols:
                if self._weight[symbol] >= _COMMON:
                    self._with[symbol].append(i)
            self._called[_last(known.name)].append(i)
            self._module[known.name] = known.module
        self._modules = frozenset({*self.imports, *(m for found in self.imports.values() for m in found)})
        self._visible: dict[tuple[str, ...], frozenset[str]] = {}
        self._asked: OrderedDict[tuple[str, tuple[str, ...], int], tuple[str, ...]] = OrderedDict()

    def module_of(self, name: str) -> str:
        """The module that a theorem stands in; empty for one that is not known."""
        return self._module.get(name, "")

    def visible(self, imports: Sequence[str]) -> frozenset[str]:
        """The modules that these imports bring along, themselves included.

        All modules when there are no imports to go by, or one is from elsewhere, since nobody here knows what that imports.
        """
        key = tuple(imports)
        if key not in self._visible:
            known = bool(key) and self._modules.issuperset(key)
            seen: set[str] = set() if known else set(self._modules)
            todo = list(key)
            while todo:
                module = todo.pop()
                if module not in seen:
                    seen.add(module)
                    todo += self.imports.get(module, ())
            self._visible[key] = frozenset(seen)
        return self._visible[key]

    def alike(self, statement: str, imports: Sequence[str], count: int) -> list[str]:
        """At most ``count`` theorems by their symbols, most alike first; equals in the library's order."""
        key = (statement, tuple(imports), count)
        if (before := self._asked.get(key)) is not None:
            return list(before)
        visible, score = self.visible(imports), defaultdict[int, float](float)
        for symbol in symbols(statement):
            weight = self._weight.get(symbol, 0.0) ** 2
            for i in self._with.get(symbol, ()):
                score[i] += weight
        # The square root of the length: of two that share the same symbols the shorter comes first, but not by far.
        ranked = sorted(
            (-shared / math.sqrt(self._length[i]), i)
            for i, shared in score.items()
            if self.theorems[i].module in visible
        )
        found = tuple(self.theorems[i].name for _, i in ranked[:count])
        self._asked[key] = found
        if len(self._asked) > _KEPT:
            self._asked.popitem(last=False)
        return list(found)

    def namesakes(self, name: str, imports: Sequence[str], count: int) -> list[str]:
        """At most ``count`` theorems whose last name is that of ``name``, in the library's order."""
        visible = self.visible(imports)
        named = (self.theorems[i] for i in self._called.get(_last(name), ()))
        found = (known.name for known in named if known.module in visible and known.name != name)
        return [one for one, _ in zip(found, range(count), strict=False)]


def _last(name: str) -> str:
    return name.rsplit(".", 1)[-1]
