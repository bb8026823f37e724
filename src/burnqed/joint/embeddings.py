"""Embeddings of the states and goals of pairs, computed once and kept in files that a killed run goes on with.

A folder holds ``plan.json`` (encoder card, and which texts), shards of like numbers of texts (``vectors-00000.safetensors`` and
``texts-00000.jsonl``), and when all are there ``index.json`` and the manifest. Each file is whole or not there, and a shard
counts once its vectors are there, which are written last.

Shapes: ``B`` texts, ``D`` length of an embedding.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from burnqed.core.encoder_card import EncoderCard
from burnqed.core.errors import BadInput, ModelError, ModelMismatch
from burnqed.trajectory.files import whole_lines

T = TypeVar("T")

VERSION = 1
PLAN = "plan.json"
INDEX = "index.json"

StoredAs = Literal["float32", "float16"]


class StoredText(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line of a file of texts: ``row`` is its place among the shard's vectors, or ``dropped`` says why it has none.

    ``cut`` says that the state had to be shortened to fit the encoder.
    """

    text: str
    hash: str
    row: int | None = None
    dropped: str = ""
    detail: str = ""
    cut: bool = False


class Plan(msgspec.Struct, frozen=True):
    """What a folder is to hold; ``texts`` is a hash of all texts in order. Shards of another plan do not belong to it."""

    card: dict[str, Any]
    texts: str
    count: int
    shard_texts: int
    stored_as: StoredAs
    version: int = VERSION

    @property
    def shards(self) -> int:
        """How many there will be."""
        return -(-self.count // self.shard_texts)


class Index(msgspec.Struct):
    """What makes a folder whole: its plan, and how many of its texts have a vector."""

    plan: Plan
    vectors: int
    texts: int


class Embeddings:
    """A finished folder. Vectors stay in their files, which the system maps into memory as they are read."""

    def __init__(
        self,
        folder: Path,
        card: EncoderCard,
        shards: list[Tensor],
        places: dict[str, tuple[int, int]],
        dropped: dict[str, str],
    ) -> None:
        self.folder = folder
        self.card = card
        self.dtype = shards[0].dtype
        self._shards = shards
        self._places = places
        self._dropped = dropped

    @classmethod
    def open(cls, folder: Path, card: EncoderCard | None = None) -> Embeddings:
        """Open a folder. Raises BadInput when it is none or not finished, ModelMismatch when it is of another encoder
        than ``card``, or one of its shards is.
        """
        path = folder / INDEX
        if not path.exists():
            begun = (folder / PLAN).exists()
            raise BadInput(
                f"{folder} is not finished: run `burnqed embed` again with the same pairs, and it goes on where it stopped"
                if begun
                else f"{folder} holds no embeddings; `burnqed embed` makes them"
            )
        plan = read(path, Index).plan
        made_by = EncoderCard.from_json(plan.card, source=str(path))
        if card is not None:
            made_by.require(card, what=f"the embeddings in {folder}")
        places: dict[str, tuple[int, int]] = {}
        shards: list[Tensor] = []
        dropped: dict[str, str] = {}
        for number in range(plan.shards):
            texts_path, vectors_path = names(folder, number)
            shards.append(_vectors(vectors_path, made_by))
            for line in whole_lines(texts_path):
                text = msgspec.json.decode(line, type=StoredText)
                if text.row is None:
                    dropped[text.hash] = text.dropped
                else:
                    places[text.hash] = (number, text.row)
        return cls(folder, made_by, shards, places, dropped)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, text: str) -> bool:
        return text_hash(text) in self._places

    def why_not(self, text: str) -> str:
        """Why a text has no vector: the reason for which it was dropped, or empty when it was never among the texts."""
        return self._dropped.get(text_hash(text), "")

    def vectors(self, texts: Sequence[str], *, dtype: torch.dtype = torch.float32) -> Tensor:
        """Vectors [B, D] of texts, in order. Raises BadInput for a text without one, ModelError for damaged numbers."""
        found = torch.empty(len(texts), self.card.dim, dtype=dtype)
        of: dict[int, tuple[list[int], list[int]]] = {}
        for at, text in enumerate(texts):
            place = self._places.get(text_hash(text))
            if place is None:
                why = self.why_not(text) or "it is not among the texts that were embedded; embed these pairs"
                raise BadInput(f"{self.folder} has no vector for {_short(text)}: {why}")
            to, rows = of.setdefault(place[0], ([], []))
            to.append(at)
            rows.append(place[1])
        for number, (to, rows) in of.items():
            found[to] = self._shards[number][rows].to(dtype)
        if not (finite := torch.isfinite(found).all(dim=1)).all():
            bad = texts[int((~finite).nonzero()[0])]
            raise ModelError(
                f"{self.folder}: the vector of {_short(bad)} holds numbers that are not finite; embed anew"
            )
        return found


def text_hash(text: str) -> str:
    """What stands for a text in the files: 32 hexadecimal digits."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _vectors(path: Path, card: EncoderCard) -> Tensor:
    """The vectors of a shard. Raises ModelMismatch when it is of another encoder, BadInput when it cannot be read."""
    try:
        with safe_open(path, framework="pt") as file:
            if (found := (file.metadata() or {}).get("card")) != card.digest:
                raise ModelMismatch(f"{path} comes from the encoder {found}, the other shards from {card.digest}")
            vectors: Tensor = file.get_tensor("vectors")
    except (OSError, SafetensorError) as error:
        raise BadInput(
            f"{path} cannot be read ({error}); remove it and {INDEX}, and run `burnqed embed` again"
        ) from error
    return vectors


def names(folder: Path, number: int) -> tuple[Path, Path]:
    """Texts and vectors of a shard."""
    return folder / f"texts-{number:05d}.jsonl", folder / f"vectors-{number:05d}.safetensors"


def digest(texts: Sequence[str]) -> str:
    """What stands for texts in their order."""
    whole = hashlib.blake2b(digest_size=16)
    for text in texts:
        whole.update(bytes.fromhex(text_hash(text)))
    return whole.hexdigest()


def as_json(value: object) -> str:
    """A struct as a file's text."""
    return msgspec.json.format(msgspec.json.encode(value), indent=1).decode() + "\n"


def read(path: Path, kind: type[T]) -> T:
    """A struct from a file. Raises BadInput when it is damaged."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError) as error:
        raise BadInput(f"{path} is damaged: {error}") from error


def _short(text: str) -> str:
    line = " ".join(text.split())
    return f"“{line if len(line) <= 80 else line[:79] + '…'}”"
