"""The folder of generated statements: ``generate.json`` (settings), ``journal.jsonl``, and the files made of it.

The journal has a line for each statement that was tried, in the order in which they ended. At the end all of it is
written anew, in the order of the drafts: ``generated.jsonl`` (everything), ``theorems.jsonl`` (what is proved),
``refuted.jsonl`` (what is false), ``negations.jsonl`` (that it is false, with proofs), ``tactics.jsonl`` (all proofs, step by
step), ``manifest.json``. A run that was killed loses the statement in flight.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from burnqed.core.errors import BadInput, RunError
from burnqed.data.generate.config import GenerateConfig
from burnqed.data.generate.outcome import Generated
from burnqed.data.manifest import FileCard, Manifest, Origin
from burnqed.data.records import TacticRecord, TheoremRecord
from burnqed.data.settings_file import require_same
from burnqed.trajectory.files import append_line, drop_torn_line, whole_file, whole_lines, write_text

SOURCE = "generated"
REFUTED = "refuted"
"""The flag of a statement that is false: Lean has proved its negation."""
_SETTINGS = "generate.json"


class GenerateFolder:
    """Open it with :meth:`open`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._journal = path / "journal.jsonl"

    @classmethod
    def open(cls, path: Path, config: GenerateConfig, *, lean: str, resume: bool) -> GenerateFolder:
        """Start a folder, or go on with one. Raises BadInput when there is one already, none, or one of other settings."""
        now = {"lean": lean, **config.model_dump(mode="json", exclude={"count"})}
        file = path / _SETTINGS
        if resume:
            if not file.exists():
                raise BadInput(f"{file.parent} holds nothing to resume; leave --resume out to start")
            require_same(file, now)
        elif file.exists():
            raise BadInput(f"{path} holds generated statements already; add --resume to go on, or choose another --out")
        else:
            try:
                path.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise RunError(f"the folder {path} cannot be made: {error.strerror or error}") from error
            write_text(file, msgspec.json.encode(now).decode() + "\n")
        folder = cls(path)
        drop_torn_line(folder._journal)
        return folder

    def add(self, generated: Generated) -> None:
        """Put a statement on record. Raises RunError when the disk does not take it."""
        append_line(self._journal, msgspec.json.encode(generated).decode())

    def tried(self) -> dict[int, Generated]:
        """The statements on record, by number. Raises RunError when the journal is damaged."""
        found: dict[int, Generated] = {}
        for number, text in enumerate(whole_lines(self._journal), start=1):
            try:
                generated = msgspec.json.decode(text, type=Generated)
            except msgspec.DecodeError as error:
                raise RunError(f"{self._journal}:{number} is damaged, delete the line and resume: {error}") from error
            found[generated.index] = generated
        return found

    def finish(
        self, wanted: Iterable[int], config: GenerateConfig, *, drawn: int, lean: str, command: str = ""
    ) -> Manifest:
        """Write the files of the statements ``wanted``, of ``drawn`` draws, and their account; returns the account."""
        tried = self.tried()
        rows = [tried[index] for index in wanted]
        manifest = Manifest(
            step="generate",
            command=command,
            origins=[Origin(name=SOURCE, licence="made by program", lean=lean)],
            rows_made=drawn,
            rows_out=len(rows),
            settings={**config.model_dump(mode="json", exclude={"kinds"}), "kinds": ",".join(config.kinds)},
        )
        if drawn > len(rows):
            manifest.drop("draw", "drawn before", times=drawn - len(rows))
        for row in rows:
            manifest.note(f"{row.family}: {row.status}", row.statement)
            if row.trouble:
                manifest.note("trouble", f"{row.name}: {row.trouble}")
        proved = [r for r in rows if r.status == "proved"]
        refuted = [r for r in rows if r.status == "refuted"]
        files: dict[str, Iterable[msgspec.Struct]] = {
            "generated.jsonl": rows,
            "theorems.jsonl": (theorem(r, lean) for r in proved),
            "refuted.jsonl": (theorem(r, lean) for r in refuted),
            "negations.jsonl": (negation(r, lean) for r in refuted),
            "tactics.jsonl": (t for r in (*proved, *refuted) for t in tactics(r, lean)),
        }
        for name, structs in files.items():
            manifest.outputs.append(_written(self.path / name, structs))
        manifest.write(self.path)
        return manifest


def theorem(row: Generated, lean: str) -> TheoremRecord:
    """The statement as a record: with its proof if it has one, flagged if it is false."""
    false = row.status == "refuted"
    return TheoremRecord(
        name=row.name,
        statement=row.statement,
        source=SOURCE,
        origin=str(row.index),
        lean=lean,
        proof=row.proof if row.status == "proved" else None,
        flags=tuple(sorted({row.family, *([REFUTED] if false else [])})),
    )


def negation(row: Generated, lean: str) -> TheoremRecord:
    """That a refuted statement is false, with the proof."""
    assert row.negation is not None
    return TheoremRecord(
        name=f"{row.name}_false",
        statement=row.negation,
        source=SOURCE,
        origin=str(row.index),
        lean=lean,
        proof=row.proof,
        flags=tuple(sorted({row.family, "negation"})),
    )


def tactics(row: Generated, lean: str) -> Iterator[TacticRecord]:
    """The steps of the proof, of the negation if the statement was refuted."""
    of = row.name if row.status == "proved" else f"{row.name}_false"
    kind = () if row.status == "proved" else ("negation",)
    for number, step in enumerate(row.steps):
        yield TacticRecord(
            theorem=of,
            source=SOURCE,
            state_before=step.before,
            tactic=step.tactic,
            state_after=step.after,
            origin=str(row.index),
            lean=lean,
            step=number,
            flags=tuple(sorted({row.family, *kind})),
        )


def _written(path: Path, structs: Iterable[msgspec.Struct]) -> FileCard:
    rows = 0
    with whole_file(path) as part, part.open("wb") as out:
        for struct in structs:
            out.write(msgspec.json.encode(struct) + b"\n")
            rows += 1
    return FileCard.of(path, shown=path.name, rows=rows)
