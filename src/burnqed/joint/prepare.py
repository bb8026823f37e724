"""Everything a run needs before its first step: rows, groups, a backbone, a head, and the steps' order.

What is held out is what the files call ``valid``; a row of another split is never seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from burnqed.core.errors import BadInput, ModelMismatch
from burnqed.core.seeding import child_seed
from burnqed.core.state import ProofState
from burnqed.core.tally import Tally
from burnqed.data.manifest import Manifest
from burnqed.data.rows import TrainingRow
from burnqed.joint.config import JointConfig
from burnqed.joint.dataset import Ids, JointDataset, Tokens, steps_of
from burnqed.joint.ebm_head import GoalConditionedEnergyHead, HeadConfig
from burnqed.joint.energy_head import load_trained
from burnqed.joint.model import JointProver
from burnqed.joint.pairs import Group, pair_files, read_groups
from burnqed.models.tokenizer import prompt_ids
from burnqed.prompts.fit import fitted_prompt
from burnqed.prompts.formats import PromptFormat, prompt_format
from burnqed.train.backbone import Backbone, decoder_layers, load_backbone, stored_format
from burnqed.train.fresh import make_fresh
from burnqed.train.rows import TokenRow, read_training_rows, require_rows, row_files, tokenized
from burnqed.train.workers import Workers

BASE = "base"
"""Where a run keeps the fresh model that it starts from."""


@dataclass
class Prepared:
    """A run that is ready to begin. ``held_rows`` and ``held_groups`` are never trained on."""

    prover: JointProver
    backbone: Backbone
    form: PromptFormat
    dataset: JointDataset
    held_rows: list[TokenRow]
    held_groups: list[Group]
    tokens: Tokens
    manifests: dict[str, Manifest]
    total_steps: int
    tally: Tally


@dataclass(frozen=True)
class Data:
    """Files or folders of rows and of pairs; of a folder the files of its splits are taken."""

    rows: tuple[Path, ...] = ()
    pairs: tuple[Path, ...] = ()


def prepare(config: JointConfig, data: Data, out: Path, workers: Workers, *, with_head: bool) -> Prepared:
    """Read, load and count. Raises BadInput or ModelMismatch for whatever cannot be trained with."""
    manifests = {name: Manifest(step=f"train: {name}") for name in ("rows", "held-out rows", "pairs")}
    if with_head and not data.pairs:
        raise BadInput("there are no pairs to train on: give --pairs FILE_OR_FOLDER; `burnqed data pairs` writes them")
    learns = config.sft_weight > 0
    train = read_training_rows(row_files(data.rows, "train"), manifests["rows"], split="train") if learns else []
    held = read_training_rows(row_files(data.rows, "valid"), manifests["held-out rows"], split="valid")
    groups = read_groups(pair_files(data.pairs), manifests["pairs"]) if data.pairs else []
    form = _format(config, [*train, *held])
    base = _base(config, train, form, out, workers)
    backbone = load_backbone(
        base, form=form, device=str(workers.device), dtype=config.model.dtype, lora=config.lora, seed=config.seed
    )
    workers.shard_layers(decoder_layers(backbone.causal))
    tally = Tally()
    limit = min(config.batch.max_tokens, backbone.max_positions)
    tokens = _tokens(backbone, form, min(config.contrastive.max_tokens or limit, backbone.max_positions), tally)
    rows = tokenized(train, backbone.tokenizer, max_tokens=limit, manifest=manifests["rows"], tasks=config.tasks)
    account = manifests["held-out rows"]
    held_rows = tokenized(
        held[: config.eval_rows], backbone.tokenizer, max_tokens=limit, manifest=account, tasks=config.tasks
    )
    if (more := len(held) - config.eval_rows) > 0:
        account.drop("train", "more than are measured", times=more)
    if learns:
        require_rows(rows, manifests["rows"], what=", ".join(map(str, data.rows)) or "nothing: no rows were given")
    training_groups = [g for g in groups if g.split == "train"] if with_head else []
    if with_head and not training_groups:
        raise BadInput(f"there are no pairs to train on: {manifests['pairs'].told()}")
    dataset = JointDataset(
        rows,
        training_groups,
        tokens=tokens,
        config=config.contrastive,
        rows_per_step=config.batch.rows,
        bucket=config.batch.bucket,
        micro_tokens=config.batch.micro_tokens,
        total_steps=1,
        whole_rows=config.whole_rows,
        seed=config.seed,
        tally=tally,
    )
    total = config.steps or steps_of(config.epochs, dataset.steps_in_epoch)
    dataset.total_steps = total
    return Prepared(
        prover=_prover(config, backbone, workers, with_head=with_head),
        backbone=backbone,
        form=form,
        dataset=dataset,
        held_rows=held_rows,
        held_groups=[g for g in groups if g.split == "valid"][: config.monitor.groups],
        tokens=tokens,
        manifests=manifests,
        total_steps=total,
        tally=tally,
    )


def _format(config: JointConfig, rows: Sequence[TrainingRow]) -> PromptFormat:
    """The prompt format that rows, base and settings agree on. Raises ModelMismatch when they do not."""
    named = {
        "the rows": rows[0].prompt_format if rows else "",
        "model.prompt_format": config.model.prompt_format,
        f"{config.model.base}": stored_format(config.model.base) if config.model.base else "",
    }
    said = {name: value for name, value in named.items() if value}
    if len(set(said.values())) > 1:
        raise ModelMismatch("prompt formats differ: " + ", ".join(f"{n} say {v}" for n, v in said.items()))
    return prompt_format(next(iter(said.values()), "markers"))


def _base(config: JointConfig, rows: Sequence[TrainingRow], form: PromptFormat, out: Path, workers: Workers) -> Path:
    """The folder to start from; a fresh model is made once and stays with the run."""
    if config.model.base is not None:
        return config.model.base
    if config.lora.rank:
        raise BadInput("a fresh model has nothing to adapt: set lora.rank=0, or give model.base")
    folder = out / BASE
    if workers.main and not folder.exists():
        texts = [text for row in rows for text in (row.prompt, row.completion)]
        make_fresh(folder, config.model.fresh, texts, prompt_format=form.name, seed=config.seed)
    workers.wait()
    return folder


def _prover(config: JointConfig, backbone: Backbone, workers: Workers, *, with_head: bool) -> JointProver:
    head = _head(config, backbone) if with_head else None
    if head is not None and config.contrastive.loss == "margin":
        head.freeze_gain()
    if with_head and config.contrastive.keys == "ema" and workers.shard:
        raise BadInput("contrastive.keys = ema needs whole weights on every process; leave out --shard")
    prover = JointProver(
        backbone,
        head,
        config.contrastive,
        autocast=torch.bfloat16 if backbone.half else None,
        lockstep=workers.shard,
        pass_tokens=config.batch.micro_tokens,
    )
    prover.to(backbone.device)
    return prover


def _head(config: JointConfig, backbone: Backbone) -> GoalConditionedEnergyHead:
    """A new head, or the one that ``head.start`` names, which must come from embeddings of this very base."""
    if config.head.start is not None:
        head, card, _ = load_trained(config.head.start)
        if (card.model, card.tokenizer) != (backbone.base_hash, backbone.tokenizer_hash):
            raise ModelMismatch(
                f"head.start: {config.head.start} was trained on embeddings of another model than {backbone.base}; embed with"
                " this base and train it anew, or leave head.start out"
            )
        return head.train()
    shape = HeadConfig(dim=backbone.dim, hidden=config.head.hidden, dropout=config.head.dropout)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(child_seed(config.seed, "head") % (1 << 63))
        return GoalConditionedEnergyHead(shape)


def _tokens(backbone: Backbone, form: PromptFormat, limit: int, tally: Tally) -> Tokens:
    """A state's prompt as the encoder makes it (``models/encoder.py``), for the same limit."""

    def count(text: str) -> int:
        return len(prompt_ids(backbone.tokenizer, text))

    def tokens(state: ProofState) -> Ids:
        text = fitted_prompt(form, state, tokens=count, limit=limit, tally=tally)
        return tuple(prompt_ids(backbone.tokenizer, text))

    return tokens
