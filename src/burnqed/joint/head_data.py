"""Groups of pairs as numbers: which are trained on, which are held out, and where their vectors are."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from burnqed.core.errors import BadInput
from burnqed.core.seeding import child_seed
from burnqed.core.tally import Tally
from burnqed.joint.embed import texts_of
from burnqed.joint.embeddings import Embeddings
from burnqed.joint.head_step import Batch
from burnqed.joint.pairs import Group, Indices, Negative, NegativeSampler

TRAIN, VALID = "train", "valid"

OTHER_SPLIT = "group of a split that is neither trained on nor measured"
CROSSING = "negative of a theorem on the other side of the split"
NO_VECTOR = "state without an embedding"


def divided(groups: Sequence[Group], *, valid_share: float, seed: int, tally: Tally) -> tuple[list[Group], list[Group]]:
    """Groups to train on and groups that are held out: by their own splits, or by theorem where none is held out.

    No theorem is on both sides, not even as the source of a negative. Splits other than ``train`` and ``valid`` are left out.
    """
    used = [g for g in groups if g.split in (TRAIN, VALID)]
    if left := len(groups) - len(used):
        tally.count(OTHER_SPLIT, times=left)
    if valid_share and not any(g.split == VALID for g in used):
        names = sorted({g.theorem for g in used}, key=lambda name: child_seed(seed, "held out", name))
        held = set(names[: max(1, round(valid_share * len(names)))] if len(names) > 1 else [])
        used = [dataclasses.replace(g, split=VALID) if g.theorem in held else g for g in used]
    sides = {g.theorem: g.split for g in used}

    def stays(negative: Negative, group: Group) -> bool:
        return sides.get(negative.theorem, group.split) == group.split

    kept = [_with(g, [n for n in g.negatives if stays(n, g)], CROSSING, tally) for g in used]
    return [g for g in kept if g.split == TRAIN], [g for g in kept if g.split == VALID]


def embedded(groups: Sequence[Group], embeddings: Embeddings, tally: Tally) -> list[Group]:
    """The groups without what was dropped when texts were embedded, counted. Raises BadInput for texts that never were."""
    lacking = {text for text in texts_of(groups) if text not in embeddings}
    for text in lacking:
        if not embeddings.why_not(text):
            embeddings.vectors([text])  # raises, and says which
    if not lacking:
        return list(groups)
    tally.count(NO_VECTOR, min(lacking), times=len(lacking))
    whole = [g for g in groups if g.goal not in lacking and g.positive not in lacking]
    return [_with(g, [n for n in g.negatives if n.goal not in lacking and n.state not in lacking]) for g in whole]


def _with(group: Group, negatives: Sequence[Negative], kind: str = "", tally: Tally | None = None) -> Group:
    lost = len(group.negatives) - len(negatives)
    if lost and tally is not None:
        tally.count(kind, times=lost)
    return dataclasses.replace(group, negatives=tuple(negatives)) if lost else group


def fingerprint(groups: Sequence[Group]) -> str:
    """What stands for the groups with all their negatives, in order."""
    whole = hashlib.blake2b(digest_size=16)
    for g in groups:
        rows = [(g.theorem, g.goal, g.positive, g.split, str(g.remaining))]
        rows += [(n.theorem, n.goal, n.state, n.tier, str(n.depth)) for n in g.negatives]
        whole.update("\0".join("\0".join(row) for row in rows).encode("utf-8", "surrogatepass") + b"\1")
    return whole.hexdigest()


class Vectors:
    """The vectors of some texts as one matrix [N, D] on a device, in the type in which they are stored."""

    def __init__(self, texts: Sequence[str], embeddings: Embeddings, device: torch.device) -> None:
        self.row = {text: i for i, text in enumerate(texts)}
        self.matrix: Tensor = embeddings.vectors(texts, dtype=embeddings.dtype).to(device)


class GroupTable:
    """Groups whose batches are made without looking at a text again.

    Raises BadInput when there are no groups, or no negatives among them.
    """

    def __init__(
        self, groups: Sequence[Group], ratios: Mapping[str, float], vectors: Vectors, *, seed: int, tally: Tally
    ) -> None:
        self.groups = list(groups)
        self.sampler = NegativeSampler(groups, ratios, seed, tally=tally)
        row = vectors.row
        self._device = vectors.matrix.device
        self._positive = _array([row[g.positive] for g in groups])
        self._goal = _array([row[g.goal] for g in groups])
        self._remaining = torch.tensor([float(g.remaining) for g in groups])
        self._other_state = _array([row[n.state] for n in self.sampler.candidates])
        self._other_goal = _array([row[n.goal] for n in self.sampler.candidates])

    def __len__(self) -> int:
        return len(self.groups)

    def batch(self, numbers: Indices, sampler: NegativeSampler, k: int, *, step: int) -> Batch:
        """The groups of these numbers [B], each with ``k`` negatives that the sampler (one of this table's) draws."""
        return self.of(numbers, sampler.draw_many(numbers, k, step=step))

    def of(self, numbers: Indices, drawn: Indices) -> Batch:
        """The groups of these numbers [B] with the candidates drawn for them [B, K]."""
        states = np.concatenate([self._positive[numbers, None], self._other_state[drawn]], axis=1)
        goals = np.concatenate([self._goal[numbers, None], self._other_goal[drawn]], axis=1)
        distinct_states, state_of = np.unique(states, return_inverse=True)
        distinct_goals, goal_of = np.unique(goals, return_inverse=True)
        return Batch(
            self._moved(distinct_states),
            self._moved(distinct_goals),
            self._moved(state_of.reshape(states.shape)),
            self._moved(goal_of.reshape(goals.shape)),
            self._remaining[torch.from_numpy(numbers)].to(self._device, non_blocking=True),
        )

    def _moved(self, numbers: Indices) -> Tensor:
        return torch.from_numpy(numbers).to(self._device, non_blocking=True)


class Epochs:
    """Which groups make up a step: every group once in each epoch, in an order that seed and epoch alone decide."""

    def __init__(self, count: int, batch: int, *, seed: int) -> None:
        if count < 1:
            raise BadInput("there is no group to train on")
        self.batch = min(batch, count)
        self.steps = -(-count // self.batch)
        self._count = count
        self._seed = seed
        self._epoch = -1
        self._order: Indices = np.empty(0, dtype=np.int64)

    def numbers(self, step: int) -> Indices:
        """The groups of a step, by number; steps count from 0. The last step of an epoch may have fewer."""
        epoch, place = divmod(step, self.steps)
        if epoch != self._epoch:
            self._epoch = epoch
            rng = np.random.default_rng(child_seed(self._seed, "epoch", epoch))
            self._order = rng.permutation(self._count)
        return self._order[place * self.batch : (place + 1) * self.batch]


def _array(values: Sequence[int]) -> Indices:
    return np.array(values, dtype=np.int64)
