"""What a derivation has done so far, one line a task; and the files that are made of it.

A run that was killed loses the tasks in flight; a line that it left unfinished does not count.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from burnqed.core.errors import BadInput, RunError
from burnqed.core.theorem import Theorem
from burnqed.data.auxiliary import NAMES_ONLY
from burnqed.data.derive.tasks import library_name
from burnqed.data.manifest import FileCard, Manifest
from burnqed.data.records import NO_GOALS, TacticRecord, TheoremRecord, line
from burnqed.data.settings_file import require_same
from burnqed.trajectory.files import append_line, drop_torn_line, whole_file, write_text

THEOREMS = "theorems.jsonl"
NAMES = "names.jsonl"
_SETTINGS = "derive.json"
_STAGE = "derive"


class Derived(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of a task: the script that proves it, empty when none did; or why Lean could not be asked.

    ``digest`` is the statement's; ``state`` the task's first state as Lean prints it; ``tried`` how many scripts were tried.
    """

    name: str
    digest: str
    state: str = ""
    script: str = ""
    tried: int = 0
    trouble: str = ""


class Journal:
    """The folder of a derivation. Open it with :meth:`open`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "journal.jsonl"
        drop_torn_line(self.path)
        self._done = {(d.name, d.digest): d for d in _read(self.path)}

    @classmethod
    def open(cls, folder: Path, settings: Mapping[str, object], *, resume: bool) -> Journal:
        """Start a derivation, or go on with one. Raises BadInput when there is one already, none, or one of other settings."""
        file = folder / _SETTINGS
        if resume and not file.exists():
            raise BadInput(f"{folder} holds nothing to resume; leave --resume out to start")
        if not resume and file.exists():
            raise BadInput(f"{folder} holds derived proofs already; add --resume to go on, or choose another --out")
        if resume:
            require_same(file, settings)
        else:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise RunError(f"the folder {folder} cannot be made: {error.strerror or error}") from error
            write_text(file, msgspec.json.encode(settings, order="sorted").decode() + "\n")
        return cls(folder)

    def has(self, theorem: Theorem) -> bool:
        """Whether a task was tried, with the statement that it has now. Trouble with Lean is no try."""
        derived = self._done.get((theorem.name, theorem.digest))
        return derived is not None and not derived.trouble

    def add(self, derived: Derived) -> None:
        """Put a task on record. Raises RunError when the disk does not take it."""
        append_line(self.path, msgspec.json.encode(derived).decode())
        self._done[derived.name, derived.digest] = derived

    def finish(self, tasks: Sequence[TheoremRecord], manifest: Manifest) -> Manifest:
        """Write proofs and names of tasks that all were tried, in their order, and the account; returns the account."""
        theorems, names = self.folder / THEOREMS, self.folder / NAMES
        named = 0
        with whole_file(theorems) as a, whole_file(names) as b, a.open("wb") as proved, b.open("wb") as said:
            for task in tasks:
                manifest.rows_in += 1
                derived = self._done[task.name, task.theorem.digest]
                if derived.state and library_name(task):
                    said.write(line(_name(task, derived)))
                    named += 1
                if derived.script:
                    proved.write(line(_proof(task, derived)))
                    manifest.rows_out += 1
                elif derived.trouble:
                    manifest.drop(_STAGE, "Lean could not be asked", f"{task.name}: {derived.trouble}")
                else:
                    manifest.drop(_STAGE, "no script proves it", task.name)
        manifest.note("names of library theorems", times=named)
        manifest.outputs.append(FileCard.of(theorems, shown=THEOREMS, rows=manifest.rows_out))
        manifest.outputs.append(FileCard.of(names, shown=NAMES, rows=named))
        manifest.write(self.folder)
        return manifest


def _proof(task: TheoremRecord, derived: Derived) -> TheoremRecord:
    return msgspec.structs.replace(task, proof=f"by\n{textwrap.indent(derived.script, '  ')}", source="derived")


def _name(task: TheoremRecord, derived: Derived) -> TacticRecord:
    """What the library calls the theorem that says this: an answer for ``next-lemma``, and no step of a proof of the task."""
    name = library_name(task)
    return TacticRecord(
        theorem=task.name,
        source="library-names",
        state_before=derived.state,
        tactic=f"exact {name}",
        state_after=NO_GOALS,
        split=task.split,
        origin=task.origin,
        lean=task.lean,
        constants=(name,),
        flags=(NAMES_ONLY,),
    )


def _read(path: Path) -> list[Derived]:
    if not path.exists():
        return []
    found = []
    with path.open("rb") as file:
        for number, text in enumerate(file, start=1):
            try:
                found.append(msgspec.json.decode(text, type=Derived))
            except msgspec.DecodeError as error:
                raise RunError(f"{path}:{number} is damaged, delete the line and resume: {error}") from error
    return found
