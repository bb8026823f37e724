"""A language model in this process as a policy, and as a writer of whole proofs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from burnqed.core.errors import BadInput, ModelError
from burnqed.core.seeding import child_seed
from burnqed.core.state import ProofState
from burnqed.core.tactic import Candidate, ProofScript, Sample
from burnqed.core.tally import Tally
from burnqed.models.language_model import Drawn, LanguageModel, is_out_of_memory
from burnqed.policy.candidates import candidates, scripts
from burnqed.policy.config import SamplingConfig
from burnqed.premises.file import library
from burnqed.prompts.fit import fitted_prompt
from burnqed.prompts.formats import PromptFormat
from burnqed.prompts.premises import premise_line, resolved

NO_PREMISE = "answer that points to no premise"
HALVED = "batch of states halved for want of memory"

T = TypeVar("T")


class LocalSampler:
    """Samples for states. All work with the model happens in the model's own thread, which a value may share.

    ``premises`` names of the library's theorems stand before each prompt. The samples of a state depend on the run's ``seed``
    and its prompt only, not on the states beside it. Raises BadInput when the model's context has no room for a completion,
    ModelMismatch when its tokenizer does not suit the format.
    """

    def __init__(
        self,
        model: LanguageModel,
        form: PromptFormat,
        config: SamplingConfig,
        *,
        seed: int,
        tally: Tally,
        premises: int = 0,
    ) -> None:
        model.check(form)
        self._limit = model.max_tokens - config.max_new_tokens
        if self._limit < 1:
            raise BadInput(
                f"max_new_tokens is {config.max_new_tokens}, and the context of {model.name} has only {model.max_tokens} tokens;"
                " lower it"
            )
        self._model = model
        self._form = form
        self._config = config
        self._seed = seed
        self._tally = tally
        self._premises = premises

    async def samples(self, states: Sequence[ProofState]) -> list[list[Sample]]:
        """As many samples for each state as the configuration says. Raises ModelError when memory does not suffice for one."""
        return await self._model.run(self._draw, list(states))

    def _draw(self, states: list[ProofState]) -> list[list[Sample]]:
        named = [self._named(state) for state in states]
        prompts = [self._prompt(state, premise_line(names)) for state, names in zip(states, named, strict=True)]
        seeds = [child_seed(self._seed, "policy", prompt) for prompt in prompts]
        ids = [self._model.token_ids(prompt) for prompt in prompts]

        def work(at: Sequence[int]) -> list[list[Drawn]]:
            return self._sample([ids[i] for i in at], [seeds[i] for i in at])

        drawn = _halving(work, len(ids), relief=self._model.forget, tally=self._tally)
        return [[self._told(_sample(one), names) for one in each] for each, names in zip(drawn, named, strict=True)]

    def _told(self, sample: Sample, names: Sequence[str]) -> Sample:
        """The sample with the names that its marks stand for; without text, which is dropped, where they stand for nothing."""
        text = resolved(sample.text, names) if self._premises else sample.text
        if text is None:
            self._tally.count(NO_PREMISE, sample.text)
        return replace(sample, text=text or "")

    def _prompt(self, state: ProofState, line: str) -> str:
        limit = self._limit - (len(self._model.token_ids(line)) if line else 0)
        return line + fitted_prompt(
            self._form, state, tokens=lambda t: len(self._model.token_ids(t)), limit=limit, tally=self._tally
        )

    def _named(self, state: ProofState) -> list[str]:
        """The premises before a state's prompt; at most half of the room is theirs."""
        if not self._premises:
            return []
        names = library().alike(state.goals[0].text, state.imports, self._premises)
        while names and len(self._model.token_ids(premise_line(names))) > self._limit // 2:
            names = names[:-1]
        return names

    def _sample(self, prompts: list[list[int]], seeds: list[int]) -> list[list[Drawn]]:
        config = self._config
        return self._model.sample(
            prompts,
            n=config.samples,
            temperature=config.temperature,
            top_p=config.top_p,
            max_new_tokens=config.max_new_tokens,
            stop=self._form.stop,
            seeds=seeds,
        )


class LocalPolicy:
    """Tactics from a model in this process (a ``TacticPolicy``)."""

    def __init__(
        self,
        model: LanguageModel,
        form: PromptFormat,
        config: SamplingConfig,
        *,
        seed: int,
        tally: Tally,
        premises: int = 0,
    ) -> None:
        self._sampler = LocalSampler(model, form, config, seed=seed, tally=tally, premises=premises)
        self._form = form
        self._config = config
        self.tally = tally

    async def propose(self, states: Sequence[ProofState], n: int) -> list[list[Candidate]]:
        """At most ``n`` candidates for each state, best first, no text twice."""
        found = await self._sampler.samples(states)
        return [candidates(samples, self._form, self._config, self.tally, limit=n) for samples in found]


class LocalProofWriter:
    """Whole proofs from a model in this process (a ``ProofWriter``)."""

    def __init__(
        self, model: LanguageModel, form: PromptFormat, config: SamplingConfig, *, seed: int, tally: Tally
    ) -> None:
        self._sampler = LocalSampler(model, form, config, seed=seed, tally=tally)
        self._form = form
        self._config = config
        self.tally = tally

    async def write(self, states: Sequence[ProofState], n: int) -> list[list[ProofScript]]:
        """At most ``n`` scripts for each state, best first, none twice."""
        found = await self._sampler.samples(states)
        return [scripts(samples, self._form, self._config, self.tally, limit=n) for samples in found]


def _sample(drawn: Drawn) -> Sample:
    return Sample(
        drawn.text,
        logprob_nats=sum(drawn.logprobs),
        num_tokens=len(drawn.ids),
        first_token=drawn.ids[0],
        ended=drawn.ended,
    )


def _halving(
    work: Callable[[Sequence[int]], list[T]], count: int, *, relief: Callable[[], None], tally: Tally
) -> list[T]:
    """``work`` on all numbers below ``count``; where memory does not suffice, ``relief``, and half as many at a time."""
    done: list[T] = []
    size = count
    while len(done) < count:
        batch = range(len(done), min(count, len(done) + size))
        try:
            done += work(batch)
            continue
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        # Outside of the handler: the exception's traceback holds on to the tensors of what failed.
        relief()
        if len(batch) == 1:
            raise ModelError(
                "memory does not suffice to sample for one state; lower samples or max_new_tokens, or choose a smaller dtype"
            )
        size = len(batch) // 2
        tally.count(HALVED, f"{len(batch)} states")
    return done
