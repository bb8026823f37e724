"""Which Lean a set was made for, and what of it the installed Lean does not take: asked before anything is traced.

Names and notation are looked up in tables, imports are compared with what is installed; no Lean runs here. What Lean itself
says about a sample is in :mod:`burnqed.data.elaborate`.
"""

from __future__ import annotations

import hashlib
import heapq
import re
from collections import Counter
from dataclasses import dataclass, field

import msgspec

from burnqed.data.records import Record, TheoremRecord
from burnqed.data.renames import Change, find, opened_by, rewritten

_EXAMPLES = 3
_VERSION = re.compile(r"v?4\.(\d+)\b")
_CORE = ("Init", "Std")


class Finding(msgspec.Struct):
    """An old form that the set uses: in how many rows, how often, and how often a sure new form can be written."""

    old: str
    new: str
    since: str
    kind: str
    rows: int = 0
    uses: int = 0
    sure: int = 0
    examples: list[str] = msgspec.field(default_factory=list)


class Elaborated(msgspec.Struct, kw_only=True):
    """What Lean said about a sample of the theorems, their imports left out: ``failures`` counts rows by what failed."""

    tried: int = 0
    accepted: int = 0
    lost: int = 0
    failures: dict[str, int] = msgspec.field(default_factory=dict)


class Report(msgspec.Struct, kw_only=True):
    """The outcome. ``sentences`` say it in words, the most important first; ``fine`` when there is nothing to do."""

    name: str
    rows: int
    benchmark_rows: int
    made_for: dict[str, int]
    installed: str
    unmet_imports: dict[str, int]
    unmet_rows: int
    findings: list[Finding]
    sentences: list[str]
    fine: bool
    elaborated: Elaborated | None = None


@dataclass
class Auditor:
    """Looks at every record of a set; ``sample_size`` theorems are kept for Lean, chosen by ``seed`` and not by their order.

    ``installed`` is the version of the embedded Lean, which has Init and Std and nothing else.
    """

    name: str
    installed: str
    sample_size: int = 0
    seed: int = 0
    rows: int = 0
    _benchmark_rows: int = 0
    _theorems: int = 0
    _unmet_rows: int = 0
    _made_for: Counter[str] = field(default_factory=Counter)
    _unmet: Counter[str] = field(default_factory=Counter)
    _findings: dict[str, Finding] = field(default_factory=dict)
    _changed_rows: int = 0
    _sample: list[tuple[int, int, TheoremRecord]] = field(default_factory=list)

    def see(self, record: Record) -> None:
        """Take one record into account."""
        self.rows += 1
        self._made_for[record.lean] += 1
        if isinstance(record, TheoremRecord):
            self._theorem(record)
            opened = opened_by(record.header)
            texts: tuple[str, ...] = (record.header, record.statement, record.proof or "")
            place = f"{record.origin}: {record.name}" if record.origin else record.name
        else:
            opened, texts = frozenset(), (record.tactic,)
            place = f"{record.origin}: {record.theorem}"
        uses = [use for text in texts for use in find(text, opened=opened)]
        relevant = [use for use in uses if not _meant_anew(use.change, record.lean)]
        for use in relevant:
            finding = self._finding(use.change)
            finding.uses += 1
            finding.sure += use.instead is not None
        for change in dict.fromkeys(use.change for use in relevant):
            finding = self._finding(change)
            finding.rows += 1
            if len(finding.examples) < _EXAMPLES:
                finding.examples.append(place)
        self._changed_rows += bool(relevant)

    @property
    def sample(self) -> list[TheoremRecord]:
        """The theorems for Lean."""
        return [record for _, _, record in sorted(self._sample, key=lambda entry: -entry[0])]

    def report(self, elaborated: Elaborated | None = None) -> Report:
        """What there is to say."""
        findings = sorted(self._findings.values(), key=lambda f: (-f.rows, f.old))
        failed = elaborated is not None and elaborated.accepted < elaborated.tried
        return Report(
            name=self.name,
            rows=self.rows,
            benchmark_rows=self._benchmark_rows,
            made_for=dict(self._made_for.most_common()),
            installed=self.installed,
            unmet_imports=dict(self._unmet.most_common()),
            unmet_rows=self._unmet_rows,
            findings=findings,
            sentences=self._sentences(findings, elaborated),
            fine=not self._unmet_rows and not findings and not failed,
            elaborated=elaborated,
        )

    def _theorem(self, record: TheoremRecord) -> None:
        self._theorems += 1
        self._benchmark_rows += record.benchmark
        missing = [module for module in record.imports if module.split(".")[0] not in _CORE]
        self._unmet.update(missing)
        self._unmet_rows += bool(missing)
        if self.sample_size:
            key = hashlib.blake2b(f"{self.seed}\0{record.name}\0{record.statement}".encode(), digest_size=8).digest()
            entry = (-int.from_bytes(key), -self.rows, record)
            if len(self._sample) < self.sample_size:
                heapq.heappush(self._sample, entry)
            else:
                heapq.heappushpop(self._sample, entry)

    def _finding(self, change: Change) -> Finding:
        return self._findings.setdefault(change.old, Finding(change.old, change.new, change.since, change.kind))

    def _sentences(self, findings: list[Finding], elaborated: Elaborated | None) -> list[str]:
        said = []
        if self._unmet_rows:
            every = self._unmet_rows == self._theorems
            modules = ", ".join(f"{module} in {rows:,}" for module, rows in self._unmet.most_common(4))
            said.append(
                f"{self._unmet_rows:,} of {self._theorems:,} theorems import what the embedded Lean {self.installed} has not "
                f"({modules}; it has Init and Std only), so {'none of them can' if every else 'they cannot'} "
                "be elaborated or traced with it as they stand; use a native toolchain (docs/native.md)"
            )
        said.append(self._toolchain())
        if findings:
            uses, sure = sum(f.uses for f in findings), sum(f.sure for f in findings)
            said.append(
                f"{self._changed_rows:,} of {self.rows:,} rows use names or notation that changed since: of {uses:,} uses "
                f"{sure:,} have a sure new form, which --apply writes, and {uses - sure:,} must be looked at"
            )
        if elaborated is not None:
            said.append(_told(elaborated, self.installed))
        return said

    def _toolchain(self) -> str:
        """For which Lean the rows were made, beside the one that is installed."""
        named = [f"Lean {lean}{_about(lean)}" for lean in self._made_for if lean]
        unnamed = self._made_for.get("", 0)
        if not named:
            return f"nobody says for which Lean it was made; installed is {self.installed}"
        rest = f", of {unnamed:,} rows nobody says it" if unnamed else ""
        return f"made for {', '.join(named)}{rest}; installed is {self.installed}"


def apply(record: Record) -> tuple[Record, list[Change]]:
    """A record with every old form that has a sure new one put right, and what was put right."""
    if not isinstance(record, TheoremRecord):
        tactic, done = rewritten(record.tactic)
        return (msgspec.structs.replace(record, tactic=tactic) if done else record), done
    opened = opened_by(record.header)
    header, in_header = rewritten(record.header, opened=opened)
    statement, in_statement = rewritten(record.statement, opened=opened)
    proof, in_proof = (None, []) if record.proof is None else rewritten(record.proof, opened=opened)
    done = [*in_header, *in_statement, *in_proof]
    return (msgspec.structs.replace(record, header=header, statement=statement, proof=proof) if done else record), done


def month_of(lean: str) -> str:
    """About when a toolchain came out, as ``2024-07``; empty when the version is not one of Lean 4.

    Since 4.7 there has been a release a month (4.9.0 on 1 July 2024, 4.15.0 in January 2025).
    """
    m = _VERSION.match(lean)
    if m is None:
        return ""
    months = 2024 * 12 + 6 + int(m[1]) - 9
    return f"{months // 12}-{months % 12 + 1:02}"


def _about(lean: str) -> str:
    month = month_of(lean)
    return f" (about {month})" if month else ""


def _meant_anew(change: Change, lean: str) -> bool:
    """Whether a name that was given to another statement had that meaning already when the set was made."""
    month = month_of(lean)
    return change.kind == "reused" and bool(month) and change.since[:7] < month


def _told(elaborated: Elaborated, installed: str) -> str:
    worst = ", ".join(f"{what} ({rows})" for what, rows in list(elaborated.failures.items())[:5])
    lost = f", {elaborated.lost} took Lean down or too long" if elaborated.lost else ""
    return (
        f"of {elaborated.tried:,} theorems tried without their imports Lean {installed} takes {elaborated.accepted:,}{lost}"
        + (f"; what fails most, in rows: {worst}" if worst else "")
    )
