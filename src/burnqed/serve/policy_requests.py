"""What the policy server is asked: SGLang's ``/generate`` and ``/v1/completions``, as strict types that say what is wrong."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

TOP_K_ALL = 1 << 30
"""SGLang's number for: no top-k."""

_UNSUPPORTED: dict[str, tuple[object, ...]] = {
    "top_k": (None, -1, TOP_K_ALL),
    "min_p": (None, 0),
    "frequency_penalty": (None, 0),
    "presence_penalty": (None, 0),
    "repetition_penalty": (None, 1),
    "min_new_tokens": (None, 0),
    "stop_regex": (None, []),
    "json_schema": (None, ""),
    "regex": (None, ""),
    "ebnf": (None, ""),
    "structural_tag": (None, ""),
    "ignore_eos": (None, False),
    "no_stop_trim": (None, False),
    "logit_bias": (None, {}),
    "custom_params": (None, {}),
    "beam_width": (None, 1),
    "watermark": (None, {}),
    "choice": (None, []),
}
"""What SGLang can and this server cannot: such a field may stand there with a value that changes nothing."""

_HARMLESS = ("spaces_between_special_tokens", "stream_interval")


class SamplingParams(BaseModel):
    """``sampling_params`` of ``/generate``; the defaults are SGLang's."""

    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False)

    max_new_tokens: int = Field(128, ge=0, description="0: only score the prompt")
    stop: str | list[str] | None = Field(None, description="texts that end a completion and are cut off")
    stop_token_ids: list[int] | None = Field(None, description="tokens that end it, besides the model's own")
    temperature: float = Field(1.0, ge=0, description="0: the most probable tokens")
    top_p: float = Field(1.0, gt=0, le=1, description="draw from so much of the probability")
    n: int = Field(1, ge=1, description="completions of each prompt")
    skip_special_tokens: bool | None = Field(True, description="leave special tokens out of the text")
    sampling_seed: int | None = Field(None, description="two requests with one seed are answered alike")

    @model_validator(mode="before")
    @classmethod
    def _known(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        fields = [*cls.model_fields, *_UNSUPPORTED, *_HARMLESS]
        for key, value in data.items():
            if key not in fields:
                raise ValueError(f"unknown field `{key}`, expected one of {', '.join(f'`{f}`' for f in fields)}")
            if key in _UNSUPPORTED and value not in _UNSUPPORTED[key]:
                raise ValueError(f"`{key}` is not supported by this server; leave it out")
        nullable = ("stop", "stop_token_ids", "skip_special_tokens", "sampling_seed")
        return {k: v for k, v in data.items() if k in cls.model_fields and (v is not None or k in nullable)}

    @property
    def stops(self) -> tuple[str, ...]:
        """The stop texts that are not empty."""
        return stop_texts(self.stop)


class GenerateBody(BaseModel):
    """The body of ``/generate``. Keys that SGLang does not know are ignored, as there."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    text: str | list[str] | None = Field(None, description="the prompt or prompts")
    input_ids: list[int] | list[list[int]] | None = Field(None, description="or their tokens")
    sampling_params: SamplingParams | list[SamplingParams] | None = Field(
        None, description="for all, or for each prompt"
    )
    return_logprob: bool | list[bool] | None = Field(None, description="whether log-probabilities are wanted")
    logprob_start_len: int | list[int] | None = Field(
        None,
        description="from which token of the prompt on they are wanted, whose own is null; -1 = of the output only",
    )
    return_text_in_logprobs: bool | None = Field(None, description="put each token's text beside its id")
    return_prompt_token_ids: bool = Field(False, description="show the prompt's tokens")
    stream: bool | None = Field(False, description="not supported")
    rid: str | list[str] | None = Field(None, description="the request's name, given back")
    lora_path: str | list[str | None] | None = Field(None, description="not supported")
    top_logprobs_num: int | list[int] | None = Field(None, description="not supported")
    token_ids_logprob: list[int] | list[list[int]] | None = Field(None, description="not supported")
    return_hidden_states: bool | list[bool] | None = Field(None, description="not supported")

    @model_validator(mode="after")
    def _consistent(self) -> GenerateBody:
        if (self.text is None) == (self.input_ids is None):
            raise ValueError("either text or input_ids should be provided, and not both")
        if not self.prompts:
            raise ValueError("there is no prompt")
        if self.stream:
            raise ValueError("this server does not stream; leave `stream` out")
        for key in ("lora_path", "top_logprobs_num", "token_ids_logprob", "return_hidden_states"):
            value = getattr(self, key)
            if any(value) if isinstance(value, list) else value:
                raise ValueError(f"`{key}` is not supported by this server; leave it out")
        count = len(self.prompts)
        for key in ("sampling_params", "return_logprob", "logprob_start_len", "rid"):
            value = getattr(self, key)
            if isinstance(value, list) and len(value) != count:
                raise ValueError(f"`{key}` has {len(value)} entries for {count} prompts")
        if len({params.n for params in self.params}) > 1:
            raise ValueError("`n` must be the same for all prompts of a request")
        return self

    @property
    def single(self) -> bool:
        """Whether one prompt stands there by itself, and its one completion is answered by itself."""
        one = isinstance(self.text, str) or (bool(self.input_ids) and isinstance((self.input_ids or [0])[0], int))
        return one and self.params[0].n == 1

    @property
    def prompts(self) -> list[str | tuple[int, ...]]:
        """The prompts, one or many, texts or tokens."""
        return as_prompts(self.text if self.text is not None else self.input_ids)

    @property
    def params(self) -> list[SamplingParams]:
        """The parameters of each prompt."""
        given = self.sampling_params
        return list(given) if isinstance(given, list) else [given or SamplingParams()] * len(self.prompts)

    def start(self, index: int) -> int | None:
        """From where the prompt's log-probabilities are wanted; ``None`` when none are."""
        if not self.wants_logprobs(index):
            return None
        value = self.logprob_start_len[index] if isinstance(self.logprob_start_len, list) else self.logprob_start_len
        return None if value is None or value == -1 else value

    def wants_logprobs(self, index: int) -> bool:
        """Whether the log-probabilities of the prompt at ``index`` are wanted."""
        value = self.return_logprob[index] if isinstance(self.return_logprob, list) else self.return_logprob
        return bool(value)

    def name(self, index: int, sample: int) -> str | None:
        """The name of one completion, if the request has one."""
        if isinstance(self.rid, list):
            return self.rid[index] if self.params[0].n == 1 else f"{self.rid[index]}_{sample}"
        return self.rid if self.rid is None or self.single else f"{self.rid}_{index * self.params[0].n + sample}"


class CompletionBody(BaseModel):
    """The body of ``/v1/completions``; keys of other servers are ignored."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", allow_inf_nan=False)

    model: str = Field("default", description="must be the served model's name, or `default`")
    prompt: str | list[str] | list[int] | list[list[int]] = Field(description="the prompt or prompts, texts or tokens")
    max_tokens: int = Field(16, ge=0, description="tokens of a completion; 0 with echo: only score the prompt")
    temperature: float = Field(1.0, ge=0, description="0: the most probable tokens")
    top_p: float = Field(1.0, gt=0, le=1, description="draw from so much of the probability")
    n: int = Field(1, ge=1, description="completions of each prompt")
    stop: str | list[str] | None = Field(None, description="texts that end a completion and are cut off")
    logprobs: int | None = Field(None, ge=0, le=5, description="any number: log-probabilities of the tokens themselves")
    echo: bool = Field(False, description="put the prompt before the completion")
    seed: int | None = Field(None, description="two requests with one seed are answered alike")
    stream: bool = Field(False, description="not supported")
    skip_special_tokens: bool = Field(True, description="leave special tokens out of the text")
    return_token_ids: bool = Field(False, description="show tokens of prompt and completion, as vLLM does")

    @field_validator("max_tokens", "temperature", "top_p", "n", mode="before")
    @classmethod
    def _default_for_null(cls, value: Any, info: Any) -> Any:
        return cls.model_fields[info.field_name].default if value is None else value

    @model_validator(mode="after")
    def _consistent(self) -> CompletionBody:
        if self.stream:
            raise ValueError("this server does not stream; leave `stream` out")
        if not self.prompt:
            raise ValueError("there is no prompt")
        return self


class TokenizeBody(BaseModel):
    """The body of ``/tokenize``."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    prompt: str | list[str] = Field(description="the text or texts")
    add_special_tokens: bool = Field(True, description="with the beginning-of-text token, if the tokenizer adds one")


class DetokenizeBody(BaseModel):
    """The body of ``/detokenize``."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    tokens: list[int] | list[list[int]] = Field(description="the tokens of a text or of several")
    skip_special_tokens: bool = Field(True, description="leave special tokens out of the text")


def as_prompts(given: str | list[str] | list[int] | list[list[int]] | None) -> list[str | tuple[int, ...]]:
    """One prompt or many, as a list; tokens as tuples."""
    if given is None or given == []:
        return []
    if isinstance(given, str):
        return [given]
    if all(isinstance(item, int) for item in given):
        return [tuple(item for item in given if isinstance(item, int))]
    return [item if isinstance(item, str) else tuple(item) for item in given if not isinstance(item, int)]


def stop_texts(stop: str | list[str] | None) -> tuple[str, ...]:
    """The stop texts that are not empty; an empty one would end everything at once."""
    return tuple(s for s in ([stop] if isinstance(stop, str) else stop or []) if s)
