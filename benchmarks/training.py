"""Training throughput and memory: `burnqed train sft` and `train joint` beside a plain loop of transformers and PEFT.

    python benchmarks/training.py --shape 7b            # a GPU with 80 GB or more; 30 GB of disk for random weights
    python benchmarks/training.py --shape small         # a processor

The plain loop is what one writes first: LoRA on all linear layers, gradient checkpointing, 16 rows of 512 tokens, logits for
every place. Rows, rank and optimizer are the same; tokens are those that go through the model, each distinct one once a step.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from burnqed.core.state import Goal, ProofState, Variable
from burnqed.data.contrastive import ContrastivePair
from burnqed.data.rows import TrainingRow
from burnqed.models.tokenizer import prompt_ids
from burnqed.prompts.formats import prompt_format, training_text
from burnqed.testing.tiny_model import make_tokenizer

SHAPES = {
    "7b": {
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 30,
        "num_attention_heads": 32,
        "vocab": 102400,
    },
    "small": {
        "hidden_size": 256,
        "intermediate_size": 704,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "vocab": 4096,
    },
}
FORM = prompt_format("markers")
GIB = 1 << 30


def make_model(folder: Path, shape: dict[str, int], device: str) -> None:
    tokenizer = make_tokenizer(vocab=2048)
    sizes = {k: v for k, v in shape.items() if k != "vocab"}
    config = LlamaConfig(
        vocab_size=shape["vocab"], max_position_embeddings=2048, eos_token_id=tokenizer.eos_token_id, **sizes
    )
    torch.set_default_dtype(torch.bfloat16 if device == "cuda" else torch.float32)
    with torch.device(device):
        model = LlamaForCausalLM(config)
    torch.set_default_dtype(torch.float32)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def state(rng: random.Random, tokens: int, tokenizer) -> ProofState:
    """A state whose prompt has about so many tokens."""
    variables: list[Variable] = []
    while True:
        name = f"h{len(variables)}"
        variables.append(Variable(name, f"n + {rng.randrange(1000)} = {rng.randrange(1000)} * m"))
        found = ProofState((Goal(tuple(variables), f"m ≤ n + {rng.randrange(1000)}"),))
        if len(prompt_ids(tokenizer, FORM.prompt(found))) >= tokens - 24:
            return found


def make_data(folder: Path, tokenizer, *, rows: int, length: int, text: int, groups: int) -> None:
    """Rows of about ``length`` tokens, and groups whose positives are the states of some of them."""
    rng = random.Random(0)
    completion = "simp [Nat.add_comm, Nat.mul_comm] at *"
    states = [state(rng, length - len(prompt_ids(tokenizer, completion)), tokenizer) for _ in range(rows)]
    with (folder / "sft_train.jsonl").open("wb") as file:
        for number, one in enumerate(states):
            prompt, answer = training_text(FORM, one, completion)
            row = TrainingRow(prompt=prompt, completion=answer, task="tactic", theorem=f"t{number}", source="bench", depth=0,
                              split="train", prompt_format="markers")  # fmt: skip
            file.write(msgspec.json.encode(row) + b"\n")
    with (folder / "pairs_train.jsonl").open("wb") as file:
        for number in range(groups):
            goal = state(rng, text // 2, tokenizer).text
            for _ in range(7):
                pair = ContrastivePair(tier="hard", why="refuted", theorem=f"t{number}", goal=goal, positive=states[number].text,
                                       depth=1, remaining=1, negative_theorem=f"t{number}", negative_goal=goal,
                                       negative=state(rng, text, tokenizer).text, negative_depth=1, parent="", split="train",
                                       searches=("", ""))  # fmt: skip
                file.write(msgspec.json.encode(pair) + b"\n")


def plain_loop(model: Path, data: Path, device: str, *, rank: int, steps: int, warm: int) -> dict[str, float]:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    causal = AutoModelForCausalLM.from_pretrained(
        model, dtype=torch.bfloat16 if device == "cuda" else torch.float32
    ).to(device)
    with warnings.catch_warnings(action="ignore"):
        lora = get_peft_model(
            causal, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")
        )
        lora.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        lora.enable_input_require_grads()
    optimizer = torch.optim.AdamW([p for p in lora.parameters() if p.requires_grad], lr=2e-4)
    rows = [
        msgspec.json.decode(line, type=TrainingRow) for line in (data / "sft_train.jsonl").read_bytes().splitlines()
    ]
    speeds = []
    for step in range(warm + steps):
        batch = [rows[(step * 16 + i) % len(rows)] for i in range(16)]
        prompts = [prompt_ids(tokenizer, r.prompt) for r in batch]
        ids = [
            p + tokenizer(r.completion)["input_ids"] + [tokenizer.eos_token_id]
            for p, r in zip(prompts, batch, strict=True)
        ]
        longest = max(map(len, ids))
        began_s = time.monotonic()
        padded = torch.tensor([row + [0] * (longest - len(row)) for row in ids], device=device)
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in ids], device=device)
        hidden = [[-100] * len(p) for p in prompts]
        shown = [one + row[len(one) :] + [-100] * (longest - len(row)) for one, row in zip(hidden, ids, strict=True)]
        labels = torch.tensor(shown, device=device)
        loss = lora(input_ids=padded, attention_mask=mask, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        loss.item()
        speeds.append(sum(map(len, ids)) / (time.monotonic() - began_s))
    peak = torch.cuda.max_memory_allocated() / GIB if device == "cuda" else 0.0
    return {"tokens_per_s": statistics.median(speeds[warm:]), "peak_gib": peak}


def ours(
    kind: str, model: Path, data: Path, out: Path, device: str, *, rank: int, steps: int, warm: int, extra: list[str]
) -> dict[str, float]:
    command = [
        sys.executable,
        "-m",
        "burnqed",
        "train",
        kind,
        "--rows",
        str(data),
        "--base",
        str(model),
        "--out",
        str(out),
    ]
    command += ["--rank", str(rank), "--steps", str(warm + steps), "--device", device, "--set", "export=false"]
    command += ["--set", "save_every=1000", "--set", "batch.micro_tokens=8704", "--set", "batch.max_tokens=544", *extra]
    if kind == "joint":
        command += ["--pairs", str(data), "--set", "monitor.every=1000"]
    began_s = time.monotonic()
    run = subprocess.run(command, capture_output=True, text=True, env=os.environ)
    if run.returncode:
        return {"failed": run.stderr[-1500:]}
    journal = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    steps_seen = [row for row in journal if "tokens_per_s" in row][warm:]
    estimate = next((line for line in run.stderr.splitlines() if "together" in line), "")
    again = next((line for line in run.stderr.splitlines() if "computed again" in line), "")
    return {
        "tokens_per_s": statistics.median(row["tokens_per_s"] for row in steps_seen),
        "peak_gib": max(row.get("memory_gib", 0.0) for row in journal),
        "estimate": " ".join(estimate.split()),
        "checkpointing": again,
        "whole_s": time.monotonic() - began_s,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, default="small")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--warm", type=int, default=3)
    parser.add_argument("--memory-gib", type=float, default=30.0, help="what `train sft` may use")
    parser.add_argument("--joint-memory-gib", type=float, default=35.0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--skip-plain", action="store_true")
    parser.add_argument("--plain", type=Path, nargs=2, metavar=("MODEL", "DATA"), help="the plain loop alone")
    chosen = parser.parse_args()
    if chosen.plain:
        print(json.dumps(plain_loop(*chosen.plain, chosen.device, rank=32, steps=chosen.steps, warm=chosen.warm)))
        return
    found: dict[str, dict[str, float]] = {}
    counts = {"steps": chosen.steps, "warm": chosen.warm}
    with TemporaryDirectory() as name:
        model, data = Path(name) / "model", Path(name) / "data"
        data.mkdir()
        make_model(model, SHAPES[chosen.shape], chosen.device)
        torch.cuda.empty_cache() if chosen.device == "cuda" else None
        make_data(data, make_tokenizer(vocab=2048), rows=64, length=512, text=256, groups=48)
        if not chosen.skip_plain:
            command = [sys.executable, __file__, "--plain", str(model), str(data), "--device", chosen.device]
            command += ["--steps", str(chosen.steps), "--warm", str(chosen.warm)]
            run = subprocess.run(command, capture_output=True, text=True)
            said = run.stdout.splitlines()
            found["plain PEFT, r=32"] = {"failed": run.stderr[-1500:]} if run.returncode else json.loads(said[-1])
        limit = ["--set", f"memory_gib={chosen.memory_gib}"]
        found["train sft, r=32"] = ours(
            "sft", model, data, Path(name) / "sft", chosen.device, rank=32, extra=limit, **counts
        )
        limit = ["--set", f"memory_gib={chosen.joint_memory_gib}"]
        found["train sft, r=64"] = ours(
            "sft", model, data, Path(name) / "sft64", chosen.device, rank=64, extra=limit, **counts
        )
        for carry in ("hardest", "all"):
            extra = [*limit, "--set", f"contrastive.carry={carry}"]
            found[f"train joint, r=64, {carry}"] = ours(
                "joint", model, data, Path(name) / carry, chosen.device, rank=64, extra=extra, **counts
            )
    for what, figures in found.items():
        print(
            f"{what:28} "
            + "  ".join(f"{k} {v:,.1f}" if isinstance(v, float) else f"{k} {v}" for k, v in figures.items())
        )
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
