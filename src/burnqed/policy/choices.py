"""The choices of ``/v1/completions``, read with suspicion."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from burnqed.core.tally import Tally
from burnqed.policy.answers import ABORTED, INCOMPLETE, NO_LOGPROBS, Completion, as_logprob


def read_choice(choice: object, tally: Tally) -> Completion | None:
    """One choice; nothing, and counted, when it cannot be used."""
    text = choice.get("text") if isinstance(choice, dict) else None
    reason = choice.get("finish_reason") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(text, str) or not isinstance(reason, str):
        tally.count(INCOMPLETE, str(choice)[:200])
        return None
    if reason not in ("stop", "length"):
        tally.count(ABORTED, reason)
        return None
    entries = _entries(choice.get("logprobs"))
    if entries is None or (text and not entries):
        tally.count(NO_LOGPROBS, text)
        return None
    return Completion(
        text=text,
        logprobs=tuple(value for _, value in entries),
        ended=reason == "stop",
        ids=_ids(choice.get("token_ids"), len(entries)),
        tokens=tuple(token for token, _ in entries),
        prompt_ids=_ids(choice.get("prompt_token_ids")),
    )


def first_token_logprobs(choices: Sequence[object]) -> dict[str, float]:
    """The log-probabilities of tokens in the first position: those that were drawn, and those that are listed as most probable.

    A token that is part of a character has no text of its own, and is left out.
    """
    found: dict[str, float] = {}
    for choice in choices:
        logprobs = choice.get("logprobs") if isinstance(choice, dict) else None
        pairs = (_entries(logprobs) or [])[:1]
        tops = logprobs.get("top_logprobs") if isinstance(logprobs, dict) else None
        if isinstance(tops, list) and tops and isinstance(tops[0], dict):
            pairs += [(str(token), as_logprob(value)) for token, value in tops[0].items()]
        found.update({t: value for t, value in pairs if t and "\ufffd" not in t and math.isfinite(value)})
    return found


def echoed_logprobs(answer: Mapping[str, object], completion: Completion) -> list[float]:
    """The completion's log-probabilities in the answer to a request that echoed it; all NaN when other tokens came back."""
    choices = answer.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    entries = _entries(choice.get("logprobs")) if isinstance(choice, dict) else None
    usage = answer.get("usage")
    added = usage.get("completion_tokens") if isinstance(usage, dict) else None
    size = len(completion.logprobs)
    if not entries or type(added) is not int:
        return [math.nan] * size
    echoed = entries[: len(entries) - added][-size:]
    if [token for token, _ in echoed] != list(completion.tokens):
        return [math.nan] * size
    return [value for _, value in echoed]


def _entries(logprobs: object) -> list[tuple[str, float]] | None:
    """(token, log-probability) pairs of either form: the API's own lists, or the newer ``content``; ``None`` for neither.

    Some servers give one log-probability more than tokens; it belongs to none of them.
    """
    if not isinstance(logprobs, dict):
        return None
    content = logprobs.get("content")
    if isinstance(content, list):
        items = [c for c in content if isinstance(c, dict)]
        return [(str(c.get("token", "")), as_logprob(c.get("logprob"))) for c in items]
    tokens, values = logprobs.get("tokens"), logprobs.get("token_logprobs")
    if not isinstance(tokens, list) or not isinstance(values, list) or len(values) < len(tokens):
        return None
    return [(str(token), as_logprob(value)) for token, value in zip(tokens, values, strict=False)]


def _ids(value: object, size: int | None = None) -> tuple[int, ...]:
    """Token ids, if that is what they are and as many as there are log-probabilities."""
    if not isinstance(value, list) or not all(type(i) is int for i in value):
        return ()
    return tuple(value) if size in (None, len(value)) else ()
