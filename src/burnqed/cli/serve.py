"""`burnqed serve`: model servers."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Annotated

import typer

from burnqed.core.errors import BadInput

app = typer.Typer(
    help="Model servers: `policy` writes tactics for a search, `encode` embeds states and judges them.",
    no_args_is_help=True,
)

Host = Annotated[str, typer.Option(help="The address to listen on. Any but this machine's own needs a token.")]
Token = Annotated[
    str,
    typer.Option(envvar="BURNQED_TOKEN", help="What clients must send as a bearer token; better in the environment."),
]
Device = Annotated[str, typer.Option(help="auto (a GPU if there is one), cpu, cuda, cuda:1")]
Dtype = Annotated[
    str, typer.Option(help="auto (the model's own on a GPU, float32 on a processor), float32, bfloat16, float16")
]
Quantization = Annotated[
    str, typer.Option(help="none, int8 or nf4 (with bitsandbytes: `pip install 'burnqed\\[quant]'`)")
]

BatchTokens = Annotated[
    int | None,
    typer.Option(min=64, help="Tokens computed at once, padding included. Default: 8192 on a GPU, else 2048."),
]


@app.command("policy")
def policy(
    model: Annotated[Path, typer.Argument(help="A model folder as transformers saves it (config.json, safetensors).")],
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 = any free one.")] = 30000,
    token: Token = "",
    device: Device = "auto",
    dtype: Dtype = "auto",
    quantization: Quantization = "none",
    scaled_logprobs: Annotated[
        bool,
        typer.Option(
            "--scaled-logprobs", help="Report log-probabilities after temperature, as SGLang does by default."
        ),
    ] = False,
    seed: Annotated[int, typer.Option(help="Of what is drawn for requests without a seed.")] = 0,
    batch: Annotated[int, typer.Option(min=1, help="Completions that are drawn at once.")] = 256,
) -> None:
    """Serve a language model for `burnqed prove`, without SGLang: its `/generate`, and `/v1/completions`.

    For a laptop, a small model, a test. A large model on a GPU is faster behind SGLang itself; both are used the same way.

    [bold]Examples[/bold]

      burnqed serve policy models/tiny

      burnqed prove examples/core.jsonl --policy sglang:http://127.0.0.1:30000 --prompt-format marker-text

      BURNQED_TOKEN=… burnqed serve policy models/7b --host 0.0.0.0 --dtype bfloat16

      curl -s 127.0.0.1:30000/generate -H 'content-type: application/json'
      -d '{"text": "…⊢ 1 + 1 = 2…", "sampling_params": {"n": 4, "max_new_tokens": 32}, "return_logprob": true}'
    """
    _require_packages()
    from burnqed.serve.http import open_listener, serve_on

    with open_listener(host, port, token=token) as listener:
        _say(f"loading {model} …")
        # Now, and not before the address is known to be free: they take seconds.
        from burnqed.models.language_model import LanguageModel
        from burnqed.serve.policy_app import create_policy_app
        from burnqed.serve.sampling_queue import PolicyLimits

        loaded = LanguageModel.load(model, device=device, dtype=dtype, quantization=quantization)
        limits = PolicyLimits(batch_samples=batch)
        served = create_policy_app(loaded, limits=limits, seed=seed, scaled_logprobs=scaled_logprobs, token=token)
        serve_on(
            served,
            listener,
            started=lambda url: _say(
                f"{loaded.name} at {url}, {loaded.max_tokens} tokens of context; stop with Ctrl-C"
            ),
        )


@app.command("encode")
def encode(
    model: Annotated[Path, typer.Argument(help="A model folder as transformers saves it (config.json, safetensors).")],
    head: Annotated[
        Path | None,
        typer.Option(help="An energy head trained on this encoder; with it the server answers /energy too."),
    ] = None,
    accept: Annotated[
        list[str] | None,
        typer.Option(help="A field of the encoder card that may differ from the head's, such as dtype; repeatable."),
    ] = None,
    prompt_format: Annotated[
        str,
        typer.Option(
            help="What states look like; default: the head's, else the model's own (burnqed.json), else markers."
        ),
    ] = "",
    max_tokens: Annotated[
        int | None, typer.Option(min=8, help="Longer texts are cut. Default: the head's, else the model's context.")
    ] = None,
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 = any free one.")] = 30001,
    token: Token = "",
    device: Device = "auto",
    dtype: Dtype = "auto",
    quantization: Quantization = "none",
    batch_tokens: BatchTokens = None,
    linger_ms: Annotated[
        float, typer.Option(min=0, help="How long a text waits for others when the model is idle.")
    ] = 5,
    cache: Annotated[
        Path | None,
        typer.Option(help="A file that keeps embeddings beyond this process; several servers may share it."),
    ] = None,
    cache_mb: Annotated[int, typer.Option(min=0, help="Memory for embeddings that were computed before.")] = 256,
) -> None:
    """Serve embeddings of proof states, and with a head their energies, for searches on this or other machines.

    An embedding is the mean of the last hidden state over the tokens of a state's prompt. Requests of all clients are
    put together into batches; what was computed before comes from the cache. A client whose head was trained on another model,
    dtype or prompt format is told so, and not served. `--quantization nf4` needs least memory.

    [bold]Examples[/bold]

      burnqed serve encode models/7b --head heads/iter_1 --quantization nf4 --cache embeddings.sqlite

      burnqed prove examples/core.jsonl --value server:http://127.0.0.1:30001

      curl -s 127.0.0.1:30001/model_info

      curl -s 127.0.0.1:30001/encode -H 'content-type: application/json' -d '{"text": "[GOAL]⊢ 1 + 1 = 2[PROOFSTEP]"}'
    """
    _require_packages()
    from burnqed.assemble.parts import model_format
    from burnqed.joint.energy_head import load_head
    from burnqed.models.embedding_cache import MIB, EmbeddingCache
    from burnqed.models.encoder import Encoder, drop_output_layer
    from burnqed.models.language_model import LanguageModel
    from burnqed.serve.encode_app import create_encode_app
    from burnqed.serve.encode_service import EncodeLimits
    from burnqed.serve.http import open_listener, serve_on

    with open_listener(host, port, token=token) as listener:
        _say(f"loading {model} …")
        loaded_head = load_head(head) if head is not None else None
        named = prompt_format or (loaded_head.card.prompt_format if loaded_head is not None else "")
        form = model_format(model, named)
        loaded = LanguageModel.load(model, device=device, dtype=dtype, quantization=quantization)
        loaded.check(form)
        drop_output_layer(loaded)
        encoder = Encoder(
            loaded,
            form,
            max_batch_tokens=batch_tokens or (2048 if loaded.device.type == "cpu" else 8192),
            max_tokens=max_tokens or (loaded_head.card.max_tokens if loaded_head is not None else None),
            cache=EmbeddingCache(max_bytes=cache_mb * MIB, file=cache),
        )
        if head is not None:
            loaded_head = load_head(head, card=encoder.card, device=loaded.device, accepted=accept or ())
        served = create_encode_app(
            encoder, loaded_head, name=loaded.name, limits=EncodeLimits(linger_ms=linger_ms), token=token
        )
        about = f"{loaded.name} as encoder {encoder.card.digest}, {form.name}, {encoder.max_tokens} tokens"
        serve_on(served, listener, started=lambda url: _say(f"{about}, at {url}; stop with Ctrl-C"))


def _say(text: str) -> None:
    print(f"burnqed: {text}", file=sys.stderr, flush=True)


def _require_packages() -> None:
    """Raise BadInput when burnqed was installed without what servers need."""
    for name in ("fastapi", "uvicorn", "torch", "transformers"):
        if importlib.util.find_spec(name) is None:
            raise BadInput(f"a model server needs {name}; install it with: pip install 'burnqed[serve]'")
