"""Nothing that measures may be learnt: what matches a benchmark's theorem, in whatever dress, is kept out of training.

A theorem matches by its name; by its statement's normal form, in which a restatement over another kind of numbers is the same; by
the same claim from fewer, more or similar hypotheses; as a near-duplicate; or by its informal text. Theorems in its header and
what its proof claims with ``have`` are looked at as well. The negation of a benchmark's theorem is none of these.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from burnqed.core.errors import BadInput
from burnqed.data.intake import take_in
from burnqed.data.manifest import Manifest
from burnqed.data.near_duplicates import similarity
from burnqed.data.normal_form import NormalForm, normal_form, normal_form_of
from burnqed.data.records import HARVESTED, Record, TacticRecord, TheoremRecord
from burnqed.data.restate.rendering import Unstatable
from burnqed.data.restate.statement import restate
from burnqed.data.sources.any_file import benchmark_of
from burnqed.data.statements import claims_in, theorems_in
from burnqed.data.states import goals_of

DECONTAMINATE = "decontaminate"
"""The stage under which rows are dropped here."""
NEAR = 0.6
"""From this similarity on a theorem counts as a benchmark's. Two different problems of one benchmark hardly ever reach it."""

NEAR_WITH_SAME_CLAIM = 0.4
"""The same for theorems that claim the same, but for names of variables."""

How = Literal["name", "statement", "same claim", "near-duplicate", "informal text", "inside its proof"]

_RESTATED_NAME = re.compile(r"(?:_(?:v\d+|core|field|rat|restated|formal|lean4?|alt\d*|new|copy))+$|~\d+$")
_SHORTEST_INFORMAL = 40  # letters and digits; shorter texts are the same by chance
_NOT_ALNUM = re.compile(r"[\W_]+")
_ANSWER = "showthatitis"


@dataclass(frozen=True)
class Leak:
    """What a theorem matches, and how similar the statements are, where that was measured."""

    how: How
    benchmark: str
    similarity: float = 1.0

    def __str__(self) -> str:
        measure = "" if self.similarity == 1.0 else f" ({self.similarity:.2f})"
        return f"{self.how}: {self.benchmark}{measure}"


class Decontaminator:
    """Knows the theorems of some benchmarks, and whether another is one of them.

    Raises BadInput when it is built of nothing: a guard that knows no benchmark guards nothing.
    """

    def __init__(self, benchmarks: Iterable[TheoremRecord], *, near: float = NEAR) -> None:
        self.near = near
        self.sources: Counter[str] = Counter()
        self._names: dict[str, str] = {}
        self._texts: dict[str, str] = {}
        self._informal: dict[str, str] = {}
        self._forms: list[NormalForm] = []
        self._shown: list[str] = []
        self._by_goal: dict[str, list[int]] = defaultdict(list)
        for record in benchmarks:
            self._learn(record)
        if not self._names:
            raise BadInput("a decontaminator needs benchmark theorems to keep out; give at least one benchmark file")
        self._postings = _postings(self._forms)
        self._judged = lru_cache(maxsize=65536)(self._judge)

    def __len__(self) -> int:
        """How many normal forms are kept out."""
        return len(self._texts)

    def _learn(self, record: TheoremRecord) -> None:
        shown = f"{record.source}:{record.name}" if record.source else record.name
        self.sources[record.source] += 1
        self._names.setdefault(_name_key(record.name), shown)
        if len(words := _plain_words(record.informal)) >= _SHORTEST_INFORMAL:
            self._informal.setdefault(words, shown)
        for statement in _dresses(record):
            form = normal_form(statement)
            if form is not None and form.text not in self._texts:
                self._texts[form.text] = shown
                self._by_goal[form.goal].append(len(self._forms))
                self._forms.append(form)
                self._shown.append(shown)

    def leak(self, record: Record) -> Leak | None:
        """What a record gives away; None when nothing. Of a tactic's record its theorem's name and the state before it count."""
        if isinstance(record, TacticRecord):
            return self.leak_of_name(record.theorem) or self.leak_in_state(record.state_before)
        found = self.leak_of_name(record.name) or self._judged(record.statement)
        if found is None and (words := _plain_words(record.informal)) in self._informal:
            found = Leak("informal text", self._informal[words])
        return found or self._inside(record)

    def leak_of_name(self, name: str) -> Leak | None:
        """Whether a theorem bears a benchmark's name: of a library's all of it, else without namespace and version."""
        known = self._names.get(_name_key(name)) or self._names.get(_plain_name(name))
        return None if known is None else Leak("name", known)

    def leak_in_statement(self, statement: str) -> Leak | None:
        """Whether a declaration's text states what a benchmark does."""
        return self._judged(statement)

    def leak_in_state(self, state: str) -> Leak | None:
        """Whether a goal of a state as Lean prints it is what a benchmark states."""
        for goal in goals_of(state):
            form = normal_form_of(goal)
            if form is not None and (found := self._compare(form)) is not None:
                return found
        return None

    def _judge(self, statement: str) -> Leak | None:
        form = normal_form(statement)
        return None if form is None else self._compare(form)

    def _inside(self, record: TheoremRecord) -> Leak | None:
        """A benchmark's theorem among the lemmas before a theorem, or word for word among the claims of its proof."""
        for lemma in theorems_in(f"{record.header}\n{record.proof or ''}"):
            form = normal_form_of(lemma)
            found = self.leak_of_name(lemma.name) or (None if form is None else self._compare(form))
            if found is not None:
                return Leak("inside its proof", found.benchmark, found.similarity)
        for claim in claims_in(record.proof or ""):
            form = normal_form_of(claim)
            if form is not None and form.text in self._texts:
                return Leak("inside its proof", self._texts[form.text])
        return None

    def _compare(self, form: NormalForm) -> Leak | None:
        if form.text in self._texts:
            return Leak("statement", self._texts[form.text])
        for i in self._by_goal.get(form.goal, ()):
            known = self._forms[i]
            measure = similarity(form.features, known.features)
            contained = form.hypotheses <= known.hypotheses or form.hypotheses >= known.hypotheses
            if contained or measure >= min(self.near, NEAR_WITH_SAME_CLAIM):
                return Leak("same claim", self._shown[i], measure)
        best = max(self._near_to(form), default=(0.0, 0))
        return Leak("near-duplicate", self._shown[best[1]], best[0]) if best[0] >= self.near else None

    def _near_to(self, form: NormalForm) -> Iterator[tuple[float, int]]:
        """Similarities of the benchmark's forms that can reach the threshold, exactly.

        Sets of which one has n pieces and that share a part t of all pieces share one of any n − ⌈t·n⌉ + 1 pieces of it (prefix
        filtering, Chaudhuri, Ganti, Kaushik 2006); the rarest are looked up.
        """
        pieces = sorted(form.features, key=lambda f: len(self._postings.get(f, ())))
        needed = len(pieces) - int(-(-self.near * len(pieces) // 1)) + 1
        candidates = {i for piece in pieces[:needed] for i in self._postings.get(piece, ())}
        for i in candidates:
            if self._forms[i].negated == form.negated:
                yield similarity(form.features, self._forms[i].features), i


def benchmarks_in(paths: Iterable[Path]) -> list[TheoremRecord]:
    """All theorems of benchmark files, of any published schema. Raises BadInput for a file in which none can be read."""
    found: list[TheoremRecord] = []
    for path in paths:
        source = benchmark_of(path)
        account = Manifest(step=f"benchmark {path}")
        theorems = [r for r in take_in(source.load(path), source, account) if isinstance(r, TheoremRecord)]
        if not theorems:
            raise BadInput(f"{path}: no theorem of a benchmark can be read in it; {account.told()}")
        found += theorems
    return found


def decontaminated(
    records: Iterable[Record], decontaminator: Decontaminator, manifest: Manifest
) -> Iterator[TheoremRecord | TacticRecord]:
    """The records that give nothing away, in order; the others are counted, each with what it matches.

    A step takes all steps of its theorem (of the same source) with it.
    """
    everything = list(records)
    leaks = [decontaminator.leak(r) for r in everything]
    tainted = {
        (r.source, r.theorem): leak
        for r, leak in zip(everything, leaks, strict=True)
        if leak is not None and isinstance(r, TacticRecord)
    }
    for record, leak in zip(everything, leaks, strict=True):
        steps = isinstance(record, TacticRecord)
        found = tainted.get((record.source, record.theorem)) if isinstance(record, TacticRecord) else leak
        if found is None:
            manifest.rows_out += 1
            yield record
        else:
            shown = record.theorem if isinstance(record, TacticRecord) else record.name
            manifest.drop(DECONTAMINATE, found.how, f"{shown} is {found}{' (a step of it)' if steps else ''}")


def _dresses(record: TheoremRecord) -> Iterator[str]:
    """A benchmark's statement, and what restating makes of it where the normal form would not see through that."""
    yield record.statement
    try:
        yield restate(record, unfold=True).statement
    except Unstatable:
        return


def _postings(forms: list[NormalForm]) -> dict[str, list[int]]:
    out: dict[str, list[int]] = defaultdict(list)
    for i, form in enumerate(forms):
        for piece in form.features:
            out[piece].append(i)
    return dict(out)


def _name_key(name: str) -> str:
    """What a benchmark's name is known by. A library calls theorems alike for each type (``List.map_id``, ``Array.map_id``), and
    they are different theorems; of those the whole name counts, and what they state is compared as ever.
    """
    return name if name.startswith(HARVESTED) else _plain_name(name)


def _plain_name(name: str) -> str:
    """A name without namespaces, marks of versions and case."""
    return _RESTATED_NAME.sub("", name.replace("«", "").replace("»", "").rsplit(".", 1)[-1]).casefold()


def _plain_words(informal: str) -> str:
    """The letters and digits of an informal text, without the answer that some benchmarks add."""
    return _NOT_ALNUM.sub("", informal).casefold().partition(_ANSWER)[0]
