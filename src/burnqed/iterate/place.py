"""Where things are in the folder of an iteration, and which iteration came before."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from burnqed.core.errors import BadInput

RECIPE = "recipe.toml"
_NAME = re.compile(r"iter_(\d+)")


@dataclass(frozen=True)
class Place:
    """The folder of an iteration, called ``iter_K``. ``previous`` is the one before, None for the first."""

    folder: Path
    number: int
    previous: Place | None = None

    @property
    def recipe(self) -> Path:
        """What it does."""
        return self.folder / RECIPE

    @property
    def manifest(self) -> Path:
        """Which steps are done, with what went in and what came out."""
        return self.folder / "manifest.json"

    @property
    def searches(self) -> Path:
        """A run folder for each round, and ``history.jsonl``."""
        return self.folder / "search"

    @property
    def history(self) -> Path:
        """What became of each search of this iteration."""
        return self.searches / "history.jsonl"

    @property
    def proofs(self) -> Path:
        """The replay buffer."""
        return self.folder / "proofs"

    @property
    def replay(self) -> Path:
        """The shortest proofs known after this iteration."""
        return self.proofs / "replay.jsonl"

    @property
    def labels(self) -> Path:
        """Labels of states, and pairs."""
        return self.folder / "labels"

    @property
    def rows(self) -> Path:
        """Rows to fine-tune on."""
        return self.folder / "rows"

    @property
    def training(self) -> Path:
        """The run of the policy's training."""
        return self.folder / "train"

    @property
    def model(self) -> Path:
        """The model that it finished with."""
        return self.folder / "model"

    @property
    def head(self) -> Path:
        """The head that was trained on that model's frozen embeddings."""
        return self.folder / "head"

    @property
    def joint_head(self) -> Path:
        """The head that was trained jointly with the model."""
        return self.folder / "joint_head"

    @property
    def head_training(self) -> Path:
        """Embeddings, and the run of the head's training."""
        return self.folder / "head_training"

    @property
    def calibration(self) -> Path:
        """Validation searches, a folder for each head."""
        return self.folder / "calibration"

    @property
    def evaluation(self) -> Path:
        """Evaluations, ``BENCHMARK/HEAD``."""
        return self.folder / "evaluation"

    @property
    def splits(self) -> Path:
        """Where each theorem belongs, for all iterations beside this one."""
        return self.folder.parent / "splits.json"

    @property
    def chain(self) -> tuple[Place, ...]:
        """The iterations up to this one, the first one first."""
        return (*(self.previous.chain if self.previous else ()), self)

    def model_of(self) -> Path | None:
        """The newest model up to here: a head alone is trained on an earlier one."""
        return next((p.model for p in reversed(self.chain) if p.model.is_dir()), None)


def place_of(folder: Path, previous: Path | None = None) -> Place:
    """The place of an iteration. Raises BadInput when the folder is not called ``iter_K``, or the one before is not there."""
    found = _NAME.fullmatch(folder.name) or _NAME.fullmatch(folder.resolve().name)
    if found is None:
        raise BadInput(f"{folder}: the folder of an iteration is called iter_0, iter_1 and so on")
    number = int(found[1])
    before = previous or (folder.parent / f"iter_{number - 1}" if number else None)
    if before is None or (previous is None and not (before / RECIPE).exists()):
        return Place(folder, number)
    if not (before / RECIPE).exists():
        raise BadInput(f"{before} is to be the iteration before {folder.name}, and has no {RECIPE}")
    return Place(folder, number, place_of(before))
