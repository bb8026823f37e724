"""The theorems of an iteration, each with the split it belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from burnqed.core.errors import BadInput
from burnqed.core.theorem import Theorem
from burnqed.data.intake import take_in
from burnqed.data.manifest import Manifest
from burnqed.data.records import TheoremRecord
from burnqed.data.rows_reading import PARTS, Splits
from burnqed.data.sources.any_file import source_of
from burnqed.data.splits import Assignment, Place, SplitConfig, assign, read_assignment, write_assignment
from burnqed.iterate.recipe import TheoremsConfig
from burnqed.theorems.negation import negated

_PLACES: dict[str, Place] = {"train": "train", "valid": "valid", "test": "test", "held_out": "test"}
_SEARCHED = ("train", "valid")


@dataclass(frozen=True)
class TheoremPool:
    """Theorems by name, in the order of their files; ``splits`` says where each belongs, a negation where its theorem does.

    ``refuted`` are statements known to be false. ``negations`` are by the name of the theorem, of those whose negation can be
    stated.
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

    def _among(self, records: Mapping[str, TheoremRecord], wanted: Sequence[str]) -> dict[str, Theorem]:
        return {name: r.theorem for name, r in records.items() if self.splits.of(name) in wanted}


def load_pool(theorems: TheoremsConfig, *, assignment: Path) -> TheoremPool:
    """Read theorems of any kind and divide those that name no split themselves; what was decided stays in ``assignment``.

    What is nearly a statement that is held out is held out with it, a false one as well. Raises BadInput for a file without
    theorems, and for a name that stands for two statements.
    """
    records = _by_name(read_theorem_records(theorems.files, key="theorems.files"))
    refuted = _by_name(read_theorem_records(theorems.refuted, key="theorems.refuted"))
    if both := next((name for name in records if name in refuted), None):
        raise BadInput(f"{both} is the name of a theorem and of a refuted statement; give one of them another name")
    everything = {**records, **refuted}
    own = {name: _PLACES[r.split] for name, r in everything.items() if r.split in PARTS}
    found: Assignment | None = None
    if len(own) < len(everything):
        config = SplitConfig()
        before = read_assignment(assignment)
        places = {**(before.places if before else {}), **own}
        known_places = Assignment(places, config.salt, config.valid, config.test, config.near_duplicates)
        found = assign(everything.values(), config, before=known_places)
        kept = {name: place for name, place in found.places.items() if name not in own}
        if before is None or before.places != kept:
            write_assignment(assignment, msgspec.structs.replace(found, places=kept))
    divided = Splits(found, everything.values())
    negations = {name: no for name, record in records.items() if (no := negated(record.theorem)) is not None}
    own_of_negations = [
        TheoremRecord(name=no.name, statement=no.signature, split=divided.of(name)) for name, no in negations.items()
    ]
    return TheoremPool(records, refuted, negations, Splits(found, [*everything.values(), *own_of_negations]))


def _by_name(records: Iterable[TheoremRecord]) -> dict[str, TheoremRecord]:
    found: dict[str, TheoremRecord] = {}
    for record in records:
        known = found.setdefault(record.name, record)
        if known.theorem.digest != record.theorem.digest:
            raise BadInput(
                f"{record.name} is one statement in {known.origin or known.source} and another in "
                f"{record.origin or record.source}; give one of them another name"
            )
    return found


def read_theorem_records(files: Iterable[Path], *, key: str) -> list[TheoremRecord]:
    """The theorems in files of any kind that burnqed reads. Raises BadInput for one without."""
    found: list[TheoremRecord] = []
    for path in files:
        if not path.exists():
            raise BadInput(
                f"theorems.files: {path} is not there; paths in a recipe start where you are when you run it"
            )
        source = source_of(path)
        account = Manifest(step="theorems")
        here = [r for r in take_in(source.load(path), source, account) if isinstance(r, TheoremRecord)]
        if not here:
            raise BadInput(f"{path}: there is no theorem in it that can be read; {account.told()}")
        found += here
    return found
