"""How much of a benchmark file `burnqed prove` proves, against ten fixed one-line tactics on the same machine."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from burnqed.core.errors import StatementRejected
from burnqed.core.outcome import Stepped
from burnqed.core.theorem import Theorem
from burnqed.lean.config import LeanConfig
from burnqed.lean.embedded.install import install
from burnqed.lean.embedded.server import spawner
from burnqed.lean.pool import WorkerPool
from burnqed.theorems.read import read_jsonl

ONE_LINERS = [
    "intros; omega",
    "intros; grind",
    "decide",
    "intros; simp_all",
    "rfl",
    "intros; simp",
    "intros; decide",
    "simp_all; omega",
    "intros; subst_vars; grind",
    "norm_num",
]


async def floor(theorems: list[Theorem]) -> tuple[int, float]:
    """How many the ten tactics prove on one worker, kernel's word included; and the seconds."""
    config = LeanConfig(workers=1)
    proved = 0
    async with WorkerPool(spawner(install(), config), config) as pool, pool.lease() as session:
        began = time.perf_counter()
        for theorem in theorems:
            try:
                ref, _ = await session.start(theorem)
            except StatementRejected:
                continue
            for outcome in await session.apply(ref, ONE_LINERS):
                if (
                    isinstance(outcome, Stepped)
                    and outcome.state.finished
                    and (await session.verdict(outcome.ref)).accepted
                ):
                    proved += 1
                    break
        return proved, time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--field", default="statement", help="which field holds the statement")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--policy", default="menu", help="who proposes, as `burnqed prove` takes it")
    parser.add_argument("--no-floor", action="store_true", help="leave out the ten one-line tactics")
    parser.add_argument("--out", type=Path, help="keep the run folder here")
    args = parser.parse_args()
    rows = [json.loads(line) for line in args.file.read_text(encoding="utf-8").splitlines() if line.strip()]
    rows = [
        {"name": r["name"], "statement": r[args.field], "header": r.get("header", "")}
        for r in rows
        if r.get(args.field)
    ]
    lines = "\n".join(json.dumps(r) for r in rows)
    theorems = [t for t in read_jsonl(lines, source=str(args.file)) if isinstance(t, Theorem)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "statements.jsonl"
        path.write_text(lines, encoding="utf-8")
        out = args.out or Path(folder) / "run"
        command = [
            sys.executable,
            "-m",
            "burnqed",
            "prove",
            str(path),
            "--policy",
            args.policy,
            "--json",
            "--out",
            str(out),
        ]
        command += ["--seconds", str(args.seconds), "--workers", str(args.workers)]
        began = time.perf_counter()
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        wall_s = time.perf_counter() - began
    results = [json.loads(line) for line in done.stdout.splitlines()]
    proved = [r for r in results if r["status"] == "proved"]
    base, base_s = (0, 0.0) if args.no_floor else asyncio.run(floor(theorems))
    print(
        json.dumps(
            {
                "file": args.file.name,
                "field": args.field,
                "policy": args.policy,
                "statements": len(rows),
                "proved": len(proved),
                "errors": sum(r["status"] == "error" for r in results),
                "seconds_each": args.seconds,
                "workers": args.workers,
                "wall_s": round(wall_s),
                "floor_proved": base,
                "floor_wall_s": round(base_s),
                "cores": os.cpu_count(),
                "not_proved": [r["name"] for r in results if r["status"] != "proved"],
            }
        )
    )


if __name__ == "__main__":
    main()
