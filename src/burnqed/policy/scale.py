"""Whether a server's log-probabilities are the model's own, or those of the distribution that was sampled from.

Some servers divide the logits by the temperature before they take the log-probability of what was drawn (SGLang does, unless
it is told not to), some renormalise after top-p. A search that ranks by such numbers ranks by something that depends on the
sampling, and they cannot be compared with another policy's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

PROBE_TEMPERATURE = 2.0
PROBE_TOP_P = 0.5
PROBE_TEXT = "[GOAL]n m : ℕ\nh : n ≤ m\n⊢ m ≥ n[PROOFSTEP]"
"""Stands for a prompt when a server is looked at; its markers are parsed as tokens where the vocabulary has them."""

MIN_TOKENS = 4
"""Fewer tokens tell nothing."""


@dataclass(frozen=True)
class Scale:
    """What changes the log-probabilities that a server reports; ``None`` where it could not be found out."""

    by_temperature: bool | None
    by_top_p: bool | None

    def own(self, *, temperature: float, top_p: float) -> bool:
        """Whether what is drawn with these settings comes with the model's own log-probabilities, as far as is known.

        At temperature 0 every server takes the most probable token and reports it unscaled.
        """
        hot = temperature not in (0.0, 1.0) and self.by_temperature is True
        cut = temperature != 0.0 and top_p < 1.0 and self.by_top_p is True
        return not (hot or cut)


RAW = Scale(by_temperature=False, by_top_p=False)
DIVIDED = Scale(by_temperature=True, by_top_p=False)
DOUBTED = Scale(by_temperature=True, by_top_p=True)
KNOWN = {"raw": RAW, "scaled": DIVIDED}
"""What the setting ``policy.logprobs`` says without asking."""


def differs(drawn: Sequence[float], own: Sequence[float], *, noise_nats: float) -> bool:
    """Whether two series of log-probabilities of the same tokens are on different scales.

    ``noise_nats`` is by how much (root mean square) two computations of the same number differ on that server: prompts and
    single tokens run through different kernels, which in bfloat16 is a few hundredths. Too few tokens count as different,
    since scoring once more is never wrong.
    """
    if len(drawn) < MIN_TOKENS:
        return True
    return root_mean_square(drawn, own) > 4 * noise_nats + 1e-3


def root_mean_square(drawn: Sequence[float], own: Sequence[float]) -> float:
    """How far apart two series are, in nats; infinite when a number is missing."""
    distance = math.sqrt(sum((a - b) ** 2 for a, b in zip(drawn, own, strict=True)) / max(1, len(drawn)))
    return distance if math.isfinite(distance) else math.inf


def first_tokens_differ(plain: dict[str, float], other: dict[str, float]) -> bool | None:
    """The same question where a server cannot score a text: the log-probability of a token in the first position.

    It must not depend on how tokens are drawn. ``plain`` is from temperature 1 and top-p 1; ``None`` when no token was drawn both
    ways. The tolerance is wide, because batches of different shapes round differently; another scale moves most tokens by more.
    """
    common = plain.keys() & other.keys()
    if not common:
        return None
    different = sum(abs(plain[t] - other[t]) > 0.05 + 0.05 * abs(plain[t]) for t in common)
    return different > len(common) / 2
