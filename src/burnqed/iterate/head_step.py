"""The head that is trained on the frozen embeddings of the iteration's model (the seed's configs A and B)."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from burnqed.core.errors import BadInput
from burnqed.data.manifest import Manifest
from burnqed.data.pace import Progress
from burnqed.iterate.context import Context
from burnqed.iterate.digests import of_file, of_model, of_settings
from burnqed.iterate.place import Place
from burnqed.iterate.step import Told
from burnqed.iterate.train_step import has_pairs

_TOLD = ("valid.loss", "ebm.rank_1", "ebm.chance", "ebm.pairwise")


class HeadStep:
    """``head_training/embeddings`` and ``head_training/run``, and in the end ``head/``."""

    name = "head"

    def folders(self, place: Place) -> Sequence[Path]:
        """What the step writes."""
        return (place.head_training, place.head)

    def inputs(self, context: Context) -> dict[str, str]:
        """The model, the pairs, the settings."""
        place, learning = context.place, context.recipe.train
        if not learning.has_head:
            return {"head": "none"}
        found = {f"pairs {p.name}": of_file(p) for p in sorted(place.labels.glob("pairs_*.jsonl"))}
        found["model"] = of_model(model_of(context))
        policy = context.recipe.prove.policy
        # The numbers that embeddings are computed with are in their card, which the training asks for.
        found["settings"] = of_settings(
            learning.decoupled.model_dump(mode="json", exclude={"device"}), policy.dtype, policy.quantization
        )
        return found

    def run(self, context: Context) -> Told:
        """Embed what is not embedded yet, train, or go on training."""
        place, learning = context.place, context.recipe.train
        if not learning.has_head:
            return {}
        if not has_pairs(place, split="train"):
            context.listener.say(
                "there is no pair yet of a proved and a refuted state to learn from: no head is trained"
            )
            return {"pairs": 0}
        from burnqed.joint.decoupled import HeadTraining
        from burnqed.joint.embed import texts_of
        from burnqed.joint.embeddings import Embeddings
        from burnqed.joint.head_report import leave
        from burnqed.joint.pairs import pair_files, read_groups
        from burnqed.train.report import write_report

        embeddings, run = place.head_training / "embeddings", place.head_training / "run"
        reading = Manifest(step="train: pairs", command=f"burnqed iterate run {place.folder.name}")
        groups = read_groups(pair_files([place.labels]), reading)
        _embed(context, texts_of(groups), embeddings, reading)
        context.check_stop()
        training = HeadTraining(
            groups,
            Embeddings.open(embeddings),
            learning.decoupled,
            run,
            resume=True,
            stop=context.stop,
            tell=lambda progress, values: context.listener.show("training the head", progress),
            crossed=lambda c: context.listener.say(f"red line, {c.rule.reaction}: {c.sentence}"),
        )
        ended = training.run()
        context.check_stop()
        leave(training, ended, run, reading=reading, embeddings=embeddings)
        write_report(run, title=f"{place.folder.name}, head on frozen embeddings")
        part = place.folder / ".head"
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(run / "head", part)
        shutil.rmtree(place.head, ignore_errors=True)
        part.rename(place.head)
        told: dict[str, float | int | str] = {"pairs": reading.rows_out, "best step": ended.best_step}
        told |= {} if ended.why == "finished" else {"ended": ended.why}
        return told | {name: round(ended.metrics[name], 4) for name in _TOLD if name in ended.metrics}

    def outputs(self, context: Context) -> dict[str, str]:
        """The weights of the head."""
        learning = context.recipe.train
        if not learning.has_head or not has_pairs(context.place, split="train"):
            return {}
        return {"head": of_model(context.place.head)}


def model_of(context: Context) -> Path:
    """The model whose embeddings it learns on. Raises BadInput when there is none."""
    found = context.place.model_of()
    if found is None:
        raise BadInput(f"{context.place.folder.name} has no model to embed with; train one first (train.mode)")
    return found


def _embed(context: Context, texts: Sequence[str], out: Path, reading: Manifest) -> None:
    from burnqed.assemble.parts import model_format
    from burnqed.joint.embed import embed_texts
    from burnqed.models.encoder import Encoder, drop_output_layer
    from burnqed.models.language_model import LanguageModel

    def embedded(progress: Progress) -> None:
        context.listener.show("embedding", progress)
        context.check_stop()  # between shards: those that are done stay

    model = model_of(context)
    form = model_format(model, "")
    policy, value = context.recipe.prove.policy, context.recipe.prove.value
    loaded = LanguageModel.load(model, device=policy.device, dtype=policy.dtype, quantization=policy.quantization)
    try:
        loaded.check(form)
        drop_output_layer(loaded)
        encoder = Encoder(loaded, form, max_batch_tokens=value.batch_tokens)
        embed_texts(
            texts,
            encoder,
            out,
            reading=reading,
            progress=embedded,
        )
    finally:
        loaded.close()
