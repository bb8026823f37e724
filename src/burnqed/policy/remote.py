"""Policies over HTTP: from states to prompts, from what a server wrote to candidates. Who the server is, its client knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from burnqed.core.errors import ModelError, ModelMismatch, ServerUnavailable
from burnqed.core.state import ProofState
from burnqed.core.tactic import Candidate, ProofScript, Sample
from burnqed.core.tally import Tally
from burnqed.policy.candidates import candidates, scripts
from burnqed.policy.config import SamplingConfig
from burnqed.prompts.formats import PromptFormat

REFUSED = "states that the server refused"
TOO_FEW = "completions that the server did not send"
RESCORED = "completions scored once more"


class Tokenizer(Protocol):
    """A model's tokenizer on this machine."""

    def token_ids(self, text: str) -> list[int]:
        """The tokens of a prompt, as the model must see them."""
        ...


class SampleSource(Protocol):
    """The client of a server that writes after prompts."""

    @property
    def tally(self) -> Tally:
        """Where troubles that were survived are counted."""
        ...

    async def ready(self) -> None:
        """Make sure, once, that the server is the right one. Raises ModelMismatch, ServerUnavailable, ModelError."""
        ...

    async def prompts(self, states: Sequence[ProofState], form: PromptFormat, *, max_new_tokens: int) -> list[str]:
        """The prompt of each state, short enough to leave room for the completion."""
        ...

    async def draw(
        self, prompts: Sequence[str], sampling: SamplingConfig, *, stop: Sequence[str]
    ) -> list[list[Sample]]:
        """The samples of each prompt that can be used. Raises ModelError when the server refuses the request."""
        ...


class RemotePolicy:
    """The TacticPolicy port over a server.

    A server that is gone is ServerUnavailable, for whoever can do without it; a single state that the server refuses has no
    candidates and is counted.
    """

    def __init__(self, source: SampleSource, form: PromptFormat, sampling: SamplingConfig) -> None:
        self._source = source
        self._form = form
        self._sampling = sampling
        self.tally = source.tally

    async def propose(self, states: Sequence[ProofState], n: int) -> list[list[Candidate]]:
        """At most ``n`` candidates for each state, best first, no text twice."""
        drawn = await _samples(self._source, states, self._form, self._sampling)
        return [candidates(found, self._form, self._sampling, self.tally, limit=n) for found in drawn]


class RemoteProofWriter:
    """The ProofWriter port over a server: whole proofs."""

    def __init__(self, source: SampleSource, form: PromptFormat, sampling: SamplingConfig) -> None:
        self._source = source
        self._form = form
        self._sampling = sampling
        self.tally = source.tally

    async def write(self, states: Sequence[ProofState], n: int) -> list[list[ProofScript]]:
        """At most ``n`` scripts for each state, best first, none twice; no more than ``n`` are drawn."""
        sampling = self._sampling.model_copy(update={"samples": n})
        drawn = await _samples(self._source, states, self._form, sampling)
        return [scripts(found, self._form, sampling, self.tally, limit=n) for found in drawn]


async def _samples(
    source: SampleSource, states: Sequence[ProofState], form: PromptFormat, sampling: SamplingConfig
) -> list[list[Sample]]:
    await source.ready()
    open_states = [i for i, state in enumerate(states) if not state.finished]
    found: list[list[Sample]] = [[] for _ in states]
    if open_states:
        prompts = await source.prompts([states[i] for i in open_states], form, max_new_tokens=sampling.max_new_tokens)
        drawn = await _draw(source, prompts, form, sampling)
        for i, samples in zip(open_states, drawn, strict=True):
            found[i] = samples
    return found


async def _draw(
    source: SampleSource, prompts: Sequence[str], form: PromptFormat, sampling: SamplingConfig
) -> list[list[Sample]]:
    """All prompts in one request; when that is refused, each in its own, so that one bad state does not cost the others."""
    try:
        return await source.draw(prompts, sampling, stop=form.stop)
    except (ServerUnavailable, ModelMismatch):
        raise
    except ModelError as error:
        if len(prompts) == 1:
            source.tally.count(REFUSED, str(error))
            return [[]]
        return [(await _draw(source, [prompt], form, sampling))[0] for prompt in prompts]
