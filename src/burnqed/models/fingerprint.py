"""Hashes of a model's files, computed once for each file."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

_PIECE = 1 << 22


def folder_hash(folder: Path, patterns: Sequence[str]) -> str:
    """Thirty-two hexadecimal digits for names and contents of the files of a folder that match a pattern (BLAKE2b)."""
    whole = hashlib.blake2b(digest_size=16)
    for path in sorted({path for pattern in patterns for path in folder.glob(pattern)}):
        whole.update(f"{path.name}\0{file_hash(path)}\0".encode())
    return whole.hexdigest()


def file_hash(path: Path) -> str:
    """The BLAKE2b hash of a file's bytes. Files of a megabyte and more are read once, and again when size or time has changed."""
    about = path.stat()
    if about.st_size < 1 << 20:
        return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
    key = f"{path.resolve()}\0{about.st_size}\0{about.st_mtime_ns}"
    note = _cache_folder() / hashlib.blake2b(key.encode(), digest_size=16).hexdigest()
    with contextlib.suppress(OSError, ValueError):
        known = note.read_text(encoding="ascii")
        if len(bytes.fromhex(known)) == 16:
            return known
    found = _read_through(path)
    # Without a place for notes the file is read again next time; that is slow, not wrong.
    with contextlib.suppress(OSError):
        _write(note, found)
    return found


def _read_through(path: Path) -> str:
    whole = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            whole.update(piece)
    return whole.hexdigest()


def _write(note: Path, text: str) -> None:
    note.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=note.parent)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
    Path(name).replace(note)


def _cache_folder() -> Path:
    chosen = os.environ.get("BURNQED_HOME")
    if chosen:
        return Path(chosen).expanduser() / "model-hashes"
    import platformdirs

    return Path(platformdirs.user_cache_dir("burnqed")) / "model-hashes"
