"""What a prover adds to the time until `burnqed prove` has proved ``True``, against the menu alone, in turns.

The command is a process of its own each time, from nothing to the proof that the gate has accepted. Beside it, in another
process, the seconds of each part of what is added: torch and transformers, loading, the first proposals. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from burnqed.assemble.provers import Provers

PARTS = """
import json, sys, time
from pathlib import Path
laps, last = {}, time.perf_counter()
def lap(name):
    global last
    now = time.perf_counter()
    laps[name] = round(now - last, 3)
    last = now
import torch
lap("import_torch_s")
import burnqed.models.language_model as language_model
lap("import_transformers_s")
folder = Path(sys.argv[1])
model = language_model.LanguageModel.load(folder / "model", dtype="float32")
lap("load_model_s")
if (folder / "head").exists():
    from burnqed.joint.energy_head import load_head
    load_head(folder / "head")
    lap("load_head_s")
ids = [model.token_ids("[GOAL]n : Nat\\n⊢ n + 0 = n[PROOFSTEP]")]
model.sample(ids, n=16, temperature=1.0, top_p=0.95, max_new_tokens=64, seeds=[0])
lap("first_proposals_s")
model.sample(ids, n=16, temperature=1.0, top_p=0.95, max_new_tokens=64, seeds=[1])
lap("next_proposals_s")
print(json.dumps(laps))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prover", help="a name of `burnqed models list`, or a prover's folder")
    parser.add_argument("--repeat", type=int, default=5)
    args = parser.parse_args()
    prover = Provers.here().find(args.prover)
    if prover is None:
        raise SystemExit("give a prover; the menu is what it is measured against")
    seconds: dict[str, list[float]] = {"menu": [], str(prover.path): []}
    with tempfile.TemporaryDirectory() as scratch:
        for turn in range(args.repeat + 1):
            for number, policy in enumerate(seconds):
                took = prove(policy, Path(scratch) / f"{turn}_{number}")
                if turn:  # the first finds nothing in the system's cache
                    seconds[policy].append(took)
    menu, ours = (statistics.median(took) for took in seconds.values())
    parts = [
        json.loads(
            subprocess.check_output(
                [sys.executable, "-c", PARTS, str(prover.path)], text=True, stderr=subprocess.DEVNULL
            )
        )
        for _ in range(args.repeat)
    ]
    print(
        json.dumps(
            {
                "prover": prover.name,
                "repeats": args.repeat,
                "cores": os.cpu_count(),
                "menu_s": round(menu, 2),
                "prover_s": round(ours, 2),
                "added_s": round(ours - menu, 2),
                "spread_s": [[round(min(took), 2), round(max(took), 2)] for took in seconds.values()],
                "parts": {name: statistics.median(part[name] for part in parts) for name in parts[0]},
            },
            indent=1,
        )
    )


def prove(policy: str, out: Path) -> float:
    """Seconds of the whole command."""
    command = [
        sys.executable,
        "-m",
        "burnqed",
        "prove",
        "True",
        "--policy",
        policy,
        "--workers",
        "1",
        "--out",
        str(out),
    ]
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
