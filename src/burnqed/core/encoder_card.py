"""What an embedding depends on, stored with every embedding, head and cache. Two that differ do not mix."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any

from burnqed.core.errors import ModelMismatch


@dataclass(frozen=True)
class EncoderCard:
    """The encoder behind an embedding.

    ``model`` and ``tokenizer`` are hashes of their files; ``layer`` counts from the end (-1 is the last, after the final norm);
    ``dtype`` and ``quantization`` are how the weights compute (``float32``, ``bfloat16``; ``none``, ``int8``, ``nf4``);
    ``max_tokens`` is where a text is cut; ``prompt_format`` says what a state's text looks like; ``dim`` is the vector's length.
    """

    model: str
    tokenizer: str
    prompt_format: str
    dim: int
    max_tokens: int
    dtype: str = "float32"
    quantization: str = "none"
    layer: int = -1
    pooling: str = "mean"

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that stand for the card."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]

    def differences(self, other: EncoderCard, *, accepted: Collection[str] = ()) -> list[str]:
        """One phrase for each field in which the two differ, but for the accepted ones."""
        mine, theirs = asdict(self), asdict(other)
        return [
            f"{name} is {theirs[name]}, not {mine[name]}"
            for name in mine
            if mine[name] != theirs[name] and name not in accepted
        ]

    def require(self, other: EncoderCard, *, what: str, accepted: Collection[str] = ()) -> None:
        """Raise ModelMismatch when ``other`` (the encoder at hand) is not this one; ``what`` names the owner of this card."""
        if wrong := self.differences(other, accepted=accepted):
            raise ModelMismatch(
                f"{what} was made for another encoder: {'; '.join(wrong)}; use the encoder it was made for, or train anew"
            )

    @classmethod
    def from_json(cls, data: dict[str, Any], *, source: str) -> EncoderCard:
        """Read a card. Raises ModelMismatch naming ``source`` when a field is missing, unknown or of another type."""
        fields: dict[str, type] = {
            name: int if name in ("dim", "max_tokens", "layer") else str for name in cls.__dataclass_fields__
        }
        for name in sorted(data.keys() | fields.keys()):
            if name not in fields:
                raise ModelMismatch(f"{source}: the encoder card has the unknown field {name}")
            if name not in data:
                raise ModelMismatch(f"{source}: the encoder card lacks {name}")
            if type(data[name]) is not fields[name]:
                raise ModelMismatch(f"{source}: {name} of the encoder card must be a {fields[name].__name__}")
        return cls(**data)
