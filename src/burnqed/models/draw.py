"""Drawing a token from logits: temperature, nucleus (top-p), and the log-probability on the model's own scale.

Shapes: ``B`` rows, ``V`` tokens of the model, ``R`` rounds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

_MISSED = 1e-9
"""How often at most the rounds may end without a draw; the most probable token is taken then."""


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn: ``temperature`` at least 0, which takes the most probable one; ``top_p`` above 0, at most 1."""

    temperature: float
    top_p: float

    def __post_init__(self) -> None:
        assert 0 <= self.temperature < float("inf")
        assert 0 < self.top_p <= 1

    @property
    def greedy(self) -> bool:
        """Whether nothing is left to chance."""
        return self.temperature == 0

    @property
    def rounds(self) -> int:
        """Rounds of rejection after which a draw is missing with a probability of at most 1e-9.

        A round rejects with at most the probability ``o / (p + o)`` (``p`` in the nucleus, ``o`` outside and still allowed), and
        a rejection leaves a uniform share of ``o``. The expected product over ``R`` rounds is at most ``((1 - p) / p)^R / R!``.
        """
        if self.greedy or self.top_p >= 1:
            return 1
        odds, missed, rounds = (1 - self.top_p) / self.top_p, 1.0, 0
        while missed > _MISSED:
            rounds += 1
            missed *= odds / rounds
        return rounds


def uniforms(seed: int, *, n: int, tokens: int, rounds: int) -> Tensor:
    """Numbers in [0, 1) for ``n`` completions of a prompt, [n, tokens, R] float32; a completion's do not depend on ``n``."""
    numbers = np.random.Generator(np.random.PCG64(seed)).random((n, tokens, rounds), dtype=np.float32)
    return torch.from_numpy(numbers)


def draw(
    logits: Tensor,
    chance: Tensor,
    temperature: Tensor | float,
    top_p: Tensor | float,
    *,
    allowed: int,
    greedy: bool,
    wait: bool,
) -> tuple[Tensor, Tensor]:
    """One token a row and its natural-log probability at temperature 1: int64 [B] and float32 [B].

    ``logits`` float32 [B, V], of which only the first ``allowed`` tokens may be drawn (a padded matrix has rows for no token);
    ``chance`` float32 [B, R]. ``wait``: end as soon as all rows have their token, which on a GPU waits for it each time.

    The nucleus is the smallest set of most probable tokens that holds ``top_p`` (Holtzman et al. 2020), so that a token is in
    it exactly when the tokens more probable than it hold less. No sorting is needed for that: draw from the whole distribution by
    inverse CDF, and if the token is outside, draw again among the more probable ones. The CDF is in the vocabulary's order,
    in which rounding moves its steps a little; in the order of probabilities it would exchange whole tokens.
    """
    own = logits[:, :allowed]
    if greedy:
        tokens = own.argmax(dim=-1)
    else:
        weights = ((own - own.amax(dim=-1, keepdim=True)) / temperature).exp_()
        tokens = _in_nucleus(weights, chance, top_p, wait=wait)
    return tokens, logits.gather(1, tokens[:, None])[:, 0] - logits.logsumexp(dim=-1)


def _in_nucleus(weights: Tensor, chance: Tensor, top_p: Tensor | float, *, wait: bool) -> Tensor:
    """A token a row, by rejection; ``weights`` [B, V] need not sum to one."""
    limit = weights.sum(dim=-1) * top_p
    whole = isinstance(top_p, float) and top_p >= 1
    tokens = weights.argmax(dim=-1)
    still = weights
    rows: Tensor | None = None  # those without a token yet; None = all
    pending = torch.ones_like(tokens, dtype=torch.bool)
    for round_ in range(chance.shape[1]):
        found = _inverse_cdf(still, chance[:, round_])
        weight = weights.gather(1, found[:, None])
        good = still.gather(1, found[:, None])[:, 0] > 0
        if not whole:
            above = torch.where(weights > weight, weights, 0.0)
            good &= above.sum(dim=-1) < limit
        if wait:
            tokens[rows if rows is not None else slice(None)] = torch.where(
                good, found, tokens if rows is None else tokens[rows]
            )
            left = (~good).nonzero()[:, 0]
            if whole or not len(left):
                break
            rows = left if rows is None else rows[left]
            weights, still, limit, chance = weights[left], above[left], limit[left], chance[left]
        else:
            tokens = torch.where(pending & good, found, tokens)
            pending = pending & ~good
            if not whole:
                still = above
    return tokens


def _inverse_cdf(weights: Tensor, chance: Tensor) -> Tensor:
    """The first token at which the running sum passes ``chance`` of the total."""
    running = weights.cumsum(dim=-1)
    at = (chance * running[:, -1])[:, None]
    return torch.searchsorted(running, at, right=True)[:, 0].clamp_(max=weights.shape[1] - 1)
