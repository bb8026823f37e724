"""The folder of a harvest: ``harvest.json`` (settings), ``parts/MODULE.json``, and at the end ``tasks.jsonl`` with its manifest.

A part is written whole when all theorems of its module were tried, so a harvest that was killed goes on with the next.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from burnqed.core.errors import BadInput, RunError
from burnqed.data.harvest.catalogue import Module, skipped
from burnqed.data.harvest.config import HarvestConfig
from burnqed.data.harvest.split import split_of
from burnqed.data.manifest import FileCard, Manifest, Origin
from burnqed.data.records import HARVESTED, TheoremRecord, line
from burnqed.data.settings_file import require_same
from burnqed.lean.protocol import LibraryStatement
from burnqed.trajectory.files import whole_file, write_text

SOURCE = "harvest"
UNLOADED = "does not load"
"""Why all theorems of a module are left out."""
TASKS = "tasks.jsonl"
_SETTINGS = "harvest.json"


class Tried(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one theorem: the text of its statement, or why there is none."""

    name: str
    statement: str = ""
    form: str = ""
    reason: str = ""
    detail: str = ""

    @classmethod
    def of(cls, answer: LibraryStatement) -> Tried:
        """Lean's answer."""
        detail = ", ".join(answer.missing) if answer.missing else answer.detail
        return cls(name=answer.name, statement=answer.statement, form=answer.form, reason=answer.reason, detail=detail)


class HarvestFolder:
    """Open it with :meth:`open`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def open(cls, path: Path, settings: Mapping[str, object], *, resume: bool) -> HarvestFolder:
        """Start a harvest, or go on with one. Raises BadInput when there is one already, none, or one of other settings."""
        file = path / _SETTINGS
        if resume and file.exists():
            require_same(file, settings)
        elif resume:
            raise BadInput(f"{path} holds no harvest to resume; leave --resume out to start one")
        elif file.exists():
            raise BadInput(f"{path} holds a harvest already; add --resume to go on with it, or choose another --out")
        else:
            try:
                (path / "parts").mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise RunError(f"the folder {path} cannot be made: {error.strerror or error}") from error
            write_text(file, msgspec.json.encode(settings).decode() + "\n")
        return cls(path)

    def _part(self, module: str) -> Path:
        return self.path / "parts" / f"{module}.json"

    def has(self, module: str) -> bool:
        """Whether a module was done."""
        return self._part(module).exists()

    def keep(self, module: str, tried: Sequence[Tried]) -> None:
        """Put a module on record. Raises RunError when the disk does not take it."""
        write_text(self._part(module), msgspec.json.encode(tried).decode() + "\n")

    def tried(self, module: str) -> list[Tried]:
        """What became of a module's theorems. Raises RunError for a damaged part."""
        try:
            return msgspec.json.decode(self._part(module).read_bytes(), type=list[Tried])
        except (OSError, msgspec.DecodeError) as error:
            raise RunError(f"{self._part(module)} is damaged, delete it and resume: {error}") from error

    def finish(
        self,
        modules: Sequence[Module],
        wanted: Mapping[str, Sequence[int]],
        config: HarvestConfig,
        *,
        origin: Origin,
        command: str = "",
    ) -> Manifest:
        """Write all tasks and the account of every theorem of the library; returns the account.

        ``origin`` says whose library it is, and the version of its Lean.
        """
        manifest = Manifest(
            step="harvest",
            command=command,
            origins=[origin],
            settings={**config.model_dump(mode="json", exclude={"roots"}), "roots": ",".join(config.roots)},
        )
        target = self.path / TASKS
        with whole_file(target) as part, part.open("wb") as out:
            for module in modules:
                for record in self._records(module, wanted.get(module.name, ()), config, origin.lean, manifest):
                    out.write(line(record))
        manifest.outputs.append(FileCard.of(target, shown=TASKS, rows=manifest.rows_out))
        manifest.write(self.path)
        return manifest

    def _records(
        self, module: Module, wanted: Sequence[int], config: HarvestConfig, lean: str, manifest: Manifest
    ) -> Iterator[TheoremRecord]:
        """The tasks of a module, every theorem of it accounted for."""
        if module.trouble:
            manifest.rows_in += 1  # how many theorems there are nobody knows; it counts as one
            manifest.drop("module", UNLOADED, f"{module.name}: {module.trouble}")
        chosen = set(wanted)
        tried = {t.name: t for t in self.tried(module.name)} if chosen else {}
        for theorem in module.theorems:
            manifest.rows_in += 1
            if why := skipped(theorem):
                manifest.drop("library", why, theorem.name)
                continue
            if theorem.index not in chosen:
                manifest.drop("limit", "not drawn", theorem.name)
                continue
            outcome = tried[theorem.name]
            if outcome.reason:
                manifest.drop("statement", outcome.reason, f"{theorem.name}: {outcome.detail}")
                continue
            record = task(module, outcome, config, lean=lean, instance=theorem.instance)
            manifest.note(f"form {outcome.form}", record.name)
            manifest.note(f"split {record.split}", record.name)
            manifest.rows_out += 1
            yield record


def task(module: Module, tried: Tried, config: HarvestConfig, *, lean: str, instance: bool = False) -> TheoremRecord:
    """A theorem as a task: stated under a new name on exactly what its module imports."""
    flags = {tried.form} - {"readable"} | ({"instance"} if instance else set())
    return TheoremRecord(
        name=f"{HARVESTED}{tried.name}",
        statement=tried.statement,
        imports=module.imports,
        source=SOURCE,
        split=split_of(module.name, tried.name, config),
        origin=f"{module.name}:{tried.name}",
        lean=lean,
        flags=tuple(sorted(flags)),
    )
