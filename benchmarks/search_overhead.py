"""What the search itself costs: expansions a second when Lean, policy and value answer at once."""

from __future__ import annotations

import asyncio
import json
import time

from burnqed.core.outcome import Verdict
from burnqed.core.theorem import Theorem
from burnqed.search.config import SearchConfig
from burnqed.search.engine import Search
from burnqed.testing.fakes import FakeLean, ManualClock, RecordingSink, ScriptedPolicy, ToyValue

DEPTH = 13


async def main() -> None:
    table = {(f"n{i}", t): f"n{2 * i + k}" for i in range(1, 2**DEPTH) for k, t in enumerate(("left", "right"))}
    policy = ScriptedPolicy(default=[("left", -0.7), ("right", -0.7), *((f"bad {i}", -3.0) for i in range(6))])

    async def judge(steps: object) -> Verdict:
        return Verdict(True)

    search = Search(
        Theorem("t", "theorem t : True"),
        session=FakeLean(table, start_target="n1"),
        policy=policy,
        value=ToyValue(),
        judge=judge,
        config=SearchConfig(max_nodes=4000, max_depth=100),
        events=RecordingSink(),
        clock=ManualClock(),
    )
    began = time.perf_counter()
    result = await search.run()
    seconds = time.perf_counter() - began
    print(
        json.dumps(
            {
                "expansions": result.expansions,
                "tactics": result.tactics,
                "expansions_per_s": round(result.expansions / seconds),
            }
        )
    )


if __name__ == "__main__":
    asyncio.run(main())
