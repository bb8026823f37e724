"""The settings of joint training: those of supervised fine-tuning, the contrastive stream, the head, and the watch over both."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, Field, field_validator, model_validator

from burnqed.joint.pairs import TIERS
from burnqed.joint.red_lines import Rule, default_rules, seed_rules
from burnqed.train.config import LoraConfig, TrainConfig

Points = tuple[tuple[float, float], ...]
Shares = tuple[tuple[float, dict[str, float]], ...]


class ContrastiveConfig(BaseModel, frozen=True, extra="forbid"):
    """The second stream: provable states against others, through the same backbone."""

    weight: float = Field(1.0, ge=0, description="λ, the weight of the contrastive loss beside the tactics' loss")
    schedule: Points = Field(
        ((0.0, 1.0),),
        min_length=1,
        description="factor on λ along the run, as points (share of the steps, factor), straight lines between them",
    )
    groups: int = Field(8, ge=1, description="provable states of one optimiser step, over all processes")
    negatives: int = Field(7, ge=1, description="K, negatives for each; chance of the loss is ln(K + 1)")
    tiers: Shares = Field(
        ((0.0, {"hard": 0.5, "medium": 0.3, "easy": 0.2}),),
        min_length=1,
        description="shares of hard, medium and easy negatives, as points (from this share of the steps on, shares)",
    )
    loss: Literal["info-nce", "margin"] = Field(
        "info-nce", description="InfoNCE, or a margin (which freezes the temperature)"
    )
    margin: float = Field(1.0, gt=0, description="by which a margin loss wants negatives above positives")
    depth_weight: float = Field(0.0, ge=0, description="weight of the regression of remaining depth on the energy")
    carry: Literal["hardest", "all"] = Field(
        "hardest", description="states with gradient: the positive and the hardest negative for all of them, or all"
    )
    keys: Literal["online", "stop-gradient", "ema"] = Field(
        "online", description="who embeds goals: the model with gradient, without, or its moving average (CURL)"
    )
    ema_decay: float = Field(0.99, gt=0, lt=1, description="of the moving average, a step")
    view_weight: float = Field(
        0.0, ge=0, description="weight of the label-free loss between augmented views of a state (CURL)"
    )
    share_forward: bool = Field(
        True, description="prefer provable states whose prompt a row of the same step has: one forward pass serves both"
    )
    max_tokens: int | None = Field(None, ge=8, description="tokens of a state at most; not set: batch.max_tokens")
    head_first: float = Field(
        0.1,
        ge=0,
        le=1,
        description="share of the steps in which this loss moves the head alone: a head that knows nothing yet would teach the"
        " backbone to make all states alike; not used when head.start is set",
    )

    @field_validator("tiers")
    @classmethod
    def _known(cls, tiers: Shares) -> Shares:
        for _, shares in tiers:
            if unknown := sorted(shares.keys() - set(TIERS)):
                raise ValueError(f"there is no tier {unknown[0]}; there are {', '.join(TIERS)}")
            if min(shares.values(), default=0) < 0 or not sum(shares.values()) > 0:
                raise ValueError("shares of tiers must be at least 0, and one of them more")
        return tiers

    @field_validator("schedule", "tiers")
    @classmethod
    def _in_order(cls, points: Points | Shares) -> Points | Shares:
        places = [at for at, _ in points]
        if places != sorted(places) or not all(0 <= at <= 1 for at in places):
            raise ValueError("points must be in order, each at a share of the run between 0 and 1")
        return points


class HeadShape(BaseModel, frozen=True, extra="forbid"):
    """The energy head's shape; its input has the backbone's width."""

    hidden: tuple[int, ...] = Field((2048, 1024, 512), min_length=1, description="widths of the hidden layers")
    dropout: float = Field(0.15, ge=0, lt=1, description="after every hidden layer")
    start: Path | None = Field(
        None,
        description="folder of a head that was trained on this base's embeddings; its shape counts. Not set: a new head",
    )


class MonitorConfig(BaseModel, frozen=True, extra="forbid"):
    """What is measured on held-out theorems while it trains, and what happens when a red line is crossed."""

    every: int = Field(100, ge=1, description="steps between probes of the embeddings and of the head")
    states: int = Field(2000, ge=10, description="held-out states embedded for a probe at most")
    groups: int = Field(500, ge=1, description="held-out groups judged by the head at most")
    temperature_every: int = Field(50, ge=1, description="steps between records of the learned temperature")
    rules: tuple[Rule, ...] = Field(default_factory=default_rules, description="red lines and what they do")
    seed_lines: bool = Field(
        False, description="the absolute red lines of the 7B plan as well; for a model of that size"
    )

    @property
    def all_rules(self) -> tuple[Rule, ...]:
        """The rules that hold."""
        return (*self.rules, *(seed_rules() if self.seed_lines else ()))


class JointConfig(TrainConfig, frozen=True, extra="forbid"):
    """A run of joint training. With λ = 0 it is supervised fine-tuning, with sft_weight = 0 contrastive alone."""

    lora: LoraConfig = Field(LoraConfig(rank=64), description="which weights learn")
    sft_weight: float = Field(1.0, ge=0, description="weight of the tactics' loss")
    tasks: tuple[str, ...] = Field((), description="tasks of the rows that are trained; empty: all")
    contrastive: ContrastiveConfig = Field(ContrastiveConfig(), description="the contrastive stream")
    head: HeadShape = Field(HeadShape(), description="shape of the energy head")
    monitor: MonitorConfig = Field(MonitorConfig(), description="probes and red lines")

    @model_validator(mode="after")
    def _learns(self) -> Self:
        if self.sft_weight == 0 and self.contrastive.weight == 0:
            raise ValueError("sft_weight and contrastive.weight are both 0: there is nothing to learn")
        return self


def at_share(points: Points, share: float) -> float:
    """The value of a piecewise linear curve; constant before its first and after its last point."""
    before = points[0]
    if share <= before[0]:
        return before[1]
    for point in points[1:]:
        if share <= point[0]:
            width = point[0] - before[0]
            return point[1] if width == 0 else before[1] + (point[1] - before[1]) * (share - before[0]) / width
        before = point
    return before[1]


def tiers_at(tiers: Shares, share: float) -> dict[str, float]:
    """The shares of tiers that hold at this share of the run."""
    return next((shares for at, shares in reversed(tiers) if at <= share), tiers[0][1])
