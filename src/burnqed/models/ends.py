"""Where a completion ends: at a token that ends texts, or at the token with which a stop text is complete."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

Decode = Callable[[Sequence[int]], str]


class Ends:
    """Finds the terminator of completions of one model.

    A stop text may begin and end within tokens. It is complete at the first token with which it stands in the decoded text. Only
    the last few tokens are decoded for that, and only when the newest one holds the stop text's last character.
    """

    def __init__(self, decode: Decode, *, ids: Collection[int], texts: Sequence[str]) -> None:
        self._decode = decode
        self._ids = frozenset(ids)
        self._texts = tuple(text for text in texts if text)
        # A token is at least one byte; a few more, so that a character cut in half is not at the place that is looked at.
        self._window = max((len(text.encode()) for text in self._texts), default=0) + 4
        self._may_end: dict[int, bool] = {}

    def found(self, ids: Sequence[int]) -> int | str | None:
        """What the newest of these ids completes: itself if it ends texts, a stop text, or nothing."""
        newest = ids[-1]
        if newest in self._ids:
            return newest
        if not self._texts or not self._possible(newest):
            return None
        tail = self._decode(ids[-self._window :])
        places = [(tail.find(text), text) for text in self._texts if text in tail]
        return min(places)[1] if places else None

    def text(self, ids: Sequence[int], *, by: int | str | None, before: int) -> str:
        """The text of a completion without its terminator; ``before`` is the prompt's last token.

        Some tokenizers drop the blank at the beginning of what they decode; behind another token they do not.
        """
        if isinstance(by, int):
            ids = ids[:-1]
        head, whole = self._decode([before]), self._decode([before, *ids])
        text = whole[len(head) :] if whole.startswith(head) else self._decode(ids)
        return text.split(by)[0] if isinstance(by, str) else text

    def _possible(self, token: int) -> bool:
        known = self._may_end.get(token)
        if known is None:
            text = self._decode([token])
            # U+FFFD: part of a character, which may be the last one of a stop text.
            known = "\ufffd" in text or any(stop[-1] in text for stop in self._texts)
            self._may_end[token] = known
        return known
