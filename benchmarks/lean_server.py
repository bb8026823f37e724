"""The embedded server: start, memory, throughput, and what our client adds to a bare pipe."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import time

from burnqed.lean.config import LeanConfig
from burnqed.lean.embedded.install import install
from burnqed.lean.embedded.server import server_launch, spawner
from burnqed.lean.process import LeanProcess
from burnqed.lean.protocol import BatchReply, StartReply, TacticReply

STATEMENT = "theorem t (p q : Prop) (hp : p) (hq : q) : p ∧ q := by sorry"
REQUESTS = 1000
BATCH = 32
ROUNDS = 5


class BarePipe:
    """The obvious alternative: a blocking client that writes a line and reads a line."""

    def __init__(self) -> None:
        launch = server_launch(install())
        self.process = subprocess.Popen(
            launch.argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=dict(launch.env),
            cwd=launch.cwd,
            preexec_fn=launch.prepare,
        )
        assert self.process.stdout is not None
        while self.process.stdout.readline().strip() != b"ready.":
            pass

    def ask(self, command: str, payload: dict[str, object]) -> dict[str, object]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{command} {json.dumps(payload)}\n".encode())
        self.process.stdin.flush()
        while not (line := self.process.stdout.readline()).startswith(b"{"):
            pass
        return json.loads(line)


def per_request_ms(began: float, count: int) -> float:
    return (time.perf_counter() - began) / count * 1000


async def ours(process: LeanProcess) -> dict[str, list[float]]:
    """One at a time, in batches, and an empty command; milliseconds a tactic (or request)."""
    times: dict[str, list[float]] = {"one_ms": [], "batch_ms": [], "empty_ms": []}
    _, start = await process.request("goal.start", {"theorem": STATEMENT}, StartReply, timeout_s=60)
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(REQUESTS):
            payload = {"stateId": start.state_id, "tactic": "constructor"}
            await process.request("goal.tactic", payload, TacticReply, timeout_s=30)
        times["one_ms"].append(per_request_ms(began, REQUESTS))
        began = time.perf_counter()
        for _ in range(REQUESTS // BATCH):
            payload = {"stateId": start.state_id, "tactics": ["constructor"] * BATCH}
            await process.request("goal.tactics", payload, BatchReply, timeout_s=30)
        times["batch_ms"].append(per_request_ms(began, REQUESTS // BATCH * BATCH))
        began = time.perf_counter()
        for _ in range(REQUESTS):
            await process.request("options.print", {}, dict, timeout_s=30)
        times["empty_ms"].append(per_request_ms(began, REQUESTS))
        await process.request("reset", {}, dict, timeout_s=30)
        _, start = await process.request("goal.start", {"theorem": STATEMENT}, StartReply, timeout_s=60)
    return times


def bare(pipe: BarePipe) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {"one_ms": [], "empty_ms": []}
    for _ in range(ROUNDS):
        state = pipe.ask("goal.start", {"theorem": STATEMENT})["stateId"]
        began = time.perf_counter()
        for _ in range(REQUESTS):
            pipe.ask("goal.tactic", {"stateId": state, "tactic": "constructor"})
        times["one_ms"].append(per_request_ms(began, REQUESTS))
        began = time.perf_counter()
        for _ in range(REQUESTS):
            pipe.ask("options.print", {})
        times["empty_ms"].append(per_request_ms(began, REQUESTS))
        pipe.ask("reset", {})
    return times


async def main() -> None:
    spawn = spawner(install(), LeanConfig())
    starts, rss = [], []
    for _ in range(3):
        process = await spawn()
        starts.append(process.ready_after_s)
        rss.append(process.rss_mb())
        await process.close()
    process = await spawn()
    mine = await ours(process)
    rss_after = process.rss_mb()
    await process.close()
    pipe = BarePipe()
    theirs = bare(pipe)
    pipe.process.kill()
    pipe.process.wait()
    best = {name: min(values) for name, values in mine.items()}
    print(
        json.dumps(
            {
                "cores": os.cpu_count(),
                "ready_s": [round(s, 2) for s in starts],
                "ready_median_s": round(statistics.median(starts), 2),
                "rss_mb": round(statistics.median(rss)),
                "rss_after_mb": round(rss_after),
                "constructor_per_s": round(1000 / best["one_ms"]),
                "constructor_per_s_in_batches": round(1000 / best["batch_ms"]),
                "batch_speedup": round(best["one_ms"] / best["batch_ms"], 2),
                "bare_pipe_constructor_per_s": round(1000 / min(theirs["one_ms"])),
                "client_overhead_ms": round(best["empty_ms"] - min(theirs["empty_ms"]), 3),
                "empty_ms": round(best["empty_ms"], 3),
                "bare_pipe_empty_ms": round(min(theirs["empty_ms"]), 3),
            }
        )
    )


if __name__ == "__main__":
    asyncio.run(main())
