"""The collapse experiment at small scale: what fine-tuning alone and joint training do to an earlier iteration's embeddings.

    python benchmarks/collapse.py --rows data/rows --pairs data/pairs --out runs/collapse

A small model is trained from nothing (iter_0), and a head on its frozen embeddings. From there, with three seeds each and a fresh
LoRA of the same rank, the same rows and steps: tactics alone; joint training that begins with that head; and joint training with
a new head, which learns alone in the first tenth of the steps. Held-out theorems are probed all along. No red line ends a run.
Prints one JSON object and writes collapse.html with the curves; what each run did is in its own report.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from burnqed.report.lines import STYLE, Line, line_chart
from burnqed.report.page import card, document
from burnqed.train.journal import read_journal, series

WATCHED = {
    "probe.centroid_l2": "centroid_l2",
    "probe.centroid_spreads": "centroid distance, in spreads",
    "probe.linear_probe": "linear probe, balanced accuracy",
    "probe.effective_dimension": "effective dimension",
    "valid.loss": "held-out loss of tactics, nats",
    "ebm.rank_1": "rank-1 of the joint head",
}
FRESH = {
    "hidden": 256,
    "layers": 6,
    "heads": 4,
    "kv_heads": 4,
    "intermediate": 704,
    "vocab": 2048,
    "max_positions": 512,
}


def train(kind: str, out: Path, *options: str) -> None:
    rules = ["--set", "monitor.rules=[]", "--set", "batch.max_tokens=384"]
    run(out, "train", kind, "--out", str(out), *options, *rules)


def run(out: Path, *words: str) -> None:
    command = [sys.executable, "-m", "burnqed", *words]
    with (out.parent / f"{out.name}.log").open("w") as log:
        subprocess.run(command, check=True, stdout=log, stderr=log, env=os.environ)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--base-steps", type=int, default=1500)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--lr", type=float, default=2e-4)
    parser.add_argument("--weight", type=float, default=0.3, help="λ of the joint arms")
    parser.add_argument("--rank", type=int, default=32)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--at-once", type=int, default=1)
    chosen = parser.parse_args()
    out = chosen.out
    out.mkdir(parents=True, exist_ok=True)
    data = ["--rows", str(chosen.rows), "--pairs", str(chosen.pairs), "--device", chosen.device]
    shape = [item for name, size in FRESH.items() for item in ("--set", f"model.fresh.{name}={size}")]
    every = [
        "--set",
        "monitor.every=50",
        "--set",
        "eval_every=50",
        "--set",
        "batch.rows=32",
        "--set",
        "save_every=10000",
    ]
    if not (out / "iter_0/model").exists():
        train(
            "sft", out / "iter_0", *data, *shape, *every, "--fresh", "--steps", str(chosen.base_steps), "--lr", "1e-3"
        )
    model, device = str(out / "iter_0/model"), ["--device", chosen.device]
    if not (out / "head_0/head").exists():
        run(out / "embed_0", "embed", str(chosen.pairs), "--model", model, "--out", str(out / "embed_0"), *device)
        pairs = ["--pairs", str(chosen.pairs), "--embeddings", str(out / "embed_0"), "--out", str(out / "head_0")]
        run(
            out / "head_0",
            "train",
            "ebm",
            *pairs,
            *device,
            "--set",
            "hidden=[256,128,64]",
            "--epochs",
            "100",
            "--set",
            "eval_every=20",
        )
    later = [*data, *every, "--base", str(out / "iter_0/model"), "--steps", str(chosen.steps), "--lr", str(chosen.lr)]
    later += ["--rank", str(chosen.rank), "--set", "export=false"]
    arms = {
        "tactics alone": ("sft", []),
        "joint, trained head": ("joint", ["--lambda", str(chosen.weight), "--head", str(out / "head_0/head")]),
        "joint, new head": ("joint", ["--lambda", str(chosen.weight)]),
    }
    folders = {(arm, seed): out / f"{i}-{seed}" for i, arm in enumerate(arms) for seed in range(chosen.seeds)}
    with ThreadPoolExecutor(chosen.at_once) as pool:
        jobs = []
        for (arm, seed), folder in folders.items():
            kind, options = arms[arm]
            head = ["--set", "head.hidden=[256,128,64]"] if arm.endswith("new head") else []
            if not (folder / "report.html").exists():
                jobs.append(pool.submit(train, kind, folder, *later, *options, *head, "--seed", str(seed)))
        for job in jobs:
            job.result()
    journals = {key: read_journal(folder) for key, folder in folders.items()}
    found: dict[str, dict[str, dict[str, object]]] = {}
    cards = []
    for number, (name, told) in enumerate(WATCHED.items()):
        lines = []
        for colour, arm in enumerate(arms):
            runs = [series(journals[arm, seed], name) for seed in range(chosen.seeds)]
            if not all(steps for steps, _ in runs):
                continue
            lines += [Line(f"{arm}, seed {seed}", *run, colour=4 + colour) for seed, run in enumerate(runs)]
            ends = [values[-1] for _, values in runs]
            found.setdefault(name, {})[arm] = {
                "start": statistics.mean(values[0] for _, values in runs),
                "end": statistics.mean(ends),
                "ends": ends,
            }
        cards.append(card(f"{number + 1}. {told}", line_chart(lines, unit="")))
    page = document("Collapse at small scale", "".join(cards), style=STYLE)
    (out / "collapse.html").write_text(page, encoding="utf-8")
    print(json.dumps(found, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
