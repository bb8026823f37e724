"""What a real search costs besides Lean and the model: embedded Lean, a language model and an energy head, one search at a time.

Two measurements of the same run. By the ports: wall time outside of every call to session, policy, value and gate. By a profiler
(cProfile) on the thread of the event loop: its time outside of waiting for the others. The second counts what our client of
Lean does as well (framing, JSON, states), which the first counts as Lean's.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import json
import pstats
import tempfile
import time
from pathlib import Path
from typing import Any

from burnqed.assemble.parts import Parts, open_parts
from burnqed.assemble.sources import load_config
from burnqed.core.errors import StatementRejected
from burnqed.core.theorem import Theorem
from burnqed.lean.config import LeanConfig
from burnqed.lean.embedded.install import install
from burnqed.lean.embedded.server import spawner
from burnqed.lean.pool import WorkerPool
from burnqed.policy.menu import MenuPolicy
from burnqed.policy.menu_rules import load_menu
from burnqed.run.judge import ProofJudge
from burnqed.search.engine import Search
from burnqed.testing.fakes import RecordingSink
from burnqed.theorems.read import read_input
from burnqed.verify.gate import FreshProcessGate

WAITING = ("method 'poll' of 'select.epoll'", "method 'acquire' of '_thread.lock'")


class Clock:
    """Seconds since the machine's start."""

    def now_s(self) -> float:
        return time.monotonic()


class Timed:
    """A port whose methods' time is added up under a name."""

    def __init__(self, port: Any, name: str, spent: dict[str, float]) -> None:
        self._port, self._name, self._spent = port, name, spent

    def __getattr__(self, method: str) -> Any:
        inner = getattr(self._port, method)

        async def call(*args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter()
            try:
                return await inner(*args, **kwargs)
            finally:
                self._spent[self._name] = self._spent.get(self._name, 0.0) + time.perf_counter() - began

        return call


async def search_all(theorems: list[Theorem], parts: Parts, spent: dict[str, float]) -> dict[str, Any]:
    config = LeanConfig(workers=1)
    spawn = spawner(install(), config)
    proved = expansions = tactics = 0
    async with WorkerPool(spawn, config) as pool, FreshProcessGate(spawn) as gate, pool.lease() as session:
        profile = cProfile.Profile()
        began = time.perf_counter()
        profile.enable()
        for theorem in theorems:
            search = Search(
                theorem,
                session=Timed(session, "lean", spent),
                policy=Timed(parts.policy, "policy", spent),
                value=Timed(parts.value, "value", spent),
                judge=timed_call(ProofJudge(theorem, gate), spent),
                calibration=parts.calibration,
                config=parts.search,
                events=RecordingSink(),
                clock=Clock(),
            )
            try:
                result = await search.run()
            except StatementRejected:
                continue
            proved += result.proof is not None
            expansions += result.expansions
            tactics += result.tactics
        profile.disable()
        wall = time.perf_counter() - began
    stats = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    waiting = sum(entry[2] for (_, _, name), entry in stats.items() if any(w in name for w in WAITING))
    busy = sum(entry[2] for entry in stats.values()) - waiting
    return {
        "theorems": len(theorems),
        "proved": proved,
        "expansions": expansions,
        "tactics": tactics,
        "wall_s": round(wall, 2),
        **{f"{name}_share": round(seconds / wall, 4) for name, seconds in spent.items()},
        "outside_of_ports_share": round(1 - sum(spent.values()) / wall, 4),
        "event_loop_busy_share": round(busy / wall, 4),
    }


def timed_call(judge: Any, spent: dict[str, float]) -> Any:
    async def call(steps: Any) -> Any:
        began = time.perf_counter()
        try:
            return await judge(steps)
        finally:
            spent["gate"] = spent.get("gate", 0.0) + time.perf_counter() - began

    return call


def random_model(folder: Path) -> None:
    """A Llama of 24M parameters with random weights, and a random head for it."""
    import torch

    from burnqed.joint.ebm_head import GoalConditionedEnergyHead, HeadConfig
    from burnqed.joint.energy_head import save_head
    from burnqed.models.language_model import LanguageModel
    from burnqed.prompts.formats import prompt_format
    from burnqed.testing.tiny_model import make_tiny_model

    make_tiny_model(folder, hidden=512, layers=8, heads=8, kv_heads=8, vocab=4000, max_positions=1024)
    torch.manual_seed(0)
    head = GoalConditionedEnergyHead(HeadConfig(dim=512, hidden=(512, 256, 128)))
    save_head(folder / "head", head, LanguageModel.load(folder).card(prompt_format("markers")))


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", default="examples/core.jsonl")
    parser.add_argument("--theorems", type=int, default=20)
    parser.add_argument("--nodes", type=int, default=20)
    parser.add_argument(
        "--model", type=Path, help="a model folder with head/ in it; default: random weights, 24M parameters"
    )
    parser.add_argument("--no-model", action="store_true", help="the menu alone")
    parser.add_argument("--strategy", default="best-first")
    options = parser.parse_args()
    everything = [t for t in read_input(options.file) if isinstance(t, Theorem)]
    theorems = everything[:: max(1, len(everything) // options.theorems)]
    with tempfile.TemporaryDirectory() as scratch:
        model = options.model or Path(scratch) / "model"
        flags: dict[str, object] = {"search.max_nodes": options.nodes, "search.strategy": options.strategy}
        if not options.no_model:
            if options.model is None:
                random_model(model)
            flags |= {
                "policy.kind": "model",
                "policy.model": model,
                "policy.menu_share": 0.5,
                "policy.sampling.samples": 8,
            }
            flags |= {"value.kind": "head", "value.head": model / "head", "policy.sampling.keep_unended": True}
            flags |= {"policy.sampling.max_new_tokens": 24}
        config = load_config(environment={}, flags=flags)
        spent: dict[str, float] = {}
        async with open_parts(config, menu=MenuPolicy(load_menu())) as parts:
            found = await search_all(theorems[: options.theorems], parts, spent)
        print(json.dumps(found))


if __name__ == "__main__":
    asyncio.run(main())
