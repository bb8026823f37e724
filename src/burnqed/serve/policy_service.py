"""What the policy server does, without HTTP: a batch of jobs on a local language model."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import torch

from burnqed.core.errors import BadInput, ModelError
from burnqed.core.seeding import child_seed
from burnqed.models.language_model import Drawn, LanguageModel, is_out_of_memory
from burnqed.serve.sampling_queue import Done, Drawing, Job, PolicyLimits, SamplingQueue


class PolicyService:
    """A language model, asked by many at the same time.

    ``seed`` is for requests without a seed of their own; ``scaled_logprobs`` makes the log-probabilities of what is drawn those
    after temperature, as SGLang reports them by default (they are computed by another pass over the text).
    """

    def __init__(self, model: LanguageModel, *, limits: PolicyLimits, seed: int, scaled_logprobs: bool) -> None:
        self.model = model
        self.queue = SamplingQueue(self._run, limits)
        self._seed = seed
        self._scaled = scaled_logprobs
        self._numbers = itertools.count()
        self._rows: int = model.model.get_input_embeddings().weight.shape[0]

    def seed_for(self, given: int | None) -> int:
        """A request's seed, or the next of the server's own."""
        return child_seed(self._seed, "unseeded", next(self._numbers)) if given is None else child_seed(given, "given")

    def without_special(self, text: str) -> str:
        """The text without the special tokens that are written out in it."""
        for special in self.model.tokenizer.all_special_tokens:
            text = text.replace(special, "")
        return text

    async def tokens(self, texts: Sequence[str], *, add_special_tokens: bool) -> list[list[int]]:
        """The tokens of texts, with or without what the tokenizer puts before a text."""
        return await self.model.run(lambda: [self._token_ids(text, add_special_tokens) for text in texts])

    async def texts(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """The texts of tokens, special ones written out. Raises BadInput for a token that the model does not have."""
        for row in rows:
            self._check_ids(row)
        return await self.model.run(lambda: [self.model.text(row) for row in rows])

    async def _run(self, jobs: Sequence[Job]) -> Sequence[Done | Exception]:
        return await self.model.run(self._work, jobs)

    def _work(self, jobs: Sequence[Job]) -> list[Done | Exception]:
        """One batch, on the model's thread. All jobs are drawn alike."""
        drawing = jobs[0].drawing
        found: dict[int, Done | Exception] = {}
        prompts: dict[int, tuple[int, ...]] = {}
        for k, job in enumerate(jobs):
            try:
                prompts[k] = self._prompt(job)
            except BadInput as error:
                found[k] = error
        scores = self._prompt_scores({k: (prompts[k], jobs[k].score_from) for k in prompts})
        drawn = self._drawn(list(prompts.values()), [jobs[k].seed for k in prompts], drawing)
        for (k, prompt), samples in zip(prompts.items(), drawn, strict=True):
            if isinstance(samples, ModelError):
                found[k] = samples
                continue
            shown = {*prompt, *(i for s in samples for i in s.ids)} if jobs[k].with_texts else set()
            found[k] = Done(prompt, scores[k], tuple(samples), {i: self.model.text([i]) for i in shown})
        return [found[k] for k in range(len(jobs))]

    def _prompt(self, job: Job) -> tuple[int, ...]:
        ids = tuple(self._token_ids(job.prompt, job.add_special_tokens)) if isinstance(job.prompt, str) else job.prompt
        if not ids:
            raise BadInput("the prompt has no token")
        self._check_ids(ids)
        total = len(ids) + job.drawing.max_new_tokens
        if total > self.model.max_tokens:
            raise BadInput(
                f"{len(ids)} tokens of the prompt and {job.drawing.max_new_tokens} of the completion are more than the "
                f"{self.model.max_tokens} of the model's context"
            )
        if job.score_from is not None and not 0 <= job.score_from <= len(ids):
            raise BadInput(f"logprob_start_len is {job.score_from}, and the prompt has {len(ids)} tokens")
        return ids

    def _prompt_scores(
        self, prompts: dict[int, tuple[tuple[int, ...], int | None]]
    ) -> dict[int, tuple[float | None, ...]]:
        """The log-probabilities of the prompts' tokens from their start on; nothing stands before the start, so it has none."""
        asked = {k: (ids, start) for k, (ids, start) in prompts.items() if start is not None and start < len(ids)}
        scores: dict[int, tuple[float | None, ...]] = dict.fromkeys(prompts, ())
        if asked:
            rows = self.model.logprobs([ids for ids, _ in asked.values()], [start + 1 for _, start in asked.values()])
            scores.update({k: (None, *row) for k, row in zip(asked, rows, strict=True)})
        return scores

    def _drawn(
        self, prompts: Sequence[tuple[int, ...]], seeds: Sequence[int], drawing: Drawing
    ) -> list[list[Drawn] | ModelError]:
        """The samples of each prompt; where memory does not suffice, half as many prompts at a time."""
        if drawing.max_new_tokens == 0 or not prompts:
            return [[Drawn((), (), "", False, None)] * drawing.n for _ in prompts]
        try:
            return list(self._sampled(prompts, seeds, drawing))
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        # Outside of the handler: the exception's traceback holds on to the tensors of what failed.
        self.model.forget()
        if len(prompts) == 1:
            return [ModelError("memory does not suffice for one prompt; ask for fewer or shorter completions")]
        half = len(prompts) // 2
        return self._drawn(prompts[:half], seeds[:half], drawing) + self._drawn(prompts[half:], seeds[half:], drawing)

    def _sampled(self, prompts: Sequence[tuple[int, ...]], seeds: Sequence[int], drawing: Drawing) -> list[list[Drawn]]:
        found = self.model.sample(
            prompts,
            n=drawing.n,
            temperature=drawing.temperature,
            top_p=drawing.top_p,
            max_new_tokens=drawing.max_new_tokens,
            stop=drawing.stop,
            stop_ids=sorted(drawing.stop_ids),
            seeds=seeds,
        )
        if not self._scaled or drawing.temperature in (0.0, 1.0):
            return found
        return [
            [dataclasses.replace(s, logprobs=self._divided(prompt, s.ids, drawing.temperature)) for s in samples]
            for prompt, samples in zip(prompts, found, strict=True)
        ]

    @torch.inference_mode()
    def _divided(self, prompt: Sequence[int], ids: Sequence[int], temperature: float) -> tuple[float, ...]:
        """The log-probabilities of ``ids`` behind ``prompt`` when all logits are divided by the temperature."""
        row = torch.tensor([[*prompt, *ids]], device=self.model.device)
        logits = self.model.model(row).logits[0, len(prompt) - 1 : -1].float() / temperature
        found = torch.log_softmax(logits, dim=-1).gather(1, row[0, len(prompt) :, None])
        return tuple(found[:, 0].tolist())

    def _token_ids(self, text: str, add_special_tokens: bool) -> list[int]:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise BadInput(f"character {error.start} of the text is half of a character (a lone surrogate)") from error
        if add_special_tokens:
            return self.model.token_ids(text)
        return [int(i) for i in self.model.tokenizer(text, add_special_tokens=False)["input_ids"]]

    def _check_ids(self, ids: Sequence[int]) -> None:
        if wrong := [i for i in ids if not 0 <= i < self._rows]:
            raise BadInput(f"the model has no token {wrong[0]}; its tokens are 0 to {self._rows - 1}")
