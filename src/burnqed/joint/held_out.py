"""Held-out groups: always the same ones with the same negatives, so that measurements of different steps can be compared."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from burnqed.core.seeding import child_seed
from burnqed.core.tally import Tally
from burnqed.joint.decoupled_config import DecoupledConfig
from burnqed.joint.ebm_head import GoalConditionedEnergyHead
from burnqed.joint.ebm_metrics import logprobs_of
from burnqed.joint.head_data import GroupTable, Vectors
from burnqed.joint.head_step import batch_energies
from burnqed.joint.losses import info_nce, margin_ranking
from burnqed.joint.monitoring import baselines, ebm_metrics, flatten
from burnqed.joint.pairs import Group

_BATCH = 512


class HeldOut:
    """Some held-out groups with ``K`` negatives each, drawn by the shares of tiers that the run ends with."""

    def __init__(self, groups: Sequence[Group], vectors: Vectors, config: DecoupledConfig) -> None:
        self._config = config
        self.tally = Tally()
        shares = config.tiers[-1][1]
        rng = np.random.default_rng(child_seed(config.seed, "held-out groups"))
        chosen = np.sort(rng.permutation(len(groups))[: config.valid_groups]).astype(np.int64)
        table = GroupTable(groups, shares, vectors, seed=config.seed, tally=self.tally)
        drawn = table.sampler.draw_many(chosen, config.negatives, step=0)
        self.groups = [groups[i] for i in chosen]
        candidates = table.sampler.candidates
        self.negatives = [[candidates[i] for i in row] for row in drawn]
        self._batches = [
            table.of(chosen[at : at + _BATCH], drawn[at : at + _BATCH]) for at in range(0, len(chosen), _BATCH)
        ]

    @torch.no_grad()
    def energies(self, head: GoalConditionedEnergyHead, matrix: Tensor) -> Tensor:
        """Energies [G, K+1] on the CPU, without dropout; the head's norms stay as they are."""
        was_training = head.training
        head.eval()
        found = [batch_energies(head, matrix, batch) for batch in self._batches]
        head.train(was_training)
        return torch.cat(found).cpu()

    def measure(self, head: GoalConditionedEnergyHead, matrix: Tensor) -> dict[str, float]:
        """Held-out loss (``valid.loss``) and what the energies tell apart (``ebm.rank_1`` and so on), by dotted names.

        Raises ModelError when an energy is not finite.
        """
        energies = self.energies(head, matrix)
        margin = self._config.loss == "margin"
        loss = margin_ranking(energies, self._config.margin) if margin else info_nce(energies)
        found = ebm_metrics(energies.numpy(), depths=[g.depth for g in self.groups])
        return {"valid.loss": float(loss.mean()), **flatten(ebm=found)}

    def baselines(self) -> dict[str, dict[str, float]]:
        """What energies that need no learning tell apart of the same groups and negatives, by their names."""
        rows = list(zip(self.groups, self.negatives, strict=True))
        found = baselines(
            [[g.positive, *(n.state for n in negatives)] for g, negatives in rows],
            depths=[[g.depth, *(n.depth for n in negatives)] for g, negatives in rows],
            logprobs_nats=logprobs_of(
                [g.logprob_nats for g in self.groups],
                [[n.logprob_nats for n in negatives] for negatives in self.negatives],
            ),
        )
        return {name: flatten(ebm=metrics) for name, metrics in found.items()}
