"""Puts the parts of a proof run together and runs it, for `burnqed prove`."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from burnqed.assemble.config import RunConfig
from burnqed.assemble.lean_side import LeanSide, open_lean
from burnqed.assemble.parts import Parts, open_parts
from burnqed.assemble.prover import make_prover
from burnqed.cli.screen import ProveScreen
from burnqed.cli.stopping import cancelled_by_ctrl_c
from burnqed.core.errors import LeanError, StatementRejected
from burnqed.core.files import Hole
from burnqed.core.ports import Gate
from burnqed.lean.pool import WorkerPool
from burnqed.policy.menu import MenuPolicy
from burnqed.policy.menu_rules import Rule
from burnqed.run.fill import FilledFile, fill, holes
from burnqed.run.folder import RunFolder
from burnqed.run.result import TheoremResult
from burnqed.theorems.lean_text import declared
from burnqed.theorems.read import BadEntry, Entry

_LEMMAS = 20
"""So many of a file's last theorems are tried; each costs a few tactics a state."""


@dataclass(frozen=True)
class ProofRun:
    """What a run is made of. ``lean`` is the embedded Lean, or a native one.

    ``open_folder`` is called when it is known that there is something to do, with what there is to say of the models.
    """

    rules: Sequence[Rule]
    config: RunConfig
    lean: LeanSide
    open_folder: Callable[[dict[str, Any]], RunFolder]
    as_json: bool


@dataclass
class Outcome:
    """What came of a run; ``filled`` for a file with sorries whose run was not interrupted."""

    results: list[TheoremResult]
    total: int
    folder: Path
    interrupted: bool
    filled: FilledFile | None = None
    troubles: str = ""


async def prove_entries(run: ProofRun, entries: Sequence[Entry]) -> Outcome:
    """Prove statements, each in its own header."""
    async with (
        open_lean(run.lean, run.config.lean, entries=entries) as (pool, gate),
        _parts(run, pool, None) as parts,
    ):
        return await _search(run, parts, pool, gate, entries, None)


async def fill_file(run: ProofRun, text: str, source: str) -> Outcome:
    """Prove the sorries of a file. Raises StatementRejected when Lean does not accept the file as it is."""
    async with (
        open_lean(run.lean, run.config.lean, complete=True) as (pool, gate),
        _parts(run, pool, text) as parts,
    ):
        try:
            async with pool.lease() as session:
                places = await session.places(text)
        except StatementRejected as error:
            raise StatementRejected(f"{source}: {error}") from error
        return await _search(run, parts, pool, gate, holes(text, places, source=source), text)


@contextlib.asynccontextmanager
async def _parts(run: ProofRun, pool: WorkerPool, text: str | None) -> AsyncIterator[Parts]:
    """Policy and value. Where a model has to be loaded a Lean process starts meanwhile: both take seconds."""
    loads = run.config.policy.kind == "model" or run.config.value.kind == "head"
    ahead = asyncio.ensure_future(_start_one(pool)) if loads else None
    try:
        async with open_parts(run.config, menu=_menu(run.rules, text)) as parts:
            if ahead is not None:
                await ahead
            yield parts
    finally:
        if ahead is not None:
            ahead.cancel()


async def _start_one(pool: WorkerPool) -> None:
    with contextlib.suppress(LeanError):  # whoever leases a process is told
        await pool.warm_up()


async def _search(
    run: ProofRun, parts: Parts, pool: WorkerPool, gate: Gate, entries: Sequence[Entry | Hole], text: str | None
) -> Outcome:
    folder = run.open_folder(parts.about)
    screen = ProveScreen(len(entries), enabled=not run.as_json and sys.stderr.isatty())
    outcome = Outcome([], len(entries), folder.path, False)

    def on_result(result: TheoremResult) -> None:
        outcome.results.append(result)
        screen.result(result)
        if run.as_json:
            print(result.line(), flush=True)
        else:
            screen.show(result)

    prover = make_prover(parts, lean=run.lean, pool=pool, gate=gate, folder=folder, screen=screen)

    async def work() -> None:
        if text is None:
            await prover.prove_all(entries, on_result)
        else:
            found = [e for e in entries if isinstance(e, Hole | BadEntry)]
            outcome.filled = await fill(prover, text, found, on_result)

    try:
        with screen:
            task = asyncio.ensure_future(work())
            with cancelled_by_ctrl_c(task), contextlib.suppress(asyncio.CancelledError):
                await task
    finally:
        folder.tell_troubles(parts.tally)
    outcome.troubles = parts.tally.told()
    outcome.interrupted = task.cancelled()
    return outcome


def _menu(rules: Sequence[Rule], text: str | None) -> MenuPolicy:
    """The menu; for a file, with the names that it declares."""
    definitions, lemmas = declared(text) if text is not None else ([], [])
    return MenuPolicy(rules, definitions=definitions, lemmas=lemmas[-_LEMMAS:])
