"""What is in a file of data, counted: sizes, lengths, tactics, depths, labels, leaks, and a few rows as a model will see them."""

from __future__ import annotations

import random
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from burnqed.core.errors import BadInput
from burnqed.data.decontaminate import Decontaminator
from burnqed.data.generate.measure import head
from burnqed.data.reading import BadRow, columns_of, read_rows
from burnqed.data.records import TacticRecord, TheoremRecord
from burnqed.data.statistics_lengths import Lengths, lengths_of

Measure = Callable[[str], int]
"""The length of a text, in tokens or in bytes."""

_TOP = 25
_EXAMPLES = 4
_SHOWN = 3000  # characters of an example's field
_CATEGORIES = ("split", "task", "source", "prompt_format", "tier", "why", "lean", "status", "family", "flags")
_KINDS: tuple[tuple[str, frozenset[str]], ...] = (
    ("training rows", frozenset({"prompt", "completion", "task"})),
    ("pairs", frozenset({"positive", "negative", "tier"})),
    ("generated statements", frozenset({"statement", "status", "family"})),
    ("tactics", frozenset({"state_before", "tactic", "state_after"})),
    ("theorems", frozenset({"statement", "name"})),
)
_TEXTS = {
    "training rows": ("prompt", "completion"),
    "pairs": ("positive", "negative", "goal"),
    "generated statements": ("statement", "proof"),
    "tactics": ("state_before", "tactic"),
    "theorems": ("statement", "proof"),
}
_TACTIC = {"training rows": "completion", "tactics": "tactic"}
_DISTINCT = {
    "training rows": ("theorem", "prompt", "completion"),
    "pairs": ("theorem", "positive", "negative"),
    "generated statements": ("statement", "proof"),
    "tactics": ("theorem", "state_before", "tactic"),
    "theorems": ("name", "statement", "proof"),
}
_DEPTHS = {"training rows": "depth", "pairs": "depth", "tactics": "step"}


class Baseline(msgspec.Struct, frozen=True, kw_only=True):
    """How well a trivial feature tells the two states of pairs apart: the share it has right, ties counting half."""

    feature: str
    tier: str
    right: float
    pairs: int


class Statistics(msgspec.Struct, kw_only=True):
    """Of one file. ``counts`` are rows by the values of a column; ``leaks`` is None when no benchmark was given."""

    path: str
    kind: str
    rows: int = 0
    bad_rows: int = 0
    size_bytes: int = 0
    counts: dict[str, dict[str, int]] = msgspec.field(default_factory=dict)
    distinct: dict[str, int] = msgspec.field(default_factory=dict)
    lengths: list[Lengths] = msgspec.field(default_factory=list)
    heads: dict[str, int] = msgspec.field(default_factory=dict)
    depths: dict[int, int] = msgspec.field(default_factory=dict)
    baselines: list[Baseline] = msgspec.field(default_factory=list)
    leaks: dict[str, int] | None = None
    leak_examples: list[str] = msgspec.field(default_factory=list)
    examples: list[dict[str, str]] = msgspec.field(default_factory=list)


def kind_of(path: Path) -> str:
    """What a file holds, by its columns. Raises BadInput when it is nothing that is counted here."""
    columns = columns_of(path)
    for kind, needed in _KINDS:
        if needed <= columns:
            return kind
    raise BadInput(
        f"{path}: neither rows, pairs, tactics nor theorems; it has {', '.join(sorted(columns)) or 'no rows'}"
    )


def statistics(
    path: Path,
    *,
    measure: Measure = lambda text: len(text.encode()),
    unit: str = "bytes",
    guard: Decontaminator | None = None,
    seed: int = 0,
) -> Statistics:
    """Count a file. ``measure`` gives the length of a text in ``unit``; examples are drawn by the seed."""
    counter = _Counter(path, kind_of(path), measure, unit, guard, random.Random(seed))
    for row in read_rows(path, dict[str, Any]):
        if isinstance(row, BadRow):
            counter.found.bad_rows += row.rows
        else:
            counter.see(row[1])
    return counter.result()


class _Counter:
    def __init__(
        self, path: Path, kind: str, measure: Measure, unit: str, guard: Decontaminator | None, rng: random.Random
    ) -> None:
        self.found = Statistics(path=str(path), kind=kind, size_bytes=path.stat().st_size)
        self._measure = measure
        self._unit = unit
        self._guard = guard
        self._rng = rng
        self._lengths: dict[str, array[int]] = {field: array("I") for field in _TEXTS[kind]}
        self._counts: dict[str, Counter[str]] = {}
        self._heads: Counter[str] = Counter()
        self._depths: Counter[int] = Counter()
        self._distinct: dict[str, set[int]] = {field: set() for field in _DISTINCT[kind]}
        self._right: dict[tuple[str, str], list[float]] = {}
        self._leaks: Counter[str] = Counter()

    def see(self, row: Mapping[str, Any]) -> None:
        found = self.found
        found.rows += 1
        for field in _CATEGORIES:
            if field in row:
                values = row[field] if field == "flags" else [row[field]]
                self._counts.setdefault(field, Counter()).update(map(str, values))
        for field, lengths in self._lengths.items():
            if (text := row.get(field)) is not None:
                lengths.append(min(self._measure(text), 2**32 - 1))
        for field, values in self._distinct.items():
            if row.get(field) is not None:
                values.add(hash(row[field]))
        if found.kind in _TACTIC and row.get("task", "tactic") == "tactic":
            self._heads[head(row[_TACTIC[found.kind]])] += 1
        if found.kind in _DEPTHS and isinstance(depth := row.get(_DEPTHS[found.kind], -1), int):
            self._depths[depth] += 1
        if found.kind == "generated statements" and row.get("status") == "proved":
            self._heads.update(head(step["tactic"]) for step in row.get("steps", []))
            self._depths[len(row.get("steps", []))] += 1
        if found.kind == "pairs":
            self._compare(row)
        if self._guard is not None:
            self._look(row, self._guard)
        self._keep(row)

    def _compare(self, row: Mapping[str, Any]) -> None:
        """Count how often the shorter state, the shallower one, or the one with fewer goals is the provable one."""
        features = {
            "shorter": len(row["negative"]) - len(row["positive"]),
            "fewer goals": row["negative"].count("⊢") - row["positive"].count("⊢"),
            "shallower": row["negative_depth"] - row["depth"],
        }
        for feature, difference in features.items():
            right = 1.0 if difference > 0 else 0.5 if difference == 0 else 0.0
            total = self._right.setdefault((feature, row["tier"]), [0.0, 0.0])
            total[0] += right
            total[1] += 1

    def _look(self, row: Mapping[str, Any], guard: Decontaminator) -> None:
        leak = next(
            (found for thing in _things(self.found.kind, row) if (found := guard.leak(thing)) is not None), None
        )
        if leak is not None:
            self._leaks[leak.how] += 1
            if len(self.found.leak_examples) < _TOP:
                self.found.leak_examples.append(f"{row.get('theorem', row.get('name', ''))} is {leak}")

    def _keep(self, row: Mapping[str, Any]) -> None:
        """Reservoir sampling (Vitter 1985): every row has the same chance to be among the examples."""
        examples = self.found.examples
        at = len(examples) if len(examples) < _EXAMPLES else self._rng.randrange(self.found.rows)
        if at < _EXAMPLES:
            shown = {k: _short(v) for k, v in row.items() if isinstance(v, str | int) and v != ""}
            examples[at : at + 1] = [shown]

    def result(self) -> Statistics:
        found = self.found
        found.counts = {field: dict(c.most_common(_TOP)) for field, c in self._counts.items()}
        found.distinct = {field: len(values) for field, values in self._distinct.items()}
        found.lengths = [lengths_of(field, self._unit, v) for field, v in self._lengths.items() if v]
        found.heads = dict(self._heads.most_common(_TOP))
        found.depths = dict(sorted(self._depths.items()))
        found.baselines = [
            Baseline(feature=feature, tier=tier, right=right / pairs, pairs=int(pairs))
            for (feature, tier), (right, pairs) in sorted(self._right.items())
        ]
        found.leaks = dict(self._leaks) if self._guard is not None else None
        return found


def _things(kind: str, row: Mapping[str, Any]) -> Iterable[TacticRecord | TheoremRecord]:
    """What of a row a benchmark could show in."""
    if kind in ("theorems", "generated statements"):
        yield TheoremRecord(name=row["name"], statement=row["statement"], proof=row.get("proof"))
        return
    if kind == "training rows":
        yield _in_prompt(row["theorem"], row["prompt"])
        return
    for field in ("goal", "positive", "negative") if kind == "pairs" else ("state_before",):
        yield TacticRecord(
            theorem=row.get("theorem", ""), source="", state_before=row[field], tactic="", state_after=""
        )


def _in_prompt(theorem: str, prompt: str) -> TacticRecord | TheoremRecord:
    """The state in a prompt, or the statement that it asks to prove, whatever the format puts around it."""
    for begin, end in (("[GOAL]", "[PROOFSTEP]"), ("/- tactic state:\n", "\n-/")):
        _, begun, rest = prompt.partition(begin)
        if begun:
            state = rest.partition(end)[0]
            return TacticRecord(theorem=theorem, source="", state_before=state, tactic="", state_after="")
    return TheoremRecord(name=theorem, statement=prompt[prompt.rfind("example") :].partition(":= by")[0].strip())


def _short(value: str | int) -> str:
    text = str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
