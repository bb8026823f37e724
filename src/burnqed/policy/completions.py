"""``/v1/completions`` with log-probabilities, as llama.cpp, vLLM, SGLang and burnqed's own server speak it, each its own way.

- Some take ``n`` and answer one choice: choices are counted, and the rest is asked for one by one, each with a seed of its own
  (without one, llama-cpp-python draws the same text every time).
- Some leave the token that ended the text out of the log-probabilities (llama.cpp); the sum is then that of the text alone.
- Some report log-probabilities after temperature or top-p, see :mod:`burnqed.policy.scale`. They are then scored once more
  with ``echo``, where that works.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence

from burnqed.core.errors import ModelError, ModelMismatch, ServerUnavailable
from burnqed.core.seeding import child_seed
from burnqed.core.state import ProofState
from burnqed.core.tactic import Sample
from burnqed.core.tally import Tally
from burnqed.policy.answers import Completion
from burnqed.policy.choices import echoed_logprobs, first_token_logprobs, read_choice
from burnqed.policy.config import PolicyConfig, SamplingConfig
from burnqed.policy.handshake import UNKNOWN_CONTEXT, check_tokenizer, served_models, token_count
from burnqed.policy.prompting import PromptFitter
from burnqed.policy.remote import RESCORED, TOO_FEW, Tokenizer
from burnqed.policy.scale import (
    KNOWN,
    MIN_TOKENS,
    PROBE_TEMPERATURE,
    PROBE_TEXT,
    PROBE_TOP_P,
    RAW,
    Scale,
    differs,
    first_tokens_differ,
    root_mean_square,
)
from burnqed.prompts.formats import PromptFormat
from burnqed.remote.endpoint import Endpoint

UNCHECKED = "servers whose log-probabilities could not be checked"

_PROBE_SAMPLES = 4
_PROBE_TOKENS = 16
_TOP_TOKENS = 5
_CONTROL_NATS = 0.3
"""By so much, root mean square, an echo may differ from what was drawn without heat and cut. Other tokens' differ by nats."""


class CompletionsClient:
    """A SampleSource over ``POST /v1/completions``, one request a prompt, all at the same time as far as the endpoint allows.

    ``config.lora``, else ``config.served_model``, is the model that is asked for; empty = the first that the server lists.
    ``seed`` is the run's.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        config: PolicyConfig,
        *,
        seed: int,
        tally: Tally,
        tokenizer: Tokenizer | None = None,
    ) -> None:
        self.tally = tally
        self._endpoint = endpoint
        self._config = config
        self._seed = seed
        self._tokenizer = tokenizer
        self._model = config.lora or config.served_model
        self._fitter = PromptFitter(
            tokenizer=tokenizer, count=lambda text: token_count(endpoint, text, model=self._model), tally=tally
        )
        self._context_tokens = config.context_tokens
        self._one_by_one = config.deterministic_server
        self._scale: Scale | None = None
        self._can_rescore = False
        self._greeting = asyncio.Lock()

    async def ready(self) -> None:
        """Once: the model is there, its context, its tokenizer, and the scale of its log-probabilities."""
        async with self._greeting:
            if self._scale is None:
                await self._find_model()
                if self._tokenizer is not None:
                    answer = await self._complete(PROBE_TEXT, _params(0.0, 1.0, 1))
                    usage = answer.get("usage")
                    count = usage.get("prompt_tokens") if isinstance(usage, dict) else None
                    await check_tokenizer(self._endpoint, self._tokenizer, PROBE_TEXT, count, model=self._model)
                self._scale = await self._find_scale()

    async def prompts(self, states: Sequence[ProofState], form: PromptFormat, *, max_new_tokens: int) -> list[str]:
        """The prompt of each state, in the context less the completion and a token for the beginning of the text."""
        return await self._fitter.prompts(
            form,
            states,
            context_tokens=self._context_tokens,
            max_new_tokens=max_new_tokens,
            server=self._endpoint.url,
        )

    async def draw(
        self, prompts: Sequence[str], sampling: SamplingConfig, *, stop: Sequence[str]
    ) -> list[list[Sample]]:
        """All samples of all prompts. Raises ModelMismatch when they have log-probabilities that cannot be set right."""
        own = (self._scale or RAW).own(temperature=sampling.temperature, top_p=sampling.top_p)
        if not own and not self._can_rescore:
            raise ModelMismatch(
                f"{self._endpoint.url} reports log-probabilities after temperature or top-p and cannot score a text again; "
                "set temperature and top_p to 1, or start the server so that it reports the model's own"
            )
        found = await asyncio.gather(*(self._draw_one(prompt, sampling, stop, own) for prompt in prompts))
        return [[completion.sample for completion in completions] for completions in found]

    async def _draw_one(
        self, prompt: str, sampling: SamplingConfig, stop: Sequence[str], own: bool
    ) -> list[Completion]:
        n = sampling.samples if sampling.temperature > 0 else 1
        params = _params(sampling.temperature, sampling.top_p, sampling.max_new_tokens)
        params["stop"] = list(stop)
        if own:
            return self._read(await self._choices(prompt, params, n))
        completions = self._read(await self._choices(prompt, {**params, "return_token_ids": True}, n))
        self.tally.count(RESCORED, times=len(completions))
        return list(await asyncio.gather(*(self._rescored(prompt, c) for c in completions)))

    def _read(self, choices: Sequence[object]) -> list[Completion]:
        return [c for choice in choices if (c := read_choice(choice, self.tally))]

    async def _choices(self, prompt: str, params: Mapping[str, object], n: int) -> list[object]:
        """``n`` choices, in one request where the server can."""
        choices: list[object] = []
        if not self._one_by_one or n == 1:
            choices = _listed(await self._complete(prompt, {**params, "n": n} if n > 1 else params))[:n]
            if len(choices) == 1 < n:
                self._one_by_one = True
        if self._one_by_one and len(choices) < n:
            seeds = [child_seed(self._seed, "sampling", prompt, k) >> 32 for k in range(len(choices), n)]
            answers = await asyncio.gather(*(self._complete(prompt, {**params, "seed": seed}) for seed in seeds))
            choices += [choice for answer in answers for choice in _listed(answer)[:1]]
        if len(choices) < n:
            self.tally.count(TOO_FEW, f"{len(choices)} of {n}", times=n - len(choices))
        return choices

    async def _complete(self, prompt: str | list[int], params: Mapping[str, object]) -> dict[str, object]:
        body = {"model": self._model, "prompt": prompt, "logprobs": 1, **params}
        answer = await self._endpoint.post("/v1/completions", body)
        if not isinstance(answer, dict):
            raise ModelError(
                f"{self._endpoint.url}/v1/completions answered no object; does it speak the OpenAI protocol?"
            )
        return answer

    async def _rescored(self, prompt: str, completion: Completion) -> Completion:
        """The completion with the log-probabilities that the server gives it as part of a prompt; NaN where it gives none."""
        if not completion.logprobs:
            return completion
        # By ids where the server shows them: a text may be cut into other tokens than were drawn. One token more is asked for,
        # because to some servers 0 means without end.
        text: str | list[int] = prompt + "".join(completion.tokens)
        if completion.ids and completion.prompt_ids:
            text = [*completion.prompt_ids, *completion.ids]
        answer = await self._complete(text, {**_params(1.0, 1.0, 1), "echo": True})
        return completion.scored(echoed_logprobs(answer, completion))

    async def _find_model(self) -> None:
        models = await served_models(self._endpoint)
        names = [str(model["id"]) for model in models if model.get("id")]
        if self._model and names and self._model not in names:
            raise ModelMismatch(
                f"{self._endpoint.url} serves {', '.join(names)}, not {self._model}; change policy.served_model or the server"
            )
        self._model = self._model or (names[0] if names else "default")
        lengths = [m.get("max_model_len") for m in models if m.get("id") == self._model]
        served = min((n for n in lengths if isinstance(n, int) and n > 0), default=UNKNOWN_CONTEXT)
        self._context_tokens = min(self._context_tokens, served)

    async def _find_scale(self) -> Scale:
        """Score what was drawn with heat and cut once more and compare; where ``echo`` is no help, compare first tokens."""
        if self._config.logprobs == "raw":
            return RAW
        plain = await self._scored_twice(1.0, 1.0)
        noise = root_mean_square(*plain)
        # llama-cpp-python's echo is off by one token when the text has no beginning-of-text token; others have none.
        self._can_rescore = len(plain[0]) >= MIN_TOKENS and noise < _CONTROL_NATS
        if self._config.logprobs != "probe":
            return KNOWN[self._config.logprobs]
        if self._can_rescore:
            hot, cut = await self._scored_twice(PROBE_TEMPERATURE, 1.0), await self._scored_twice(1.0, PROBE_TOP_P)
            return Scale(differs(*hot, noise_nats=noise), differs(*cut, noise_nats=noise))
        return await self._find_scale_by_first_tokens()

    async def _scored_twice(self, temperature: float, top_p: float) -> tuple[list[float], list[float]]:
        """The log-probabilities of some tokens as they were drawn, and as ``echo`` gives them; none when it does not."""
        params = {**_params(temperature, top_p, _PROBE_TOKENS), "return_token_ids": True}
        drawn = self._read(await self._choices(PROBE_TEXT, params, _PROBE_SAMPLES))
        try:
            scored = await asyncio.gather(*(self._rescored(PROBE_TEXT, c) for c in drawn))
        except ServerUnavailable:
            raise
        except ModelError:
            return [], []
        # A text that was cut into other tokens the second time has no numbers, and tells nothing.
        pairs = [(c, s) for c, s in zip(drawn, scored, strict=True) if all(map(math.isfinite, s.logprobs))]
        return [x for c, _ in pairs for x in c.logprobs], [x for _, s in pairs for x in s.logprobs]

    async def _find_scale_by_first_tokens(self) -> Scale:
        plain, hot, cut = [
            first_token_logprobs(
                await self._choices(PROBE_TEXT, {**_params(t, p, 1), "logprobs": _TOP_TOKENS}, _PROBE_SAMPLES)
            )
            for t, p in ((1.0, 1.0), (PROBE_TEMPERATURE, 1.0), (1.0, PROBE_TOP_P))
        ]
        if not plain:
            raise ModelMismatch(
                f"{self._endpoint.url} gives no log-probabilities, and a search cannot rank without them; "
                "llama.cpp gives them when started with --logits_all true"
            )
        scale = Scale(first_tokens_differ(plain, hot), first_tokens_differ(plain, cut))
        if None in (scale.by_temperature, scale.by_top_p):
            self.tally.count(UNCHECKED, self._endpoint.url)
        return scale


def _params(temperature: float, top_p: float, max_tokens: int) -> dict[str, object]:
    # Markers are special tokens in some vocabularies, and must be seen; who does not know the key ignores it.
    return {"temperature": temperature, "top_p": top_p, "max_tokens": max_tokens, "skip_special_tokens": False}


def _listed(answer: Mapping[str, object]) -> list[object]:
    choices = answer.get("choices")
    return choices if isinstance(choices, list) else []
