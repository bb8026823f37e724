"""Files that are either whole or not there."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from burnqed.core.errors import RunError


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path to write to; at the end it is flushed to disk and takes the real name in one step.

    On any failure the temporary file is removed and the old file, if any, is as it was. Raises RunError naming
    the file when the system refuses (disk full, no permission).
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        with part.open("rb+") as handle:
            os.fsync(handle.fileno())
        part.replace(path)
    except OSError as error:
        raise RunError(
            f"{path} could not be written ({error.strerror or error}); free some space or choose another --out"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole."""
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8")


def append_line(path: Path, line: str) -> None:
    """Append one line and flush it to disk. A line cut off by a crash is what :func:`whole_lines` skips."""
    try:
        before = path.stat().st_size if path.exists() else 0
        with path.open("ab") as handle:
            try:
                handle.write(line.encode() + b"\n")
                handle.flush()
                os.fsync(handle.fileno())
            except OSError:
                with contextlib.suppress(OSError):
                    handle.truncate(before)
                raise
    except OSError as error:
        raise RunError(
            f"{path} could not be written ({error.strerror or error}); free some space or choose another --out"
        ) from error


def whole_lines(path: Path) -> list[str]:
    """The complete lines of a file of lines; a last one without its line break does not count."""
    if not path.exists():
        return []
    text = path.read_bytes()
    return [line.decode(errors="replace") for line in text[: text.rfind(b"\n") + 1].splitlines()]


def drop_torn_line(path: Path) -> None:
    """Cut off what a crash left of an unfinished last line, so that the next one starts on its own."""
    if path.exists() and (data := path.read_bytes()) and not data.endswith(b"\n"):
        with path.open("rb+") as handle:
            handle.truncate(data.rfind(b"\n") + 1)
