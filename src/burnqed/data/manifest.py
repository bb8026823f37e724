"""The account of a step: what it read, what it wrote, and under which reason each row that is missing has left.

A manifest stands beside the files it speaks of, and is written whole when they are. ``rows_in + rows_made`` is always
``rows_out`` plus everything dropped; :meth:`Manifest.write` refuses to write one that does not add up.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from burnqed import __version__
from burnqed.core.errors import BadInput
from burnqed.trajectory.files import write_text

NAME = "manifest.json"
VERSION = 1
_EXAMPLES = 3
_LONGEST = 300  # characters of an example


class FileCard(msgspec.Struct, frozen=True, kw_only=True):
    """A file that a step read or wrote; ``path`` as it was given, ``rows`` None when they were not counted."""

    path: str
    size_bytes: int
    sha256: str
    rows: int | None = None

    @classmethod
    def of(cls, path: Path, *, shown: str = "", rows: int | None = None) -> FileCard:
        """The card of a file on disk, under the name ``shown`` if given. Raises BadInput when it cannot be read."""
        digest = hashlib.sha256()
        try:
            with path.open("rb") as file:
                while chunk := file.read(1 << 20):
                    digest.update(chunk)
        except OSError as error:
            raise BadInput(f"{path} cannot be read: {error.strerror or error}") from error
        return cls(path=shown or str(path), size_bytes=path.stat().st_size, sha256=digest.hexdigest(), rows=rows)


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where the rows of a set come from: ``location`` is an address or a path, ``lean`` the toolchain it was made for."""

    name: str
    location: str = ""
    revision: str = ""
    licence: str = ""
    lean: str = ""
    notes: tuple[str, ...] = ()


class Count(msgspec.Struct):
    """How often, with the first few examples."""

    count: int = 0
    examples: list[str] = msgspec.field(default_factory=list)

    def add(self, example: str, times: int) -> None:
        """Count once more, or ``times`` more."""
        self.count += times
        if example and len(self.examples) < _EXAMPLES:
            self.examples.append(example if len(example) <= _LONGEST else example[: _LONGEST - 1] + "…")


class Manifest(msgspec.Struct, kw_only=True):
    """The account of one step, filled while it runs.

    ``dropped[stage][reason]`` counts rows that left, ``noted[kind]`` what was seen or repaired in rows that stayed.
    ``rows_made`` are rows that came into being in the step (generated, or several from one).
    """

    step: str
    command: str = ""
    origins: list[Origin] = msgspec.field(default_factory=list)
    inputs: list[FileCard] = msgspec.field(default_factory=list)
    outputs: list[FileCard] = msgspec.field(default_factory=list)
    rows_in: int = 0
    rows_made: int = 0
    rows_out: int = 0
    dropped: dict[str, dict[str, Count]] = msgspec.field(default_factory=dict)
    noted: dict[str, Count] = msgspec.field(default_factory=dict)
    settings: dict[str, str | int | float | bool | None] = msgspec.field(default_factory=dict)
    burnqed: str = __version__
    version: int = VERSION

    def drop(self, stage: str, reason: str, example: str = "", *, times: int = 1) -> None:
        """A row leaves at ``stage`` (``read``, ``filter``, ``decontaminate``, …) for ``reason``, a few fixed words."""
        self.dropped.setdefault(stage, {}).setdefault(reason, Count()).add(example, times)

    def note(self, kind: str, example: str = "", *, times: int = 1) -> None:
        """Something about a row that stays."""
        self.noted.setdefault(kind, Count()).add(example, times)

    @property
    def rows_dropped(self) -> int:
        """All that left, whatever the reason."""
        return sum(count.count for reasons in self.dropped.values() for count in reasons.values())

    def dropped_for(self, stage: str, reason: str) -> int:
        """How many left at this stage for this reason."""
        return self.dropped.get(stage, {}).get(reason, Count()).count

    def check(self) -> None:
        """Every row is accounted for; anything else is a fault of the step."""
        came, went = self.rows_in + self.rows_made, self.rows_out + self.rows_dropped
        assert came == went, f"{self.step}: {came} rows came and {went} are accounted for"

    def write(self, folder: Path, name: str = NAME) -> Path:
        """Write it whole into a folder; returns the path."""
        self.check()
        path = folder / name
        write_text(path, msgspec.json.format(msgspec.json.encode(self), indent=2).decode() + "\n")
        return path

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """The manifest in a file, or in a folder under its usual name. Raises BadInput when there is none to read."""
        file = path / NAME if path.is_dir() else path
        try:
            return msgspec.json.decode(file.read_bytes(), type=cls)
        except (OSError, msgspec.DecodeError) as error:
            raise BadInput(f"{file} is no manifest that can be read: {error}") from error

    def told(self) -> str:
        """One line for a person: how many came, stayed and left, the most frequent reason first."""
        reasons = [(c.count, f"{stage}: {why}") for stage, all_ in self.dropped.items() for why, c in all_.items()]
        left = ", ".join(f"{count:,} {why}" for count, why in sorted(reasons, key=lambda r: (-r[0], r[1])))
        made = f" and {self.rows_made:,} made" if self.rows_made else ""
        return f"{self.rows_in:,} rows read{made}, {self.rows_out:,} written" + (f"; dropped: {left}" if left else "")
