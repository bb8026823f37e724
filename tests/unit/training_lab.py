"""Small files of rows and pairs with something to learn in them, for tests of training."""

from __future__ import annotations

from pathlib import Path

import msgspec

from burnqed.core.state import Goal, ProofState, Variable
from burnqed.data.contrastive import ContrastivePair
from burnqed.data.rows import TrainingRow
from burnqed.prompts.formats import prompt_format, training_text
from burnqed.testing.tiny_model import make_tiny_model

SPLITS = {"train": range(24), "valid": range(24, 32)}


def model(folder: Path, **options) -> Path:
    """A tiny model with the markers in its vocabulary."""
    return make_tiny_model(folder, **{"max_positions": 128, **options})


def state(number: int, *, holds: bool, depth: int = 0) -> ProofState:
    """A state that is provable, or one that is not."""
    right = f"{number} + n" if holds else f"{number + 1} + n"
    names = ("n", *(f"h{i}" for i in range(depth)))
    return ProofState((Goal(tuple(Variable(name, "Nat") for name in names), f"n + {number} = {right}"),))


def rows(split: str, *, form: str = "markers") -> list[TrainingRow]:
    """Two steps for each theorem."""
    found = []
    for number in SPLITS[split]:
        for depth, tactic in enumerate(("intro h0", f"exact Nat.add_comm n {number}")):
            prompt, completion = training_text(prompt_format(form), state(number, holds=True, depth=depth), tactic)
            found.append(
                TrainingRow(
                    prompt=prompt,
                    completion=completion,
                    task="tactic",
                    theorem=f"t{number}",
                    source="lab",
                    depth=depth,
                    split=split,
                    prompt_format=form,
                )
            )
    return found


def pairs(split: str) -> list[ContrastivePair]:
    """For each theorem a hard, a medium and an easy negative."""
    found = []
    numbers = list(SPLITS[split])
    for number in numbers:
        goal = state(number, holds=True).text
        other = numbers[(numbers.index(number) + 1) % len(numbers)]
        for tier, depth, owner in (("hard", 1, number), ("medium", 3, number), ("easy", 1, other)):
            found.append(
                ContrastivePair(
                    tier=tier,
                    why="refuted",
                    theorem=f"t{number}",
                    goal=goal,
                    positive=state(number, holds=True, depth=1).text,
                    depth=1,
                    remaining=1,
                    negative_theorem=f"t{owner}",
                    negative_goal=state(owner, holds=True).text,
                    negative=state(owner, holds=False, depth=depth).text,
                    negative_depth=depth,
                    parent="",
                    split=split,
                    searches=("a", "b"),
                    logprob_nats=-0.5 * number,
                    negative_logprob_nats=-1.0 - depth,
                )
            )
    return found


def write(folder: Path, *, form: str = "markers") -> Path:
    """Files of both kinds and splits in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for split in SPLITS:
        lines(folder / f"sft_{split}.jsonl", rows(split, form=form))
        lines(folder / f"pairs_{split}.jsonl", pairs(split))
    return folder


def lines(path: Path, records) -> Path:
    """A file of JSON lines."""
    path.write_bytes(b"".join(msgspec.json.encode(r) + b"\n" for r in records))
    return path
