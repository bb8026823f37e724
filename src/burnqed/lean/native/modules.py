"""Which modules of a native Lean are compiled, told from the places of their ``.olean`` files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from burnqed.core.errors import BadInput
from burnqed.lean.native.find import NativeLean

_PACKAGES = (".lake", "packages")
_PLAIN = re.compile(r"[^\W\d][\w'!?]*")


def own_modules(native: NativeLean) -> list[str]:
    """The modules in the project's own folders, those of its packages not among them, by name.

    Without a project these are all in LEAN_PATH. Raises BadInput when there is none.
    """
    folders = [folder for folder in _lean_path(native) if _is_own(folder, native.project)]
    found = sorted({name for folder in folders for name in _compiled(folder)})
    if not found:
        raise BadInput(
            f"{native.project or 'LEAN_PATH'} has no compiled modules of its own: run `lake build` there, "
            "or name modules of its packages with --roots"
        )
    return found


def modules_below(native: NativeLean, roots: Sequence[str]) -> list[str]:
    """The compiled modules that a root names, and all below it, of project, packages and toolchain alike, by name.

    Raises BadInput for a root that there is not.
    """
    folders = _lean_path(native)
    if native.sysroot is not None:
        folders.append(native.sysroot / "lib" / "lean")
    found: set[str] = set()
    for root in roots:
        parts = root.replace("«", "").replace("»", "").split(".")
        below = {name for folder in folders for name in _below(folder, parts)}
        if not below:
            there = sorted({name.partition(".")[0] for folder in folders for name in _tops(folder)})
            raise BadInput(
                f"there is no compiled module {root}, and none below it: the roots are {', '.join(there) or 'none'}; "
                "run `lake build` if it is missing"
            )
        found |= below
    return sorted(found)


def roots_of(modules: Sequence[str]) -> tuple[str, ...]:
    """The first words of modules' names, once each."""
    return tuple(dict.fromkeys(name.partition(".")[0] for name in modules))


def _lean_path(native: NativeLean) -> list[Path]:
    base = native.project or Path()
    return [base / entry for entry in native.lean_path.split(os.pathsep) if entry]


def _is_own(folder: Path, project: Path | None) -> bool:
    """Whether a folder of LEAN_PATH is the project's own. Lake puts what it fetched into ``.lake/packages``."""
    if project is None:
        return True
    try:
        inside = folder.resolve().relative_to(project.resolve())
    except ValueError:
        return False
    return inside.parts[:2] != _PACKAGES


def _compiled(folder: Path, below: Path = Path()) -> Iterator[str]:
    """The modules in a folder of LEAN_PATH. Files such as ``A.olean.private`` are parts of ``A.olean``."""
    for path in (folder / below).rglob("*.olean"):
        yield _name(path.relative_to(folder).with_suffix("").parts)


def _below(folder: Path, parts: Sequence[str]) -> Iterator[str]:
    root = Path(*parts)
    if (folder / root).with_name(f"{root.name}.olean").is_file():
        yield _name(parts)
    yield from _compiled(folder, root)


def _tops(folder: Path) -> Iterator[str]:
    """The first words of the modules in a folder, without looking at all of them."""
    for path in folder.glob("*"):
        if path.suffix == ".olean" or (path.is_dir() and next(path.rglob("*.olean"), None)):
            yield _name([path.stem if path.suffix == ".olean" else path.name])


def _name(parts: Sequence[str]) -> str:
    """A module's name as Lean writes it."""
    return ".".join(part if _PLAIN.fullmatch(part) else f"«{part}»" for part in parts)
