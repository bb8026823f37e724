"""Training rows as tokens. Every row that leaves is counted under its reason."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from burnqed.core.errors import BadInput
from burnqed.data.manifest import FileCard, Manifest
from burnqed.data.reading import BadRow, read_rows
from burnqed.data.rows import TrainingRow
from burnqed.models.tokenizer import prompt_ids

TRAIN = "train"
"""The stage under which rows are dropped here."""
TOO_LONG = "longer than the context"
NO_COMPLETION = "nothing to learn: the completion is empty"
_PREFIX = "sft_"


@dataclass(frozen=True)
class TokenRow:
    """A row as the model sees it: ``ids`` of prompt, completion and EOS; the completion is ``ids[start:]``.

    The loss is on the completion, with ``whole`` on everything but the first token.
    """

    ids: tuple[int, ...]
    start: int
    theorem: str
    task: str
    whole: bool = False

    @property
    def prompt(self) -> tuple[int, ...]:
        """What stands before the completion."""
        return self.ids[: self.start]

    @property
    def first_label(self) -> int:
        """The place of the first token that the loss is on."""
        return 1 if self.whole else self.start


def row_files(paths: Sequence[Path], split: str) -> list[Path]:
    """The files of rows of a split: of folders those named ``sft_SPLIT*.jsonl``, files as they are. Raises BadInput."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(path.glob(f"{_PREFIX}{split}*.jsonl"))
        elif path.is_file():
            found.append(path)
        else:
            raise BadInput(f"there is no file or folder {path}")
    return list(dict.fromkeys(found))


def read_training_rows(paths: Iterable[Path], manifest: Manifest, *, split: str) -> list[TrainingRow]:
    """The rows of files that belong to a split; bad ones are dropped with their place, those of other splits are left alone.

    Raises BadInput when rows of different prompt formats are mixed.
    """
    found: list[TrainingRow] = []
    forms: dict[str, str] = {}
    for path in paths:
        manifest.inputs.append(FileCard.of(path))
        for entry in read_rows(path, TrainingRow):
            if isinstance(entry, BadRow):
                manifest.rows_in += entry.rows
                manifest.drop(TRAIN, entry.reason, str(entry), times=entry.rows)
                continue
            place, row = entry
            if row.split != split:
                continue
            manifest.rows_in += 1
            forms.setdefault(row.prompt_format, place)
            found.append(row)
    if len(forms) > 1:
        told = ", ".join(f"{name} ({place})" for name, place in forms.items())
        raise BadInput(f"rows of different prompt formats cannot be mixed: {told}")
    return found


def tokenized(
    rows: Iterable[TrainingRow], tokenizer: Any, *, max_tokens: int, manifest: Manifest, tasks: Sequence[str] = ()
) -> list[TokenRow]:
    """Rows as tokens: prompt and completion apart, as serving has them, and EOS at the end, which is learned.

    ``tasks`` names those that are kept (empty: all). Raises BadInput for a tokenizer without an end-of-text token.
    """
    eos = tokenizer.eos_token_id
    if eos is None:
        raise BadInput("the tokenizer has no end-of-text token, so a model could not learn where a tactic ends")
    found: list[TokenRow] = []
    for row in rows:
        if tasks and row.task not in tasks:
            manifest.drop(TRAIN, f"task {row.task} not wanted")
            continue
        prompt = prompt_ids(tokenizer, row.prompt)
        completion = [int(i) for i in tokenizer(row.completion, add_special_tokens=False)["input_ids"]]
        if not completion:
            manifest.drop(TRAIN, NO_COMPLETION, row.theorem)
            continue
        ids = (*prompt, *completion, int(eos))
        if len(ids) > max_tokens:
            manifest.drop(TRAIN, TOO_LONG, f"{row.theorem}: {len(ids)} tokens")
            continue
        found.append(TokenRow(ids, len(prompt), row.theorem, row.task))
    manifest.rows_out += len(found)
    return found


def require_rows(rows: Sequence[TokenRow], manifest: Manifest, *, what: str) -> None:
    """Raise BadInput when nothing is left to train on, with the reasons."""
    if not rows:
        raise BadInput(f"there is nothing to train on in {what}: {manifest.told()}")
