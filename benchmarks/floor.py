"""Which theorems of a file no fixed tactic proves: what is left measures a prover, and not the tactics that come with Lean.

The tactics of `minif2f.py` are tried on the first state, and on the state after ``intros`` where that is another one; the kernel
has the last word. The limits are those of `burnqed prove`: Lean's heartbeats for each tactic, and 30 s without a sign of life.
What is left goes to ``--out``, each line as it stands in the file and in its order. One JSON object tells how many theorems each
tactic proves, alone and after ``intros``.

    python benchmarks/floor.py data/harvest_held_out.jsonl --out data/hard.jsonl --workers 8
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from burnqed.cli.work_bar import WorkBar
from burnqed.core.errors import BadInput, LeanError
from burnqed.core.outcome import Refused, StateRef, Stepped
from burnqed.core.ports import LeanSession
from burnqed.core.state import ProofState
from burnqed.core.theorem import Theorem
from burnqed.data.lean_ask import side_by_side
from burnqed.data.pace import Progress
from burnqed.lean.config import LeanConfig
from burnqed.lean.embedded.install import install
from burnqed.lean.embedded.server import spawner
from burnqed.lean.pool import WorkerPool
from burnqed.theorems.read import read_jsonl
from burnqed.trajectory.files import write_text
from minif2f import ONE_LINERS

INTRODUCE = "intros"
TACTICS = list(dict.fromkeys(t.removeprefix(f"{INTRODUCE}; ") for t in ONE_LINERS))
"""The one-liners without their ``intros``, which is a state of its own here."""


@dataclass
class Tried:
    """The tactics that prove a theorem, those that hung or killed Lean, or why Lean could not be asked."""

    proved_by: set[str] = field(default_factory=set)
    given_up: set[str] = field(default_factory=set)
    trouble: str = ""


def theorems_in(path: Path) -> list[tuple[str, Theorem]]:
    """The theorems of a file, each with its line. Raises BadInput when one of them is none."""
    content = path.read_text(encoding="utf-8-sig")
    lines = [line for line in content.split("\n") if line.strip()]
    found = []
    for line, entry in zip(lines, read_jsonl(content, source=str(path)), strict=True):
        if not isinstance(entry, Theorem):
            raise BadInput(entry.reason)
        found.append((line, entry))
    return found


async def tried(session: LeanSession, theorem: Theorem) -> Tried:
    """Try all tactics on a theorem's first state and on that after ``intros``."""
    found = Tried()
    try:
        ref, first = await session.start(theorem)
        for start, prefix in await _starts(session, ref, first, found):
            for tactic, outcome in zip(TACTICS, await session.apply(start, TACTICS), strict=True):
                if isinstance(outcome, Refused):
                    if outcome.kind in ("timeout", "crash"):
                        found.given_up.add(f"{prefix}{tactic}")
                elif outcome.state.finished and (await session.verdict(outcome.ref)).accepted:
                    found.proved_by.add(f"{prefix}{tactic}")
    except LeanError as error:
        if not found.proved_by:
            found.trouble = str(error)
    return found


async def _starts(session: LeanSession, ref: StateRef, first: ProofState, found: Tried) -> list[tuple[StateRef, str]]:
    """The states to try the tactics on, each with what leads to it."""
    (introduced,) = await session.apply(ref, [INTRODUCE])
    if not isinstance(introduced, Stepped) or introduced.state.text == first.text:
        return [(ref, "")]
    if introduced.state.finished:
        if (await session.verdict(introduced.ref)).accepted:
            found.proved_by.add(INTRODUCE)
        return [(ref, "")]
    return [(introduced.ref, f"{INTRODUCE}; "), (ref, "")]


async def try_all(theorems: Sequence[Theorem], workers: int) -> dict[str, Tried]:
    """What became of each theorem, by name. Those with the same imports come one after the other: Lean keeps what it imported."""
    config = LeanConfig(workers=workers)
    found: dict[str, Tried] = {}
    queue = iter(sorted(theorems, key=lambda t: t.imports))
    began_s = time.monotonic()
    async with WorkerPool(spawner(install(), config), config) as pool:
        with WorkBar("theorems") as bar:

            async def work() -> None:
                async with pool.lease() as session:
                    for theorem in queue:  # shared: each goes to one worker
                        found[theorem.name] = await tried(session, theorem)
                        bar.show(Progress(len(found), len(theorems), 0, time.monotonic() - began_s))

            await side_by_side(work, min(pool.size, len(theorems)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", type=Path, help="a .jsonl file of theorems, such as a harvest's tasks.jsonl")
    parser.add_argument("--out", type=Path, required=True, help="where the theorems go that no tactic proves")
    parser.add_argument("--workers", type=int, default=1, help="Lean processes; 0 = as many as the machine bears")
    parser.add_argument("--limit", type=int, default=0, help="so many theorems only, drawn at random; 0 = all")
    parser.add_argument("--seed", type=int, default=0, help="which ones")
    args = parser.parse_args()
    rows = theorems_in(args.tasks)
    if 0 < args.limit < len(rows):
        chosen = random.Random(f"floor {args.seed}").sample(range(len(rows)), args.limit)
        rows = [rows[i] for i in sorted(chosen)]
    began_s = time.monotonic()
    found = asyncio.run(try_all([theorem for _, theorem in rows], args.workers))
    left = [line for line, t in rows if not found[t.name].proved_by and not found[t.name].trouble]
    args.out.parent.mkdir(parents=True, exist_ok=True)
    write_text(args.out, "".join(f"{line}\n" for line in left))
    by = Counter(tactic for each in found.values() for tactic in each.proved_by)
    print(
        json.dumps(
            {
                "file": args.tasks.name,
                "tasks": len(rows),
                "proved": sum(bool(each.proved_by) for each in found.values()),
                "proved_by": dict(by.most_common()),
                "left": len(left),
                "left_with_a_tactic_that_hung": sum(
                    bool(each.given_up) and not each.proved_by and not each.trouble for each in found.values()
                ),
                "could_not_be_tried": {name: each.trouble for name, each in found.items() if each.trouble},
                "seconds": round(time.monotonic() - began_s, 1),
                "workers": args.workers,
                "cores": os.cpu_count(),
            },
            indent=2,
            ensure_ascii=False,
        )
    )


if __name__ == "__main__":
    main()
