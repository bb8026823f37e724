"""What a tokenizer must be for a prompt format, and how a vocabulary grows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from burnqed.core.errors import ModelMismatch
from burnqed.prompts.formats import PromptFormat

LEAN_PROBE = (
    "case h.inl\nα β : Type u_1\nf✝ : ℕ → ℝ\nh₁ : ∀ ε > 0, ∃ δ ≥ ε, f✝ δ ≠ x⁻¹\n  ∧ ‖y‖ ≤ 2\n⊢ ⟨a, b⟩ ∈ s ∪ t\n"
)
"""Lean text with the symbols and the blank space that must survive a round trip."""

_ROWS = 64
"""Matrices are padded to a multiple of this: tensor cores like it, and checkpoints of today do the same."""


def prompt_ids(tokenizer: Any, text: str) -> list[int]:
    """The ids of a text as a prompt: special tokens parsed, BOS if the tokenizer's own settings say so, no EOS at the end.

    Some tokenizers end every text with EOS; after that a model would begin a new text, and the last index would not be content.
    """
    ids = [int(i) for i in tokenizer(text, add_special_tokens=True)["input_ids"]]
    while ids and ids[-1] == tokenizer.eos_token_id and not text.endswith(tokenizer.eos_token):
        ids.pop()
    return ids


def decoded(tokenizer: Any, ids: Sequence[int]) -> str:
    """The text of ids, special tokens written out and nothing tidied (tidying takes blanks before ``.`` and ``?`` away)."""
    return str(tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))


def set_padding(tokenizer: Any) -> None:
    """Left padding, explicitly: whoever calls ``generate`` with this tokenizer continues texts, not paddings.

    burnqed's own batches are lists of ids, padded where they are made. A tokenizer without a padding token gets EOS for it.
    """
    tokenizer.padding_side = "left"
    if tokenizer.pad_token_id is None and tokenizer.eos_token is not None:
        tokenizer.pad_token = tokenizer.eos_token


def check_tokenizer(tokenizer: Any, form: PromptFormat, *, rows: int, name: str) -> None:
    """Raise ModelMismatch unless prompts of ``form`` reach the model whole.

    ``rows`` is the height of the model's embedding matrix; ``name`` stands for the model in the message. Checked: every
    token has a row, the format's markers are one token each and stay so inside a text, a prompt's last token is content,
    and Lean's symbols survive a round trip.
    """
    if len(tokenizer) > rows:
        raise ModelMismatch(
            f"the tokenizer of {name} has {len(tokenizer)} tokens, its model only {rows} rows; grow the model's vocabulary"
        )
    for marker in form.single_tokens:
        ids = tokenizer.encode(marker, add_special_tokens=False)
        if len(ids) != 1 or ids[0] == tokenizer.unk_token_id:
            raise ModelMismatch(
                f"{marker} is {len(ids)} tokens in the vocabulary of {name}, and must be one for the prompt format "
                f"{form.name}; choose another format, or add the token and train the model with it"
            )
        inside = tokenizer.encode(f"x{marker}y", add_special_tokens=False)
        if ids[0] not in inside:
            raise ModelMismatch(f"{marker} is not read as a token inside a text by the tokenizer of {name}")
    ids = prompt_ids(tokenizer, LEAN_PROBE)
    content = [i for i in ids if i != tokenizer.bos_token_id]
    if not content or content[-1] in (tokenizer.eos_token_id, tokenizer.pad_token_id):
        raise ModelMismatch(f"the tokenizer of {name} does not end a prompt with its content")
    back = decoded(tokenizer, content)
    if back.strip() != LEAN_PROBE.strip():
        raise ModelMismatch(f"the tokenizer of {name} loses symbols of Lean: it makes {back!r} of {LEAN_PROBE!r}")


def grow_vocabulary(model: Any, tokenizer: Any, texts: Sequence[str]) -> list[int]:
    """Make each text a special token of its own, give new ones a row, and return their ids.

    The matrix only ever grows: checkpoints are often padded beyond their tokenizer, and resizing them to the tokenizer's length
    would cut rows off. New rows are the mean of the old ones, so that a new token starts with the logit of an average
    token and does not draw probability from the others.
    """
    import torch

    known = tokenizer.get_vocab()
    new = [t for t in dict.fromkeys(texts) if len(tokenizer.encode(t, add_special_tokens=False)) != 1 or t not in known]
    used = len(tokenizer)
    if new:
        tokenizer.add_special_tokens({"extra_special_tokens": new}, replace_extra_special_tokens=False)
    before = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > before:
        model.resize_token_embeddings(len(tokenizer), pad_to_multiple_of=_ROWS, mean_resizing=False)
    if new:
        matrices = {id(w): w for w in _matrices(model)}
        with torch.no_grad():
            for weight in matrices.values():
                weight[used : len(tokenizer)] = weight[:used].mean(dim=0, dtype=torch.float32).to(weight.dtype)
                # Rows that no token owns are never asked for; they must only be numbers.
                weight[max(before, len(tokenizer)) :] = weight[used].clone()
    return [int(tokenizer.convert_tokens_to_ids(t)) for t in texts]


def _matrices(model: Any) -> list[Any]:
    out = model.get_output_embeddings()
    return [model.get_input_embeddings().weight, *([out.weight] if out is not None else [])]
