"""A served model's tokenizer on this machine, without the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from burnqed.core.errors import BadInput, ModelError
from burnqed.models.tokenizer import prompt_ids


class FolderTokenizer:
    """The tokenizer of a model folder. Raises BadInput or ModelError when there is none that can be read."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoTokenizer

        if not folder.is_dir():
            raise BadInput(f"there is no tokenizer folder {folder}")
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        except Exception as error:  # whatever a damaged file makes transformers raise
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ModelError(f"the tokenizer in {folder} cannot be loaded: {reason}") from error

    def token_ids(self, text: str) -> list[int]:
        """A text as a prompt, as :meth:`burnqed.models.language_model.LanguageModel.token_ids` has it."""
        return prompt_ids(self._tokenizer, text)
