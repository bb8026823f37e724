"""`burnqed data premises`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from burnqed.cli.install_bar import ensure_lean
from burnqed.core.errors import BadInput
from burnqed.data.derive.premises import library_premises
from burnqed.data.derive.tasks import library_name
from burnqed.data.lean_ask import leased
from burnqed.data.records import TheoremRecord
from burnqed.data.trace.inputs import theorem_records
from burnqed.lean.config import LeanConfig
from burnqed.lean.embedded.install import EmbeddedLean
from burnqed.lean.embedded.programs import COMPLETE
from burnqed.lean.embedded.server import spawner
from burnqed.lean.pool import WorkerPool
from burnqed.premises.file import write_premises
from burnqed.premises.index import Premises
from burnqed.trajectory.files import whole_file


def premises(
    tasks: Annotated[Path, typer.Argument(metavar="TASKS", help="tasks.jsonl of `burnqed data harvest`.")],
    out: Annotated[Path, typer.Option(help="The file.")] = Path("data/library.json.xz"),
) -> None:
    """List the library's theorems with what each speaks of, to be looked up by likeness while proving.

    The file that comes with burnqed is of Init and Std, and was made by this command. Statements come from the harvest; of
    theorems that it could not state the words of their names are taken.

    Examples:
      burnqed data premises data/harvest/tasks.jsonl --out src/burnqed/premises/library.json.xz

    """
    library = list(theorem_records(tasks).values())
    if not any(map(library_name, library)):
        raise BadInput(f"{tasks} has no theorem of the library; `burnqed data harvest` makes such a file")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"--out {out}: the folder cannot be made: {error.strerror or error}") from error
    lean = ensure_lean(programs=[COMPLETE])
    found = asyncio.run(_listed(lean, library))
    with whole_file(out) as part:
        write_premises(part, found, lean=lean.lean_version)
    print(f"{out}: {len(found.theorems):,} theorems of {len(found.imports):,} modules, {out.stat().st_size:,} bytes")


async def _listed(lean: EmbeddedLean, library: Sequence[TheoremRecord]) -> Premises:
    limits = LeanConfig(workers=1)
    async with WorkerPool(spawner(lean, limits, program=COMPLETE), limits) as pool, leased(pool, limits) as ask:
        return await library_premises(ask, library)
