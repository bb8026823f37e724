"""The normal form of a statement: equal for texts that state the same in another dress.

Name, blank space, comments, brackets, casts, kinds of binders, names of variables and hypotheses, the order of hypotheses, and of
the parts of ``+ * ∧ ∨ = ↔`` do not count; nor does it matter whether a condition is a hypothesis or a premise of the claim, or
several of them one conjunction. With ``types="erased"`` the kind of numbers does not count either, so that a problem over ℝ and
its restatement over ℚ or over any ordered field are the same. Nothing is computed: ``2 + 2`` stays what it is.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from burnqed.data.lean_tree import Binder, Term
from burnqed.data.plain_terms import (
    CHAINS,
    SOME_NUMBERS,
    SYMMETRIC,
    Plain,
    Types,
    Writer,
    is_data,
    is_proposition,
)
from burnqed.data.statements import Declaration, declaration

Colours = Callable[[str], str]
_MOST_VARIABLES = 40
_FEATURE_DEPTHS = (1, 3)


@dataclass(frozen=True)
class NormalForm:
    """A statement as hypotheses and a claim, its variables numbered by the part they play.

    ``hypotheses`` and ``goal`` are without the names of variables (all are ``v``); ``text`` is the whole with them.
    ``negated`` says whether the claim is a negation.
    """

    text: str
    hypotheses: frozenset[str]
    goal: str
    negated: bool
    _parts: tuple[tuple[str, Plain], ...]

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that stand for the statement."""
        return hashlib.blake2b(self.text.encode(errors="surrogatepass"), digest_size=8).hexdigest()

    @cached_property
    def features(self) -> frozenset[str]:
        """Small pieces of the trees, each with the number of its repetition: what near-duplicates share."""
        counts: Counter[str] = Counter()
        for role, tree in self._parts:
            _count_pieces(tree, role, counts)
        return frozenset(f"{piece}#{i}" for piece, n in counts.items() for i in range(n))


def normal_form(statement: str, *, types: Types = "erased") -> NormalForm | None:
    """The normal form of a declaration's text (its proof, if any, is not looked at); None when there is no claim in it."""
    found = declaration(statement)
    return None if found is None else normal_form_of(found, types=types)


def normal_form_of(found: Declaration, *, types: Types = "erased") -> NormalForm | None:
    """The same for a declaration that was read already; None for one that claims nothing."""
    if found.goal is None:
        return None
    sequent = _Sequent(types, _names_used(found))
    for binder in found.binders:
        sequent.declare(binder)
    goal = sequent.claim(found.goal)
    hypotheses = list(dict.fromkeys(sequent.hypotheses))
    parts = (*(("h", h) for h in hypotheses), ("not" if goal.op == "¬" else "goal", goal))
    colours = _coloured(sequent.kinds, parts)
    text = f"{'; '.join(sorted(written(h, colours) for h in hypotheses))} ⊢ {written(goal, colours)}"
    if types == "kept":
        shown = (f"{colours(f'v:{i}')} {written(k, colours)}" for i, k in enumerate(sequent.kinds))
        text = f"{', '.join(sorted(shown))} | {text}"
    return NormalForm(
        text, frozenset(written(h, _same) for h in hypotheses), written(goal, _same), goal.op == "¬", parts
    )


def written(plain: Plain, colour: Colours) -> str:
    """A tree as text; variables by their colour, the parts of symmetric signs in the order of their texts."""
    if not plain.args:
        return colour(plain.op) if plain.op[:2] == "v:" else plain.op
    parts = [written(a, colour) for a in plain.args]
    if plain.op in CHAINS or plain.op in SYMMETRIC or plain.op == "set":
        parts.sort()
    elif plain.op == "⇒":
        parts[:-1] = sorted(set(parts[:-1]))
    return f"({plain.op} {' '.join(parts)})"


class _Sequent:
    """Collects variables and hypotheses, in the order in which they are declared."""

    def __init__(self, types: Types, used: Counter[str]) -> None:
        self.types = types
        self.writer = Writer(types)
        self.kinds: list[Plain] = []
        self.hypotheses: list[Plain] = []
        self._used = used

    def declare(self, binder: Binder) -> None:
        kind = self.writer.plain(binder.type) if binder.type is not None else Plain("c:?")
        if binder.bracket == "[":
            if self.types == "kept":
                self.hypotheses.append(kind)
            return
        for name in binder.names:
            if is_proposition(kind):
                self.suppose(kind)
                self.writer.free[name] = Plain("c:proof")
            elif self.types == "erased" and (kind.args[0] if kind.op == "apply" else kind).op in ("c:Type", "c:Sort"):
                self.writer.free[name] = SOME_NUMBERS
            elif self._used[name] or binder.bound is not None or kind.op == "c:?":
                self.writer.free[name] = Plain(f"v:{len(self.kinds)}")
                self.kinds.append(kind)
            elif not is_data(kind):  # nobody speaks of it: an assumption whose sign we do not know, such as `Even n`
                self.suppose(kind)
        if binder.bound is not None:
            self.claim(_bounded(binder), only_suppose=True)

    def suppose(self, plain: Plain) -> None:
        """A hypothesis; a conjunction is several."""
        self.hypotheses += plain.args if plain.op == "∧" else (plain,)

    def claim(self, term: Term, *, only_suppose: bool = False) -> Plain:
        """The goal after its leading ∀ and premises have become variables and hypotheses."""
        while not only_suppose:
            if term.kind == "paren" and term.args[0].kind != "typed":
                term = term.args[0]
            elif term.kind == "quantifier" and term.head == "∀":
                for binder in term.binders:
                    self.declare(binder)
                term = term.args[0]
            elif term.kind == "infix" and term.head == "→":
                self.suppose(self.writer.plain(term.args[0]))
                term = term.args[1]
            else:
                break
        plain = self.writer.plain(term)
        if only_suppose:
            self.suppose(plain)
        return plain


def _bounded(binder: Binder) -> Term:
    """The condition of ``∀ x > 0``."""
    assert binder.bound is not None
    op, limit = binder.bound
    subject = Term("name", binder.names[-1], (), binder.start, binder.start)
    return Term("infix", op, (subject, limit), binder.start, binder.end)


def _names_used(found: Declaration) -> Counter[str]:
    """How often each name stands in the terms of a declaration; of a dotted one its head as well."""
    counts: Counter[str] = Counter()

    def visit(term: Term | None) -> None:
        if term is None:
            return
        if term.kind == "name":
            counts[term.head] += 1
            if "." in term.head:
                counts[term.head.partition(".")[0]] += 1
        for part in term.args:
            visit(part)
        look(term.binders)

    def look(binders: tuple[Binder, ...]) -> None:
        for binder in binders:
            visit(binder.type)
            if binder.bound is not None:
                visit(binder.bound[1])

    look(found.binders)
    visit(found.goal)
    return counts


def _same(_: str) -> str:
    return "v"


def _coloured(kinds: list[Plain], parts: tuple[tuple[str, Plain], ...]) -> Colours:
    """A name for each variable that depends on nothing but the part it plays.

    Colour refinement (Weisfeiler and Leman 1968): variables that differ in what is said of them get different colours, until
    nothing changes; of those that are still alike the first is set apart, and it goes on. For variables that can be exchanged
    it does not matter which is the first.
    """
    count = len(kinds)
    rank = _ranks([(written(k, _same),) for k in kinds])
    named = [(role, part, _variables(part)) for role, part in parts]
    where = [[(role, part) for role, part, names in named if f"v:{i}" in names] for i in range(count)]

    def colour_of(marked: int) -> Colours:
        return lambda leaf: "•" if (i := int(leaf[2:])) == marked else f"v{rank[i]}"

    while count <= _MOST_VARIABLES:
        marks = [
            (f"{rank[i]:03}", *sorted(role + written(part, colour_of(i)) for role, part in where[i]))
            for i in range(count)
        ]
        finer = _ranks(marks)
        if max(finer, default=0) == max(rank, default=0):
            twins = [r for r, n in Counter(rank).items() if n > 1]
            if not twins:
                break
            first = rank.index(min(twins))
            rank = [r + (r > rank[first] or (r == rank[first] and i != first)) for i, r in enumerate(rank)]
        else:
            rank = finer
    if count > _MOST_VARIABLES:
        rank = list(range(count))
    return lambda leaf: f"v{rank[int(leaf[2:])]}"


def _ranks(marks: list[tuple[str, ...]]) -> list[int]:
    """For each mark its place among the different ones, in order."""
    order = {mark: i for i, mark in enumerate(sorted(set(marks)))}
    return [order[mark] for mark in marks]


def _variables(plain: Plain) -> set[str]:
    if not plain.args:
        return {plain.op} if plain.op[:2] == "v:" else set()
    return set().union(*(_variables(a) for a in plain.args))


def _count_pieces(plain: Plain, role: str, counts: Counter[str]) -> None:
    if not plain.args:
        return
    for depth in _FEATURE_DEPTHS:
        counts[f"{role}{depth} {_piece(plain, depth)}"] += 1
    for part in plain.args:
        _count_pieces(part, role, counts)


def _piece(plain: Plain, depth: int) -> str:
    """The top of a tree, ``depth`` levels of it, without the names of variables."""
    if not plain.args:
        return "v" if plain.op[:2] in ("v:", "b:") else plain.op
    if depth == 0:
        return plain.op
    parts = [_piece(a, depth - 1) for a in plain.args]
    if plain.op in CHAINS or plain.op in SYMMETRIC or plain.op in ("⇒", "set"):
        parts.sort()
    return f"({plain.op} {' '.join(parts)})"
