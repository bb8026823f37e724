"""What `burnqed eval` costs beyond Lean: miniF2F's valid problems in core Lean, by menu, on several Lean processes.

By the searches' own stopwatches: which share of their seconds was not spent waiting for Lean or the gate. By the processes: in
which share of their time no theorem was searched on them; that is their start, and the end, when not all have work left.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FILE = Path(__file__).parents[2] / "shared" / "data" / "minif2f_core_valid.jsonl"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, nargs="?", default=FILE)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--limit", type=int, default=0, help="so many theorems only, drawn; 0 = all")
    parser.add_argument("--out", type=Path, help="keep the evaluation here")
    args = parser.parse_args()
    if not args.file.exists():
        print(f"skipped: there is no {args.file}; give a file of miniF2F's valid problems in core Lean")
        return
    with tempfile.TemporaryDirectory() as scratch:
        out = args.out or Path(scratch) / "evaluation"
        command = [
            sys.executable,
            "-m",
            "burnqed",
            "eval",
            str(args.file),
            "--policy",
            "menu",
            "--out",
            str(out),
            "--json",
        ]
        command += ["--seconds", str(args.seconds), "--workers", str(args.workers), "--limit", str(args.limit)]
        began = time.perf_counter()
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        wall_s = time.perf_counter() - began
    summary = json.loads(done.stdout)
    own = summary["arms"]["own"]
    spent, seconds = own["spent_s"], own["seconds"]
    print(
        json.dumps(
            {
                "file": args.file.name,
                "theorems": summary["theorems"],
                "proved": own["proved"][0],
                "could_not_be_tried": len(summary["failed"]),
                "seconds_each": args.seconds,
                "workers": args.workers,
                "wall_s": round(wall_s, 1),
                "searches_wall_s": round(own["wall_s"], 1),
                "searched_s": round(seconds, 1),
                "lean_share": round(spent["lean"] / seconds, 4),
                "gate_share": round(spent["gate"] / seconds, 4),
                "overhead_beyond_lean": round(1 - (spent["lean"] + spent["gate"]) / seconds, 4),
                "workers_idle_share": round(1 - own["busy"], 4),
                "cores": os.cpu_count(),
            }
        )
    )


if __name__ == "__main__":
    main()
