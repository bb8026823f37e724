"""Run an evaluation: every theorem with every arm and seed, each arm and seed in a run folder of its own.

A theorem that is on record is not searched again, so the same call goes on where it was stopped. Theorems that ended with an
error (Lean rejected the statement, say) count as not proved, and are tried again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import msgspec
from filelock import FileLock, Timeout

from burnqed import __version__
from burnqed.assemble.config import RunConfig
from burnqed.assemble.lean_side import LeanSide
from burnqed.assemble.parts import Parts
from burnqed.assemble.prover import make_prover
from burnqed.core.errors import BadInput, RunError
from burnqed.core.events import Event
from burnqed.core.ports import Gate, LeanPool
from burnqed.core.tally import Tally
from burnqed.core.theorem import Theorem
from burnqed.evaluate.record import OWN, SPEC, Benchmark, EvalSpec, read_spec, results_of, run_path, write_spec
from burnqed.evaluate.sessions import Session, note
from burnqed.evaluate.systems import budget_of, system_of, what_changed
from burnqed.run.clock import MonotonicClock
from burnqed.run.folder import RunFolder
from burnqed.run.result import TheoremResult
from burnqed.value.config import ValueConfig
from burnqed.value.trivial import TRIVIAL, TrivialValue

_PATIENCE_S = 60.0  # for another process that writes eval.json at this moment
_MOST = 3


class Screen(Protocol):
    """What is told of the searches of an arm and seed; a context manager."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def emit(self, event: Event) -> None:
        """An event of a search."""
        ...

    def result(self, result: TheoremResult) -> None:
        """A search ended."""
        ...


@dataclass(frozen=True)
class Shard:
    """The part of the theorems that one of several processes does: those number ``number``, ``number + of``, … from 1."""

    number: int = 1
    of: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read ``2/4``. Raises BadInput."""
        number, _, of = text.partition("/")
        if not (number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
            raise BadInput(f"--shard {text}: it is I/N, such as 1/4 for the first of four processes")
        return cls(int(number), int(of))

    @property
    def name(self) -> str:
        """Of its folder; empty when it is everything."""
        return f"shard_{self.number}_of_{self.of}" if self.of > 1 else ""

    def part(self, theorems: Sequence[Theorem]) -> Sequence[Theorem]:
        """Its theorems."""
        return theorems[self.number - 1 :: self.of]


@dataclass(frozen=True)
class Asked:
    """What is to be evaluated, and where it is kept; ``lean`` says which Lean it is."""

    folder: Path
    name: str
    benchmark: Benchmark
    theorems: Sequence[Theorem]
    config: RunConfig
    lean: str
    arms: tuple[str, ...] = (OWN,)
    seeds: tuple[int, ...] = (0,)
    shard: Shard = field(default_factory=Shard)
    command: str = ""
    commit: str = ""
    machine: str = ""

    def todo(self, arm: str, seed: int) -> list[Theorem]:
        """The theorems of this shard that have no final result yet."""
        done = results_of(self.folder, arm, seed)
        return [t for t in self.shard.part(self.theorems) if (r := done.get(t.name)) is None or r.status == "error"]

    def missing(self) -> int:
        """Searches of this shard that have no result at all, not even an error."""
        done = [results_of(self.folder, arm, seed) for arm in self.arms for seed in self.seeds]
        return sum(t.name not in results for t in self.shard.part(self.theorems) for results in done)


@dataclass(frozen=True)
class Site:
    """With what it is evaluated. ``parts`` opens policy and value for a configuration; ``screen`` is for an arm, a seed and so
    many theorems; ``workers`` are the pool's processes, 0 if not known; ``on_parts`` is called once, with the first parts.
    """

    lean: LeanSide
    pool: LeanPool
    gate: Gate
    parts: Callable[[RunConfig], AbstractAsyncContextManager[Parts]]
    screen: Callable[[str, int, int], Screen]
    workers: int = 0
    on_parts: Callable[[Parts], Awaitable[None]] | None = None


def arms_of(names: Sequence[str], config: RunConfig) -> tuple[str, ...]:
    """The arms of these names, each once, without one that would only repeat ``own``. Raises BadInput for an unknown name."""
    for name in names:
        if name != OWN and name not in TRIVIAL:
            raise BadInput(
                f"--arms: there is no arm {name}; an arm is {OWN} (the system's own value), {', '.join(TRIVIAL)}"
            )
    found = dict.fromkeys(names)
    if OWN in found:
        found.pop(config.value.kind, None)
    if not found:
        raise BadInput(f"--arms names no arm; an arm is {OWN} (the system's own value), {', '.join(TRIVIAL)}")
    return tuple(found)


async def evaluate(asked: Asked, site: Site) -> None:
    """Search whatever is not on record yet.

    Cancelling it loses the searches in flight and nothing else. Raises BadInput when the folder holds another evaluation, or
    is in use by another process; CanaryProved and ModelMismatch as a run does.
    """
    with _alone(asked):
        for at, seed in enumerate(asked.seeds):
            if at and not any(asked.todo(arm, seed) for arm in asked.arms):
                continue
            config = asked.config.model_copy(update={"search": asked.config.search.model_copy(update={"seed": seed})})
            async with site.parts(config) as parts:
                _begin(asked, parts)
                if at == 0 and site.on_parts is not None:
                    await site.on_parts(parts)
                for arm in asked.arms:
                    await _searches(asked, site, arm, config, parts)


async def _searches(asked: Asked, site: Site, arm: str, config: RunConfig, parts: Parts) -> None:
    todo = asked.todo(arm, config.search.seed)
    if not todo:
        return
    seed = config.search.seed
    config, parts = _for_arm(arm, config, parts)
    folder = _run_folder(asked, arm, seed, config, parts)
    ended: list[TheoremResult] = []
    clock = MonotonicClock()
    with site.screen(arm, seed, len(todo)) as screen, _delta(parts.tally) as troubles:

        def on_result(result: TheoremResult) -> None:
            ended.append(result)
            screen.result(result)

        prover = make_prover(parts, lean=site.lean, pool=site.pool, gate=site.gate, folder=folder, screen=screen)
        began_s = clock.now_s()
        try:
            await prover.prove_all(todo, on_result)
        finally:
            session = Session(
                arm=arm,
                seed=seed,
                workers=site.workers,
                searches=len(ended),
                searched_s=round(sum(r.seconds for r in ended), 3),
                wall_s=round(clock.now_s() - began_s, 3),
                troubles=dict(troubles().counts),
                shard=asked.shard.name,
            )
            note(asked.folder, session)
            folder.tell_troubles(troubles())


def _for_arm(arm: str, config: RunConfig, parts: Parts) -> tuple[RunConfig, Parts]:
    """Configuration and parts with the arm's value. What the system's own value was calibrated to is not a trivial one's."""
    if arm == OWN:
        return config, parts
    models = {name: about for name, about in parts.about.get("models", {}).items() if name != "value"}
    trivial = replace(
        parts,
        value=TrivialValue(TRIVIAL[arm]),
        calibration=None,
        search=config.search,
        about={"models": models} if models else {},
    )
    value = ValueConfig(kind=arm)
    return config.model_copy(update={"value": value}), trivial


def _run_folder(asked: Asked, arm: str, seed: int, config: RunConfig, parts: Parts) -> RunFolder:
    path = run_path(asked.folder, arm, seed) / asked.shard.name
    settings: dict[str, Any] = {
        "burnqed": __version__,
        "input": asked.benchmark.path,
        "config": config.model_dump(mode="json"),
        "lean": asked.lean,
        **parts.about,
    }
    return (RunFolder.resume if (path / "run.json").exists() else RunFolder.create)(path, settings)


@contextlib.contextmanager
def _alone(asked: Asked) -> Iterator[None]:
    """Hold the folder, or this shard of it, for this process."""
    try:
        asked.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(asked.folder / f".{asked.shard.name or 'evaluation'}.lock", timeout=0)
        with lock:
            yield
    except Timeout:
        what = (
            f"the shard {asked.shard.number}/{asked.shard.of} of {asked.folder}"
            if asked.shard.name
            else str(asked.folder)
        )
        raise BadInput(
            f"another `burnqed eval` is at work on {what}; wait for it, or give each process a --shard of its own"
        ) from None
    except OSError as error:
        raise RunError(f"the folder {asked.folder} cannot be made or locked: {error.strerror or error}") from error


@contextlib.contextmanager
def _delta(tally: Tally) -> Iterator[Callable[[], Tally]]:
    """Within it, the function that is given counts only what was counted since."""
    before = tally.counts.copy()

    def since() -> Tally:
        found = Tally()
        for kind, count in (tally.counts - before).items():
            found.count(kind, tally.examples.get(kind, ""), times=count)
        return found

    yield since


def _begin(asked: Asked, parts: Parts) -> None:
    """Write ``eval.json``, or see that it is about the same and add arms and seeds to it. Raises BadInput with what differs."""
    now = EvalSpec(
        name=asked.name,
        benchmark=asked.benchmark,
        system=system_of(asked.config, parts.about),
        budget=budget_of(asked.config),
        seeds=asked.seeds,
        arms=asked.arms,
        lean=asked.lean,
        burnqed=__version__,
        commit=asked.commit,
        machine=asked.machine,
        command=asked.command,
    )
    with FileLock(asked.folder / f".{SPEC}.lock", timeout=_PATIENCE_S):
        if not (asked.folder / SPEC).exists():
            write_spec(asked.folder, now)
            return
        before = read_spec(asked.folder)
        if why := _differs(before, now):
            raise BadInput(f"{asked.folder} holds another evaluation: {why}; choose another --out")
        seeds = dict.fromkeys((*before.seeds, *now.seeds))
        arms = dict.fromkeys((*before.arms, *now.arms))
        merged = msgspec.structs.replace(
            before,
            seeds=tuple(sorted(seeds)),
            arms=tuple(arms),
            commit=_both(before.commit, now.commit),
            machine=_both(before.machine, now.machine),
        )
        if merged != before:
            write_spec(asked.folder, merged)


def _differs(before: EvalSpec, now: EvalSpec) -> str:
    """Why an evaluation cannot be gone on with as this one; empty when it can."""
    if before.benchmark.revision != now.benchmark.revision:
        was, is_ = ({t.name: t.digest for t in spec.benchmark.theorems} for spec in (before, now))
        other = sorted(name for name in was.keys() | is_.keys() if was.get(name) != is_.get(name))
        return (
            f"the benchmark changed since, {len(other)} theorems differ, such as {', '.join(other[:_MOST])} "
            f"(then {before.benchmark.name}, now {now.benchmark.name})"
        )
    if before.budget != now.budget:
        return f"the budget was {before.budget.told()}, not {now.budget.told()}"
    if before.lean != now.lean:
        return f"Lean was {before.lean}, not {now.lean}"
    if before.burnqed != now.burnqed:
        return f"it was begun with burnqed {before.burnqed}, not {now.burnqed}"
    return what_changed(before.system, now.system)


def _both(before: str, now: str) -> str:
    """What was, and what has come since, told once each."""
    return "; ".join(dict.fromkeys(part for part in (*before.split("; "), now) if part))
