"""Proposals a second of a prover on this machine: 8 states, 8 samples each, beside transformers' own ``generate``.

Both draw with the prover's sampling settings, at the same number of threads, on prompts that were not seen before, in turns. Of
ours the energies of the states are measured too, by themselves and together with the proposals (one pass serves both). Lengths
are what the model makes of it: an untrained one writes to the limit of tokens. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import transformers

from burnqed.assemble.config import RunConfig
from burnqed.assemble.parts import model_format
from burnqed.assemble.prover_folder import HEAD, ProverFolder
from burnqed.assemble.provers import Provers
from burnqed.assemble.sources import load_settings
from burnqed.core.state import Goal, ProofState, Variable
from burnqed.joint.energy_head import load_head
from burnqed.models.encoder import Encoder
from burnqed.models.language_model import LanguageModel
from burnqed.policy.config import SamplingConfig

STATES = (
    ({"n": "Nat"}, "n + 0 = n"),
    ({"p": "Prop", "q": "Prop", "h": "p ∧ q"}, "q ∧ p"),
    ({"a": "Int", "b": "Int", "h": "a < b", "h1": "¬b ≤ 2 * a"}, "∃ x, a ≤ x ∧ x < b"),
    ({"α": "Type", "xs": "List α", "ys": "List α"}, "(xs ++ ys).length = ys.length + xs.length"),
    ({"f": "Nat → Nat", "hf": "∀ m n, f (m + n) = f m + f n", "k": "Nat"}, "f (3 * k) = f k + f k + f k"),
    ({"x": "Rat", "y": "Rat", "h": "x * y = 1", "h0": "0 < x"}, "(x + y) ^ 2 ≥ 4 ∧ 0 < y"),
    ({"s": "Nat → Nat", "h0": "s 0 = 0", "hs": "∀ n, s (n + 1) = s n + (2 * n + 1)", "n": "Nat"}, "s n = n ^ 2"),
    (
        {"α": "Type", "r": "α → α → Prop", "ht": "∀ a b c, r a b → r b c → r a c", "x": "α", "hx": "¬r x x"},
        "∀ y, ¬(r x y ∧ r y x)",
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prover", help="a name of `burnqed models list`, or a prover's folder")
    parser.add_argument("--rows", type=Path, help="training rows; their prompts instead of eight built-in states")
    parser.add_argument("--states", type=int, default=8)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeat", type=int, default=10)
    args = parser.parse_args()
    prover = Provers.here().find(args.prover)
    if prover is None:
        raise SystemExit("the menu has no model to measure")
    torch.set_num_threads(args.threads)
    config = load_settings(RunConfig, environment={}, flags={}, defaults=prover.settings)
    model = LanguageModel.load(prover.model, device=args.device, dtype=config.policy.dtype)
    batches = prompts(model, prover, args)
    how = config.policy.sampling.model_copy(update={"samples": args.samples})
    ways: dict[str, Callable[[list[list[int]]], int]] = {
        "burnqed": lambda ids: ours(model, ids, how),
        "transformers_generate": lambda ids: theirs(model, ids, how),
    }
    if (prover.path / HEAD).exists():
        ways |= with_energies(model, prover, how)
    result: dict[str, Any] = {
        "prover": prover.name,
        "parameters_millions": round(sum(p.numel() for p in model.model.parameters()) / 1e6, 1),
        "device": f"cpu, {args.threads} threads" if args.device == "cpu" else torch.cuda.get_device_name(),
        "versions": f"torch {torch.__version__}, transformers {transformers.__version__}",
        "states": args.states,
        "samples": args.samples,
        "max_new_tokens": how.max_new_tokens,
        "repeats": args.repeat,
        **measured(ways, batches, args),
    }
    ratio = result["burnqed"]["proposals_per_s"] / result["transformers_generate"]["proposals_per_s"]
    print(json.dumps(result | {"times_faster": round(ratio, 2)}, indent=1))


def prompts(model: LanguageModel, prover: ProverFolder, args: argparse.Namespace) -> Iterator[list[list[int]]]:
    """Batches of prompts as tokens, none of which came before."""
    form = model_format(prover.model, "")
    most = model.max_tokens * 3 // 4
    if args.rows is not None:
        texts = dict.fromkeys(json.loads(line)["prompt"] for line in args.rows.read_text(encoding="utf-8").splitlines())
        rows = [ids for ids in map(model.token_ids, texts) if len(ids) <= most]
        yield from (rows[at : at + args.states] for at in range(0, len(rows) - args.states + 1, args.states))
        raise SystemExit("there are not enough different prompts in the rows; lower --repeat")
    number = 0
    while True:
        batch = []
        for at in range(args.states):
            names, target = STATES[at % len(STATES)]
            own = tuple(Variable(*pair) for pair in {**names, f"h{number}_{at}": "True"}.items())
            batch.append(model.token_ids(form.prompt(ProofState((Goal(own, target),)))))
        number += 1
        yield batch


def measured(
    ways: dict[str, Callable[[list[list[int]]], int]], batches: Iterator[list[list[int]]], args: argparse.Namespace
) -> dict[str, Any]:
    """Medians of each way, all in turns, after a round that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    tokens: dict[str, list[int]] = {name: [] for name in ways}
    for turn in range(args.repeat + 1):
        for name, way in ways.items():
            ids = next(batches)
            began = time.perf_counter()
            written = way(ids)
            if turn:
                seconds[name].append(time.perf_counter() - began)
                tokens[name].append(written)
    found = {}
    for name in ways:
        middle = statistics.median(seconds[name])
        found[name] = {"seconds": round(middle, 3)}
        if any(tokens[name]):
            found[name] |= {
                "proposals_per_s": round(args.states * args.samples / middle, 1),
                "tokens_per_s": round(statistics.mean(tokens[name]) / statistics.mean(seconds[name]), 0),
            }
        else:
            found[name]["states_per_s"] = round(args.states / middle, 1)
    return found


def ours(model: LanguageModel, ids: list[list[int]], how: SamplingConfig) -> int:
    """Tokens that were written."""
    drawn = model.sample(
        ids,
        n=how.samples,
        temperature=how.temperature,
        top_p=how.top_p,
        max_new_tokens=how.max_new_tokens,
        seeds=list(range(len(ids))),
    )
    return sum(len(one.ids) for each in drawn for one in each)


@torch.inference_mode()
def theirs(model: LanguageModel, ids: list[list[int]], how: SamplingConfig) -> int:
    """The same by transformers, as its documentation does it: left padding, ``num_return_sequences``."""
    longest = max(map(len, ids))
    pad = model.tokenizer.pad_token_id
    out = model.model.generate(
        torch.tensor([[pad] * (longest - len(p)) + p for p in ids], device=model.device),
        attention_mask=torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in ids], device=model.device),
        do_sample=True,
        temperature=how.temperature,
        top_p=how.top_p,
        top_k=0,
        num_return_sequences=how.samples,
        max_new_tokens=how.max_new_tokens,
        pad_token_id=pad,
    )
    return int((out[:, longest:] != pad).sum())


def with_energies(
    model: LanguageModel, prover: ProverFolder, how: SamplingConfig
) -> dict[str, Callable[[list[list[int]]], int]]:
    """Energies by themselves, and energies followed by proposals for the same states."""
    head = load_head(prover.path / HEAD)
    encoder = Encoder(model, model_format(prover.model, ""), max_tokens=head.card.max_tokens, keep=True)
    head.card.require(encoder.card, what=f"the head of {prover.name}", accepted=("dtype",))

    def energies(ids: list[list[int]]) -> int:
        z = encoder.embed(ids)
        head.energies(z, z)
        return 0

    def both(ids: list[list[int]]) -> int:
        energies(ids)
        return ours(model, ids, how)

    return {"burnqed_energies": energies, "burnqed_energies_then_proposals": both}


if __name__ == "__main__":
    main()
