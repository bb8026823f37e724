"""JointProver: one backbone, two losses. The tactics' cross-entropy and the contrastive loss meet in the same LoRA.

Shapes: ``B`` rows, ``L`` their longest length, ``D`` width, ``T`` texts, ``G`` groups, ``K`` negatives of each.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from burnqed.joint.config import ContrastiveConfig
from burnqed.joint.dataset import Contest, MicroBatch
from burnqed.joint.ebm_head import GoalConditionedEnergyHead
from burnqed.joint.losses import carried_by_hardest, curl, depth_regression, info_nce, margin_ranking
from burnqed.models.prefill import padded
from burnqed.train.backbone import Backbone, swapped, trainable
from burnqed.train.lm_loss import loss_places, summed_loss
from burnqed.train.rows import TokenRow

_PADDING = 64
"""Tokens of padding that cost a processor about as much as one more pass."""
_PADDING_BY_LAYER = 4.5e11
"""The same for a GPU, times the parameters of a layer: 2,048 tokens at 7B shape, where its host takes 3 ms to start a layer.

A small model computes so much more in that time that all texts of a step may go through it at once.
"""


@dataclass(frozen=True)
class Weights:
    """What each sum of losses is multiplied by: a weight over the size of the whole step."""

    sft: float
    contrastive: float
    depth: float
    views: float


@dataclass
class Losses:
    """``total`` is what gradients come from; the others are plain sums over a micro-batch, for the record."""

    total: Tensor
    sft: Tensor
    contrastive: Tensor
    depth: Tensor
    views: Tensor
    won: Tensor
    """Groups whose positive has the lowest energy."""


class JointProver(nn.Module):
    """``backbone`` as :mod:`burnqed.train.backbone` loads it; without a ``head`` only tactics are learned.

    The contrastive part reads states as the encoder does: the mean of the last hidden state over content tokens, in float32.
    The head computes in float32 whatever the backbone does. With ``lockstep`` every micro-batch of the same kind takes the same
    number of passes through the backbone, as processes must whose weights are cut; else texts go through it ``pass_tokens`` at
    a time.
    """

    def __init__(
        self,
        backbone: Backbone,
        head: GoalConditionedEnergyHead | None,
        config: ContrastiveConfig,
        *,
        autocast: torch.dtype | None,
        lockstep: bool = False,
        pass_tokens: int = 1 << 13,
    ) -> None:
        super().__init__()
        self.backbone = backbone.model
        self.head = head
        self._parts = [backbone]  # in a list, so that it is no submodule a second time
        self._config = config
        self._autocast = autocast
        self._lockstep = lockstep
        self._pass_tokens = pass_tokens
        self._most_padding = most_padding(backbone)
        self._not_content = torch.tensor(sorted(backbone.not_content), dtype=torch.long)
        self.affine = nn.Parameter(torch.zeros(2)) if head is not None and config.depth_weight else None
        self.view_matrix = nn.Parameter(torch.eye(backbone.dim)) if head is not None and config.view_weight else None
        self.averages: dict[str, Tensor] = {}
        if head is not None and config.keys == "ema":
            self.averages = {name: p.detach().clone() for name, p in trainable(self.backbone).items()}

    def forward(self, micro: MicroBatch, weights: Weights, *, head_only: bool = False) -> Losses:
        """All losses of a micro-batch, by one pass over its rows and one over the texts that no row has.

        With ``head_only`` the contrastive loss has no gradient in the backbone.
        """
        zero = torch.zeros((), device=self._device)
        sft = contrastive = depth = views = won = zero
        hidden: Tensor | None = None
        if micro.rows:
            ids = padded([row.ids for row in micro.rows], self._device)
            hidden = self._hidden(ids)
            if weights.sft:
                sft = self._tactics(micro, ids, hidden)
        if micro.contests:
            assert self.head is not None
            with torch.no_grad() if head_only else contextlib.nullcontext():
                vectors, goals, hardest = self._vectors(micro, hidden)
            contrastive, depth, won = self._contrast(micro.contests, vectors, goals, hardest)
            if self.view_matrix is not None and micro.views:
                views = self._views(micro, vectors)
        total = weights.sft * sft + weights.contrastive * contrastive + weights.depth * depth + weights.views * views
        return Losses(total, *(x.detach() for x in (sft, contrastive, depth, views, won)))

    @torch.no_grad()
    def tactics_loss(self, rows: Sequence[TokenRow]) -> float:
        """Sum of −ln p over the labels of some rows, for measuring."""
        micro = MicroBatch(rows=list(rows))
        ids = padded([row.ids for row in rows], self._device)
        return float(self._tactics(micro, ids, self._hidden(ids)))

    @torch.no_grad()
    def embed(self, prompts: Sequence[Sequence[int]]) -> Tensor:
        """Vectors [B, D] of one batch of prompts, for measuring."""
        return self._pooled(self._hidden(padded(prompts, self._device)), prompts)

    @torch.no_grad()
    def follow(self) -> None:
        """Move the averages of the weights on by a step."""
        decay = self._config.ema_decay
        parameters = trainable(self.backbone)
        for name, average in self.averages.items():
            average.lerp_(parameters[name].to(average.dtype), 1 - decay)

    def _tactics(self, micro: MicroBatch, ids: Tensor, hidden: Tensor) -> Tensor:
        rows, columns = loss_places([row.first_label for row in micro.rows], [len(row.ids) for row in micro.rows])
        at = torch.tensor([rows, columns], device=ids.device)
        with self._casting():
            return summed_loss(self._backbone.lm_head, hidden[at[0], at[1]], ids[at[0], at[1] + 1])

    def _vectors(self, micro: MicroBatch, hidden: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """Vectors [T, D] of the texts as states and as goals, with gradient where the configuration wants it.

        Also the places [G] of the negatives that carry it in each contest, where not all do.
        """
        config = self._config
        every = list(range(len(micro.texts)))
        goal_texts = sorted({g for contest in micro.contests for g in contest.goals})
        needed = set(every)
        known: dict[int, Tensor] = {}
        hardest: Tensor | None = None
        if not torch.is_grad_enabled():
            needed = set(every)
        elif config.carry == "hardest":
            needed, known, hardest = self._carried(micro, hidden)
        if config.keys != "online":
            states = {s for contest in micro.contests for s in contest.states} | {
                v for pair in micro.views for v in pair
            }
            needed &= states
        vectors = {**known, **self._embedded(micro, [t for t in every if t in needed], hidden)}
        keys = vectors
        if config.keys != "online":
            with torch.no_grad(), self._averaged():
                keys = self._embedded(micro, goal_texts, None)
        nothing = torch.zeros(self._backbone.dim, device=self._device)  # for a goal that is no state, and the other way
        as_states, as_goals = (torch.stack([kind.get(t, nothing) for t in every]) for kind in (vectors, keys))
        return as_states, as_goals, hardest

    @torch.no_grad()
    def _carried(self, micro: MicroBatch, hidden: Tensor | None) -> tuple[set[int], dict[int, Tensor], Tensor]:
        """The texts that carry gradient: positives, the hardest negative of each, the goals of both, and all views.

        Also all vectors, without gradient, and the places [G] of the hardest negatives.
        """
        assert self.head is not None
        vectors = self._embedded(micro, list(range(len(micro.texts))), hidden)
        found = {text for pair in micro.views for text in pair}
        states = torch.stack([vectors[t] for contest in micro.contests for t in contest.states])
        goals = torch.stack([vectors[t] for contest in micro.contests for t in contest.goals])
        with _judging(self.head):
            energies = self.head.raw(states, goals).view(len(micro.contests), -1)
        hardest = 1 + energies[:, 1:].argmin(dim=1)
        for contest, place in zip(micro.contests, hardest.tolist(), strict=True):
            found |= {contest.states[0], contest.goals[0], contest.states[place], contest.goals[place]}
        return found, vectors, hardest

    def _embedded(self, micro: MicroBatch, texts: Sequence[int], hidden: Tensor | None) -> dict[int, Tensor]:
        """The vector [D] of each of these texts: from the rows' hidden states where a row begins with it, else by a pass."""
        found: dict[int, Tensor] = {}
        if hidden is not None and not self._lockstep:
            for text in texts:
                if (row := micro.shared.get(text)) is not None:
                    found[text] = self._pooled(hidden[row : row + 1], [micro.texts[text]])[0]
        alone = [t for t in texts if t not in found]
        lengths = [len(t) for t in micro.texts]
        most_tokens = 1 << 40 if self._lockstep else self._pass_tokens
        padding = 1 << 40 if self._lockstep else self._most_padding
        for batch in _alike(alone, lengths, most_padding=padding, most_tokens=most_tokens):
            prompts = [micro.texts[t] for t in batch]
            pooled = self._pooled(self._hidden(padded(prompts, self._device)), prompts)
            found |= dict(zip(batch, pooled, strict=True))
        return found

    def _pooled(self, hidden: Tensor, prompts: Sequence[Sequence[int]]) -> Tensor:
        """Means over content tokens [B, D], as ``models/prefill.py`` has them."""
        ids = padded(prompts, hidden.device)
        lengths = torch.tensor([len(p) for p in prompts], device=hidden.device)
        inside = torch.arange(ids.shape[1], device=hidden.device)[None] < lengths[:, None]
        content = inside & ~torch.isin(ids, self._not_content.to(hidden.device))
        weights = content.to(hidden.dtype)
        total = (hidden[:, : ids.shape[1]] * weights[:, :, None]).sum(dim=1, dtype=torch.float32)
        return total / weights.sum(dim=1, dtype=torch.float32)[:, None]

    def _contrast(
        self, contests: Sequence[Contest], vectors: Tensor, goals: Tensor, hardest: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Sums over groups of the contrastive loss and the depth loss, and how many groups were won."""
        assert self.head is not None
        states = torch.tensor([c.states for c in contests], device=vectors.device)
        owners = torch.tensor([c.goals for c in contests], device=vectors.device)
        with torch.autocast(vectors.device.type, enabled=False):
            candidates, theirs = vectors[states.flatten()], goals[owners.flatten()]
            flat = self.head.raw(candidates, theirs)
            temperature = self.head.temperature
            if self._config.loss == "margin":
                temperature = temperature.detach()
            energies = flat.view(states.shape) / temperature
            if hardest is not None:
                _let_carry(hardest, energies, candidates, theirs)
            counts = torch.tensor([float(c.counts) for c in contests], device=vectors.device)
            if self._config.loss == "margin":
                loss = margin_ranking(energies, self._config.margin) @ counts
            else:
                loss = info_nce(energies) @ counts
            depth = torch.zeros((), device=vectors.device)
            if self.affine is not None:
                remaining = torch.tensor([float(c.remaining) for c in contests], device=vectors.device)
                depth = depth_regression(energies[:, 0], remaining, self.affine[0], self.affine[1]) @ counts
            won = (energies[:, :1] < energies[:, 1:]).all(dim=1).float() @ counts
        return loss, depth, won

    def _views(self, micro: MicroBatch, vectors: Tensor) -> Tensor:
        """CURL's loss between two views of each state, over the micro-batch."""
        assert self.view_matrix is not None
        pairs = torch.tensor(micro.views, device=vectors.device)
        with torch.autocast(vectors.device.type, enabled=False):
            return curl(vectors[pairs[:, 0]], vectors[pairs[:, 1]].detach(), self.view_matrix).sum()

    @property
    def _backbone(self) -> Backbone:
        return self._parts[0]

    @property
    def _device(self) -> torch.device:
        return self._backbone.device

    def _hidden(self, ids: Tensor) -> Tensor:
        """Last hidden states [B, L, D]. Padding is on the right and attention causal, so no mask is needed."""
        with self._casting():
            last: Tensor = self._backbone.decoder(input_ids=ids, use_cache=False).last_hidden_state
            return last

    def _casting(self) -> contextlib.AbstractContextManager[object]:
        if self._autocast is None:
            return contextlib.nullcontext()
        return torch.autocast(self._device.type, dtype=self._autocast)

    @contextlib.contextmanager
    def _averaged(self) -> Iterator[None]:
        """The moving averages in place of the backbone's weights; without averages nothing."""
        parameters = trainable(self.backbone) if self.averages else {}
        with swapped(parameters, self.averages):
            yield


def _let_carry(hardest: Tensor, energies: Tensor, *vectors: Tensor) -> None:
    """Change what goes back from energies [G, K+1] into ``vectors`` [G·(K+1), D], not what the head learns."""
    factors: list[Tensor] = []

    def note(gradients: Tensor) -> None:
        factors.append(carried_by_hardest(gradients, hardest).flatten()[:, None])

    for each in vectors:
        if each.requires_grad:
            each.register_hook(lambda gradient: gradient * factors[-1])  # type: ignore[no-untyped-call]
    if energies.requires_grad:
        energies.register_hook(note)  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def _judging(head: GoalConditionedEnergyHead) -> Iterator[None]:
    """Without dropout, and without power iterations, which would change the head's buffers."""
    was = head.training
    head.eval()
    try:
        with parametrize.cached():
            yield
    finally:
        head.train(was)


def most_padding(backbone: Backbone) -> int:
    """Tokens of padding in a batch of texts that cost less than one more pass through the backbone."""
    if backbone.device.type == "cpu":
        return _PADDING
    numbers = sum(p.numel() for p in backbone.decoder.parameters())
    return int(_PADDING_BY_LAYER * backbone.causal.config.num_hidden_layers / numbers)


def _alike(texts: Sequence[int], lengths: Sequence[int], *, most_padding: int, most_tokens: int) -> list[list[int]]:
    """Texts of like lengths together; a new batch begins where padding would cost more than a pass, or one is full."""
    found: list[list[int]] = []
    padding = 0
    for text in sorted(texts, key=lambda t: lengths[t]):
        wider = len(found[-1]) * (lengths[text] - lengths[found[-1][-1]]) if found else 0
        full = found and (len(found[-1]) + 1) * lengths[text] > most_tokens
        if found and not full and padding + wider <= most_padding:
            found[-1].append(text)
            padding += wider
        else:
            found.append([text])
            padding = 0
    return found
