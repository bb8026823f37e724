"""Tactics a second with one Lean process and with several: `python benchmarks/scaling.py [--workers 2] [--seconds 20]`.

Every worker does the same mix on its own theorem, in batches as a search sends them. The number of workers that divides best
on a machine is its number of cores; the ratio says what is lost to sharing memory and caches, and stands beside the ratio
of processes that only calculate, since a machine may not have the cores that it says.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import time

from burnqed.core.theorem import Theorem
from burnqed.lean.config import LeanConfig
from burnqed.lean.embedded.install import install
from burnqed.lean.embedded.server import spawner
from burnqed.lean.pool import WorkerPool

THEOREM = Theorem(
    "t", "theorem t (a b c : Nat) (p q : Prop) (h : a + 2 * b < c) (hp : p ∧ q) : b ≤ c ∧ q ∧ a + b < c + 1"
)
MIX = (
    "constructor",
    "omega",
    "simp_all",
    "grind",
    "refine ⟨?_, ?_⟩",
    "cases hp",
    "decide",
    "exact ⟨by omega, hp.2, by omega⟩",
)


async def rate(pool: WorkerPool, workers: int, seconds: float) -> float:
    """Tactics a second over all workers."""
    done = 0

    async def work() -> None:
        nonlocal done
        async with pool.lease() as session:
            ref, _ = await session.start(THEOREM)
            await session.apply(ref, MIX)  # warm
            began.set()
            await go.wait()
            while time.monotonic() < stop:
                outcomes = await session.apply(ref, MIX)
                done += len(outcomes)
                await session.forget([o.ref for o in outcomes if hasattr(o, "ref")])

    began, go = asyncio.Event(), asyncio.Event()
    stop = float("inf")
    tasks = [asyncio.create_task(work()) for _ in range(workers)]
    await asyncio.sleep(0)
    await began.wait()
    await asyncio.sleep(1)
    start = time.monotonic()
    stop = start + seconds
    go.set()
    await asyncio.gather(*tasks)
    return done / (time.monotonic() - start)


def _count(seconds: float, result: multiprocessing.Queue[int]) -> None:
    """Arithmetic that shares nothing with anybody."""
    n, x, stop = 0, 1, time.monotonic() + seconds
    while time.monotonic() < stop:
        for _ in range(1000):
            x = x * 1103515245 + 12345 & 0x7FFFFFFF
        n += 1
    result.put(n)


def ceiling(workers: int, seconds: float = 4) -> float:
    """How much faster processes that share nothing are together than one is: what the machine allows at most."""

    def work(count: int) -> int:
        result: multiprocessing.Queue[int] = multiprocessing.Queue()
        processes = [multiprocessing.Process(target=_count, args=(seconds, result)) for _ in range(count)]
        for p in processes:
            p.start()
        total = sum(result.get() for _ in processes)
        for p in processes:
            p.join()
        return total

    return work(workers) / work(1)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    config = LeanConfig(workers=args.workers, max_requests=10**9)
    rounds = []
    async with WorkerPool(spawner(install(), config), config) as pool:
        await pool.warm_up(args.workers)
        for _ in range(args.rounds):
            one = await rate(pool, 1, args.seconds)
            many = await rate(pool, args.workers, args.seconds)
            most = await asyncio.to_thread(ceiling, args.workers)
            ratio = {"ratio": round(many / one, 2), "ceiling": round(most, 2)}
            rounds.append({"one": round(one, 1), "many": round(many, 1), **ratio})
    if args.json:
        print(json.dumps({"workers": args.workers, "rounds": rounds}))
        return
    for r in rounds:
        print(
            f"1 worker {r['one']:.0f}/s, {args.workers} workers {r['many']:.0f}/s: {r['ratio']:.2f} x "
            f"(plain arithmetic: {r['ceiling']:.2f} x)"
        )


if __name__ == "__main__":
    asyncio.run(main())
