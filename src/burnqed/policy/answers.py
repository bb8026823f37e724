"""One completion as SGLang sends it, read with suspicion: what cannot be used is counted and costs only itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from burnqed.core.tactic import Sample
from burnqed.core.tally import Tally

NO_LOGPROBS = "completion without log-probabilities"
INCOMPLETE = "completion with fields missing"
ABORTED = "completion aborted by the server"

_ABOVE_ZERO = 1e-3
"""Rounding may lift the log-probability of a sure token above 0 by so much."""


@dataclass(frozen=True)
class Completion:
    """Text, tokens and the log-probability of each; NaN where the server gave no number.

    ``ids`` and ``prompt_ids`` are empty where the server does not show them; ``tokens`` are the texts of the tokens, empty where
    it does not show those.
    """

    text: str
    logprobs: tuple[float, ...]
    ended: bool
    ids: tuple[int, ...] = ()
    tokens: tuple[str, ...] = ()
    prompt_ids: tuple[int, ...] = ()

    @property
    def sample(self) -> Sample:
        """As the rest of the program knows it."""
        first = self.ids[0] if self.ids else self.tokens[0] if self.tokens else None
        return Sample(self.text, sum(self.logprobs), len(self.logprobs), first, self.ended)

    def scored(self, logprobs: Sequence[float]) -> Completion:
        """The same with other log-probabilities."""
        return replace(self, logprobs=tuple(logprobs))


def read_completion(answer: object, tally: Tally) -> Completion | None:
    """One object of SGLang's ``/generate``."""
    info = answer.get("meta_info") if isinstance(answer, dict) else None
    text = answer.get("text") if isinstance(answer, dict) else None
    reason = info.get("finish_reason") if isinstance(info, dict) else None
    kind = reason.get("type") if isinstance(reason, dict) else None
    if not isinstance(info, dict) or not isinstance(text, str) or kind not in ("stop", "length", "abort"):
        tally.count(INCOMPLETE, str(answer)[:200])
        return None
    if kind == "abort":
        tally.count(ABORTED, str(reason))
        return None
    entries = logprob_entries(info.get("output_token_logprobs"))
    if not entries:
        # A model that ends at once writes one token, the end; a server that shows none shows no log-probabilities.
        tally.count(NO_LOGPROBS, text)
        return None
    return Completion(
        text=text,
        logprobs=tuple(value for value, _ in entries),
        ended=kind == "stop",
        ids=tuple(token for _, token in entries),
    )


def prompt_logprobs(answer: object, ids: Sequence[int]) -> list[float]:
    """The log-probabilities of the last ``ids`` of a prompt that SGLang scored; all NaN when it scored something else.

    SGLang shows the last id of the vocabulary as 0 there, so that a 0 matches anything.
    """
    info = answer.get("meta_info") if isinstance(answer, dict) else None
    entries = logprob_entries(info.get("input_token_logprobs") if isinstance(info, dict) else None)[-len(ids) :]
    if len(entries) != len(ids) or any(token not in (0, want) for (_, token), want in zip(entries, ids, strict=True)):
        return [math.nan] * len(ids)
    return [value for value, _ in entries]


def logprob_entries(value: object) -> list[tuple[float, int]]:
    """SGLang's ``[log-probability, token id, text]``, as many as can be read; nothing when one has no token id."""
    if not isinstance(value, list):
        return []
    entries: list[tuple[float, int]] = []
    for entry in value:
        if not isinstance(entry, list) or len(entry) < 2 or type(entry[1]) is not int:
            return []
        entries.append((as_logprob(entry[0]), entry[1]))
    return entries


def as_logprob(value: object) -> float:
    """A log-probability in nats, at most 0; NaN for whatever cannot be one."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value <= _ABOVE_ZERO:
        return math.nan
    return min(0.0, float(value))
