"""SGLang's own protocol: many samples in one request, their tokens, and log-probabilities brought to the model's own scale.

Written against SGLang 0.5.23. What it answers is read with suspicion: whatever is missing or no number costs one sample and is
counted, see :mod:`burnqed.policy.answers`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from burnqed.core.errors import ModelError
from burnqed.core.seeding import child_seed
from burnqed.core.state import ProofState
from burnqed.core.tactic import Sample
from burnqed.core.tally import Tally
from burnqed.policy.answers import Completion, prompt_logprobs, read_completion
from burnqed.policy.config import PolicyConfig, SamplingConfig
from burnqed.policy.handshake import check_model, check_tokenizer, context_tokens, token_count, tokens_of
from burnqed.policy.prompting import PromptFitter
from burnqed.policy.remote import RESCORED, TOO_FEW, Tokenizer
from burnqed.policy.scale import (
    DOUBTED,
    KNOWN,
    PROBE_TEMPERATURE,
    PROBE_TEXT,
    PROBE_TOP_P,
    RAW,
    Scale,
    differs,
    root_mean_square,
)
from burnqed.prompts.formats import PromptFormat
from burnqed.remote.endpoint import Endpoint

_PROBE_SAMPLES = 4
_PROBE_TOKENS = 16


class SGLangClient:
    """A SampleSource over ``POST /generate``.

    Prompts go out as text, or as ids when a local ``tokenizer`` is given. ``seed`` is the run's; it is used when the server draws
    deterministically (``config.deterministic_server``). Scoring once more needs ids: without a tokenizer the server's
    ``/tokenize`` gives those of the prompts.
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
        self._fitter = PromptFitter(
            tokenizer=tokenizer, count=lambda text: token_count(endpoint, text, model=""), tally=tally
        )
        self._context_tokens = config.context_tokens
        self._scale: Scale | None = None
        self._greeting = asyncio.Lock()

    async def ready(self) -> None:
        """Once: health, the model's name, its context, its tokenizer, and the scale of its log-probabilities."""
        async with self._greeting:
            if self._scale is None:
                await self._endpoint.get("/health", optional=True)
                await check_model(self._endpoint, self._config.served_model)
                self._context_tokens = min(self._context_tokens, await context_tokens(self._endpoint))
                if self._tokenizer is not None:
                    await self._check_tokenizer(self._tokenizer)
                self._scale = await self._find_scale()

    async def prompts(self, states: Sequence[ProofState], form: PromptFormat, *, max_new_tokens: int) -> list[str]:
        """The prompt of each state, in the context less the completion and one token that SGLang keeps for itself."""
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
        """All samples of all prompts from one request; one more where the server's scale is not the model's own."""
        n = sampling.samples if sampling.temperature > 0 else 1
        params = _params(sampling, stop)
        drawn = await self._generate(prompts, params, n)
        scale = self._scale or RAW
        if not scale.own(temperature=sampling.temperature, top_p=sampling.top_p):
            drawn = await self._rescored(prompts, drawn)
            self.tally.count(RESCORED, times=sum(len(found) for found in drawn))
        return [[completion.sample for completion in found] for found in drawn]

    async def _generate(self, prompts: Sequence[str], params: dict[str, object], n: int) -> list[list[Completion]]:
        if self._config.deterministic_server:
            # The n copies of one request would share its seed, and be equal: each copy is a prompt of its own.
            asked = [prompt for prompt in prompts for _ in range(n)]
            seeds = [child_seed(self._seed, "sampling", prompt, k) >> 32 for prompt in prompts for k in range(n)]
            listed = [{**params, "n": 1, "sampling_seed": seed} for seed in seeds]
            answers = await self._ask(asked, listed, expected=len(asked))
        else:
            answers = await self._ask(prompts, {**params, "n": n}, expected=len(prompts) * n)
        if len(answers) != len(prompts) * n and len(prompts) > 1:
            # Whose are they? Asked one by one it is clear.
            return [(await self._generate([prompt], params, n))[0] for prompt in prompts]
        if len(answers) < n * len(prompts):
            self.tally.count(TOO_FEW, f"{len(answers)} of {n}", times=n - len(answers))
        groups = [answers[i * n : (i + 1) * n] for i in range(len(prompts))]
        return [[c for answer in group if (c := read_completion(answer, self.tally))] for group in groups]

    async def _ask(
        self, prompts: Sequence[str], params: dict[str, object] | list[dict[str, object]], *, expected: int
    ) -> list[object]:
        body = {**self._prompt_field(prompts), **self._body(params)}
        answer = await self._endpoint.post("/generate", body)
        return _listed(answer, self._endpoint.url)

    def _prompt_field(self, prompts: Sequence[str]) -> dict[str, object]:
        if self._tokenizer is None:
            return {"text": list(prompts)}
        ids = {prompt: self._tokenizer.token_ids(prompt) for prompt in prompts}
        return {"input_ids": [ids[prompt] for prompt in prompts]}

    def _body(self, params: dict[str, object] | list[dict[str, object]], start: object = -1) -> dict[str, object]:
        body: dict[str, object] = {
            "sampling_params": params,
            "return_logprob": True,
            "logprob_start_len": start,
            "return_text_in_logprobs": False,
            "stream": False,
        }
        if self._config.lora:
            body["lora_path"] = self._config.lora
        return body

    async def _rescored(self, prompts: Sequence[str], drawn: list[list[Completion]]) -> list[list[Completion]]:
        """The same completions with the log-probabilities of a plain pass over prompt and completion."""
        unique = list(dict.fromkeys(prompts))
        ids = dict(zip(unique, await asyncio.gather(*map(self._ids, unique)), strict=True))
        rows = {
            (prompt, c.ids): [*ids[prompt], *c.ids]
            for prompt, found in zip(prompts, drawn, strict=True)
            for c in found
            if c.ids
        }
        if not rows:
            return drawn
        # The entry at the start has no number: nothing stands before it. So the start is the prompt's last token.
        starts = [len(ids[prompt]) - 1 for prompt, _ in rows]
        params: dict[str, object] = {"max_new_tokens": 0, "temperature": 1.0}
        body = {"input_ids": list(rows.values()), **self._body(params, starts)}
        answers = _listed(await self._endpoint.post("/generate", body), self._endpoint.url)
        if len(answers) != len(rows):
            raise ModelError(
                f"{self._endpoint.url} scored {len(answers)} of {len(rows)} texts; is it an SGLang server?"
            )
        scores = {key: prompt_logprobs(answer, key[1]) for key, answer in zip(rows, answers, strict=True)}
        return [
            [c.scored(scores[prompt, c.ids]) if c.ids else c for c in found]
            for prompt, found in zip(prompts, drawn, strict=True)
        ]

    async def _ids(self, prompt: str) -> list[int]:
        if self._tokenizer is not None:
            return self._tokenizer.token_ids(prompt)
        tokens = await tokens_of(self._endpoint, prompt, model="")
        if not tokens:
            raise ModelError(
                f"{self._endpoint.url}/tokenize gives no tokens, which are needed to bring log-probabilities to the model's "
                "scale; give the model's tokenizer (policy.tokenizer), or start SGLang with SGLANG_RETURN_ORIGINAL_LOGPROB=1"
            )
        return tokens

    async def _check_tokenizer(self, tokenizer: Tokenizer) -> None:
        """The server's count of a text's tokens, and its ids where it shows them, against the local tokenizer's."""
        params: dict[str, object] = {"max_new_tokens": 1, "temperature": 0.0}
        (answer,) = _listed(
            await self._endpoint.post("/generate", {"text": [PROBE_TEXT], **self._body(params)}), self._endpoint.url
        )
        info = answer.get("meta_info") if isinstance(answer, dict) else None
        count = info.get("prompt_tokens") if isinstance(info, dict) else None
        await check_tokenizer(self._endpoint, tokenizer, PROBE_TEXT, count)

    async def _find_scale(self) -> Scale:
        """Draw with and without heat and cut, score the same tokens once more, compare."""
        if self._config.logprobs != "probe":
            return KNOWN[self._config.logprobs]
        arms = [(1.0, 1.0), (PROBE_TEMPERATURE, 1.0), (1.0, PROBE_TOP_P)]
        params: list[dict[str, object]] = [
            {"temperature": t, "top_p": p, "max_new_tokens": _PROBE_TOKENS, "sampling_seed": arm * _PROBE_SAMPLES + k}
            for arm, (t, p) in enumerate(arms)
            for k in range(_PROBE_SAMPLES)
        ]
        answers = await self._ask([PROBE_TEXT] * len(params), params, expected=len(params))
        scratch = Tally()
        read = [c for answer in answers if (c := read_completion(answer, scratch))]
        if len(read) != len(params):
            self.tally.count("probes that the server did not answer", str(answers)[:200], len(params) - len(read))
            return DOUBTED
        (rescored,) = await self._rescored([PROBE_TEXT], [read])
        series = [
            (
                [x for c in read[i : i + _PROBE_SAMPLES] for x in c.logprobs],
                [x for c in rescored[i : i + _PROBE_SAMPLES] for x in c.logprobs],
            )
            for i in range(0, len(read), _PROBE_SAMPLES)
        ]
        noise = root_mean_square(*series[0])
        return Scale(
            by_temperature=differs(*series[1], noise_nats=noise), by_top_p=differs(*series[2], noise_nats=noise)
        )


def _params(sampling: SamplingConfig, stop: Sequence[str]) -> dict[str, object]:
    return {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_new_tokens": sampling.max_new_tokens,
        "stop": list(stop),
        # Markers are special tokens in some vocabularies: left out, what follows them would look like the tactic's end.
        "skip_special_tokens": False,
    }


def _listed(answer: object, url: str) -> list[object]:
    if isinstance(answer, list):
        return answer
    if isinstance(answer, dict):
        return [answer]
    raise ModelError(f"{url}/generate answered neither an object nor a list; is it an SGLang server?")
