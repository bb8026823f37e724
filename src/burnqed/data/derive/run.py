"""Deriving over several Lean processes, a task at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from msgspec.structs import replace

from burnqed.core.errors import LeanError
from burnqed.core.outcome import StateRef, Stepped
from burnqed.core.ports import LeanPool, LeanSession
from burnqed.core.state import ProofState
from burnqed.data.derive.config import DeriveConfig
from burnqed.data.derive.journal import Derived, Journal
from burnqed.data.derive.scripts import scripts
from burnqed.data.derive.tasks import library_name
from burnqed.data.lean_ask import side_by_side
from burnqed.data.pace import Progress
from burnqed.data.records import TheoremRecord
from burnqed.premises.index import Premises

_SLICE = 8
_INTRODUCE = "intros"


async def derive(
    pool: LeanPool,
    workers: int,
    journal: Journal,
    tasks: Sequence[TheoremRecord],
    premises: Premises,
    config: DeriveConfig,
    *,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> None:
    """Try what is not on record yet. Cancelling it loses the tasks in flight and nothing else.

    Tasks with the same imports come one after the other, since Lean then keeps their environment.
    """
    todo = sorted((t for t in tasks if not journal.has(t.theorem)), key=lambda t: t.imports)
    before = done = len(tasks) - len(todo)
    began_s = time.monotonic()
    on_progress(Progress(done, len(tasks), before, 0.0))
    queue: Iterator[TheoremRecord] = iter(todo)

    async def work() -> None:
        nonlocal done
        async with pool.lease() as session:
            for task in queue:  # shared: each task goes to one worker
                journal.add(await derived(session, task, premises, config))
                done += 1
                on_progress(Progress(done, len(tasks), before, time.monotonic() - began_s))

    await side_by_side(work, min(workers, len(todo)))


async def derived(session: LeanSession, task: TheoremRecord, premises: Premises, config: DeriveConfig) -> Derived:
    """The first script that proves a task, by the kernel's word. Trouble with one task is its result."""
    theorem = task.theorem
    found = Derived(name=task.name, digest=theorem.digest)
    try:
        ref, first = await session.start(theorem)
    except LeanError as error:
        return replace(found, trouble=str(error))
    if first.finished:
        return replace(found, trouble="Lean shows no goal of it")
    found = replace(found, state=first.text)
    try:
        start, state, prefix = await _introduced(session, ref, first)
        tried = scripts(state.goals[0], _premises(task, premises, config))
        for at in range(0, len(tried), _SLICE):
            part = tried[at : at + _SLICE]
            for script, outcome in zip(part, await session.apply(start, part), strict=True):
                if not isinstance(outcome, Stepped) or not outcome.state.finished:
                    continue
                if (await session.verdict(outcome.ref)).accepted:
                    return replace(found, script=prefix + script, tried=at + len(part))
        return replace(found, tried=len(tried))
    except LeanError as error:
        return replace(found, trouble=str(error))


def _premises(task: TheoremRecord, premises: Premises, config: DeriveConfig) -> list[str]:
    """The names of the theorems to try, the most promising first.

    Not those that end the task's own name: in a file, where the theorem stands in its namespaces, they would mean itself.
    """
    own = library_name(task)
    named = premises.namesakes(own, task.imports, config.namesakes) if own else []
    alike = premises.alike(task.statement, task.imports, config.premises)
    found = list(dict.fromkeys(named + alike))[: config.premises]
    return [name for name in found if not task.name.endswith(f".{name}")]


async def _introduced(session: LeanSession, ref: StateRef, state: ProofState) -> tuple[StateRef, ProofState, str]:
    """The state after ``intros`` where that does something, and the line that a script begins with then."""
    if "∀" not in state.goals[0].target and "→" not in state.goals[0].target and "¬" not in state.goals[0].target:
        return ref, state, ""
    (outcome,) = await session.apply(ref, [_INTRODUCE])
    if not isinstance(outcome, Stepped) or outcome.state.finished or outcome.state.text == state.text:
        return ref, state, ""
    return outcome.ref, outcome.state, f"{_INTRODUCE}\n"
