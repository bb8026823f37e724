"""The endless sequence of different drafts that a seed stands for."""

from __future__ import annotations

import random
from collections.abc import Iterator

from burnqed.core.seeding import child_seed
from burnqed.data.generate.config import GenerateConfig
from burnqed.data.generate.draft import Draft
from burnqed.data.generate.families import FAMILIES
from burnqed.data.normal_form import normal_form

_TIRED = 2000
"""So many draws one after the other that give nothing new mean that the families are used up."""


def drafts(config: GenerateConfig) -> Iterator[tuple[int, Draft]]:
    """Numbered drafts, no statement twice in its normal form; the numbers count all draws, so they have gaps.

    Each draft depends on the settings and its number alone, so a run that goes on draws what it would have drawn.
    """
    seen: set[str] = set()
    index = last_new = 0
    while index - last_new < _TIRED:
        rng = random.Random(child_seed(config.seed, "draft", index))
        draft = FAMILIES[rng.choice(config.kinds)](rng, rng.random() < config.false_share)
        form = normal_form(draft.signature, types="kept")
        key = form.text if form is not None else draft.signature
        if key not in seen:
            seen.add(key)
            last_new = index
            yield index, draft
        index += 1
