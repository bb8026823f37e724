"""Two encoders that differ do not mix, and what differs is named."""

from __future__ import annotations

from dataclasses import asdict, fields, replace

import pytest

from burnqed.core.encoder_card import EncoderCard
from burnqed.core.errors import ModelMismatch
from burnqed.core.tally import Tally

CARD = EncoderCard(model="m", tokenizer="t", prompt_format="markers", dim=4, max_tokens=8)


@pytest.mark.parametrize("field", [f.name for f in fields(EncoderCard)])
def test_every_field_counts(field):
    before = getattr(CARD, field)
    other = replace(CARD, **{field: before + 1 if isinstance(before, int) else "other"})
    assert other.digest != CARD.digest
    with pytest.raises(ModelMismatch, match=f"^the head was made for another encoder: {field} is "):
        CARD.require(other, what="the head")
    CARD.require(other, what="the head", accepted=[field])


def test_a_card_survives_json():
    assert EncoderCard.from_json(asdict(CARD), source="x") == CARD


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dim": "4"}, "dim of the encoder card must be a int"),
        ({"more": 1}, "unknown field more"),
        ({"dim": True}, "dim of"),
    ],
)
def test_a_card_that_is_none_is_refused(change, message):
    with pytest.raises(ModelMismatch, match=message):
        EncoderCard.from_json({**asdict(CARD), **change}, source="x")


def test_a_tally_keeps_one_short_example_of_each_kind_and_tells_the_most_frequent_first():
    tally = Tally()
    tally.count("rare", "x" * 500)
    tally.count("often", "first", times=2)
    tally.count("often", "second")
    assert tally.told() == "often: 3, rare: 1"
    assert tally.examples["often"] == "first"
    assert len(tally.examples["rare"]) == 200
