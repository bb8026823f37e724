"""Benchmarks as they are evaluated: any file of theorems, with the hashes that tell whether two evaluations were about the same.

A benchmark is all of its rows. One with a row that cannot be read, or with a name twice, is refused: the share proved would
be one of another set.
"""

from __future__ import annotations

import contextlib
import hashlib
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from burnqed.core.errors import BadInput
from burnqed.core.seeding import child_seed
from burnqed.core.theorem import Theorem
from burnqed.data.fetch import THEOREMS
from burnqed.data.harvest.folder import TASKS
from burnqed.data.intake import take_in
from burnqed.data.manifest import NAME, FileCard, Manifest
from burnqed.data.reading import BadRow, columns_of
from burnqed.data.records import BENCHMARK, TheoremRecord
from burnqed.data.restate.checking import KINDS, RESTATE, RestatedRow
from burnqed.data.restate.statement import Kind
from burnqed.data.sources.any_file import RECORDS, source_of
from burnqed.data.sources.registry import SOURCES
from burnqed.data.sources.source import Source
from burnqed.evaluate.record import Benchmark, Item, revision_of
from burnqed.theorems.read import BadEntry, Entry, read_jsonl, read_lean, read_lean_file

ALL = "all"
"""The split that means every row, whatever its own."""
FETCHED = Path("data/raw")
"""Where fetched sets are, a folder each."""
_MOST = 3  # examples in a sentence


@dataclass(frozen=True)
class Restating:
    """Problems are to be restated without Mathlib; ``do`` asks Lean which of the records it takes so."""

    kind: Kind
    unfold: bool
    do: Callable[[Sequence[TheoremRecord], Manifest], list[RestatedRow]]


@dataclass(frozen=True)
class _Found:
    """A file or folder with theorems, and what is known of it."""

    path: Path
    label: str
    origin: str = ""
    licence: str = ""


@dataclass
class _Rows:
    """What was read. ``unreadable`` are sentences on rows that are no theorem."""

    entries: list[Entry] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def load_benchmark(
    what: str,
    *,
    split: str = "",
    restated: Restating | None = None,
    limit: int = 0,
    seed: int = 0,
    skip_unreadable: bool = False,
    fetched: Path = FETCHED,
    adapt: Callable[[Sequence[Entry]], Sequence[Entry]] = list,
) -> tuple[Benchmark, list[Theorem]]:
    """The benchmark in a file or folder, or of a fetched set's name, and its theorems in order.

    ``split`` is needed where the rows have several; ``limit`` draws so many with ``seed``; ``adapt`` may give theorems other
    imports before they are hashed. Raises BadInput for what is not there, cannot be read, or has a name twice.
    """
    found = _find(what, fetched)
    rows = _restated(found.path, split, restated) if restated else _read(found.path, split)
    rows.unreadable += [entry.reason for entry in rows.entries if isinstance(entry, BadEntry)]
    if rows.unreadable and not skip_unreadable:
        raise BadInput(
            f"{what}: {len(rows.unreadable)} rows cannot be read, such as {rows.unreadable[0]}; repair them, or leave "
            "them out with --skip-unreadable, which the report will say"
        )
    theorems = [entry for entry in adapt(rows.entries) if isinstance(entry, Theorem)]
    if not theorems:
        raise BadInput(f"{what}: there is no theorem in it to prove")
    _require_distinct((t.name for t in theorems), what)
    whole = len(theorems)
    if 0 < limit < whole:
        drawn = random.Random(child_seed(seed, "sample of a benchmark")).sample(range(whole), limit)
        theorems = [theorems[at] for at in sorted(drawn)]
    told = [f"{found.label} {split}".strip()]
    told += [f"{restated.kind}{', unfolded' if restated.unfold else ''}"] if restated else []
    told += [f"{limit} of {whole} drawn with seed {seed}"] if limit and limit < whole else []
    items = tuple(Item(t.name, t.digest) for t in theorems)
    benchmark = Benchmark(
        name=", ".join(told),
        path=str(found.path),
        sha256=_hash(found.path),
        split=split,
        revision=revision_of(items),
        theorems=items,
        origin=found.origin,
        licence=found.licence,
        notes=tuple(rows.notes),
        skipped=tuple(rows.unreadable),
    )
    return benchmark, theorems


def require_reachable(benchmark: Benchmark, theorems: Sequence[Theorem], roots: Sequence[str] | None) -> None:
    """Raise BadInput when no theorem can be stated because all import modules that this Lean lacks; None: Lean decides."""
    if roots is None:
        return
    modules = Counter(m for t in theorems for m in set(t.imports) if m.split(".")[0] not in roots)
    if modules and all(any(m in modules for m in t.imports) for t in theorems):
        module = "Mathlib" if any(m.startswith("Mathlib") for m in modules) else modules.most_common(1)[0][0]
        raise BadInput(
            f"{benchmark.name} needs {module}, and the embedded Lean has {' and '.join(roots)} only; "
            "restate it with --kind core (or field), or give a Lake project with --project"
        )


def _find(what: str, fetched: Path) -> _Found:
    path = Path(what)
    if not path.exists() and what in SOURCES:
        path = fetched / what
        if not (path / THEOREMS).exists():
            raise BadInput(f"the set {what} is not in {fetched}; `burnqed data fetch {what}` gets it")
    if not path.exists():
        raise BadInput(f"{what}: no such file or folder, and no set of that name; `burnqed data sets` lists the sets")
    label = path.stem
    inside = [path / name for name in (THEOREMS, TASKS) if path.is_dir() and (path / name).exists()]
    if kinds := [f"{kind}.jsonl" for kind in KINDS if path.is_dir() and (path / f"{kind}.jsonl").exists()]:
        raise BadInput(
            f"{path} has restated problems of several kinds; give {' or '.join(str(path / k) for k in kinds)}"
        )
    path = inside[0] if inside else path
    label = path.parent.name if path.name in (THEOREMS, TASKS) else label
    with contextlib.suppress(BadInput):
        if (
            path.name in (THEOREMS, TASKS)
            and (path.parent / NAME).exists()
            and (origins := Manifest.read(path.parent).origins)
        ):
            first = origins[0]
            at = f" at {first.revision}" if first.revision else ""
            return _Found(path, label, f"{first.name}, {first.location}{at}".strip(", "), first.licence)
    source = source_of(path)
    return _Found(path, label, f"{source.title}, {source.address}" if source.name else "", source.licence)


def _read(path: Path, split: str) -> _Rows:
    if path.is_file() and path.suffix == ".lean":
        if split not in ("", ALL):
            raise BadInput(f"{path} has no splits; leave --split out")
        return _Rows(list(read_lean(read_lean_file(path), source=str(path))))
    source = source_of(path)
    if source is RECORDS and path.suffix == ".jsonl":
        return _from_lines(path, split)
    records, rows = _records(path, source, split)
    rows.entries = [record.theorem for record in records]
    return rows


def _from_lines(path: Path, split: str) -> _Rows:
    """A file of statements, read as `burnqed prove` reads it."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: cannot be read as UTF-8 text: {error}") from error
    own = [_split_in(line) for line in lines]
    chosen = _chosen(Counter(s for s in own if s is not None), split, path)
    # Lines of other splits become empty ones, so that the numbers of the others stay; those of no known split are told of.
    kept = [line if s is None or chosen is None or s == chosen else "" for line, s in zip(lines, own, strict=True)]
    named = [(name, line) for line in kept if isinstance(name := _value(line, "name"), str)]
    _require_distinct((name for name, _ in named), path)
    flags = ((name, found) for name, line in named if isinstance(found := _value(line, "flags"), list))
    return _Rows(list(read_jsonl("\n".join(kept), source=str(path))), notes=_flagged(flags))


def _records(path: Path, source: Source, split: str) -> tuple[list[TheoremRecord], _Rows]:
    """The records of one split of a set, with what is wrong and what is flagged."""
    good: list[TheoremRecord] = []
    bad: list[str] = []
    for entry in source.load(path):
        if isinstance(entry, BadRow):
            bad.append(str(entry))
        elif isinstance(entry[1], TheoremRecord):
            good.append(entry[1])
    chosen = _chosen(Counter(record.split for record in good), split, path)
    wanted = [record for record in good if chosen is None or record.split == chosen]
    _require_distinct((record.name for record in wanted), path)
    taken = take_in(((1, record) for record in wanted), source, Manifest(step="evaluate"))
    records = [record for record in taken if isinstance(record, TheoremRecord)]
    return records, _Rows(unreadable=bad, notes=_flagged((r.name, r.flags) for r in records))


def _restated(path: Path, split: str, restating: Restating) -> _Rows:
    source = source_of(path)
    if source is RECORDS and {"kind", "original"} <= columns_of(path):
        raise BadInput(f"{path} is restated already; leave --kind out")
    records, rows = _records(path, source, split)
    manifest = Manifest(step=RESTATE)
    restated = restating.do(records, manifest)
    lines = "\n".join(msgspec.json.encode(row).decode() for row in restated)
    rows.entries = list(read_jsonl(lines, source=f"{path} restated")) if restated else []
    taken = {row.name for row in restated}
    rows.notes = _flagged((r.name, r.flags) for r in records if r.name in taken)
    if gone := manifest.dropped.get(RESTATE, {}):
        reasons = ", ".join(f"{reason} ({count.count})" for reason, count in gone.items())
        rows.notes.append(f"{len(restated)} of {len(records)} problems can be restated so; the others: {reasons}")
    return rows


def _require_distinct(names: Iterable[str], where: object) -> None:
    if twice := next((name for name, count in Counter(names).items() if count > 1), ""):
        raise BadInput(f"{where}: the name {twice} is there more than once; each result has to have a name of its own")


def _flagged(rows: Iterable[tuple[str, Iterable[str]]]) -> list[str]:
    """A sentence for each flag that rows have, but for the one that all rows of benchmarks have."""
    by_flag: dict[str, list[str]] = defaultdict(list)
    for name, flags in rows:
        for flag in flags:
            if flag != BENCHMARK:
                by_flag[flag].append(name)
    return [
        f"{len(names)} flagged {flag}: {', '.join(names[:_MOST])}{', …' if len(names) > _MOST else ''}"
        for flag, names in sorted(by_flag.items())
    ]


def _chosen(splits: Counter[str], split: str, path: Path) -> str | None:
    """The split to take; None for every row. Raises BadInput where the wish does not fit the rows."""
    told = ", ".join(f"{name or 'without one'} ({count})" for name, count in sorted(splits.items()))
    if split == ALL:
        return None
    if split and split not in splits:
        raise BadInput(
            f"{path} has no rows of the split {split}; "
            + (f"it has {told}" if any(splits) else "its rows name no split, so leave --split out")
        )
    if not split and len(splits) > 1:
        raise BadInput(f"{path} has several splits, {told}; choose one with --split, or say --split {ALL}")
    return split or None


def _split_in(line: str) -> str | None:
    """The split that a line names, "" when it names none; None for an empty line and for what is no row."""
    found = _value(line, "split", default="")
    return found if isinstance(found, str) else None


def _value(line: str, key: str, default: object = None) -> object:
    try:
        row = msgspec.json.decode(line) if line.strip() else None
    except msgspec.DecodeError:
        return None
    return row.get(key, default) if isinstance(row, dict) else None


def _hash(path: Path) -> str:
    """The SHA-256 of a file; of a folder that of its Lean files with their names."""
    if path.is_file():
        return FileCard.of(path).sha256
    whole = hashlib.sha256()
    for file in sorted(path.rglob("*.lean")):
        whole.update(f"{file.relative_to(path).as_posix()}\0{FileCard.of(file).sha256}\n".encode())
    return whole.hexdigest()
