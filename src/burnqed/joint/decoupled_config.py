"""The settings of training an energy head on frozen embeddings."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, Field, model_validator

from burnqed.joint.config import Shares
from burnqed.joint.ebm_head import HeadConfig
from burnqed.joint.pairs import TIERS
from burnqed.joint.red_lines import Rule, default_rules
from burnqed.train.config import OptimizerConfig

WIDE = 2048
"""Embeddings of so many numbers get the full-size head unless its widths are set."""


class DecoupledConfig(BaseModel, frozen=True, extra="forbid"):
    """A run that trains the head alone. Steps are optimiser steps; a pair is one state with its goal, so one energy."""

    hidden: tuple[int, ...] | None = Field(
        None,
        min_length=1,
        description="widths of the hidden layers; not set: 2048, 1024, 512, for small models a quarter",
    )
    dropout: float = Field(0.15, ge=0, lt=1, description="after every hidden layer, in training")
    temperature: float = Field(1.0, gt=0, description="where the learned temperature starts; a margin freezes it there")
    loss: Literal["info-nce", "margin"] = Field("info-nce", description="InfoNCE, or a margin between energies")
    margin: float = Field(1.0, gt=0, description="by which a margin loss wants negatives above positives")
    depth_weight: float = Field(0.0, ge=0, description="weight of the regression of remaining depth on the energy")
    negatives: int = Field(7, ge=1, description="K, negatives of each positive; chance of the loss is ln(K + 1)")
    tiers: Shares = Field(
        ((0.0, {"hard": 0.3, "medium": 0.4, "easy": 0.3}), (0.5, {"hard": 0.6, "medium": 0.3, "easy": 0.1})),
        min_length=1,
        description="shares of hard, medium and easy negatives, as points (from this share of the steps on, shares)",
    )
    groups: int = Field(256, ge=1, description="positives of one step, each with its negatives")
    epochs: float = Field(20.0, gt=0, description="how often every positive is seen; decides the steps if not set")
    steps: int | None = Field(None, ge=1, description="optimiser steps")
    optimizer: OptimizerConfig = Field(
        OptimizerConfig(head_lr=3e-3, weight_decay=0.01, floor=0.05),
        description="AdamW and its schedule; the head's rate is head_lr",
    )
    valid_share: float = Field(
        0.1, ge=0, lt=1, description="share of theorems held out where the pairs have no split valid; 0: none"
    )
    valid_groups: int = Field(2000, ge=1, description="held-out positives measured at most")
    eval_every: int = Field(100, ge=1, description="steps between measurements on held-out theorems")
    patience: int = Field(10, ge=0, description="measurements without a better held-out loss that end it; 0: never")
    log_every: int = Field(50, ge=1, description="steps between records of loss and learned temperature")
    save_every: int = Field(500, ge=1, description="steps between checkpoints")
    keep: int = Field(2, ge=1, description="checkpoints that stay")
    seed: int = Field(0, ge=0, description="of order, negatives, initial values and dropout")
    device: str = Field("auto", description="auto (a GPU if there is one), cpu, cuda, cuda:1")
    matmul: Literal["float32", "bfloat16"] = Field(
        "float32", description="how large products are computed; weights, norms and energies are float32 in any case"
    )
    rules: tuple[Rule, ...] = Field(default_factory=default_rules, description="red lines and what they do")

    @model_validator(mode="after")
    def _tiers_make_sense(self) -> Self:
        places = [at for at, _ in self.tiers]
        if places != sorted(places) or not all(0 <= at <= 1 for at in places):
            raise ValueError("points of tiers must be in order, each at a share of the run between 0 and 1")
        for _, shares in self.tiers:
            if unknown := sorted(shares.keys() - set(TIERS)):
                raise ValueError(f"there is no tier {unknown[0]}; there are {', '.join(TIERS)}")
            if min(shares.values(), default=0) < 0 or not sum(shares.values()) > 0:
                raise ValueError("shares of tiers must be at least 0, and one of them more")
        return self

    def head(self, dim: int) -> HeadConfig:
        """The head's shape for embeddings of ``dim`` numbers."""
        hidden = self.hidden or ((2048, 1024, 512) if dim >= WIDE else (512, 256, 128))
        return HeadConfig(
            dim=dim,
            hidden=hidden,
            dropout=self.dropout,
            temperature=self.temperature,
        )

    def comparable(self) -> dict[str, object]:
        """What two runs must share for one to go on from the other's checkpoint."""
        return self.model_dump(mode="json", exclude={"device", "save_every", "keep", "rules"})
