"""Which part a harvested theorem belongs to: by its module, then by its name, and by nothing else.

A hash decides, so that a theorem stays where it is whatever else is harvested.
"""

from __future__ import annotations

import hashlib

from burnqed.data.harvest.config import HarvestConfig

TRAIN = "train"
VALID = "valid"
HELD_OUT = "held_out"
"""Theorems of modules of which nothing is trained on."""


def split_of(module: str, name: str, config: HarvestConfig) -> str:
    """The part of a theorem of a module."""
    if _share("module", module) < config.held_out:
        return HELD_OUT
    return VALID if _share("theorem", name) < config.valid else TRAIN


def _share(kind: str, name: str) -> float:
    """A number from 0 to 1 that depends on the name alone."""
    digest = hashlib.sha256(f"{kind}\0{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
