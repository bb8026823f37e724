"""`burnqed data premises`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from burnqed.cli.install_bar import ensure_lean
from burnqed.core.errors import BadInput
from burnqed.data.derive.premises import premises_of
from burnqed.data.harvest.catalogue import catalogue
from burnqed.data.lean_ask import leased
from burnqed.data.trace.inputs import theorem_records
from burnqed.lean.config import LeanConfig
from burnqed.lean.embedded.install import EmbeddedLean
from burnqed.lean.embedded.programs import COMPLETE
from burnqed.lean.embedded.server import spawner
from burnqed.lean.pool import WorkerPool
from burnqed.premises.file import write_premises
from burnqed.premises.index import Premises
from burnqed.trajectory.files import whole_file

_ROOTS = ("Init", "Std")
_SILENCE_S = 60.0


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
    statements = {name: t.statement for t in theorem_records(tasks).values() if (name := t.origin.partition(":")[2])}
    if not statements:
        raise BadInput(f"{tasks} has no theorem of the library; `burnqed data harvest` makes such a file")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"--out {out}: the folder cannot be made: {error.strerror or error}") from error
    lean = ensure_lean(programs=[COMPLETE])
    found = asyncio.run(_listed(lean, statements))
    with whole_file(out) as part:
        write_premises(part, found, lean=lean.lean_version)
    print(f"{out}: {len(found.theorems):,} theorems of {len(found.imports):,} modules, {out.stat().st_size:,} bytes")


async def _listed(lean: EmbeddedLean, statements: dict[str, str]) -> Premises:
    limits = LeanConfig(workers=1)
    async with WorkerPool(spawner(lean, limits, program=COMPLETE), limits) as pool, leased(pool, limits) as ask:
        return premises_of(await catalogue(ask, _ROOTS, silence_s=_SILENCE_S), statements)
