"""The memory plan of a run that is prepared, and the choice that it makes: how many layers are computed again."""

from __future__ import annotations

from burnqed.joint.config import JointConfig
from burnqed.joint.prepare import Prepared
from burnqed.train.backbone import checkpoint_layers, decoder_layers
from burnqed.train.lm_loss import PLACES
from burnqed.train.memory import Load, Plan, Shape, available_bytes, plan


def fit(config: JointConfig, prepared: Prepared) -> Plan:
    """Work out the plan and apply it. Raises BadInput when the run does not fit."""
    shape = shape_of(prepared)
    device = prepared.backbone.device
    available = available_bytes(device, limit_gib=config.memory_gib, held=shape.weights)
    found = plan(shape, load_of(config, prepared), available=available, checkpoint_layers=config.checkpoint_layers)
    checkpoint_layers(prepared.backbone.causal, found.checkpoint_layers)
    return found


def shape_of(prepared: Prepared) -> Shape:
    """Sizes of the model that is loaded."""
    causal = prepared.backbone.causal
    settings = causal.config
    parameters = list(prepared.prover.parameters())
    return Shape(
        layers=len(decoder_layers(causal)),
        hidden=int(settings.hidden_size),
        intermediate=int(getattr(settings, "intermediate_size", 0) or 4 * settings.hidden_size),
        vocab=int(causal.get_input_embeddings().weight.shape[0]),
        activation=2 if prepared.backbone.half else 4,
        weights=sum(p.numel() * p.element_size() for p in parameters),
        learning=sum(p.numel() for p in parameters if p.requires_grad),
        fixed=sum(v.numel() * v.element_size() for v in prepared.prover.averages.values()),
    )


def load_of(config: JointConfig, prepared: Prepared) -> Load:
    """The largest micro-batch that the data can make."""
    lengths = sorted((len(row.ids) for row in prepared.dataset.rows), reverse=True)
    tokens = places = silent = 0
    if lengths:
        tokens = min(config.batch.micro_tokens, sum(lengths[: config.batch.rows]))
        tokens = max(tokens, lengths[0])
        labels = sorted((len(row.ids) - row.start for row in prepared.dataset.rows), reverse=True)
        places = min(PLACES, tokens if config.whole_rows else sum(labels[: config.batch.rows]))
    if prepared.dataset.groups:
        positive, goal, negative = prepared.dataset.longest_texts
        groups, k = config.contrastive.groups, config.contrastive.negatives
        one = positive + goal + (negative + goal) * (1 if config.contrastive.carry == "hardest" else k)
        carried = max(one, min(config.batch.micro_tokens, groups * one))
        tokens += carried
        silent = max(config.batch.micro_tokens, positive, goal, negative)
    return Load(tokens=tokens, silent_tokens=silent, places=places)
