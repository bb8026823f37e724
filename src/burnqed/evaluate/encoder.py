"""What held-out pairs say of a system's encoder and head, under the names that training journals use.

``probe.*`` is about the embeddings, ``ebm.*`` about the head's energies (overall and by depth, ``ebm.chance`` beside it), and
``trivial.NAME.*`` about energies that need no learning, on the same groups and negatives.
"""

from __future__ import annotations

import hashlib
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from burnqed.assemble.config import RunConfig
from burnqed.assemble.parts import Parts, model_format
from burnqed.core.errors import BadInput
from burnqed.core.seeding import child_seed
from burnqed.data.manifest import FileCard, Manifest
from burnqed.evaluate.record import EncoderFigures

if TYPE_CHECKING:  # torch and numpy are loaded for those who use them
    from burnqed.joint.ebm_head import GoalConditionedEnergyHead
    from burnqed.joint.head_data import Vectors
    from burnqed.joint.held_out import HeldOut
    from burnqed.joint.pairs import Group
    from burnqed.models.encoder import Encoder

VALID, TRAIN = "valid", "train"


def check_measurable(config: RunConfig) -> None:
    """Raise BadInput unless the system has a model in this process and a head on its embeddings."""
    if config.policy.kind != "model":
        raise BadInput(f"--pairs measures a model in this process, and the policy is {config.policy.kind}")
    if config.value.kind != "head":
        raise BadInput(f"--pairs measures an energy head in this process, and the value is {config.value.kind}")
    if config.value.encoder not in (None, config.policy.model):
        raise BadInput("--pairs measures a head on the policy's own embeddings, and value.encoder names another model")


def held_out_groups(pairs: Sequence[Path]) -> tuple[list[Group], str, str]:
    """The held-out groups in files of pairs, the files in words, and their hash. Raises BadInput where nothing is held out."""
    from burnqed.joint.pairs import pair_files, read_groups

    files = pair_files(pairs)
    reading = Manifest(step="evaluate pairs")
    groups = read_groups(files, reading)
    held = [g for g in groups if g.split == VALID] or [g for g in groups if g.split != TRAIN]
    told = ", ".join(map(str, pairs))
    if not held:
        raise BadInput(f"{told}: no pair in it is held out (split {VALID}); {reading.told()}")
    digest = hashlib.sha256("\n".join(FileCard.of(file).sha256 for file in files).encode()).hexdigest()
    return held, told, digest


async def measure_encoder(
    config: RunConfig, parts: Parts, pairs: Sequence[Path], before: EncoderFigures | None
) -> EncoderFigures:
    """Embed and judge the held-out pairs with the system's own model and head; ``before``, of this system, if it is of the same.

    Raises BadInput as :func:`check_measurable` and :func:`held_out_groups` do, ModelMismatch when the head is another encoder's.
    """
    from burnqed.joint.energy_head import load_trained
    from burnqed.models.encoder import Encoder

    check_measurable(config)
    groups, told, digest = held_out_groups(pairs)
    assert parts.model is not None
    assert config.policy.model is not None
    assert config.value.head is not None
    head, card, _ = load_trained(config.value.head)
    form = model_format(config.policy.model, config.policy.prompt_format)
    encoder = Encoder(parts.model, form, max_batch_tokens=config.value.batch_tokens, max_tokens=card.max_tokens)
    card.require(encoder.card, what=f"the energy head in {config.value.head}", accepted=config.value.accept)
    if before is not None and (before.pairs_sha256, before.encoder) == (digest, encoder.card.digest):
        return before

    def work() -> dict[str, float]:
        with tempfile.TemporaryDirectory(prefix="burnqed-pairs-") as scratch:
            held, vectors = _held_out(groups, encoder, Path(scratch))
            return {**_judged(held, head, vectors), **_separated(held, vectors)}

    figures = await parts.model.run(work)
    return EncoderFigures(pairs=told, pairs_sha256=digest, encoder=encoder.card.digest, figures=figures)


def _held_out(groups: Sequence[Group], encoder: Encoder, scratch: Path) -> tuple[HeldOut, Vectors]:
    """The groups with negatives drawn for them, as the training of a head holds them out, and the vectors of their texts."""
    import torch

    from burnqed.joint.decoupled_config import DecoupledConfig
    from burnqed.joint.embed import embed_texts, texts_of
    from burnqed.joint.embeddings import Embeddings
    from burnqed.joint.head_data import Vectors, embedded
    from burnqed.joint.held_out import HeldOut

    embed_texts(texts_of(groups), encoder, scratch, reading=Manifest(step="evaluate pairs"))
    embeddings = Embeddings.open(scratch, encoder.card)
    kept = embedded(groups, embeddings, encoder.tally)
    vectors = Vectors(texts_of(kept), embeddings, torch.device("cpu"))
    return HeldOut(kept, vectors, DecoupledConfig()), vectors


def _judged(held: HeldOut, head: GoalConditionedEnergyHead, vectors: Vectors) -> dict[str, float]:
    found = held.measure(head, vectors.matrix)
    for name, figures in held.baselines().items():
        found |= {f"trivial.{name}.{key.removeprefix('ebm.')}": value for key, value in figures.items()}
    return found


def _separated(held: HeldOut, vectors: Vectors) -> dict[str, float]:
    """How far provable states lie from the others; each text once with a label."""
    from burnqed.joint.config import MonitorConfig
    from burnqed.joint.monitoring import flatten, separation_probe

    states = {(g.positive, True): (g.theorem, g.depth) for g in held.groups}
    for negatives in held.negatives:
        states |= {(n.state, False): (n.theorem, n.depth) for n in negatives}
    chosen = list(states.items())
    random.Random(child_seed(0, "probed states")).shuffle(chosen)
    chosen = chosen[: MonitorConfig().states]
    texts = [text for (text, _), _ in chosen]
    probe = separation_probe(
        vectors.matrix[[vectors.row[text] for text in texts]].numpy(),
        [label for (_, label), _ in chosen],
        [theorem for _, (theorem, _) in chosen],
        [depth for _, (_, depth) in chosen],
        texts,
    )
    return flatten(probe=probe)
