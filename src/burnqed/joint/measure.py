"""What is measured on held-out theorems while a run trains: the tactics' loss, the embeddings, and the head's judgement.

Always the same rows, states and negatives, so that measurements of different steps, and of runs on the same files, can be
compared.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import parametrize

from burnqed.core.seeding import child_seed
from burnqed.joint.config import JointConfig
from burnqed.joint.dataset import Ids, Prompts
from burnqed.joint.ebm_metrics import logprobs_of
from burnqed.joint.losses import info_nce
from burnqed.joint.monitoring import baselines, ebm_metrics, flatten, separation_probe
from burnqed.joint.pairs import NegativeSampler
from burnqed.joint.prepare import Prepared
from burnqed.train.order import micro_batches
from burnqed.train.workers import Workers

_SCALE_GROUPS = 64


class Measure:
    """Holds what is held out. All processes must ask together."""

    def __init__(self, config: JointConfig, prepared: Prepared, workers: Workers) -> None:
        self._config = config
        self._prover = prepared.prover
        self._rows = prepared.held_rows
        self._workers = workers
        self._prompts = Prompts(prepared.tokens)
        k = config.contrastive.negatives
        self._groups = [g for g in prepared.held_groups if self._readable((g.positive, g.goal))]
        self._negatives = []
        if self._groups:
            sampler = NegativeSampler(self._groups, config.contrastive.tiers[-1][1], config.seed)
            drawn = [sampler.draw(g, k, step=0) for g in self._groups]
            kept = [i for i, ns in enumerate(drawn) if self._readable([t for n in ns for t in (n.state, n.goal)])]
            self._groups = [self._groups[i] for i in kept]
            self._negatives = [drawn[i] for i in kept]
        self._states = self._probed()
        self._first_groups = prepared.dataset.groups[:_SCALE_GROUPS]

    def held_out_loss(self) -> dict[str, float]:
        """Mean −ln p of a held-out tactic's tokens; nothing when no rows are held out."""
        if not self._rows:
            return {}
        lengths = [len(row.ids) for row in self._rows]
        batches = micro_batches(range(len(self._rows)), lengths, most_tokens=self._config.batch.micro_tokens)
        # With weights that are cut, every process must run equally often; so each runs all.
        mine = batches if self._workers.shard else batches[self._workers.rank :: self._workers.world]
        with self._still():
            total = sum(self._prover.tactics_loss([self._rows[i] for i in batch]) for batch in mine)
        summed = total if self._workers.shard else self._workers.add([total])[0]
        return self._workers.same({"valid.loss": summed / sum(len(row.ids) - row.start for row in self._rows)})

    def probes(self) -> dict[str, float]:
        """Figures of the embeddings and of the head; nothing without held-out pairs."""
        if not self._groups:
            return {}
        with self._still():
            found = flatten(**self._separation(), **self._judged())
        return self._workers.same(found)

    def start_scale(self) -> None:
        """Fit the head's scale to the embeddings that training starts with."""
        head = self._prover.head
        if head is None:
            return
        pairs = [(g.positive, g.goal) for g in self._first_groups]
        pairs += [(n.state, n.goal) for g in self._first_groups for n in g.negatives[:4]]
        with self._still():
            vectors = self._vectors([text for pair in pairs for text in pair])
        z_state, z_goal = (torch.stack([vectors[pair[side]] for pair in pairs]) for side in (0, 1))
        head.start_scale(z_state.to(self._workers.device), z_goal.to(self._workers.device))

    def _separation(self) -> dict[str, object]:
        texts = [text for text, _, _, _ in self._states]
        vectors = self._vectors(texts)
        probe = separation_probe(
            torch.stack([vectors[t] for t in texts]).numpy(),
            [label for _, label, _, _ in self._states],
            [theorem for _, _, theorem, _ in self._states],
            [depth for _, _, _, depth in self._states],
            texts,
            seed=self._config.seed,
        )
        return {"probe": probe}

    def _judged(self) -> dict[str, object]:
        """The head's figures and, beside them, those of energies that need no learning."""
        candidates = [
            [(g.positive, g.goal, g.depth), *((n.state, n.goal, n.depth) for n in negatives)]
            for g, negatives in zip(self._groups, self._negatives, strict=True)
        ]
        depths = np.array([[depth for _, _, depth in row] for row in candidates])
        logprobs = logprobs_of(
            [g.logprob_nats for g in self._groups],
            [[n.logprob_nats for n in negatives] for negatives in self._negatives],
        )
        texts = [[state for state, _, _ in row] for row in candidates]
        trivial = baselines(texts, depths=depths, logprobs_nats=logprobs)
        found: dict[str, object] = {"trivial": trivial}
        head = self._prover.head
        if head is None:
            return found
        vectors = self._vectors([text for row in candidates for state, goal, _ in row for text in (state, goal)])
        device = self._workers.device
        z_state = torch.stack([vectors[state] for row in candidates for state, _, _ in row]).to(device)
        z_goal = torch.stack([vectors[goal] for row in candidates for _, goal, _ in row]).to(device)
        with torch.no_grad(), parametrize.cached():
            flat = torch.cat(
                [head(s, g) for s, g in zip(*(torch.split(z, 4096) for z in (z_state, z_goal)), strict=True)]
            )
        energies = flat.cpu().view(len(candidates), -1)
        found["ebm"] = ebm_metrics(energies.numpy(), depths=depths[:, 0])
        found["valid"] = {"contrastive": float(info_nce(energies).mean())}
        return found

    def _vectors(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """Vectors [D], on the CPU, of distinct texts; each goes through the model once."""
        prompts: dict[Ids, list[str]] = {}
        for text in dict.fromkeys(texts):
            prompts.setdefault(self._prompts.of(text), []).append(text)
        order = list(prompts)
        found: dict[str, Tensor] = {}
        lengths = [len(p) for p in order]
        for batch in micro_batches(range(len(order)), lengths, most_tokens=self._config.batch.micro_tokens):
            vectors = self._prover.embed([order[i] for i in batch]).cpu()
            for i, vector in zip(batch, vectors, strict=True):
                found |= dict.fromkeys(prompts[order[i]], vector)
        return found

    def _probed(self) -> list[tuple[str, bool, str, int]]:
        """Text, label, theorem and depth of the states that are probed, each text once with a label."""
        states = {(g.positive, True): (g.theorem, g.depth) for g in self._groups}
        for negatives in self._negatives:
            states |= {(n.state, False): (n.theorem, n.depth) for n in negatives}
        found = [(text, label, theorem, depth) for (text, label), (theorem, depth) in states.items()]
        random.Random(child_seed(self._config.seed, "probed states")).shuffle(found)
        return found[: self._config.monitor.states]

    def _readable(self, texts: Sequence[str]) -> bool:
        return all(map(self._prompts.readable, texts))

    @contextlib.contextmanager
    def _still(self) -> Iterator[None]:
        """Without dropout and power iterations, and so without a trace in the run."""
        self._prover.eval()
        try:
            yield
        finally:
            self._prover.train()
