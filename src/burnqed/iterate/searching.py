"""Searches of many theorems into one run folder, which end in order when somebody asks for it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from burnqed import __version__
from burnqed.assemble.config import RunConfig
from burnqed.assemble.lean_side import LeanSide, open_lean
from burnqed.assemble.parts import open_parts
from burnqed.assemble.prover import make_prover
from burnqed.core.ports import Gate
from burnqed.core.theorem import Theorem
from burnqed.data.pace import Progress
from burnqed.iterate.context import Context
from burnqed.lean.pool import WorkerPool
from burnqed.policy.menu import MenuPolicy
from burnqed.policy.menu_rules import load_menu
from burnqed.run.folder import RunFolder
from burnqed.run.result import TheoremResult
from burnqed.search.config import SearchConfig

_ASK_EVERY_S = 0.2

T = TypeVar("T")


@dataclass(frozen=True)
class OpenLean:
    """A Lean that is running."""

    side: LeanSide
    pool: WorkerPool
    gate: Gate


@contextlib.asynccontextmanager
async def opened(context: Context, theorems: Sequence[Theorem]) -> AsyncIterator[OpenLean]:
    """Lean for these theorems; inside it ends with Stopped soon after somebody asked for an end."""
    side = context.lean()
    async with open_lean(side, context.recipe.prove.lean, entries=theorems) as (pool, gate):
        yield OpenLean(side, pool, gate)


async def search(
    context: Context,
    lean: OpenLean,
    theorems: Sequence[Theorem],
    config: RunConfig,
    folder: Path,
    *,
    what: str,
    factors: Mapping[str, float] | None = None,
) -> list[TheoremResult]:
    """Search what is not on record in the folder yet; results in the order of the theorems.

    ``factors`` multiply the budgets of single theorems, by name. Raises Stopped when somebody asked for an end: what was done is
    on record.
    """
    began_s = time.monotonic()
    done = 0
    async with open_parts(config, menu=MenuPolicy(load_menu(config.policy.menu))) as parts:
        settings: dict[str, Any] = {"burnqed": __version__, "input": what, "config": config.model_dump(mode="json")}
        make = RunFolder.resume if (folder / "run.json").exists() else RunFolder.create
        run = make(folder, settings | parts.about)
        before = len(run.finished())
        # Of the parts' own settings, which have the weight that the value was calibrated to.
        budgets = {name: times(parts.search, factor) for name, factor in (factors or {}).items()}
        prover = make_prover(parts, lean=lean.side, pool=lean.pool, gate=lean.gate, folder=run, own_config=budgets)

        def on_result(result: TheoremResult) -> None:
            nonlocal done
            done += 1
            seconds = time.monotonic() - began_s
            context.listener.show(what, Progress(done, len(theorems), min(before, done), seconds))

        context.listener.show(what, Progress(0, len(theorems), 0, 0.0))
        results = await until_stopped(context, prover.prove_all(theorems, on_result))
        run.tell_troubles(parts.tally)
    return results


async def until_stopped(context: Context, work: Coroutine[Any, Any, T] | asyncio.Future[T]) -> T:
    """Await it; when somebody asks for an end, it is cancelled and Stopped is raised. It never goes on after this returns."""
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait([task], timeout=_ASK_EVERY_S)
            if not task.done():
                context.check_stop()
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def times(config: SearchConfig, factor: float) -> SearchConfig:
    """A larger budget: in nodes, seconds, tactics and tokens alike."""
    return config.model_copy(
        update={
            "max_nodes": round(config.max_nodes * factor),
            "max_seconds": config.max_seconds * factor,
            "max_tactics": round(config.max_tactics * factor),
            "max_tokens": round(config.max_tokens * factor),
        }
    )
