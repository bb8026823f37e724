"""500 theorems in a row through one `burnqed prove` by menu: memory of burnqed and of Lean, replaced processes, orphans."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil


def statements(count: int) -> list[dict[str, str]]:
    """Easy, different and of several kinds, so that the run is long and the searches short."""
    kinds = [
        "∀ n : Nat, n * {k} + n = n * ({k} + 1)",
        "∀ a b : Nat, a + {k} ≤ b → a < b + 1",
        "∀ (p q : Prop), p ∧ q → q ∧ (p ∨ {k} = 0)",
        "∀ l : List Nat, (l ++ [{k}]).length = l.length + 1",
        "∀ x : Int, (x + {k}) * (x - {k}) = x * x - {k} * {k}",
    ]
    return [{"name": f"soak_{i}", "statement": kinds[i % len(kinds)].format(k=i)} for i in range(count)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--workers", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "soak.jsonl"
        path.write_text("\n".join(json.dumps(s) for s in statements(args.count)), encoding="utf-8")
        command = [
            sys.executable,
            "-m",
            "burnqed",
            "prove",
            str(path),
            "--policy",
            "menu",
            "--json",
            "--seconds",
            "20",
            "--workers",
            str(args.workers),
        ]
        began = time.perf_counter()
        process = subprocess.Popen([*command, "--out", str(Path(folder) / "run")], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        me = psutil.Process(process.pid)
        mine, leans, proved, done = [], [], 0, 0
        for line in process.stdout:
            done += 1
            proved += json.loads(line)["status"] == "proved"
            mine.append(me.memory_info().rss / 2**20)
            rss = []
            for child in me.children(recursive=True):
                try:
                    rss.append(child.memory_info().rss / 2**20)
                except psutil.NoSuchProcess:
                    continue
            leans.append(max(rss, default=0.0))
        process.wait()
        wall_s = time.perf_counter() - began
    time.sleep(1)
    left = [p.pid for p in psutil.process_iter() if _ours(p, process.pid)]
    tenth = max(1, len(mine) // 10)
    print(
        json.dumps(
            {
                "theorems": done,
                "proved": proved,
                "wall_s": round(wall_s),
                "burnqed_rss_mb_first_tenth": round(max(mine[:tenth])),
                "burnqed_rss_mb_last_tenth": round(max(mine[-tenth:])),
                "largest_lean_rss_mb": round(max(leans)),
                "processes_left": len(left),
            }
        )
    )


def _ours(process: psutil.Process, owner: int) -> bool:
    try:
        return process.environ().get("BURNQED_OWNER", "").startswith(f"{owner}:")
    except psutil.Error:
        return False


if __name__ == "__main__":
    main()
