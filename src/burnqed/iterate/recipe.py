"""What an iteration does, as one TOML file: ``recipe.toml``. An unknown key is an error that names it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, Field, model_validator

from burnqed.assemble.config import RunConfig
from burnqed.data.contrastive import PairConfig
from burnqed.data.filters import FilterConfig
from burnqed.data.rows import RowConfig
from burnqed.evaluate.record import OWN
from burnqed.iterate.matchmaker import MatchmakerConfig
from burnqed.joint.config import JointConfig
from burnqed.joint.decoupled_config import DecoupledConfig
from burnqed.search.config import SearchConfig
from burnqed.value.trivial import TRIVIAL

PREVIOUS: Literal["previous"] = "previous"
FRESH = "fresh"


class TheoremsConfig(BaseModel, frozen=True, extra="forbid"):
    """What is searched: theorems of the splits ``train`` and ``valid``. Those of ``valid`` only measure."""

    files: tuple[Path, ...] = Field((), description="theorem records or statements: harvested, generated, your own")
    refuted: tuple[Path, ...] = Field(
        (),
        description="statements known to be false, all of them, such as refuted.jsonl of generated ones: searched for negatives",
    )


class AttemptConfig(BaseModel, frozen=True, extra="forbid"):
    """One round of searches over the theorems that the matchmaker chooses."""

    temperature: float = Field(1.0, gt=0, description="of the model's sampling; the menu has none")
    seed: int = Field(0, ge=0, description="of the sampling")


class SearchingConfig(BaseModel, frozen=True, extra="forbid"):
    """How trajectories are made."""

    attempts: tuple[AttemptConfig, ...] = Field(
        (AttemptConfig(),), min_length=1, description="rounds, each with a temperature and a seed of its own"
    )
    models: Literal["previous", "configured"] = Field(
        PREVIOUS,
        description="previous: policy and value are what the last iteration finished with, where there is one; configured: what"
        " prove.policy and prove.value say",
    )
    value: Literal["joint", "decoupled", "configured"] = Field(
        "joint", description="which head of the last iteration judges; joint: the decoupled one where there is no other"
    )
    refuted_share: float = Field(
        1.0, ge=0, le=1, description="share of the refuted statements that are searched, in the first round alone"
    )


class MinimiseConfig(BaseModel, frozen=True, extra="forbid"):
    """Proofs made shorter by running them again."""

    enabled: bool = Field(True, description="whether proofs are made shorter before they become rows")
    max_tactics: int = Field(200, ge=1, description="tactics tried for one proof at most")


class LabelConfig(BaseModel, frozen=True, extra="forbid"):
    """What finished searches say of their states."""

    pairs: PairConfig = Field(PairConfig(), description="pairs for the energy head")
    min_visits: int = Field(
        16, ge=1, description="tactics tried below an undecided state from which on it has a soft target"
    )
    earlier: bool = Field(True, description="whether searches of earlier iterations are used too")
    runs: tuple[Path, ...] = Field(
        (),
        description="folders of other runs, by a menu of your own, say, whose searches give pairs too, and no rows; where their"
        " theorems belong is in splits.json, else it goes by their names",
    )


class RowsConfig(BaseModel, frozen=True, extra="forbid"):
    """What is learned from."""

    benchmarks: tuple[Path, ...] = Field(
        (), description="files of benchmarks, of which nothing may get in; at least one"
    )
    extra: tuple[Path, ...] = Field((), description="tactic records from elsewhere: traced proofs, generated ones")
    rows: RowConfig = Field(RowConfig(), description="what rows are made of")
    filters: FilterConfig = Field(FilterConfig(), description="which proofs go out")


class LearningConfig(BaseModel, frozen=True, extra="forbid"):
    """What is trained."""

    mode: Literal["sft", "decoupled", "joint"] = Field(
        "sft",
        description="sft: the policy alone; decoupled: only a head on the earlier model; joint: both through one LoRA",
    )
    start: str = Field(PREVIOUS, description="previous, fresh (a small model from nothing), or a model's folder")
    head: bool = Field(True, description="whether a head is trained on the model's frozen embeddings as well")
    joint: JointConfig = Field(
        JointConfig(), description="settings of the training of the policy, and of joint training"
    )
    decoupled: DecoupledConfig = Field(DecoupledConfig(), description="settings of the head on frozen embeddings")

    @property
    def has_head(self) -> bool:
        """Whether a head is trained on frozen embeddings."""
        return self.head or self.mode == "decoupled"


class CalibrationConfig(BaseModel, frozen=True, extra="forbid"):
    """The scale of the energies, from searches of theorems that nothing was trained on."""

    theorems: int = Field(0, ge=0, description="theorems of the split valid that are searched; 0 = no calibration")


class BenchmarkConfig(BaseModel, frozen=True, extra="forbid"):
    """A benchmark of ``burnqed eval``. What needs Mathlib is restated first, with ``burnqed data restate``."""

    what: str = Field(description="a file of theorems, or the name of a fetched set")
    name: str = Field("", description="its folder's name; empty: that of the file")
    split: str = Field("", description="the part of it: valid, test; empty: all")
    limit: int = Field(0, ge=0, description="so many theorems, drawn; 0 = all")


class EvaluatingConfig(BaseModel, frozen=True, extra="forbid"):
    """How the new system is measured."""

    benchmarks: tuple[BenchmarkConfig, ...] = Field((), description="what is to be proved; empty: nothing is measured")
    search: SearchConfig = Field(
        SearchConfig(), description="the budget: only what is set here differs from prove.search"
    )
    seeds: tuple[int, ...] = Field((0,), min_length=1, description="seeds of the sampling")
    pairs: Path | None = Field(
        None,
        description="held-out pairs that tell what encoder and head are worth; not set: those of the first iteration, so that"
        " all iterations are measured by the same",
    )
    arms: tuple[str, ...] = Field(
        ("own", "none", "size"), min_length=1, description="values: the system's own, none, and trivial ones"
    )


class Recipe(BaseModel, frozen=True, extra="forbid"):
    """An iteration of expert iteration. ``number`` is that of its folder."""

    about: str = Field("", description="what it is for, in a sentence; stands in its report")
    seed: int = Field(0, ge=0, description="of the matchmaker and of what it draws")
    previous: Path | None = Field(
        None, description="folder of the iteration before; not set: iter_(k-1) beside this one, if it is there"
    )
    theorems: TheoremsConfig = Field(TheoremsConfig(), description="what is searched")
    prove: RunConfig = Field(RunConfig(), description="how it is searched: budget, policy, value, Lean")
    search: SearchingConfig = Field(SearchingConfig(), description="rounds of searches")
    matchmaker: MatchmakerConfig = Field(MatchmakerConfig(), description="which theorem next")
    minimise: MinimiseConfig = Field(MinimiseConfig(), description="shorter proofs")
    label: LabelConfig = Field(LabelConfig(), description="labels and pairs")
    rows: RowsConfig = Field(RowsConfig(), description="rows to fine-tune on")
    train: LearningConfig = Field(LearningConfig(), description="what is trained")
    calibrate: CalibrationConfig = Field(CalibrationConfig(), description="the scale of the energies")
    evaluate: EvaluatingConfig = Field(EvaluatingConfig(), description="how it is measured")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not self.theorems.files:
            raise ValueError("theorems.files: name at least one file of theorems to search")
        if not self.rows.benchmarks:
            raise ValueError("rows.benchmarks: name the files of benchmarks that must not get into the training data")
        if self.train.mode == "decoupled" and self.train.start == FRESH:
            raise ValueError("train.start: a head alone needs a model to embed with; start from previous or a folder")
        if wrong := next((arm for arm in self.evaluate.arms if arm != OWN and arm not in TRIVIAL), None):
            raise ValueError(f"evaluate.arms: there is no value {wrong}; choose among {', '.join((OWN, *TRIVIAL))}")
        names = [b.name or Path(b.what).stem for b in self.evaluate.benchmarks]
        if twice := next((n for n in names if names.count(n) > 1), None):
            raise ValueError(f"evaluate.benchmarks: two of them are called {twice}; give one a name")
        return self
