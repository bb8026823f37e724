"""How long the energy head takes for 1,000 pairs at full size (27.8M parameters), against the module as it is trained."""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch

from burnqed.core.encoder_card import EncoderCard
from burnqed.joint.ebm_head import GoalConditionedEnergyHead, HeadConfig
from burnqed.joint.energy_head import EnergyHead


def milliseconds(work: Callable[[], object], *, device: str, repeats: int) -> float:
    """The median over repeats, after a warm-up."""
    times = []
    for number in range(repeats + 3):
        if device != "cpu":
            torch.cuda.synchronize()
        began = time.perf_counter()
        work()
        if device != "cpu":
            torch.cuda.synchronize()
        if number >= 3:
            times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dim", type=int, default=4096)
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=20)
    options = parser.parse_args()
    torch.manual_seed(0)
    head = GoalConditionedEnergyHead(HeadConfig(dim=options.dim)).eval()
    card = EncoderCard(model="random", tokenizer="", prompt_format="markers", dim=options.dim, max_tokens=512)
    scorer = EnergyHead(head, card, device=options.device)
    module = head.to(options.device)
    z_state, z_goal = (torch.randn(options.pairs, options.dim, device=options.device) for _ in range(2))

    @torch.no_grad()
    def as_trained() -> torch.Tensor:
        return module(z_state, z_goal)

    difference = (scorer.energies(z_state, z_goal) - as_trained().cpu()).abs().max().item()
    ours = milliseconds(lambda: scorer.energies(z_state, z_goal), device=options.device, repeats=options.repeats)
    theirs = milliseconds(as_trained, device=options.device, repeats=options.repeats)
    print(
        json.dumps(
            {
                "device": torch.cuda.get_device_name() if options.device != "cpu" else "cpu",
                "threads": torch.get_num_threads(),
                "parameters": sum(p.numel() for p in head.parameters()),
                "pairs": options.pairs,
                "ms": round(ours, 3),
                "module_ms": round(theirs, 3),
                "largest_difference": difference,
            }
        )
    )


if __name__ == "__main__":
    main()
