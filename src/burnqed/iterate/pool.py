"""The theorems of an iteration, each with the split it belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout

from burnqed.core.errors import BadInput, RunError
from burnqed.core.theorem import Theorem
from burnqed.data.intake import take_in
from burnqed.data.manifest import Manifest
from burnqed.data.records import TheoremRecord
from burnqed.data.rows_reading import PARTS, Splits
from burnqed.data.sources.any_file import source_of
from burnqed.data.splits import LEFT_OUT, Assignment, Place, SplitConfig, assign, read_assignment, write_assignment
from burnqed.iterate.digests import of_input
from burnqed.iterate.recipe import TheoremsConfig
from burnqed.theorems.negation import negated

_PLACES: dict[str, Place] = {"train": "train", "valid": "valid", "test": "test", "held_out": "test"}
_SEARCHED = ("train", "valid")
_PATIENCE_S = 600.0  # for another iteration that divides its theorems at this moment


@dataclass(frozen=True)
class TheoremPool:
    """Theorems by name, in the order of their files; ``splits`` says where each belongs, a negation where its theorem does.

    ``refuted`` are statements known to be false. ``negations`` are by the name of the theorem, of those whose negation can be
    stated and has a name that no other statement has.
    """

    records: dict[str, TheoremRecord]
    refuted: dict[str, TheoremRecord]
    negations: dict[str, Theorem]
    splits: Splits

    def of(self, *wanted: str) -> dict[str, Theorem]:
        """The theorems of these splits, by name."""
        return self._among(self.records, wanted)

    @property
    def searched(self) -> dict[str, Theorem]:
        """What an iteration searches: all but what is held out for the test. What is of ``valid`` only measures."""
        return self._among(self.records, _SEARCHED)

    @property
    def false(self) -> dict[str, Theorem]:
        """The false statements that an iteration searches."""
        return self._among(self.refuted, _SEARCHED)

    def split_of(self, name: str, *, otherwise: str) -> str:
        """The split of a theorem, a false statement or a negation; ``otherwise`` for one that is none of them any more."""
        known = name in self.records or name in self.refuted or name in {no.name for no in self.negations.values()}
        return self.splits.of(name) if known else otherwise

    def _among(self, records: Mapping[str, TheoremRecord], wanted: Sequence[str]) -> dict[str, Theorem]:
        return {name: r.theorem for name, r in records.items() if self.splits.of(name) in wanted}


def load_pool(theorems: TheoremsConfig, *, assignment: Path) -> TheoremPool:
    """Read theorems of any kind and divide those that name no split themselves; what was decided stays in ``assignment``.

    What is nearly a statement that is held out is held out with it, a false one as well. A name that one file has for two
    statements gets a number, as everywhere in burnqed. Raises BadInput for a file without theorems, for a name that two files
    have for different statements, and for a theorem that names two splits.
    """
    records = _by_name(read_theorem_records(theorems.files, key="theorems.files"))
    refuted = _by_name(read_theorem_records(theorems.refuted, key="theorems.refuted"))
    if both := next((name for name in records if name in refuted), None):
        raise BadInput(f"{both} is the name of a theorem and of a refuted statement; give one of them another name")
    everything = {**records, **refuted}
    found = _divided(everything, assignment)
    divided = Splits(found, everything.values())
    stated = {name: negated(record.theorem) for name, record in records.items()}
    negations = {name: no for name, no in stated.items() if no is not None and no.name not in everything}
    theirs: dict[str, Place] = {no.name: _place(divided.of(name)) for name, no in negations.items()}
    whole = msgspec.structs.replace(found, places={**found.places, **theirs})
    return TheoremPool(records, refuted, negations, Splits(whole, everything.values()))


def theorem_inputs(theorems: TheoremsConfig) -> dict[str, str]:
    """Hashes of the files, which say what is searched and where it belongs. Raises BadInput for one that is not there."""
    found = {}
    for key, files in (("files", theorems.files), ("refuted", theorems.refuted)):
        for number, path in enumerate(files):
            found[f"theorems.{key} {number}, {path.name}"] = of_input(path, key=f"theorems.{key}")
    return found


def _divided(everything: Mapping[str, TheoremRecord], path: Path) -> Assignment:
    """Where each theorem belongs; what is decided here for the first time is kept in the file."""
    config = SplitConfig()
    own = {name: _PLACES[r.split] for name, r in everything.items() if r.split in PARTS}
    nothing = Assignment({}, config.salt, config.valid, config.test, config.near_duplicates)
    if len(own) == len(everything):
        return msgspec.structs.replace(nothing, places=own)
    try:
        with FileLock(path.with_name(f".{path.name}.lock"), timeout=_PATIENCE_S):
            before = read_assignment(path)
            decided = before.places if before is not None else {}
            found = assign(
                everything.values(), config, before=msgspec.structs.replace(nothing, places={**decided, **own})
            )
            kept = {**{name: place for name, place in found.places.items() if name not in own}, **decided}
            if before is None or decided != kept:
                write_assignment(path, msgspec.structs.replace(found, places=kept))
    except Timeout:
        raise RunError(f"{path} is held by another process for more than {_PATIENCE_S:.0f} s; try again") from None
    return found


def _place(split: str) -> Place:
    return _PLACES.get(split, LEFT_OUT)


def _by_name(records: Iterable[TheoremRecord]) -> dict[str, TheoremRecord]:
    found: dict[str, TheoremRecord] = {}
    for record in records:
        known = found.setdefault(record.name, record)
        where = f"{known.origin or known.source} and {record.origin or record.source}"
        if known.theorem.digest != record.theorem.digest:
            raise BadInput(f"{record.name} stands for two statements, in {where}; give one of them another name")
        if record.split in PARTS and known.split not in PARTS:
            found[record.name] = record
        elif record.split in PARTS and _PLACES[record.split] != _PLACES[known.split]:
            raise BadInput(
                f"{record.name} is of the split {known.split} and of {record.split}, in {where}; take one of them out"
            )
    return found


def read_theorem_records(files: Iterable[Path], *, key: str) -> list[TheoremRecord]:
    """The theorems in files of any kind that burnqed reads. Raises BadInput for one without."""
    found: list[TheoremRecord] = []
    for path in files:
        if not path.exists():
            raise BadInput(f"{key}: {path} is not there; paths in a recipe start where you are when you run it")
        source = source_of(path)
        account = Manifest(step="theorems")
        here = [r for r in take_in(source.load(path), source, account) if isinstance(r, TheoremRecord)]
        if not here:
            raise BadInput(f"{key}: there is no theorem in {path} that can be read; {account.told()}")
        found += here
    return found
