"""How varied and how hard generated statements are."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from burnqed.data.generate.outcome import Generated

_WORD = re.compile(r"\w+|[^\w\s]")
_NUMERAL = re.compile(r"\b\d+\b")
_HEAD = re.compile(r"[\w.!?]+")


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """Of some statements: how many, how they ended, how varied they and their proofs are.

    ``shapes`` are statements that differ in more than their numerals. ``entropy_bits`` is that of the distribution of three
    words in a row, over all statements. ``hard`` are proved ones that no single fixed tactic closes after ``intro``.
    """

    statements: int
    proved: int
    refuted: int
    unknown: int
    shapes: int
    proofs: int
    tactics: int
    entropy_bits: float
    hard: int
    steps: dict[int, int]
    heads: dict[str, int]

    @property
    def hard_share(self) -> float:
        """Of what is proved."""
        return self.hard / self.proved if self.proved else 0.0


def measure(rows: Iterable[Generated]) -> Measure:
    """The figures of these statements; proofs of negations are not counted among the proofs."""
    all_rows = list(rows)
    proved = [r for r in all_rows if r.status == "proved"]
    texts = [r.statement.partition(r.name)[2] for r in all_rows]
    tactics = [s.tactic for r in proved for s in r.steps]
    status = Counter(r.status for r in all_rows)
    return Measure(
        statements=len(all_rows),
        proved=status["proved"],
        refuted=status["refuted"],
        unknown=status["unknown"],
        shapes=len({_NUMERAL.sub("#", t) for t in texts}),
        proofs=len({r.proof for r in proved}),
        tactics=len(set(tactics)),
        entropy_bits=ngram_entropy_bits(texts),
        hard=sum(not r.one_liners for r in proved),
        steps=dict(sorted(Counter(len(r.steps) for r in proved).items())),
        heads=dict(Counter(head(t) for t in tactics).most_common()),
    )


def by_family(rows: Sequence[Generated]) -> dict[str, Measure]:
    """The figures of each family, by its name."""
    families = sorted({r.family for r in rows})
    return {family: measure(r for r in rows if r.family == family) for family in families}


def ngram_entropy_bits(texts: Iterable[str], n: int = 3) -> float:
    """Shannon's entropy of the distribution of n words in a row; numerals and signs are words."""
    counts: Counter[tuple[str, ...]] = Counter()
    for text in texts:
        words = _WORD.findall(text)
        counts.update(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
    total = sum(counts.values())
    return -sum(c / total * math.log2(c / total) for c in counts.values()) if total else 0.0


def head(tactic: str) -> str:
    """The word that a tactic begins with."""
    found = _HEAD.search(tactic)
    return found[0] if found else tactic[:1]
