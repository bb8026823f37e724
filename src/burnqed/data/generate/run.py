"""Try drafts over one or several Lean processes, each on record as soon as it is decided."""

from __future__ import annotations

import itertools
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from burnqed.core.seeding import child_seed
from burnqed.data.generate.attempt import attempt
from burnqed.data.generate.config import GenerateConfig
from burnqed.data.generate.draft import Draft
from burnqed.data.generate.folder import GenerateFolder
from burnqed.data.generate.stream import drafts
from burnqed.data.lean_ask import side_by_side
from burnqed.data.pace import Progress
from burnqed.lean.pool import WorkerPool


@dataclass
class Spent:
    """What a run has done: the numbers wanted, how many draws they took, and the seconds that Lean worked for each family."""

    wanted: list[int] = field(default_factory=list)
    drawn: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    tried: Counter[str] = field(default_factory=Counter)


async def generate(
    pool: WorkerPool,
    folder: GenerateFolder,
    config: GenerateConfig,
    *,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Spent:
    """Try every draft that is not on record. Cancelling it loses those in flight and nothing else."""
    done = folder.tried()
    spent = Spent()
    began_s = time.monotonic()
    before = 0

    def fresh() -> Iterator[tuple[int, Draft]]:
        nonlocal before
        for index, draft in itertools.islice(drafts(config), config.count):
            spent.wanted.append(index)
            spent.drawn = index + 1
            if index in done:
                before += 1
            else:
                yield index, draft

    queue = fresh()

    async def work() -> None:
        for index, draft in queue:  # shared: each draft goes to one worker
            rng = random.Random(child_seed(config.seed, "attempt", index))
            start_s = time.monotonic()
            async with pool.lease() as session:
                folder.add(await attempt(session, draft, index=index, rng=rng))
            spent.seconds[draft.family] = spent.seconds.get(draft.family, 0.0) + time.monotonic() - start_s
            spent.tried[draft.family] += 1
            at = before + sum(spent.tried.values())
            on_progress(Progress(at, config.count, before, time.monotonic() - began_s))

    await side_by_side(work, pool.size)
    return spent
