"""Pairs a second of training the energy head on frozen embeddings, against the obvious loop in the same run.

    python benchmarks/head_training.py                                            two cores, width of a small model
    python benchmarks/head_training.py --device cuda --dim 4096 --hidden 2048 1024 512 --groups 4096 --matmul bfloat16

A pair is one energy with its gradient, so a group with K negatives is K + 1 pairs. Embeddings and groups are random. The obvious
loop draws negatives with `random` for each group, gathers its vectors, and puts every pair through the head as it is written;
both keep all vectors on the device, clip gradients and step AdamW. Rounds alternate; the numbers are medians over them.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import msgspec
import torch
from safetensors.torch import save_file
from torch.nn.utils import clip_grad_norm_

from burnqed.core.encoder_card import EncoderCard
from burnqed.joint.decoupled import HeadTraining
from burnqed.joint.decoupled_config import DecoupledConfig
from burnqed.joint.ebm_head import GoalConditionedEnergyHead
from burnqed.joint.embed import texts_of
from burnqed.joint.embeddings import INDEX, PLAN, Embeddings, Index, Plan, StoredText, as_json, text_hash
from burnqed.joint.head_step import spectral_norms
from burnqed.joint.losses import info_nce
from burnqed.joint.pairs import Group, Negative


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--hidden", type=int, nargs="+", default=[512, 256, 128])
    parser.add_argument("--k", type=int, default=7, help="negatives of each positive")
    parser.add_argument("--groups", type=int, default=256, help="positives of a step")
    parser.add_argument("--matmul", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--theorems", type=int, default=400)
    parser.add_argument("--steps", type=int, default=10, help="of a round")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    groups = made_groups(options.theorems)
    config = DecoupledConfig(
        hidden=tuple(options.hidden),
        negatives=options.k,
        groups=options.groups,
        steps=10**6,
        valid_share=0.0,
        device=options.device,
        matmul=options.matmul,
        rules=(),
    )
    with tempfile.TemporaryDirectory() as folder:
        embeddings = made_embeddings(Path(folder) / "embedded", texts_of(groups), options.dim)
        training = HeadTraining(groups, embeddings, config, Path(folder) / "run")
        obvious = Obvious(groups, training)
    steps = iter(range(10**6))
    rates = measured(
        {"ours": lambda: training._step(next(steps)), "obvious": obvious.step},
        steps=options.steps,
        rounds=options.rounds,
        pairs=min(options.groups, len(groups)) * (options.k + 1),
        device=options.device,
    )
    began = time.perf_counter()
    for step in range(options.steps):
        training._table.batch(training._epochs.numbers(step), training._table.sampler, options.k, step=step)
    print(
        json.dumps(
            {
                "device": torch.cuda.get_device_name() if options.device != "cpu" else "cpu",
                "threads": torch.get_num_threads(),
                "dim": options.dim,
                "hidden": options.hidden,
                "k": options.k,
                "groups": options.groups,
                "matmul": options.matmul,
                "parameters": sum(p.numel() for p in training.head.parameters()),
                "pairs_per_s": round(rates["ours"]),
                "obvious_pairs_per_s": round(rates["obvious"]),
                "ratio": round(rates["ours"] / rates["obvious"], 2),
                "sampling_ms_a_step": round((time.perf_counter() - began) / options.steps * 1000, 2),
                "spectral_norms": [round(norm, 4) for norm in spectral_norms(training.best_head)],
            }
        )
    )


class Obvious:
    """The loop that one writes first, on the same data and from the same kind of head."""

    def __init__(self, groups: list[Group], training: HeadTraining) -> None:
        config = training.config
        self._groups, self._config, self._matrix = groups, config, training._matrix
        self._row = {text: i for i, text in enumerate(texts_of(groups))}
        self._head = GoalConditionedEnergyHead(config.head(training.card.dim)).to(self._matrix.device).train()
        self._optimizer = torch.optim.AdamW(self._head.parameters(), lr=1e-3)
        self._rng = random.Random(0)

    def step(self) -> None:
        chosen = self._rng.sample(self._groups, min(self._config.groups, len(self._groups)))
        states: list[int] = []
        goals: list[int] = []
        for group in chosen:
            by_tier: dict[str, list[Negative]] = {}
            for negative in group.negatives:
                by_tier.setdefault(negative.tier, []).append(negative)
            drawn = [(group.positive, group.goal)]
            for _ in range(self._config.negatives):
                tier = self._rng.choices(list(by_tier), [0.3, 0.4, 0.3][: len(by_tier)])[0]
                negative = self._rng.choice(by_tier[tier])
                drawn.append((negative.state, negative.goal))
            states += [self._row[state] for state, _ in drawn]
            goals += [self._row[goal] for _, goal in drawn]
        energies = self._head(self._matrix[states], self._matrix[goals]).view(len(chosen), -1)
        self._optimizer.zero_grad()
        info_nce(energies).mean().backward()
        clip_grad_norm_(self._head.parameters(), 1.0)
        self._optimizer.step()


def measured(
    work: dict[str, Callable[[], object]], *, steps: int, rounds: int, pairs: int, device: str
) -> dict[str, float]:
    """Pairs a second of each kind of step: the median over rounds, after one to warm up."""
    rates: dict[str, list[float]] = {name: [] for name in work}
    for number in range(rounds + 1):
        for name, step in work.items():
            wait(device)
            began = time.perf_counter()
            for _ in range(steps):
                step()
            wait(device)
            if number:
                rates[name].append(steps * pairs / (time.perf_counter() - began))
    return {name: statistics.median(found) for name, found in rates.items()}


def wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def made_groups(theorems: int) -> list[Group]:
    """Five positives a theorem, each with four hard, four medium and four easy negatives."""
    rng = random.Random(0)
    bad = [[f"⊢ bad {t} {i}" for i in range(12)] for t in range(theorems)]
    groups = []
    for t in range(theorems):
        for p in range(5):
            own = [(t, text, tier) for text, tier in zip(rng.sample(bad[t], 8), ["hard", "medium"] * 4, strict=True)]
            far = [(u, rng.choice(bad[u]), "easy") for u in rng.sample(range(theorems), 4)]
            negatives = {text: Negative(f"t{u}", f"⊢ t{u}", text, 1, tier) for u, text, tier in own + far}
            groups.append(Group(f"t{t}", f"⊢ t{t}", f"⊢ good {t} {p}", 1, 1, "train", tuple(negatives.values())))
    return groups


def made_embeddings(folder: Path, texts: list[str], dim: int) -> Embeddings:
    """Random vectors as `burnqed embed` would leave them."""
    folder.mkdir(parents=True)
    card = EncoderCard(model="random", tokenizer="", prompt_format="markers", dim=dim, max_tokens=512)
    plan = Plan(asdict(card), "", len(texts), len(texts), "float32")
    vectors = torch.randn(len(texts), dim, generator=torch.Generator().manual_seed(0)) / math.sqrt(dim)
    lines = [msgspec.json.encode(StoredText(text, text_hash(text), i)) for i, text in enumerate(texts)]
    (folder / "texts-00000.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
    save_file({"vectors": vectors}, folder / "vectors-00000.safetensors", metadata={"card": card.digest})
    (folder / PLAN).write_text(as_json(plan))
    (folder / INDEX).write_text(as_json(Index(plan, len(texts), len(texts))))
    return Embeddings.open(folder)


if __name__ == "__main__":
    main()
