"""Where things are in the folder of an iteration, and which iteration came before."""

from __future__ import annotations

import os
import re
import tomllib
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
        """Where each theorem belongs, for all iterations that follow the first one."""
        return self.chain[0].folder.parent / "splits.json"

    @property
    def chain(self) -> tuple[Place, ...]:
        """The iterations up to this one, the first one first."""
        return (*(self.previous.chain if self.previous else ()), self)

    def model_of(self) -> Path | None:
        """The newest model up to here: a head alone is trained on an earlier one."""
        return next((p.model for p in reversed(self.chain) if p.model.is_dir()), None)


def place_of(folder: Path, previous: Path | None = None, *, later: tuple[str, ...] = ()) -> Place:
    """The place of an iteration; ``previous`` is what its recipe says of the one before, which is asked where this is None.

    However the folder is named, its path is the same: from where we are, or from the root for what is not below that. ``later``
    are the names of the iterations that follow it. Raises BadInput when the folder is not called ``iter_K``, when the one before
    is not there, and when two that follow each other have one name.
    """
    folder = _settled(folder)
    found = _NAME.fullmatch(folder.name)
    if found is None:
        raise BadInput(f"{folder}: the folder of an iteration is called iter_0, iter_1 and so on")
    if folder.name in later:
        raise BadInput(f"{folder} comes before an iteration of the same name; look at `previous` in their recipes")
    number = int(found[1])
    named = previous or _named_previous(folder / RECIPE)
    before = named or (folder.parent / f"iter_{number - 1}" if number else None)
    if before is None or (named is None and not (before / RECIPE).exists()):
        return Place(folder, number)
    if not (before / RECIPE).exists():
        raise BadInput(f"{before} is to be the iteration before {folder.name}, and has no {RECIPE}")
    return Place(folder, number, place_of(before, later=(*later, folder.name)))


def _settled(folder: Path) -> Path:
    # Not resolve(): a link called iter_K to another disk is an iteration too.
    whole, here = Path(os.path.abspath(folder)), Path.cwd()  # noqa: PTH100
    return whole.relative_to(here) if whole != here and whole.is_relative_to(here) else whole


def _named_previous(recipe: Path) -> Path | None:
    """What a recipe says of the iteration before; nothing where it cannot be read, which whoever runs it is told."""
    try:
        named = tomllib.loads(recipe.read_text(encoding="utf-8")).get("previous")
    except (OSError, ValueError):
        return None
    return Path(named) if isinstance(named, str) else None
