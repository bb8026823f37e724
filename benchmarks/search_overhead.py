"""What the search itself costs: expansions a second when Lean, policy and value answer at once.

Each strategy on the same two endless toys. ``tree``: each state has two tactics that lead to a state each and six that are
refused. ``goals``: one of the two leaves two goals, which and-or proves apart; to the others it is a state whose text
grows. Nothing is ever proved. The best of some rounds counts; processor time tells what a busy machine hides.
"""

from __future__ import annotations

import asyncio
import gc
import json
import time
from typing import Literal

from burnqed.core.outcome import Verdict
from burnqed.core.theorem import Theorem
from burnqed.search.config import SearchConfig
from burnqed.search.engine import Search
from burnqed.testing.fakes import FakeLean, ManualClock, RecordingSink, ScriptedPolicy, ToyValue

DEPTH = 13
ROUNDS = 3
STRATEGIES: tuple[Literal["best-first", "puct", "and-or"], ...] = ("best-first", "puct", "and-or")
Table = dict[tuple[str, str], str | tuple[str, ...]]
TREE: Table = {(f"n{i}", t): f"n{2 * i + k}" for i in range(1, 2**DEPTH) for k, t in enumerate(("left", "right"))}
GOALS: Table = {
    key: to if key[1] == "left" else (to, f"m{to}")
    for i in range(1, 2**DEPTH)
    for key, to in (((f"n{i}", "left"), f"n{2 * i}"), ((f"n{i}", "right"), f"n{2 * i + 1}"))
} | {(f"mn{i}", "left"): f"n{i + 1}" for i in range(1, 2**DEPTH)}


async def yes(steps: object) -> Verdict:
    return Verdict(True)


async def measure(strategy: Literal["best-first", "puct", "and-or"], table: Table) -> tuple[float, float]:
    """Expansions of one search a second, and a second of processor time."""
    search = Search(
        Theorem("t", "theorem t : True"),
        session=FakeLean(table, start_target="n1"),
        policy=ScriptedPolicy(default=[("left", -0.7), ("right", -0.7), *((f"bad {i}", -3.0) for i in range(6))]),
        value=ToyValue(),
        judge=yes,
        config=SearchConfig(strategy=strategy, max_nodes=4000, max_depth=100),
        events=RecordingSink(),
        clock=ManualClock(),
    )
    gc.collect()  # what the search before has left
    began, began_cpu = time.perf_counter(), time.process_time()
    result = await search.run()
    assert result.expansions == 4000, result
    return 4000 / (time.perf_counter() - began), 4000 / (time.process_time() - began_cpu)


def main() -> None:
    found: dict[str, dict[str, int]] = {"expansions_per_s": {}, "expansions_per_cpu_s": {}}
    for shape, table in (("tree", TREE), ("goals", GOALS)):
        for strategy in STRATEGIES:
            rounds = [asyncio.run(measure(strategy, table)) for _ in range(ROUNDS)]
            for kind, rates in zip(found.values(), zip(*rounds, strict=True), strict=True):
                kind[f"{strategy}, {shape}"] = round(max(rates))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
