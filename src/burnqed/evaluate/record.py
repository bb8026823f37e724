"""An evaluation on disk: what was asked (``eval.json``), a run folder for each arm and seed, what the encoder is worth.

    FOLDER/eval.json             EvalSpec
    FOLDER/ARM/seed_K/           the folder of a run (see run/folder.py), or with shards
    FOLDER/ARM/seed_K/shard_I_of_N/
    FOLDER/encoder.json          EncoderFigures, if they were asked for

An *arm* is the system with one value: ``own`` is the system's own, ``none`` the policy alone, ``size``, ``goals`` and ``length``
are the trivial ones. Everything else that is shown is computed from these files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from burnqed.core.errors import BadInput
from burnqed.run.folder import RunFolder
from burnqed.run.result import TheoremResult
from burnqed.trajectory.files import write_text

SPEC, ENCODER = "eval.json", "encoder.json"
OWN = "own"
NO_VALUE = "none"
VERSION = 1


class Item(msgspec.Struct, frozen=True):
    """A theorem of a benchmark by its name and the digest of what is to be proved."""

    name: str
    digest: str


class Benchmark(msgspec.Struct, frozen=True, kw_only=True):
    """What was to be proved. ``path`` and ``sha256`` are those of the file that it was read from.

    ``revision`` is a hash of all names and digests: two evaluations with the same one were about the same theorems, wherever
    the file lay. ``licence`` and ``origin`` are what its set says of itself. ``notes`` say what a reader should know of it, such
    as rows that are flagged as bad; ``skipped`` are rows that could not be read and that somebody decided to leave out.
    """

    name: str
    path: str
    sha256: str
    split: str
    revision: str
    theorems: tuple[Item, ...]
    origin: str = ""
    licence: str = ""
    notes: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """What one search may spend; 0 tactics or tokens: no limit."""

    nodes: int
    seconds: float
    tactics: int = 0
    tokens: int = 0

    def told(self) -> str:
        """For a person."""
        limits = [f"{self.nodes:,} nodes", f"{self.seconds:g} s"]
        limits += [f"{self.tactics:,} tactics"] if self.tactics else []
        limits += [f"{self.tokens:,} tokens"] if self.tokens else []
        return ", ".join(limits)


class System(msgspec.Struct, frozen=True, kw_only=True):
    """Who proved. ``models`` has the hashes of policy and value; ``config`` is the whole effective configuration."""

    policy: str
    value: str
    prompt_format: str
    models: dict[str, Any]
    config: dict[str, Any]


class EvalSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that another person needs to get the same number.

    ``lean`` is the version of Lean, ``commit`` that of burnqed's source, empty where it is not a checkout.
    """

    name: str
    benchmark: Benchmark
    system: System
    budget: Budget
    seeds: tuple[int, ...]
    arms: tuple[str, ...]
    lean: str
    burnqed: str
    commit: str = ""
    machine: str = ""
    command: str = ""
    version: int = VERSION


class EncoderFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What held-out pairs say of the encoder and the head, by the names that training journals use (``probe.centroid_l2``)."""

    pairs: str
    pairs_sha256: str
    encoder: str
    figures: dict[str, float]


@dataclass(frozen=True)
class Evaluation:
    """An evaluation as read. ``results[arm][seed]`` are by theorem; a theorem that was not searched yet is not there."""

    path: Path
    spec: EvalSpec
    results: dict[str, dict[int, dict[str, TheoremResult]]] = field(default_factory=dict)
    encoder: EncoderFigures | None = None

    @property
    def missing(self) -> int:
        """Searches that are still to be done."""
        there = sum(len(by_name) for by_seed in self.results.values() for by_name in by_seed.values())
        return len(self.spec.arms) * len(self.spec.seeds) * len(self.spec.benchmark.theorems) - there

    def proved(self, arm: str) -> dict[str, list[bool]]:
        """For each theorem, in the order of the benchmark, whether it was proved with each seed. Not searched is not proved."""
        by_seed = self.results.get(arm, {})
        return {
            item.name: [
                (found := by_seed.get(seed, {}).get(item.name)) is not None and found.status == "proved"
                for seed in self.spec.seeds
            ]
            for item in self.spec.benchmark.theorems
        }

    def all_results(self, arm: str) -> Iterator[TheoremResult]:
        """Every search of an arm, seed by seed."""
        for by_name in self.results.get(arm, {}).values():
            yield from by_name.values()


def revision_of(theorems: Iterable[Item]) -> str:
    """A hash of what is to be proved, whatever the order."""
    lines = sorted(f"{item.name}\0{item.digest}" for item in theorems)
    return hashlib.sha256("\n".join(lines).encode(errors="surrogatepass")).hexdigest()[:16]


def run_path(folder: Path, arm: str, seed: int) -> Path:
    """Where the searches of an arm with a seed are."""
    return folder / arm / f"seed_{seed}"


def run_paths(folder: Path, arm: str, seed: int) -> list[Path]:
    """The run folders of an arm and seed that are there: the usual one, and those of shards that processes of their own did."""
    own = run_path(folder, arm, seed)
    return [path for path in (own, *sorted(own.glob("shard_*"))) if path.is_dir()]


def results_of(folder: Path, arm: str, seed: int) -> dict[str, TheoremResult]:
    """What is on record of an arm and seed, by name, whichever process did it; an error only where nothing else is known."""
    found: dict[str, TheoremResult] = {}
    for path in run_paths(folder, arm, seed):
        for name, result in RunFolder(path).last_results().items():
            if name not in found or found[name].status == "error":
                found[name] = result
    return found


def write_spec(folder: Path, spec: EvalSpec) -> None:
    """Write ``eval.json``, whole."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / SPEC, msgspec.json.format(msgspec.json.encode(spec), indent=1).decode() + "\n")


def write_encoder(folder: Path, figures: EncoderFigures) -> None:
    """Write ``encoder.json``, whole."""
    write_text(folder / ENCODER, msgspec.json.format(msgspec.json.encode(figures), indent=1).decode() + "\n")


def read_spec(folder: Path) -> EvalSpec:
    """What an evaluation was about. Raises BadInput when the folder is none of an evaluation, or of a later version."""
    try:
        spec = msgspec.json.decode((folder / SPEC).read_bytes(), type=EvalSpec)
    except FileNotFoundError:
        raise BadInput(f"{folder} holds no evaluation; give a folder that `burnqed eval --out` made") from None
    except (OSError, msgspec.DecodeError) as error:
        raise BadInput(f"{folder / SPEC} cannot be read: {error}") from error
    if spec.version != VERSION:
        raise BadInput(f"{folder / SPEC} is of version {spec.version}, and this burnqed reads {VERSION}")
    return spec


def read_evaluation(folder: Path, *, complete: bool = True) -> Evaluation:
    """Read an evaluation. With ``complete`` BadInput is raised when searches are missing.

    Also raises BadInput when a result is about another statement than the benchmark's, RunError for a damaged record.
    """
    spec = read_spec(folder)
    digests = {item.name: item.digest for item in spec.benchmark.theorems}
    results: dict[str, dict[int, dict[str, TheoremResult]]] = {}
    for arm in spec.arms:
        for seed in spec.seeds:
            by_name = results_of(folder, arm, seed)
            for name, result in by_name.items():
                if digests.get(name) != result.digest:
                    raise BadInput(
                        f"{run_path(folder, arm, seed)}: {name} is not the theorem of that name that {folder / SPEC} speaks of; "
                        "the benchmark changed since, so evaluate anew into another folder"
                    )
            results.setdefault(arm, {})[seed] = by_name
    encoder = None
    if (folder / ENCODER).exists():
        try:
            encoder = msgspec.json.decode((folder / ENCODER).read_bytes(), type=EncoderFigures)
        except (OSError, msgspec.DecodeError) as error:
            raise BadInput(f"{folder / ENCODER} cannot be read: {error}") from error
    found = Evaluation(folder, spec, results, encoder)
    if complete and found.missing:
        raise BadInput(
            f"{folder} is not complete, {found.missing} searches are missing; run its `burnqed eval` once more"
        )
    return found
