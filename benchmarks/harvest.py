"""Harvested tasks: that no task's own theorem can be reached, and proofs of many tasks, to be traced.

    burnqed data harvest --out data/harvest
    python benchmarks/harvest.py unreachable data/harvest/tasks.jsonl --count 300
    python benchmarks/harvest.py prove data/harvest/tasks.jsonl --count 4000 --out runs/harvest
    burnqed data trace runs/harvest --records data/harvest/tasks.jsonl --out data/traced --check

``unreachable`` asks in a sample of tasks whether Lean knows the theorem's own name, and runs ``exact?``: of every goal
that it closes, the proof term is looked at, name by name. What is found must be another theorem.

``prove`` tries short scripts made for each goal (one tactic, an induction or a case split with one tactic a case) and writes the
proofs as files. One counts by the kernel's word in the session that found it: a fresh process for each, as `burnqed prove`
takes it, would be most of the time. With ``--gate`` so many are checked by the gate as well.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import textwrap
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from burnqed.core.errors import LeanError
from burnqed.core.outcome import Stepped
from burnqed.core.state import Goal
from burnqed.core.theorem import Theorem
from burnqed.data.trace.inputs import theorem_records
from burnqed.lean.config import LeanConfig
from burnqed.lean.embedded.install import install
from burnqed.lean.embedded.programs import COMPLETE
from burnqed.lean.embedded.server import server_launch, spawner
from burnqed.lean.pool import WorkerPool
from burnqed.lean.process import LeanProcess, RequestFailed
from burnqed.lean.session import PooledSession
from burnqed.run.folder import lean_file
from burnqed.trajectory.files import write_text
from burnqed.trajectory.writer import part_name
from burnqed.verify.gate import FreshProcessGate

_CONSTANT = re.compile(r'\(:c (?:"([^"]*)"|([^\s()]+))\)')


def sample(path: Path, count: int, seed: int) -> list[tuple[Theorem, str]]:
    """So many tasks, each with the name of its own theorem in the library; sorted so that those with the same imports meet."""
    records = list(theorem_records(path).values())
    if count < len(records):
        records = random.Random(seed).sample(records, count)
    records.sort(key=lambda record: record.imports)
    return [(record.theorem, record.origin.partition(":")[2]) for record in records]


class Server:
    """One process, started again when it is lost."""

    def __init__(self) -> None:
        self._launch = server_launch(install(), program=COMPLETE)
        self._process: LeanProcess | None = None

    async def ask(self, command: str, **payload: Any) -> dict[str, Any]:
        if self._process is None or self._process.lost:
            await self.close()
            self._process = await LeanProcess.start(self._launch, ready_timeout_s=300)
            await self.ask("options.set", printExprAST=True, timeout=20_000)
        try:
            _, reply = await self._process.request(command, payload, dict[str, Any], timeout_s=60)
        except RequestFailed as error:
            return {"error": error.desc}
        return reply

    async def close(self) -> None:
        if self._process is not None:
            await self._process.close()


async def reach(server: Server, theorem: Theorem, target: str) -> str:
    """What ``exact?`` does with a task: ``target`` or ``target known`` must never come."""
    start = await server.ask(
        "goal.start", theorem=theorem.sorried, header=theorem.header, imports=list(theorem.imports)
    )
    if "error" in start:
        return "statement refused"
    named = await server.ask("goal.tactic", stateId=start["stateId"], tactic=f"exact @{target}")
    said = " ".join(m["data"] for m in named.get("messages", []))
    if "nextStateId" in named or ("Unknown" not in said and "unknown" not in said):
        return "target known"
    found = await server.ask("goal.tactic", stateId=start["stateId"], tactic="exact?")
    if found.get("goals") != [] or found.get("hasSorry"):
        limit = "interrupt" in found.get("error", "") or found.get("reason") in ("heartbeats", "interrupt")
        return "not closed within its limit" if limit else "not closed"
    root = await server.ask("goal.print", stateId=found["nextStateId"], rootExpr=True)
    names = {a or b for a, b in _CONSTANT.findall(root["root"]["sexp"])}
    return "target" if target in names else "closed by another theorem"


async def unreachable(tasks: Sequence[tuple[Theorem, str]]) -> dict[str, Any]:
    server, counts, began_s = Server(), Counter[str](), time.perf_counter()
    try:
        for theorem, target in tasks:
            try:
                counts[await reach(server, theorem, target)] += 1
            except LeanError:
                counts["Lean was lost"] += 1
            await server.ask("reset")
    finally:
        await server.close()
    return {
        "tasks": len(tasks),
        "target reached": counts["target"] + counts["target known"],
        "outcomes": dict(counts),
        "seconds": round(time.perf_counter() - began_s, 1),
    }


ONE = (
    "rfl",
    "simp",
    "simp_all",
    "omega",
    "decide",
    "grind",
    "intros\nrfl",
    "intros\nsimp_all",
    "intro h\nsimp_all",
    "ext\nsimp",
)
SPLIT = {
    "Nat": ("induction {x} with\n| zero => {t}\n| succ n ih => {t}",),
    "List": ("induction {x} with\n| nil => {t}\n| cons a l ih => {t}",),
    "Option": ("cases {x} with\n| none => {t}\n| some a => {t}",),
    "Bool": ("cases {x}\n· {t}\n· {t}",),
    "Sum": ("cases {x} with\n| inl a => {t}\n| inr a => {t}",),
    "Array": ("cases {x}\n{t}",),
    "Except": ("cases {x}\n· {t}\n· {t}",),
    "Int": ("cases {x}\n· {t}\n· {t}",),
}
"""How a variable is taken apart, by the head of its type."""


def scripts(goal: Goal) -> list[str]:
    """Short proofs that may do for a goal."""
    found = list(ONE)
    if "↔" in goal.target:
        found += ["constructor\n· intro h\n  simp_all\n· intro h\n  simp_all", "constructor <;> intro h <;> simp_all"]
    elif "∧" in goal.target:
        found += ["constructor\n· simp_all\n· simp_all"]
    for v in [v for v in goal.variables if v.accessible][-4:]:
        for form in SPLIT.get(v.type.split()[0] if v.type else "", ()):
            found += [form.format(x=v.name, t=t) for t in ("rfl", "simp_all")]
        if v.type.startswith("∃") or " ∨ " in v.type or " ∧ " in v.type:
            found += [f"cases {v.name} <;> simp_all"]
        if " = " in v.type:
            found += [f"subst {v.name}\nsimp", f"rw [{v.name}]"]
    return list(dict.fromkeys(found))


async def proved(session: PooledSession, theorem: Theorem) -> str | None:
    """The first script that proves it, by the kernel's word."""
    ref, state = await session.start(theorem)
    tried = scripts(state.goals[0])
    for script, outcome in zip(tried, await session.apply(ref, tried), strict=True):
        if isinstance(outcome, Stepped) and outcome.state.finished and (await session.verdict(outcome.ref)).accepted:
            return script
    return None


async def prove(tasks: Sequence[Theorem], out: Path, limits: LeanConfig, gated: int) -> dict[str, Any]:
    spawn = spawner(install(), limits)
    (out / "proofs").mkdir(parents=True)
    found: list[tuple[Theorem, str]] = []
    troubles = Counter[str]()
    queue, done, began_s = iter(tasks), 0, time.perf_counter()

    async def work(pool: WorkerPool) -> None:
        nonlocal done
        async with pool.lease() as session:
            for theorem in queue:
                try:
                    script = await proved(session, theorem)
                except LeanError as error:
                    troubles[str(error)[:60]] += 1
                    continue
                if script is not None:
                    source = theorem.proved_by(textwrap.indent(script, "  "))
                    write_text(out / "proofs" / f"{part_name(theorem.name)}.lean", lean_file(theorem, source))
                    found.append((theorem, source))
                done += 1
                if done % 100 == 0:
                    print(
                        f"{done} of {len(tasks)}, {len(found)} proved, {time.perf_counter() - began_s:.0f} s",
                        flush=True,
                    )

    async with WorkerPool(spawn, limits) as pool:
        await asyncio.gather(*(work(pool) for _ in range(pool.size)))
    seconds = time.perf_counter() - began_s
    result = {
        "tasks": len(tasks),
        "proved": len(found),
        "troubles": troubles,
        "seconds": round(seconds, 1),
        "proofs a minute": round(60 * len(found) / seconds, 1),
    }
    if gated:
        accepted = 0
        chosen = random.Random(0).sample(found, min(gated, len(found)))
        async with FreshProcessGate(spawn) as gate:
            for theorem, source in chosen:
                accepted += (await gate.check(theorem, source)).accepted
        result |= {"gate asked": len(chosen), "gate accepted": accepted}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["unreachable", "prove"])
    parser.add_argument("tasks", type=Path)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/harvest"), help="prove: the folder of the run")
    parser.add_argument("--heartbeats", type=int, default=20_000, help="prove: for each tactic, in thousands")
    parser.add_argument("--workers", type=int, default=1, help="prove: Lean processes")
    parser.add_argument("--gate", type=int, default=0, help="prove: so many proofs are checked by the gate as well")
    given = parser.parse_args()
    tasks = sample(given.tasks, given.count, given.seed)
    if given.what == "unreachable":
        result = asyncio.run(unreachable(tasks))
    else:
        limits = LeanConfig(workers=given.workers, max_heartbeats=given.heartbeats)
        result = asyncio.run(prove([t for t, _ in tasks], given.out, limits, given.gate))
    print(json.dumps(result, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
