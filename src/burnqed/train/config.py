"""The settings of a training run, section by section; the effective ones are stored with every checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, Field, model_validator

Schedule = Literal["cosine", "linear", "constant"]


class LoraConfig(BaseModel, frozen=True, extra="forbid"):
    """Which weights learn."""

    rank: int = Field(32, ge=0, description="rank of the LoRA matrices; 0 trains all weights")
    alpha: float | None = Field(None, gt=0, description="the update is scaled by alpha / rank; not set: twice the rank")
    dropout: float = Field(0.0, ge=0, lt=1, description="on what enters the LoRA matrices")
    targets: tuple[str, ...] = Field(
        ("all-linear",), min_length=1, description="names of the layers that get matrices, or all-linear (not lm_head)"
    )


class FreshConfig(BaseModel, frozen=True, extra="forbid"):
    """A small Llama from nothing, with a byte-level BPE tokenizer trained on the rows."""

    hidden: int = Field(384, ge=8, description="width of a hidden state")
    layers: int = Field(8, ge=1, description="decoder layers")
    heads: int = Field(6, ge=1, description="attention heads")
    kv_heads: int = Field(6, ge=1, description="heads of keys and values")
    intermediate: int = Field(1024, ge=8, description="width of the gated layer")
    vocab: int = Field(4096, ge=300, description="tokens of the tokenizer at most")
    max_positions: int = Field(1024, ge=32, description="length of the context")

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        if self.hidden % self.heads or self.heads % self.kv_heads:
            raise ValueError(f"{self.hidden} must be a multiple of {self.heads} heads, and those of {self.kv_heads}")
        return self


class ModelConfig(BaseModel, frozen=True, extra="forbid"):
    """What training starts from."""

    base: Path | None = Field(None, description="folder of the model to start from; not set: a fresh one")
    adapter: Path | None = Field(
        None, description="an adapter of an earlier run on the same base, merged into it before the new one is made"
    )
    prompt_format: str = Field("", description="how states are put to the model; empty: what the rows say")
    dtype: str = Field("auto", description="of weights that do not learn: float32, bfloat16, auto (bfloat16 on a GPU)")
    device: str = Field("auto", description="auto, cpu, cuda or cuda:1")
    fresh: FreshConfig = Field(FreshConfig(), description="the shape of a fresh model")


class OptimizerConfig(BaseModel, frozen=True, extra="forbid"):
    """AdamW and its schedule."""

    lr: float = Field(2e-4, gt=0, description="learning rate of the language model's weights")
    head_lr: float = Field(1e-3, gt=0, description="learning rate of the energy head's weights (joint training)")
    weight_decay: float = Field(0.0, ge=0, description="on matrices, never on biases, norms, embeddings or temperature")
    betas: tuple[float, float] = Field((0.9, 0.95), description="of AdamW")
    warmup: float = Field(0.03, ge=0, lt=1, description="share of the steps in which the rate rises from nothing")
    schedule: Schedule = Field("cosine", description="how the rate falls after that")
    floor: float = Field(0.1, ge=0, le=1, description="where it ends, as a share of the highest rate")
    clip: float = Field(1.0, ge=0, description="largest norm of a gradient, over all weights; 0: no limit")


class BatchConfig(BaseModel, frozen=True, extra="forbid"):
    """What a step is made of."""

    rows: int = Field(16, ge=1, description="rows of one optimiser step, over all processes")
    max_tokens: int = Field(
        512, ge=8, description="tokens of prompt and completion at most; longer rows leave, counted"
    )
    micro_tokens: int = Field(
        8192, ge=8, description="tokens at most, padding included, that go through the model at once"
    )
    bucket: int = Field(32, ge=1, description="steps among which rows are sorted by length; 1: no sorting")


class TrainConfig(BaseModel, frozen=True, extra="forbid"):
    """A run of supervised fine-tuning."""

    model: ModelConfig = Field(ModelConfig(), description="what training starts from")
    lora: LoraConfig = Field(LoraConfig(), description="which weights learn")
    optimizer: OptimizerConfig = Field(OptimizerConfig(), description="AdamW and its schedule")
    batch: BatchConfig = Field(BatchConfig(), description="what a step is made of")
    epochs: float = Field(1.0, gt=0, description="how often every row is seen; decides the steps if those are not set")
    whole_rows: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of the steps, from the first on, in which prompts are learnt as well: a model from nothing has to"
        " learn how states read before it can answer them",
    )
    steps: int | None = Field(None, ge=1, description="optimiser steps")
    seed: int = Field(0, ge=0, description="of order, initial values and dropout")
    eval_every: int = Field(100, ge=1, description="steps between measurements on held-out theorems")
    eval_rows: int = Field(2000, ge=1, description="held-out rows measured at most")
    save_every: int = Field(100, ge=1, description="steps between checkpoints")
    keep: int = Field(2, ge=1, description="checkpoints that stay")
    checkpoint_layers: int | None = Field(
        None, ge=0, description="decoder layers whose insides are computed again; not set: as memory demands"
    )
    memory_gib: float | None = Field(None, gt=0, description="memory that may be used; not set: what is free")
    export: bool = Field(True, description="write the finished model, merged, as a folder that burnqed loads")
