"""A set that is a folder of Lean files, a theorem each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from burnqed.core.errors import BadInput
from burnqed.data.reading import BadRow
from burnqed.data.records import TheoremRecord
from burnqed.data.sources.cut import Cut, Uncut, cut
from burnqed.data.sources.source import Loaded


def load_folder(folder: Path, make: Callable[[Cut, PurePosixPath], TheoremRecord]) -> Iterator[Loaded]:
    """A record for each ``.lean`` file below a folder that holds a theorem, in the order of their paths.

    ``make`` gets the pieces and the path below the folder. A file without a theorem (imports, a list of modules) is a bad row.
    Raises BadInput when there is no Lean file at all.
    """
    paths = sorted(folder.rglob("*.lean"))
    if not paths:
        raise BadInput(f"{folder}: no .lean file in it")
    for path in paths:
        try:
            yield 1, make(cut(path.read_text(encoding="utf-8-sig")), PurePosixPath(path.relative_to(folder).as_posix()))
        except Uncut as error:
            yield BadRow(str(path), str(error))
        except UnicodeDecodeError as error:
            yield BadRow(str(path), "invalid UTF-8", str(error))
        except OSError as error:
            yield BadRow(str(path), "not readable", error.strerror or str(error))
