"""The encode server end to end, through HTTP, against the bare forward pass of the same model in the same run.

    python benchmarks/encode_server.py                                  two cores, 25M parameters, 128 tokens
    python benchmarks/encode_server.py --shape 7b --device cuda         one large GPU, 256 tokens, bf16
    python benchmarks/encode_server.py --shape 7b --device cuda --quantization nf4 --states 512

The weights are random. The bare pass is the fastest plain loop there is: tokens ready, texts sorted by length, batches as large
as the server's, pooled on the device, and no synchronisation before the end. The server has its tokenizer, batching, base64 and
HTTP to do besides; its clients are threads of another process of this machine. Rounds alternate, and nothing is cached.
"""

from __future__ import annotations

import argparse
import base64
import functools
import http.client
import json
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

SHAPES: dict[str, dict[str, int]] = {
    "tiny": {"hidden": 64, "layers": 2, "heads": 4, "intermediate": 128, "vocab": 400, "tokens": 64},
    "25m": {"hidden": 512, "layers": 8, "heads": 8, "intermediate": 1376, "vocab": 400, "tokens": 128},
    "7b": {"hidden": 4096, "layers": 30, "heads": 32, "intermediate": 11008, "vocab": 102400, "tokens": 256},
}


def main() -> None:
    options = arguments()
    if options.client:
        print(json.dumps(be_the_clients(options.client, Path(options.texts), options.clients, options.per_request)))
        return
    print(json.dumps(measure(options)))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=sorted(SHAPES), default="25m")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], help="default: float32 on cpu, else bfloat16")
    parser.add_argument("--quantization", choices=["none", "nf4"], default="none")
    parser.add_argument("--tokens", type=int, help="the mean length of a text (default: by the shape)")
    parser.add_argument("--spread", type=float, help="lengths vary by this share to both sides (default: 0.25; 7b: 0)")
    parser.add_argument("--batch", type=int, help="texts of a batch (default: 16, on a GPU 64)")
    parser.add_argument("--states", type=int, help="texts of a round (default: 12 batches)")
    parser.add_argument(
        "--per-request", type=int, default=8, help="texts of a request (a search scores eight at a time)"
    )
    parser.add_argument(
        "--clients", type=int, help="clients, each waiting for its answer (default: as ask for four batches together)"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--client", help=argparse.SUPPRESS)
    parser.add_argument("--texts", help=argparse.SUPPRESS)
    options = parser.parse_args()
    on_gpu = options.device.startswith("cuda")
    options.dtype = options.dtype or ("bfloat16" if on_gpu else "float32")
    options.batch = options.batch or (64 if on_gpu else 16)
    options.states = options.states or 12 * options.batch
    options.clients = options.clients or max(1, 4 * options.batch // options.per_request)
    if options.spread is None:
        options.spread = 0.0 if options.shape == "7b" else 0.25
    options.tokens = options.tokens or SHAPES[options.shape]["tokens"]
    return options


def measure(options: argparse.Namespace) -> dict[str, Any]:
    import torch

    from burnqed.models.encoder import Encoder
    from burnqed.prompts.formats import prompt_format

    began = time.perf_counter()
    model = random_model(options)
    encoder = Encoder(model, prompt_format("markers"), max_batch_tokens=0)
    texts = make_texts(model.token_ids, options)
    rows = sorted((model.token_ids(text) for text in texts), key=len)
    # So many tokens that the server's batches are as large as those of the bare pass.
    encoder.max_batch_tokens = options.batch * statistics.mean(map(len, rows)).__ceil__()
    ready_s = time.perf_counter() - began
    memory: dict[str, Any] = {}
    if options.device.startswith("cuda"):
        # What loading needed for a moment is told apart from what serving needs.
        memory["making_peak_mb"] = round(torch.cuda.max_memory_allocated() / 1e6, 1)
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()

    bare(model, rows[-options.batch :], options.batch)
    expected = bare(model, rows, options.batch)[1]
    rounds: list[tuple[float, float]] = []
    with Served(encoder) as server:
        for number in range(options.rounds + 1):
            model.forget()
            bare_s = bare(model, rows, options.batch)[0]
            model.forget()
            http_s = ask_for_all(server.url, texts, options)
            if number:  # the first one warms up
                rounds.append((len(rows) / bare_s, len(rows) / http_s))
        found = encoder.embed(rows)
        info = json.loads(get(server.url, "/model_info"))
    bare_rate, http_rate = (statistics.median(rates) for rates in zip(*rounds, strict=True))
    memory["server"] = info["memory_mb"]
    if options.device.startswith("cuda"):
        memory["torch_reserved_peak_mb"] = round(torch.cuda.max_memory_reserved() / 1e6, 1)
        memory["gpu"] = torch.cuda.get_device_name()
    return {
        "shape": options.shape,
        "device": options.device,
        "dtype": options.dtype,
        "quantization": options.quantization,
        "parameters": parameters(**SHAPES[options.shape]),
        "states": len(rows),
        "tokens_mean": round(statistics.mean(map(len, rows)), 1),
        "batch": options.batch,
        "server_texts_per_batch": info["texts_per_batch"],
        "clients": options.clients,
        "texts_per_request": options.per_request,
        "rounds_states_per_s": [
            {"bare": round(b, 2), "http": round(h, 2), "ratio": round(h / b, 3)} for b, h in rounds
        ],
        "bare_states_per_s": round(bare_rate, 2),
        "http_states_per_s": round(http_rate, 2),
        "ratio": round(statistics.median(h / b for b, h in rounds), 3),
        "largest_difference": float((found - expected).abs().max()),
        "memory": memory,
        "ready_s": round(ready_s, 1),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def parameters(*, hidden: int, layers: int, intermediate: int, vocab: int, **_: int) -> int:
    """All that embedding needs: no output layer."""
    return layers * (4 * hidden**2 + 3 * hidden * intermediate + 2 * hidden) + vocab * hidden + hidden


def bare(model: Any, rows: list[list[int]], batch: int) -> tuple[float, Any]:
    """Seconds and vectors of a plain loop over padded batches."""
    import torch

    device, base = model.device, model.model.base_model
    pooled = []
    began = time.perf_counter()
    with torch.inference_mode():
        for at in range(0, len(rows), batch):
            some = rows[at : at + batch]
            longest = max(map(len, some))
            ids = torch.tensor([row + [0] * (longest - len(row)) for row in some], device=device)
            mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in some], device=device)
            hidden = base(input_ids=ids, use_cache=False).last_hidden_state
            pooled.append((hidden * mask[:, :, None]).sum(1, dtype=torch.float32) / mask.sum(1)[:, None])
        vectors = torch.cat(pooled).cpu()
    return time.perf_counter() - began, vectors


class Served:
    """The real server under uvicorn, on a thread of this process, beside its model."""

    def __init__(self, encoder: Any) -> None:
        import uvicorn

        from burnqed.serve.encode_app import create_encode_app

        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"127.0.0.1:{self._listener.getsockname()[1]}"
        config = uvicorn.Config(create_encode_app(encoder, name="random"), log_level="warning", access_log=False)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._listener]})

    def __enter__(self) -> Served:
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()


def ask_for_all(url: str, texts: list[str], options: argparse.Namespace) -> float:
    """Seconds from the first request to the last answer, as the clients' process measures them."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(texts, file)
        file.flush()
        command = [sys.executable, __file__, "--client", url, "--texts", file.name]
        command += ["--clients", str(options.clients), "--per-request", str(options.per_request)]
        told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert told["vectors"] == len(texts), told
    return float(told["seconds"])


def be_the_clients(url: str, file: Path, clients: int, per_request: int) -> dict[str, float]:
    """Ask for all texts, each client for ``per_request`` of them at a time."""
    texts = json.loads(file.read_text())
    bodies = [
        json.dumps({"text": texts[at : at + per_request], "format": "base64"}).encode()
        for at in range(0, len(texts), per_request)
    ]
    got: list[int] = []
    lock = threading.Lock()

    def ask() -> None:
        connection = http.client.HTTPConnection(url, timeout=600)
        while True:
            with lock:
                if not bodies:
                    return
                body = bodies.pop()
            connection.request("POST", "/encode", body, {"Content-Type": "application/json"})
            answer = json.loads(connection.getresponse().read())
            data = base64.b64decode(answer["embeddings_b64"])
            assert len(data) == 2 * answer["shape"][0] * answer["shape"][1]
            with lock:
                got.append(answer["shape"][0])

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"seconds": time.perf_counter() - began, "vectors": sum(got)}


def get(url: str, path: str) -> bytes:
    connection = http.client.HTTPConnection(url, timeout=60)
    connection.request("GET", path)
    return connection.getresponse().read()


def make_texts(token_ids: Any, options: argparse.Namespace) -> list[str]:
    """Lean-like texts, each different, of about as many tokens as asked for."""
    from burnqed.testing.tiny_model import LEAN_LINES

    rng = random.Random(0)
    words = [word for line in LEAN_LINES for word in line.split()]
    texts = []
    for number in range(options.states):
        wanted = round(options.tokens * rng.uniform(1 - options.spread, 1 + options.spread))
        line = f"[GOAL]{number} {' '.join(rng.choices(words, k=2 * wanted))}"
        # Longer than needed by some factor; cut where the tokens are enough, which a few guesses find.
        while (length := len(token_ids(line)) + 1) > wanted:
            line = line[: max(1, min(len(line) - 1, len(line) * wanted // length))]
        # The tokenizer knows no token with this sign but the sign itself.
        texts.append(f"{line}{'#' * (wanted - length)}[PROOFSTEP]")
    return texts


def random_model(options: argparse.Namespace) -> Any:
    """A Llama of the shape without an output layer. A large one is made on the GPU, and quantized layer by layer."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM
    from transformers.models.llama.modeling_llama import LlamaDecoderLayer

    from burnqed.models.encoder import drop_output_layer
    from burnqed.models.language_model import LanguageModel
    from burnqed.testing.tiny_model import make_tokenizer

    shape, dtype, device = SHAPES[options.shape], getattr(torch, options.dtype), torch.device(options.device)
    tokenizer = make_tokenizer()
    make = functools.partial(
        LlamaConfig,
        vocab_size=shape["vocab"],
        hidden_size=shape["hidden"],
        intermediate_size=shape["intermediate"],
        num_attention_heads=shape["heads"],
        num_key_value_heads=shape["heads"],
        max_position_embeddings=2048,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        attn_implementation="sdpa",
    )
    config = make(num_hidden_layers=shape["layers"])
    torch.manual_seed(0)
    torch.set_default_dtype(dtype)
    with device:
        model = LlamaForCausalLM(make(num_hidden_layers=0))
        for number in range(shape["layers"]):
            layer = LlamaDecoderLayer(config, number)
            model.model.layers.append(quantized(layer) if options.quantization == "nf4" else layer)
    torch.set_default_dtype(torch.float32)
    model.config.num_hidden_layers = model.model.config.num_hidden_layers = shape["layers"]
    model = model.eval().requires_grad_(False)
    language_model = LanguageModel(
        model, tokenizer, name="random", dtype=options.dtype, quantization=options.quantization
    )
    drop_output_layer(language_model)
    return language_model


def quantized(layer: Any) -> Any:
    """The same layer, its matrices in nf4 with double quantization, as loading with bitsandbytes makes them."""
    import torch
    from bitsandbytes.nn import Linear4bit, Params4bit

    for name, part in list(layer.named_modules()):
        if not isinstance(part, torch.nn.Linear):
            continue
        with torch.device("meta"):
            small = Linear4bit(
                part.in_features, part.out_features, bias=False, compute_dtype=part.weight.dtype, quant_type="nf4"
            )
        weight = Params4bit(part.weight.data, requires_grad=False, compress_statistics=True, quant_type="nf4")
        small.weight = weight.to(part.weight.device)
        layer.set_submodule(name, small)
    return layer


if __name__ == "__main__":
    main()
