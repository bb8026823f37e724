"""From texts to embeddings: what a value sees of a state. One way for the encode server, the search and training.

Shapes: ``B`` texts, ``D`` length of an embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from burnqed.core.encoder_card import EncoderCard
from burnqed.core.errors import BadInput, ModelError
from burnqed.core.state import ProofState
from burnqed.core.tally import Tally
from burnqed.models.embedding_cache import EmbeddingCache
from burnqed.models.language_model import LanguageModel, is_out_of_memory
from burnqed.prompts.fit import fitted_prompt
from burnqed.prompts.formats import PromptFormat

CUT = "text cut in its middle to fit the encoder"
HALVED = "batch halved for want of memory"


class Backbone(Protocol):
    """What the encoder needs of a language model."""

    @property
    def dim(self) -> int:
        """Length of an embedding."""
        ...

    @property
    def max_tokens(self) -> int:
        """Length of the context."""
        ...

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        ...

    def card(self, form: PromptFormat, *, max_tokens: int | None = None) -> EncoderCard:
        """The encoder card for texts of this format."""
        ...

    def token_ids(self, text: str) -> list[int]:
        """A text as a prompt."""
        ...

    def embed(self, prompts: Sequence[Sequence[int]], *, keep: bool = False) -> Tensor:
        """Embeddings [B, D] of one batch: float32, on the CPU; ``keep`` the prefill for a generation that follows."""
        ...


class Encoder:
    """Embeds texts in batches of like lengths. Blocking; :meth:`tokens` and :meth:`count` may be called
    while another call runs.

    A batch has at most ``max_batch_tokens`` tokens, padding included. When memory does not suffice it is halved, and the size
    that did not fit is not tried again. A text longer than ``max_tokens`` (default: the model's context) loses its middle:
    its beginning holds the format's opening and its end the target and the marker after it. States should be shortened
    by what they mean, which :meth:`encode_states` does. Both are counted in ``tally``. With ``keep`` the model keeps what it
    computed for a prompt, for a policy in the same process that samples from it next.
    """

    def __init__(
        self,
        model: Backbone,
        form: PromptFormat,
        *,
        max_batch_tokens: int = 8192,
        max_tokens: int | None = None,
        keep: bool = False,
        cache: EmbeddingCache | None = None,
        tally: Tally | None = None,
    ) -> None:
        self.model = model
        self.form = form
        self.max_tokens = min(max_tokens or model.max_tokens, model.max_tokens)
        self.card = model.card(form, max_tokens=self.max_tokens)
        self.max_batch_tokens = max_batch_tokens
        self.cache = cache
        self._keep = keep
        self.tally = tally if tally is not None else Tally()

    def encode(self, texts: Sequence[str]) -> Tensor:
        """Embeddings [B, D], float32, in the order of the texts; a text that stands there twice is computed once.

        Raises BadInput for a text that cannot be embedded, ModelError when the model cannot do it.
        """
        unique = list(dict.fromkeys(texts))
        known = self.cache.get(self.card, unique) if self.cache else {}
        missing = [text for text in unique if text not in known]
        fresh = self.embed([self.tokens(text) for text in missing])
        if self.cache and missing:
            self.cache.put(self.card, dict(zip(missing, fresh.numpy(), strict=True)))
        rows = dict(zip(missing, fresh, strict=True))
        rows.update((text, torch.from_numpy(vector.copy())) for text, vector in known.items())
        return torch.stack([rows[text] for text in texts]) if texts else torch.empty(0, self.card.dim)

    def encode_states(self, states: Sequence[ProofState]) -> Tensor:
        """Embeddings [B, D] of states, each put into the prompt format and shortened to fit."""
        return self.encode([self.text(state) for state in states])

    def text(self, state: ProofState) -> str:
        """The text of a state that is embedded."""
        return fitted_prompt(
            self.form,
            state,
            tokens=self.count,
            limit=self.max_tokens,
            tally=self.tally,
        )

    def count(self, text: str) -> int:
        """How many tokens a text has, before it is cut."""
        return len(self.model.token_ids(text))

    def tokens(self, text: str) -> list[int]:
        """The tokens that are embedded, at most ``max_tokens``. Raises BadInput for what is no text."""
        if not text:
            raise BadInput("an empty text has no embedding")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise BadInput(f"the text is not Unicode: it holds a lone surrogate at character {error.start}") from None
        ids = self.model.token_ids(text)
        if not ids:
            raise BadInput("a text without tokens has no embedding")
        if len(ids) > self.max_tokens:
            self.tally.count(CUT, text)
            tail = self.max_tokens // 2
            ids = ids[: self.max_tokens - tail] + ids[len(ids) - tail :]
        return ids

    def embed(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """Embeddings [B, D] of tokens, float32, in order. Raises ModelError for the first row that cannot be embedded."""
        found = self.embed_each(rows)
        for vector in found:
            if isinstance(vector, ModelError):
                raise vector
        return torch.stack([v for v in found if isinstance(v, Tensor)]) if found else torch.empty(0, self.card.dim)

    def embed_each(self, rows: Sequence[Sequence[int]]) -> list[Tensor | ModelError]:
        """The embedding [D] of each row of tokens, or why it has none: one bad row does not spoil the others.

        Raises ModelError when the model fails on whatever it is given.
        """
        # The longest first: if memory does not suffice, that shows at once.
        order = sorted(range(len(rows)), key=lambda i: -len(rows[i]))
        found: dict[int, Tensor | ModelError] = {}
        at = 0
        while at < len(order):
            batch = order[at : at + max(1, self.max_batch_tokens // max(1, len(rows[order[at]])))]
            results = self._embed_batch([rows[i] for i in batch])
            if results is not None:
                found.update(zip(batch, results, strict=True))
                at += len(batch)
        return [found[i] for i in range(len(rows))]

    def _embed_batch(self, rows: list[Sequence[int]]) -> list[Tensor | ModelError] | None:
        """Results for one batch; None when it has to be smaller."""
        longest = max(len(row) for row in rows)
        try:
            return self._checked(self.model.embed(rows, keep=self._keep), rows)
        except Exception as error:
            if not is_out_of_memory(error):
                return self._one_by_one(rows, error)
        # Outside of the handler: the exception's traceback holds on to the tensors of the failed pass.
        if self.model.device.type == "cuda":
            torch.cuda.empty_cache()
        if len(rows) == 1:
            cure = "lower the limit of tokens, or use a smaller dtype or quantization"
            return [ModelError(f"memory does not suffice to embed a text of {longest} tokens; {cure}")]
        self.max_batch_tokens = max(longest, longest * len(rows) // 2)
        self.tally.count(HALVED, f"{len(rows)} texts of {longest} tokens")
        return None

    def _one_by_one(self, rows: list[Sequence[int]], error: Exception) -> list[Tensor | ModelError]:
        """Which rows the model failed on. Raises ModelError when it fails on all of them, as a model does that is broken."""
        what = f"the model cannot embed a text of {{}} tokens: {' '.join(str(error).split())[:300]}"
        found: list[Tensor | ModelError] = []
        for row in rows if len(rows) > 1 else ():
            try:
                found += self._checked(self.model.embed([row], keep=self._keep), [row])
            except Exception:
                self.tally.count("text that the model failed on", str(error))
                found.append(ModelError(what.format(len(row))))
        if all(isinstance(one, ModelError) for one in found):
            raise ModelError(what.format(max(len(row) for row in rows))) from error
        return found

    def _checked(self, vectors: Tensor, rows: list[Sequence[int]]) -> list[Tensor | ModelError]:
        assert vectors.shape == (len(rows), self.card.dim)
        finite = torch.isfinite(vectors).all(dim=1).tolist()
        return [
            vector
            if good
            else ModelError(f"the embedding of a text of {len(row)} tokens is not finite; a wider dtype may help")
            for vector, row, good in zip(vectors, rows, finite, strict=True)
        ]


def drop_output_layer(model: LanguageModel) -> None:
    """Free the matrix that makes logits of hidden states (0.8 GB in a 7B model): who only embeds does not need it.

    The model can no longer sample. Where the matrix is the input's as well, nothing is freed.
    """
    model.model.set_output_embeddings(torch.nn.Identity())
    if model.device.type == "cuda":
        torch.cuda.empty_cache()
