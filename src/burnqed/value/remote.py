"""Energies from an encode server: its own head's, or those of a head here that scores the server's embeddings."""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections import OrderedDict
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Protocol

from burnqed.core.calibration import Calibration
from burnqed.core.encoder_card import EncoderCard
from burnqed.core.errors import ModelMismatch
from burnqed.core.state import ProofState
from burnqed.core.tally import Tally
from burnqed.prompts.fit import fitted_prompt
from burnqed.prompts.formats import PromptFormat
from burnqed.value.encode_client import Connection, EncodeClient

if TYPE_CHECKING:  # numpy and torch only for those who have a head to score with
    from torch import Tensor

    from burnqed.models.embedding_cache import EmbeddingCache, Vector

NO_NUMBER = "energy is not a number"

_LONG_PROMPTS = 1000
"""So many prompts that had to be cut are remembered, for a state is asked about more than once."""

Pair = tuple[str, str]


class Head(Protocol):
    """What is needed of :class:`burnqed.joint.energy_head.EnergyHead`."""

    @property
    def card(self) -> EncoderCard:
        """The encoder that it was trained on."""
        ...

    def energies(self, z_state: Tensor, z_goal: Tensor) -> Tensor:
        """Energies [B] of embeddings [B, D] and [B, D]."""
        ...


class RemoteValue:
    """The ValueFn port over an encode server.

    Without ``head`` the server's own head scores (``POST /energy``); with one the server only embeds (``POST /encode``, fp16),
    and the head scores here, on a thread. The first use compares encoder cards and raises ModelMismatch when the head was trained
    on another encoder, the server's encoder is not ``expected``, or it is for prompts of another format; fields of the card
    named in ``accepted`` may differ. A server that is replaced while it is in use is noticed as well.

    A state whose energy cannot be had gets NaN, counted in ``tally``, for the search to deal with. A server that is gone or talks
    nonsense is ServerUnavailable. What was asked once is remembered, so that the root goal is embedded once.
    """

    def __init__(
        self,
        connection: Connection,
        form: PromptFormat,
        *,
        head: Head | None = None,
        expected: EncoderCard | None = None,
        accepted: Collection[str] = (),
        tally: Tally | None = None,
    ) -> None:
        self.tally = tally if tally is not None else Tally()
        self._client = EncodeClient(connection, tally=self.tally)
        self._form = form
        self._head = head
        self._expected = expected
        self._accepted = accepted
        self._checked = False
        self._energies = _Recent()
        self._long_prompts: dict[str, str] = {}
        self._vectors: EmbeddingCache | None = None

    async def energies(self, pairs: Sequence[tuple[ProofState, ProofState]]) -> list[float]:
        """One energy a pair, lower = more provable; NaN where there is none."""
        await self.check()
        states = {state.text: state for pair in pairs for state in pair}
        prompts = {text: await self._prompt(state) for text, state in states.items()}
        asked = [(prompts[state.text], prompts[goal.text]) for state, goal in pairs]
        known = {pair: energy for pair in asked if (energy := self._energies.get(pair)) is not None}
        missing = [pair for pair in dict.fromkeys(asked) if pair not in known]
        scored = await (self._client.energies(missing) if self._head is None else self._score(missing, self._head))
        for pair, energy in zip(missing, scored, strict=True):
            known[pair] = energy if math.isfinite(energy) else math.nan
            if math.isfinite(energy):
                self._energies.put(pair, energy)
            else:
                self.tally.count(NO_NUMBER, pair[0])
        return [known[pair] for pair in asked]

    async def check(self) -> None:
        """Compare encoder cards; the first :meth:`energies` does it by itself."""
        if self._checked:
            return
        info, url = await self._client.info(), self._client.url
        if info.card.prompt_format != self._form.name and "prompt_format" not in self._accepted:
            raise ModelMismatch(
                f"the encode server at {url} is for prompts of the format {info.card.prompt_format}, not {self._form.name}; "
                "start it with that --prompt-format, or choose its format here"
            )
        if self._expected is not None:
            self._expected.require(info.card, what="this run", accepted=self._accepted)
        if self._head is not None:
            self._head.card.require(info.card, what="the energy head", accepted=self._accepted)
        elif not info.has_head:
            raise ModelMismatch(
                f"the encode server at {url} has no energy head; start it with --head, or give a head here"
            )
        self._checked = True

    async def calibration(self) -> Calibration | None:
        """The calibration of the server's head; None when it has no head, or one without."""
        return (await self._client.info()).calibration

    async def _prompt(self, state: ProofState) -> str:
        """The state's prompt, cut to fit by the server's own count of tokens: the same text as in the server's process."""
        limit = (await self._client.info()).card.max_tokens
        counts: dict[str, int] = {}
        while (prompt := self._long_prompts.get(state.text)) is None:
            tried = Tally()
            try:
                prompt = fitted_prompt(self._form, state, tokens=counts.__getitem__, limit=limit, tally=tried)
            except KeyError as lacking:
                # The fitting tries some twenty cuts. Each count that it lacks is fetched, and it begins anew.
                text = str(lacking.args[0])
                counts[text] = await self._client.tokens(text)
                continue
            for kind, times in tried.counts.items():
                self.tally.count(kind, tried.examples.get(kind, ""), times)
            if not counts:
                return prompt
            if len(self._long_prompts) >= _LONG_PROMPTS:
                self._long_prompts.clear()
            self._long_prompts[state.text] = prompt
        return prompt

    async def _score(self, pairs: Sequence[Pair], head: Head) -> list[float]:
        if not pairs:
            return []
        import numpy as np
        import torch

        vectors = await self._embed([text for pair in pairs for text in pair])
        z_state, z_goal = (
            torch.from_numpy(np.stack([vectors[text] for text in side])) for side in zip(*pairs, strict=True)
        )
        energies: list[float] = (await asyncio.to_thread(head.energies, z_state, z_goal)).tolist()
        return energies

    async def _embed(self, texts: Sequence[str]) -> dict[str, Vector]:
        import numpy as np

        from burnqed.models.embedding_cache import EmbeddingCache

        if self._vectors is None:
            self._vectors = EmbeddingCache(tally=self.tally)
        card = (await self._client.info()).card
        known = self._vectors.get(card, texts)
        missing = [text for text in dict.fromkeys(texts) if text not in known]
        fresh = dict(zip(missing, await self._client.vectors(missing), strict=True))
        self._vectors.put(card, {text: z for text, z in fresh.items() if np.isfinite(z).all()})
        return known | fresh


class _Recent:
    """The energies that were used last; hashes stand for the prompts, which are long."""

    def __init__(self, most: int = 200_000) -> None:
        self._most = most
        self._kept: OrderedDict[bytes, float] = OrderedDict()

    def get(self, pair: Pair) -> float | None:
        """The energy, if it is known."""
        key = _hash(pair)
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def put(self, pair: Pair, energy: float) -> None:
        """Keep it, and let go of the one that was not used for longest."""
        self._kept[_hash(pair)] = energy
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)


def _hash(pair: Pair) -> bytes:
    return hashlib.blake2b("\0".join(pair).encode("utf-8", "surrogatepass"), digest_size=16).digest()
