"""Sampling in process: our generation beside transformers' ``generate``, same model, same run.

Random weights of a given shape. Prompts are fresh for each measurement, so that nothing is known already. Prints one JSON
object: seconds of both (and of processor time, which other programs disturb less), completions and tokens a second, how far
our log-probabilities are from a plain forward pass (beside how far two plain passes in different batches are from each
other), and what one prefill for value and policy saves.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from burnqed.models.language_model import LanguageModel

SHAPES = {
    "7b": {"hidden_size": 4096, "num_hidden_layers": 30, "num_attention_heads": 32, "intermediate_size": 11008},
    "tiny": {"hidden_size": 384, "num_hidden_layers": 8, "num_attention_heads": 6, "intermediate_size": 1024},
}
VOCABULARY = {"7b": 102400, "tiny": 8192}
DTYPE = {"7b": torch.bfloat16, "tiny": torch.float32}
EOS = 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=sorted(SHAPES), default="tiny")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--states", type=int, default=8)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--prompt-tokens", type=int, default=256)
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--top-p", type=float, default=0.95)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--eager", action="store_true", help="on a GPU: without recorded graphs")
    args = parser.parse_args()
    model = language_model(args.shape, torch.device(args.device))
    if args.eager:
        model._recorder = None
    fresh = Prompts(args.states, args.prompt_tokens, VOCABULARY[args.shape])
    how = {"n": args.samples, "temperature": 1.0, "top_p": args.top_p, "max_new_tokens": args.new_tokens}
    result: dict[str, Any] = {
        "shape": args.shape,
        "device": torch.cuda.get_device_name() if args.device != "cpu" else f"cpu, {torch.get_num_threads()} threads",
        "versions": f"torch {torch.__version__}, transformers {transformers.__version__}",
        "parameters_millions": round(sum(p.numel() for p in model.model.parameters()) / 1e6, 1),
        "states": args.states,
        "prompt_tokens": args.prompt_tokens,
        **how,
    }
    result["burnqed"] = speed(lambda: ours(model, fresh(), how), args)
    result["transformers_generate"] = speed(lambda: theirs(model, fresh(), how, logits=False), args)
    result["transformers_generate_with_logprobs"] = speed(lambda: theirs(model, fresh(), how, logits=True), args)
    result["times_faster"] = round(
        result["burnqed"]["tokens_per_s"] / result["transformers_generate"]["tokens_per_s"], 2
    )
    result["logprobs"] = exactness(model, fresh(), how)
    result["one_prefill"] = sharing(model, fresh, how, args)
    result["survived"] = dict(model.tally.examples)
    print(json.dumps(result, indent=1))


class Prompts:
    """Random prompts of about the given length (up to an eighth shorter), never the same twice."""

    def __init__(self, states: int, tokens: int, vocabulary: int) -> None:
        self._shape = (states, tokens)
        self._vocabulary = vocabulary
        self._random = torch.Generator().manual_seed(0)

    def __call__(self) -> list[list[int]]:
        rows = torch.randint(2, self._vocabulary, self._shape, generator=self._random).tolist()
        return [row[: len(row) - number % (1 + len(row) // 8)] for number, row in enumerate(rows)]


def language_model(shape: str, device: torch.device) -> LanguageModel:
    """A random model with one word for each token."""
    size = VOCABULARY[shape]
    words = {"?": 0, "</s>": EOS} | {f"w{i}": i for i in range(2, size)}
    inner = Tokenizer(models.WordLevel(words, unk_token="?"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="</s>", unk_token="?")
    config = LlamaConfig(vocab_size=size, eos_token_id=EOS, max_position_embeddings=4096, **SHAPES[shape])
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(DTYPE[shape])
    try:
        with device:
            model = LlamaForCausalLM(config).eval().requires_grad_(False)
    finally:
        torch.set_default_dtype(before)
    return LanguageModel(model, tokenizer, name=shape, dtype=str(DTYPE[shape]))


def ours(model: LanguageModel, prompts: list[list[int]], how: dict[str, Any]) -> int:
    """Tokens that were written."""
    drawn = model.sample(prompts, seeds=list(range(len(prompts))), **how)
    return sum(len(one.ids) for each in drawn for one in each)


@torch.inference_mode()
def theirs(model: LanguageModel, prompts: list[list[int]], how: dict[str, Any], *, logits: bool) -> int:
    """The same by transformers, as its documentation does it: left padding, ``num_return_sequences``."""
    longest = max(map(len, prompts))
    ids = torch.tensor([[0] * (longest - len(p)) + p for p in prompts], device=model.device)
    mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts], device=model.device)
    out = model.model.generate(
        ids,
        attention_mask=mask,
        do_sample=True,
        temperature=how["temperature"],
        top_p=how["top_p"],
        top_k=0,
        num_return_sequences=how["n"],
        max_new_tokens=how["max_new_tokens"],
        pad_token_id=0,
        return_dict_in_generate=True,
        output_logits=logits,
    )
    if logits:
        model.model.compute_transition_scores(out.sequences, out.logits, normalize_logits=True).tolist()
    new = out.sequences[:, longest:]
    return int((new != 0).sum())


def speed(work: Callable[[], int], args: argparse.Namespace) -> dict[str, float]:
    """The median of some runs, after one that does not count."""
    work()
    seconds, tokens = [], 0
    busy = time.process_time()
    for _ in range(args.repeat):
        took, tokens = timed(work, args.device)
        seconds.append(took)
    busy = time.process_time() - busy
    middle = statistics.median(seconds)
    return {
        "seconds": round(middle, 4),
        "processor_seconds": round(busy / args.repeat, 4),
        "completions_per_s": round(args.states * args.samples / middle, 2),
        "tokens_per_s": round(tokens / middle, 1),
    }


def timed(work: Callable[[], Any], device: str) -> tuple[float, Any]:
    """Seconds until all of it is done, and what came of it."""
    if device != "cpu":
        torch.cuda.synchronize()
    start = time.perf_counter()
    found = work()
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - start, found


def exactness(model: LanguageModel, prompts: list[list[int]], how: dict[str, Any]) -> dict[str, float]:
    """Log-probabilities as sampled beside those of a plain forward pass over prompt and completion."""
    drawn = model.sample(prompts, seeds=list(range(len(prompts))), **how)
    rows = [[*p, *one.ids] for p, each in zip(prompts, drawn, strict=True) for one in each]
    starts = [len(p) for p, each in zip(prompts, drawn, strict=True) for _ in each]
    sampled = [one.logprobs for each in drawn for one in each]
    together = model.logprobs(rows[:16], starts[:16])
    alone = [model.logprobs([row], [start])[0] for row, start in zip(rows[:16], starts[:16], strict=True)]
    return {
        "largest_difference_from_a_plain_pass": largest(sampled, alone),
        "mean_difference_of_a_completion": statistics.mean(
            abs(sum(a) - sum(b)) for a, b in zip(sampled, alone, strict=False)
        ),
        "two_plain_passes_in_other_batches_differ_by": largest(together, alone),
    }


def largest(first: Any, second: Any) -> float:
    return max(abs(a - b) for x, y in zip(first, second, strict=False) for a, b in zip(x, y, strict=True))


def sharing(model: LanguageModel, fresh: Prompts, how: dict[str, Any], args: argparse.Namespace) -> dict[str, Any]:
    """Value, then policy, on the same states: pooled vectors and samples with one forward pass, and with one each."""
    short = {**how, "max_new_tokens": min(16, how["max_new_tokens"])}
    told: dict[str, Any] = {"new_tokens": short["max_new_tokens"]}
    for name, keep in (("shared", True), ("apart", False)):
        seconds, busy = [], 0.0
        for number in range(args.repeat + 1):
            prompts = fresh()
            before = model.savings.tokens_run
            started = time.process_time()

            def both(prompts: list[list[int]] = prompts, keep: bool = keep) -> None:
                model.embed(prompts, keep=keep)
                ours(model, prompts, short)

            took, _ = timed(both, args.device)
            if number:
                seconds.append(took)
                busy += time.process_time() - started
        told[name] = {
            "seconds": round(statistics.median(seconds), 4),
            "processor_seconds": round(busy / args.repeat, 4),
            "prompt_tokens_run": model.savings.tokens_run - before,
        }
    for unit in ("seconds", "processor_seconds"):
        told[f"saved_percent_of_{unit}"] = round(100 * (1 - told["shared"][unit] / told["apart"][unit]), 1)
    return told


if __name__ == "__main__":
    main()
