"""A Lean to prove with, whichever it is: its workers and its gate."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence

from burnqed.assemble.native_side import NativeSide
from burnqed.core.ports import Gate
from burnqed.lean.config import LeanConfig
from burnqed.lean.embedded.install import EmbeddedLean
from burnqed.lean.embedded.programs import COMPLETE, PROVER
from burnqed.lean.embedded.server import spawner
from burnqed.lean.pool import WorkerPool
from burnqed.run.prove import EMBEDDED_ROOTS
from burnqed.theorems.read import Entry
from burnqed.verify.gate import FreshProcessGate

LeanSide = EmbeddedLean | NativeSide


@contextlib.asynccontextmanager
async def open_lean(
    lean: LeanSide, limits: LeanConfig, *, entries: Sequence[Entry] = (), complete: bool = False
) -> AsyncIterator[tuple[WorkerPool, Gate]]:
    """The pool and the gate. ``entries`` are what will be proved, ``complete`` asks for the server that reads whole files."""
    if isinstance(lean, NativeSide):
        async with lean.opened(entries, limits) as parts:
            yield parts
        return
    spawn = spawner(lean, limits, program=COMPLETE if complete else PROVER)
    async with WorkerPool(spawn, limits) as pool, FreshProcessGate(spawn) as gate:
        gate.prepare()
        yield pool, gate


def roots(lean: LeanSide) -> tuple[str, ...] | None:
    """The roots of the modules that a theorem may import; None when Lean decides."""
    return None if isinstance(lean, NativeSide) else EMBEDDED_ROOTS
