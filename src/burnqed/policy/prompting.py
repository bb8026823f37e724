"""Prompts that fit into the context of a model whose tokenizer may be far away."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence

from burnqed.core.errors import ModelMismatch
from burnqed.core.state import ProofState
from burnqed.core.tally import Tally
from burnqed.policy.remote import Tokenizer
from burnqed.prompts.fit import CUT, fitted_prompt
from burnqed.prompts.formats import PromptFormat

BYTES_PER_TOKEN = 3
"""The estimate where nobody counts. Lean text has about 2.5 to 4 bytes a token in the vocabularies of code models."""

ESTIMATED = "prompts cut by an estimate of their tokens"


class PromptFitter:
    """Prompts of at most so many tokens.

    Tokens are counted by the local ``tokenizer`` if there is one, else by the server (``count``, which gives ``None`` where the
    server cannot), else estimated at :data:`BYTES_PER_TOKEN` bytes each. No token is shorter than a byte and a beginning-of-text
    token may come on top, so that short prompts need no counting.
    """

    def __init__(
        self, *, tokenizer: Tokenizer | None, count: Callable[[str], Awaitable[int | None]], tally: Tally
    ) -> None:
        self._tokenizer = tokenizer
        self._count = count
        self._tally = tally

    async def prompts(
        self,
        form: PromptFormat,
        states: Sequence[ProofState],
        *,
        context_tokens: int,
        max_new_tokens: int,
        server: str,
    ) -> list[str]:
        """The prompt of each state, in the context less the completion and one token: BOS, or one that a server keeps for itself.

        Raises ModelMismatch, with the name of the ``server``, when completions leave no room for a prompt.
        """
        limit = context_tokens - max_new_tokens - 1
        if limit < 1:
            raise ModelMismatch(
                f"completions of {max_new_tokens} tokens leave no room for a prompt in the {context_tokens} tokens of "
                f"{server}; lower max_new_tokens"
            )
        return list(await asyncio.gather(*(self.prompt(form, state, limit=limit) for state in states)))

    async def prompt(self, form: PromptFormat, state: ProofState, *, limit: int) -> str:
        """The prompt of a state in at most ``limit`` tokens. Raises ModelError when no cut makes it so short."""
        if (tokenizer := self._tokenizer) is not None:
            return fitted_prompt(
                form, state, tokens=lambda t: len(tokenizer.token_ids(t)), limit=limit, tally=self._tally
            )
        text = form.prompt(state)
        size = _bytes(text)
        if size < limit:
            return text
        counted = await self._count(text)
        if counted is None:
            self._tally.count(ESTIMATED, state.text)
            return self._by_bytes(form, state, limit, 1 / BYTES_PER_TOKEN, self._tally)
        if counted <= limit:
            return text
        # Cutting asks for many counts: they are guessed from the whole prompt's ratio, and the server counts the outcome.
        for slack in (1.0, 1.15, 1.4):
            cut = self._by_bytes(form, state, limit, slack * counted / size, Tally())
            if _bytes(cut) < limit or ((again := await self._count(cut)) is not None and again <= limit):
                break
        else:
            cut = self._by_bytes(form, state, limit - 1, 1.0, Tally())
        self._tally.count(CUT, state.text)  # once, whatever was tried
        return cut

    @staticmethod
    def _by_bytes(form: PromptFormat, state: ProofState, limit: int, tokens_per_byte: float, tally: Tally) -> str:
        return fitted_prompt(
            form, state, tokens=lambda t: math.ceil(_bytes(t) * tokens_per_byte), limit=limit, tally=tally
        )


def _bytes(text: str) -> int:
    return len(text.encode())
