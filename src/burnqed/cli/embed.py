"""`burnqed embed`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from burnqed.cli.serve import BatchTokens, Device, Dtype, Quantization
from burnqed.cli.work_bar import WorkBar
from burnqed.core.errors import BadInput
from burnqed.data.manifest import Manifest


def embed(
    pairs: Annotated[
        list[Path], typer.Argument(metavar="PAIRS…", help="Files or folders that `burnqed data pairs` wrote.")
    ],
    model: Annotated[Path, typer.Option(help="A model folder as transformers saves it (config.json, safetensors).")],
    out: Annotated[Path, typer.Option(help="The folder of the embeddings.")],
    prompt_format: Annotated[
        str, typer.Option(help="What states look like; default: the model's own (burnqed.json), else markers.")
    ] = "",
    max_tokens: Annotated[
        int | None, typer.Option(min=8, help="Longer states are shortened. Default: the model's context.")
    ] = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    quantization: Quantization = "none",
    batch_tokens: BatchTokens = None,
    shard_texts: Annotated[
        int, typer.Option(min=1, help="Texts of one file; as much as a killed run loses at most.")
    ] = 4096,
    half: Annotated[
        bool, typer.Option("--half", help="Store float16: half the size, and vectors that differ in the fourth digit.")
    ] = False,
) -> None:
    """Embed every state and goal of pairs once, for `burnqed train ebm`. Run again, it goes on where it was stopped.

    The vectors are those that a search's value sees of the same states with the same model, format and dtype. The encoder card in
    the folder says which these were; a head trained on them serves no other encoder.

    [bold]Examples[/bold]

      burnqed embed data/pairs --model models/mine --out data/embedded

      burnqed embed data/pairs runs/more/pairs_train.jsonl --model models/7b --quantization nf4 --half --out data/embedded-7b

    """
    try:
        import torch  # noqa: F401  # only to see whether it is there
        import transformers  # noqa: F401
    except ModuleNotFoundError as error:
        raise BadInput(f"embedding needs the package {error.name}: pip install 'burnqed[models]'") from None
    from burnqed.assemble.parts import model_format
    from burnqed.joint.embed import embed_texts, texts_of
    from burnqed.joint.pairs import pair_files, read_groups
    from burnqed.models.encoder import Encoder, drop_output_layer
    from burnqed.models.language_model import LanguageModel

    reading = Manifest(step="pairs", command=f"burnqed {shlex.join(sys.argv[1:])}")
    texts = texts_of(read_groups(pair_files(pairs), reading))
    if not texts:
        raise BadInput(f"{', '.join(map(str, pairs))}: there is no pair that can be used; {reading.told()}")
    print(f"pairs: {reading.told()}", file=sys.stderr)
    form = model_format(model, prompt_format)
    print(f"loading {model} …", file=sys.stderr)
    loaded = LanguageModel.load(model, device=device, dtype=dtype, quantization=quantization)
    loaded.check(form)
    drop_output_layer(loaded)
    encoder = Encoder(
        loaded,
        form,
        max_batch_tokens=batch_tokens or (2048 if loaded.device.type == "cpu" else 8192),
        max_tokens=max_tokens,
    )
    with WorkBar("embedding", waiting=f"{len(texts)} texts") as bar:
        manifest = embed_texts(
            texts,
            encoder,
            out,
            reading=reading,
            shard_texts=shard_texts,
            stored_as="float16" if half else "float32",
            progress=bar.show,
        )
    reasons = [f"{n.count:,} {why}" for of in manifest.dropped.values() for why, n in of.items()]
    left = f"; without one: {', '.join(reasons)}" if reasons else ""
    troubles = f"; {encoder.tally.told()}" if encoder.tally.counts else ""
    print(
        f"{manifest.rows_out:,} vectors of {encoder.card.dim} numbers in {out}, of {manifest.rows_made:,} texts{left}{troubles}",
        file=sys.stderr,
    )
