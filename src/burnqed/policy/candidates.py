"""From what a model wrote to candidates: read, cleaned, no text twice, best first."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from burnqed.core.tactic import Candidate, ProofScript, Sample
from burnqed.core.tally import Tally
from burnqed.policy.config import SamplingConfig
from burnqed.prompts.formats import PromptFormat
from burnqed.prompts.steps import steps_of


def candidates(
    samples: Sequence[Sample], form: PromptFormat, config: SamplingConfig, tally: Tally, *, limit: int
) -> list[Candidate]:
    """At most ``limit`` candidates from the samples for one state; what is dropped is counted in ``tally``.

    A text that was drawn several times keeps the log-probability of its best sample: what differs is how it was cut
    into tokens. Ranked by :func:`length_normalised`, ties in the order of drawing.
    """
    best: dict[str, tuple[float, Sample]] = {}
    for sample in samples:
        text = form.read(sample.text)
        if not _usable(sample, text, config, tally):
            continue
        score = length_normalised(sample.logprob_nats, sample.num_tokens, exponent=config.length_exponent)
        if text not in best or score > best[text][0]:
            best[text] = (score, sample)
    ranked = sorted(best.items(), key=lambda item: -item[1][0])
    kept: list[Candidate] = []
    begins: Counter[int | str] = Counter()
    for text, (_, sample) in ranked:
        if config.first_token_cap and sample.first_token is not None:
            begins[sample.first_token] += 1
            if begins[sample.first_token] > config.first_token_cap:
                tally.count("over the cap on first tokens", text)
                continue
        kept.append(Candidate(text, min(0.0, sample.logprob_nats), sample.num_tokens))
    return kept[:limit]


def scripts(
    samples: Sequence[Sample], form: PromptFormat, config: SamplingConfig, tally: Tally, *, limit: int
) -> list[ProofScript]:
    """The same for whole proofs: each script cut into its steps, none twice."""
    found = candidates(samples, form, config, tally, limit=limit)
    return [ProofScript(steps, c.logprob_nats, c.num_tokens) for c in found if (steps := steps_of(c.text))]


def length_normalised(logprob_nats: float, num_tokens: int, *, exponent: float) -> float:
    """``logprob / tokens^exponent``: 0 ranks by probability, 1 by the mean of a token (as beam search does, Wu et al. 2016)."""
    return logprob_nats / float(max(1, num_tokens) ** exponent)


def _usable(sample: Sample, text: str, config: SamplingConfig, tally: Tally) -> bool:
    if not math.isfinite(sample.logprob_nats):
        tally.count("log-probability is not a number", sample.text)
    elif not sample.ended and not config.keep_unended:
        tally.count("completion cut off by the limit of tokens", sample.text)
    elif not text:
        tally.count("empty completion", sample.text)
    elif len(text) > config.max_characters:
        tally.count("completion too long", text)
    else:
        return True
    return False
