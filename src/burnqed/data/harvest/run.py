"""A harvest over several Lean processes, a module at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from burnqed.core.errors import LeanError
from burnqed.data.harvest.catalogue import Module, catalogue, drawn, module_of
from burnqed.data.harvest.config import HarvestConfig
from burnqed.data.harvest.folder import HarvestFolder, Tried
from burnqed.data.lean_ask import LeanAsk, Lost, leased, side_by_side
from burnqed.data.pace import Progress
from burnqed.lean.config import LeanConfig
from burnqed.lean.pool import WorkerPool
from burnqed.lean.process import RequestFailed
from burnqed.lean.protocol import LibraryStatement, StatementsReply

HUNG = "hangs Lean"
KILLED = "kills Lean"
UNREADABLE = "imports cannot be read"
_STRIKES = 2  # so often a theorem may be the one during which the process is lost, for once may be bad luck


async def harvest(
    pool: WorkerPool,
    lean: LeanConfig,
    folder: HarvestFolder,
    config: HarvestConfig,
    *,
    names: Sequence[str] = (),
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> tuple[list[Module], dict[str, list[int]]]:
    """Try every theorem that is drawn and not on record yet; returns the library and what was drawn of it.

    ``names`` are the modules where the processes load them one by one, as a native Lean does; the embedded Lean has all
    modules from its start and is asked for those below the configured roots.
    Cancelling it loses the modules in flight and nothing else. Progress is in theorems.
    """
    if names:
        modules = await _looked_up(pool, lean, names, config)
    else:
        async with leased(pool, lean) as first:
            modules = await catalogue(first, config.roots, silence_s=config.silence_s)
    wanted = drawn(modules, config.limit, config.seed)
    todo = [m for m in modules if m.name in wanted and not folder.has(m.name)]
    total = sum(map(len, wanted.values()))
    before = done = total - sum(len(wanted[m.name]) for m in todo)
    began_s = time.monotonic()
    on_progress(Progress(done, total, before, 0.0))
    queue = iter(todo)

    async def work() -> None:
        nonlocal done
        async with leased(pool, lean) as ask:
            for module in queue:  # shared: each module goes to one worker
                tried = await tried_in(ask, module, wanted[module.name], config)
                folder.keep(module.name, tried)
                done += len(tried)
                on_progress(Progress(done, total, before, time.monotonic() - began_s))

    await side_by_side(work, min(pool.size, len(todo)))
    return modules, wanted


async def _looked_up(pool: WorkerPool, lean: LeanConfig, names: Sequence[str], config: HarvestConfig) -> list[Module]:
    """The modules of these names, several at once."""
    found: dict[str, Module] = {}
    queue = iter(names)

    async def look() -> None:
        async with leased(pool, lean) as ask:
            for name in queue:  # shared
                found[name] = await module_of(ask, name, silence_s=config.silence_s)

    await side_by_side(look, min(pool.size, len(names)))
    return [found[name] for name in names]


async def tried_in(ask: LeanAsk, module: Module, indices: Sequence[int], config: HarvestConfig) -> list[Tried]:
    """What becomes of these theorems of a module. One that hangs or kills Lean says so, and the others go on."""
    names = {t.index: t.name for t in module.theorems}
    found: dict[int, Tried] = {}
    strikes: dict[int, int] = {}
    one_by_one = False
    while rest := [i for i in indices if i not in found]:
        chunk = rest[:1] if one_by_one else rest
        try:
            answers = await _ask(ask, module, chunk, config)
        except RequestFailed as error:
            answers = []
            found |= {i: Tried(name=names[i], reason=UNREADABLE, detail=error.desc) for i in chunk}
        except Lost as error:
            answers = error.entries
            one_by_one = True
            if len(chunk) == 1 and not answers:
                culprit = chunk[0]
                strikes[culprit] = strikes.get(culprit, 0) + 1
                if strikes[culprit] == _STRIKES:
                    found[culprit] = Tried(
                        name=names[culprit], reason=HUNG if error.hung else KILLED, detail=str(error)
                    )
        found |= {a.index: Tried.of(a) for a in answers if a.index in names}
    return [found[i] for i in indices]


async def _ask(ask: LeanAsk, module: Module, indices: Sequence[int], config: HarvestConfig) -> list[LibraryStatement]:
    payload: Mapping[str, object] = {"module": module.name, "indices": list(indices)}
    entries, last = await ask.ask(
        "library.statements", dict(payload), LibraryStatement, StatementsReply, silence_s=config.silence_s
    )
    answers = [*entries, *last.statements]
    if {a.index for a in answers} != set(indices):
        raise LeanError(f"Lean answered for {len(answers)} theorems of {module.name} instead of {len(indices)}")
    return answers
