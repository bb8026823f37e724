"""What can be traced: theorem records with their proofs, Lean files, and the proofs of a run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from burnqed.core.errors import BadInput
from burnqed.data.manifest import Manifest
from burnqed.data.reading import SUFFIXES, BadRow, read_rows
from burnqed.data.records import TheoremRecord
from burnqed.theorems.lean_text import declared
from burnqed.theorems.read import exported_proof, read_lean_file

READ = "read"
"""The stage under which an input leaves that is not traced at all."""


@dataclass(frozen=True)
class ProofText:
    """A text to trace. ``key`` tells it apart from all others.

    With ``record`` it is that theorem's proof, and ``text`` stands on the record's imports. Without, it is a whole file
    with import lines, and may hold any number of theorems.
    """

    key: str
    text: str
    source: str
    record: TheoremRecord | None = None

    @property
    def digest(self) -> str:
        """A hash of everything that decides what comes of it."""
        imports = self.record.imports if self.record else ()
        return hashlib.sha256("\0".join((*imports, self.text)).encode()).hexdigest()[:16]

    @property
    def theorems(self) -> int:
        """How many theorems it probably holds; for telling how far the work is."""
        return 1 if self.record else max(1, len(declared(self.text)[1]))


def proof_texts(
    paths: Sequence[Path], manifest: Manifest, *, records: Mapping[str, TheoremRecord] | None = None
) -> Iterator[ProofText]:
    """Everything to trace below these paths; what leaves already here is counted in the manifest.

    A path is a file of theorem records, a ``.lean`` file, the folder of a run, or any folder with ``.lean`` files. ``records``
    are theorems by name: a run's proof of one of them stands for it, with its source, its origin and its part.
    Raises BadInput for a path that is none of these, or a file that cannot be read at all.
    """
    for path in paths:
        if path.suffix in SUFFIXES and path.is_file():
            yield from _from_records(path, manifest)
        elif path.suffix == ".lean":
            yield from _from_file(path, path.name, manifest)
        elif (path / "proofs").is_dir():
            yield from _from_run(path, manifest, records or {})
        elif path.is_dir() and (files := sorted(path.rglob("*.lean"))):
            for file in files:
                yield from _from_file(file, str(file.relative_to(path)), manifest)
        else:
            raise BadInput(
                f"{path}: give a .jsonl file of theorems with proofs, a .lean file, or a folder with such files"
            )


def theorem_records(path: Path) -> dict[str, TheoremRecord]:
    """The theorems of a file by name; rows that cannot be read are no theorems. Raises BadInput."""
    return {row[1].name: row[1] for row in read_rows(path, TheoremRecord) if not isinstance(row, BadRow)}


def _from_records(path: Path, manifest: Manifest) -> Iterator[ProofText]:
    for row in read_rows(path, TheoremRecord):
        if isinstance(row, BadRow):
            manifest.rows_in += row.rows
            manifest.drop(READ, row.reason, str(row), times=row.rows)
            continue
        place, record = row
        manifest.rows_in += 1
        if (proof := _of_record(record, path.stem)) is not None:
            yield proof
        else:
            manifest.drop(READ, "benchmark" if record.benchmark else "no proof", f"{place}: {record.name}")


def _of_record(record: TheoremRecord, source: str) -> ProofText | None:
    if record.benchmark or record.proof is None:
        return None
    return _proof(
        msgspec.structs.replace(record, source=record.source or source), f"{record.statement} := {record.proof}"
    )


def _proof(record: TheoremRecord, declaration: str) -> ProofText:
    header = f"{record.header.strip()}\n\n" if record.header.strip() else ""
    return ProofText(f"{record.source}:{record.name}", f"{header}{declaration}\n", record.source, record)


def _from_run(folder: Path, manifest: Manifest, records: Mapping[str, TheoremRecord]) -> Iterator[ProofText]:
    """The proofs of a run, each a file that ends in its theorem."""
    for file in sorted((folder / "proofs").glob("*.lean")):
        manifest.rows_in += 1
        try:
            theorem, declaration = exported_proof(read_lean_file(file), source=str(file))
        except BadInput as error:
            manifest.drop(READ, "unreadable file", str(error))
            continue
        known = records.get(theorem.name)
        if known is not None and known.benchmark:
            manifest.drop(READ, "benchmark", f"{file}: {theorem.name}")
            continue
        yield _proof(
            TheoremRecord(
                name=theorem.name,
                statement=theorem.signature,
                header=theorem.header,
                imports=theorem.imports,
                source=known.source if known else folder.name,
                split=known.split if known else "",
                origin=known.origin if known else file.name,
                flags=known.flags if known else (),
            ),
            declaration,
        )


def _from_file(file: Path, shown: str, manifest: Manifest) -> Iterator[ProofText]:
    try:
        text = read_lean_file(file)
    except BadInput as error:
        manifest.rows_in += 1
        manifest.drop(READ, "unreadable file", str(error))
        return
    yield ProofText(shown, text, shown)
