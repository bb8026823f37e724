"""What tracing has done so far: one line a theorem, written when the theorem is finished, and the training files made of it.

A run that was killed loses the theorems in flight; a line that it left unfinished does not count.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from burnqed.core.errors import RunError
from burnqed.data.records import TacticRecord
from burnqed.trajectory.files import append_line, drop_torn_line

T = TypeVar("T")
TextId = tuple[str, str]
"""The key and the digest of a text, see :class:`~burnqed.data.trace.inputs.ProofText`."""


class Traced(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one theorem: its rows, or a reason why there are none.

    ``key`` and ``digest`` name the text that it stands in; ``last`` says that nothing more comes of that text, and an entry
    without a theorem says only that. ``conv`` steps and ``refused`` rows, which did not give their goals again, are
    counted and left out, the first of the latter with an ``example``.
    """

    key: str
    digest: str
    theorem: str = ""
    last: bool = False
    reason: str = ""
    detail: str = ""
    rows: tuple[TacticRecord, ...] = ()
    conv: int = 0
    refused: int = 0
    example: str = ""


class _Entry(msgspec.Struct, frozen=True):
    """What is needed of a line to know what is done."""

    key: str
    digest: str
    theorem: str = ""
    last: bool = False


class Journal:
    """The file ``journal.jsonl`` of a folder. Raises RunError when it is damaged."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "journal.jsonl"
        self._done: dict[TextId, set[str]] = {}
        self._ended: set[TextId] = set()
        drop_torn_line(self.path)
        for _, entry in self._lines(_Entry):
            self._note((entry.key, entry.digest), entry.theorem, last=entry.last)

    def ended(self, text: TextId) -> bool:
        """Whether a text was traced to its end."""
        return text in self._ended

    def done(self, text: TextId) -> Container[str]:
        """The theorems of a text that are on record."""
        return self._done.get(text, set())

    def add(self, traced: Traced) -> None:
        """Put a theorem on record, unless it is there. Raises RunError when the disk does not take it."""
        text = (traced.key, traced.digest)
        if traced.theorem and traced.theorem in self.done(text):
            return
        append_line(self.path, msgspec.json.encode(traced).decode())
        self._note(text, traced.theorem, last=traced.last)

    def theorems(self, texts: Container[TextId]) -> Iterator[Traced]:
        """The theorems on record that stand in these texts."""
        for line, entry in self._lines(_Entry):
            if entry.theorem and (entry.key, entry.digest) in texts:
                yield msgspec.json.decode(line, type=Traced)

    def _note(self, text: TextId, theorem: str, *, last: bool) -> None:
        if theorem:
            self._done.setdefault(text, set()).add(theorem)
        if last:
            self._ended.add(text)

    def _lines(self, kind: type[T]) -> Iterator[tuple[bytes, T]]:
        if not self.path.exists():
            return
        decode = msgspec.json.Decoder(kind).decode
        with self.path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    yield line, decode(line)
                except msgspec.DecodeError as error:
                    raise RunError(f"{self.path}:{number} is damaged, delete the line and resume: {error}") from error
