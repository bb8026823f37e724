"""A causal language model in this process: what policy, value and the servers ask of it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor
from transformers import GenerationConfig

from burnqed.core.encoder_card import EncoderCard
from burnqed.core.errors import ModelError
from burnqed.core.tally import Tally
from burnqed.models.attention import NotShared
from burnqed.models.decode import Decoder, ExpandedDecoder, SharedDecoder
from burnqed.models.draw import Sampling
from burnqed.models.ends import Ends
from burnqed.models.generate import Drawn, EagerWriter, Start, Writer, generate
from burnqed.models.loading import load_folder
from burnqed.models.prefill import Key, Prefilled, Prefiller, Savings, padded
from burnqed.models.recorded import Recorder
from burnqed.models.tokenizer import check_tokenizer, decoded, prompt_ids, set_padding
from burnqed.prompts.formats import PromptFormat

__all__ = ["Drawn", "LanguageModel", "is_out_of_memory"]

NOT_SHARED = "completions decoded with a copy of their prompt each"
_NO_MEMORY = re.compile(r"not enough memory|out of memory|alloc_failed", re.IGNORECASE)
_EXACT, _ROUNDED = 1e-3, 0.1
"""How far logits may be from a plain pass, in their standard deviations: in float32, and in anything else."""

P = ParamSpec("P")
T = TypeVar("T")


class LanguageModel:
    """A model and its tokenizer. Blocking; one thread at a time, for which :meth:`run` has one.

    ``keep_bytes`` is what prefilled prompts may take that wait for their sampling (default: 256 MB, on a GPU an eighth of its
    memory); ``max_rows`` is how many completions are written at a time. Troubles that were survived are in ``tally``.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        name: str,
        model_hash: str = "unsaved",
        tokenizer_hash: str = "unsaved",
        dtype: str = "float32",
        quantization: str = "none",
        keep_bytes: int | None = None,
        max_rows: int = 256,
        tally: Tally | None = None,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.name = name
        self.device: torch.device = model.device
        self.dim = int(model.config.hidden_size)
        self.max_tokens = _context(model, tokenizer)
        self.eos_ids = _eos_ids(model, tokenizer)
        self.max_rows = max_rows
        self.tally = tally if tally is not None else Tally()
        self._card = (model_hash, tokenizer_hash, dtype, quantization)
        self._rows = int(model.get_input_embeddings().weight.shape[0])
        memory = _gpu_bytes(self.device)
        bos = [] if tokenizer.bos_token_id is None else [int(tokenizer.bos_token_id)]
        self._prefiller = Prefiller(
            model,
            not_content=self.eos_ids | frozenset(bos),
            keep_bytes=keep_bytes if keep_bytes is not None else memory // 8 or 1 << 28,
        )
        self._decoder: type[SharedDecoder] | type[ExpandedDecoder] | None = None
        self._recorder: Recorder | None = None
        if memory:
            self._recorder = Recorder(
                model, allowed=self._allowed, limit=self.max_tokens, limit_bytes=memory // 3, tally=self.tally
            )
        set_padding(tokenizer)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")

    @classmethod
    def load(
        cls,
        path: Path,
        *,
        device: str = "auto",
        dtype: str = "auto",
        quantization: str = "none",
        tally: Tally | None = None,
    ) -> LanguageModel:
        """Load a folder of Hugging Face's format; see :func:`burnqed.models.loading.load_folder` for options and errors."""
        found = load_folder(path, device=device, dtype=dtype, quantization=quantization)
        return cls(
            found.model,
            found.tokenizer,
            name=path.name,
            model_hash=found.model_hash,
            tokenizer_hash=found.tokenizer_hash,
            dtype=found.dtype,
            quantization=found.quantization,
            tally=tally,
        )

    @property
    def savings(self) -> Savings:
        """What sharing one prefill between sampling and pooling has saved."""
        return self._prefiller.savings

    @property
    def _allowed(self) -> int:
        """Tokens that have a text; a padded matrix has rows beyond them."""
        return min(len(self.tokenizer), self._rows)

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do blocking work in the model's own thread. All work given here happens one after the other, whoever gave it."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, partial(work, *args, **kwargs))

    def close(self) -> None:
        """Let the thread end once its work is done."""
        self._thread.shutdown(wait=False)

    def card(self, form: PromptFormat, *, max_tokens: int | None = None) -> EncoderCard:
        """What an embedding from this model depends on."""
        model, tokenizer, dtype, quantization = self._card
        return EncoderCard(
            model=model,
            tokenizer=tokenizer,
            prompt_format=form.name,
            dim=self.dim,
            max_tokens=min(max_tokens or self.max_tokens, self.max_tokens),
            dtype=dtype,
            quantization=quantization,
        )

    def token_ids(self, text: str) -> list[int]:
        """A text as a prompt: special tokens parsed, BOS if the tokenizer's own settings say so, never EOS at the end."""
        return prompt_ids(self.tokenizer, text)

    def text(self, ids: Sequence[int]) -> str:
        """The text of tokens, special ones written out."""
        return decoded(self.tokenizer, ids)

    def check(self, form: PromptFormat) -> None:
        """Raise ModelMismatch unless prompts of this format reach the model whole."""
        check_tokenizer(self.tokenizer, form, rows=self._rows, name=self.name)

    def sample(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        n: int,
        temperature: float,
        top_p: float,
        max_new_tokens: int,
        stop: Sequence[str] = (),
        stop_ids: Sequence[int] = (),
        seeds: Sequence[int],
    ) -> list[list[Drawn]]:
        """``n`` completions of each prompt, in the order of drawing; at temperature 0 they are equal, and computed once.

        A prompt and its completion together have at most ``max_tokens`` tokens. Raises ModelError for a prompt that is empty or
        leaves no room, and what torch raises when memory does not suffice (:func:`is_out_of_memory`).
        """
        assert n >= 1
        assert max_new_tokens >= 1
        sampling = Sampling(temperature, top_p)
        each = 1 if sampling.greedy else n
        ends = Ends(self.text, ids={*stop_ids, *self.eos_ids}, texts=stop)
        keys = [self._checked(prompt, room=1) for prompt in prompts]
        found: list[list[Drawn]] = [[] for _ in keys]
        if self._decoder is None:
            self._decoder = self._proven()
        for batch in self._batches(keys, each):
            states = self._prefiller.states([keys[i] for i in batch])
            starts = [
                Start(state, keys[i][-1], seeds[i], self.max_tokens - len(keys[i]))
                for i, state in zip(batch, states, strict=True)
            ]
            drawn = generate(
                starts,
                n=each,
                tokens=max_new_tokens,
                sampling=sampling,
                ends=ends,
                allowed=self._allowed,
                begin=partial(self._begin, states, sampling, each),
            )
            for i, samples in zip(batch, drawn, strict=True):
                found[i] = samples * (n // each)
        return found

    def logprobs(self, ids: Sequence[Sequence[int]], starts: Sequence[int]) -> list[list[float]]:
        """Natural-log probabilities of ``ids[i][k]`` given what stands before it, for every ``k`` from ``starts[i]`` on.

        By one plain forward pass over padded batches. ``starts`` are at least 1: nothing stands before the first token.
        """
        assert all(start >= 1 for start in starts)
        keys = [self._checked(row, room=0) for row in ids]
        found: list[list[float]] = [[] for _ in keys]
        # Logits of every place: P x L x V numbers. A prompt at a time unless they are small.
        most = max(1, (1 << 28) // (4 * self._rows * max(map(len, keys), default=1)))
        order = sorted(range(len(keys)), key=lambda i: len(keys[i]))
        for at in range(0, len(order), most):
            batch = order[at : at + most]
            for i, row in zip(batch, self._forward([keys[i] for i in batch]), strict=True):
                found[i] = row[starts[i] - 1 : len(keys[i]) - 1].tolist()
        return found

    def embed(self, prompts: Sequence[Sequence[int]], *, keep: bool = False) -> Tensor:
        """Pooled vectors [B, D], float32, on the CPU: the mean of the last hidden state (after the final norm) over content.

        Content is every token of the prompt but BOS and EOS. With ``keep`` the forward pass serves a later :meth:`sample` of the
        same prompt too; a prompt that was sampled or embedded lately costs nothing. Raises ModelError for one without content.
        """
        keys = [self._checked(prompt, room=0) for prompt in prompts]
        return self._prefiller.vectors(keys, keep=keep) if keys else torch.empty(0, self.dim)

    def forget(self) -> None:
        """Let go of all that is remembered, and of the memory: after a batch that was too large."""
        self._prefiller.forget()
        if self._recorder is not None:
            self._recorder.forget()
            torch.cuda.empty_cache()

    @torch.inference_mode()
    def _forward(self, rows: Sequence[Key]) -> Tensor:
        """Log-probabilities [B, L - 1] of every token but the first."""
        ids = padded(rows, self.device)
        logs: Tensor = self.model(input_ids=ids, use_cache=False).logits[:, :-1].float().log_softmax(dim=-1)
        return logs.gather(2, ids[:, 1:, None])[:, :, 0]

    def _checked(self, prompt: Sequence[int], *, room: int) -> Key:
        if not prompt:
            raise ModelError(f"a prompt without tokens was put to {self.name}")
        if len(prompt) + room > self.max_tokens:
            raise ModelError(
                f"a prompt of {len(prompt)} tokens leaves no room in the context of {self.name}, which has {self.max_tokens}"
            )
        return tuple(prompt)

    def _batches(self, keys: Sequence[Key], n: int) -> Iterator[list[int]]:
        """Prompts by number, those of like lengths together, so many that ``max_rows`` completions are written at a time."""
        order = sorted(range(len(keys)), key=lambda i: len(keys[i]))
        size = max(1, self.max_rows // n)
        for at in range(0, len(order), size):
            yield order[at : at + size]

    def _begin(self, states: Sequence[Prefilled], sampling: Sampling, n: int, tokens: Tensor, chance: Tensor) -> Writer:
        """What writes on after the first tokens."""
        kind = self._decoder
        assert kind is not None
        if self._recorder is not None and kind is SharedDecoder:
            recorded = self._recorder.writer(states, tokens, chance, sampling, n=n)
            if recorded is not None:
                return recorded
        owners = [p for p in range(len(states)) for _ in range(n)]
        decoder: Decoder = kind(self.model, states, owners)
        return EagerWriter(decoder, tokens, chance, sampling, allowed=self._allowed, rows=range(len(owners)))

    @torch.inference_mode()
    def _proven(self) -> type[SharedDecoder] | type[ExpandedDecoder]:
        """The faster decoder that gives this model's own logits, tried once on prompts of two lengths.

        Architectures differ in what they do to attention, and one that is not known must not be decoded wrongly in silence.
        """
        token = next(i for i in range(self._allowed) if i not in self.eos_ids)
        prompts = [tuple((token + 7 * k) % self._allowed for k in range(length)) for length in (5, 3)]
        states = Prefiller(self.model, not_content=frozenset(), keep_bytes=0).states(prompts)
        step = torch.tensor([token, token], device=self.device)
        plain = [
            self.model(input_ids=torch.tensor([[*p, token]], device=self.device)).logits[0, -1].float() for p in prompts
        ]
        wanted = torch.stack(plain)
        exact = self.model.dtype == torch.float32 and self._card[-1] == "none"
        most = (_EXACT if exact else _ROUNDED) * wanted.std()
        for kind in (SharedDecoder, ExpandedDecoder):
            decoder = kind(self.model, states, [0, 1])
            try:
                logits = decoder.step(step)
            except NotShared as error:
                self.tally.count(NOT_SHARED, f"{error} does more than plain attention")
                continue
            asked = not isinstance(decoder, SharedDecoder) or decoder.shared.calls == len(states[0].layers)
            if asked and bool((logits - wanted).square().mean().sqrt() <= most):
                return kind
            self.tally.count(NOT_SHARED, f"{type(self.model).__name__} attends in a way of its own")
        raise ModelError(
            f"{self.name} cannot be sampled from: its {type(self.model).__name__} decodes in an unknown way"
        )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch, or a library below it, says that memory did not suffice."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and _NO_MEMORY.search(str(error)) is not None
    )


def _context(model: Any, tokenizer: Any) -> int:
    """Tokens of prompt and completion together: the model's positions, or less if the tokenizer says so."""
    positions = int(getattr(model.config, "max_position_embeddings", 0) or 1 << 30)
    return min(positions, int(min(tokenizer.model_max_length, 1 << 30)))


def _eos_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    """All tokens that end a text: the tokenizer's, and those that the model's generation settings name."""
    config: GenerationConfig | None = model.generation_config
    named = config.eos_token_id if config is not None else None
    ids = [*(named if isinstance(named, list | tuple) else [named]), tokenizer.eos_token_id]
    return frozenset(int(i) for i in ids if i is not None)


def _gpu_bytes(device: torch.device) -> int:
    """Memory of the GPU; 0 on a processor."""
    return int(torch.cuda.get_device_properties(device).total_memory) if device.type == "cuda" else 0
