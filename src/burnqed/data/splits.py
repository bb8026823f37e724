"""Which theorems train, which validate and which test: by theorem and cluster, never by tactic, and for good.

A theorem is known by its name. Theorems that are near-duplicates of each other are one cluster, and a cluster is in one split,
chosen by a hash of its smallest name and a salt: no order of rows, no other theorem, and no number of theorems has a say in it.
Clusters can grow and merge when data is added, and their smallest name can change; so what was decided is kept in a file,
and what stands there never changes. A new theorem goes where the old ones of its cluster are. When they are in different splits
(it joins two clusters that were apart), it would leak from one into the other wherever it went: it is left out of all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import msgspec
from pydantic import BaseModel, Field, model_validator

from burnqed.core.errors import BadInput
from burnqed.data.near_duplicates import Groups, clusters
from burnqed.data.normal_form import NormalForm, normal_form
from burnqed.data.records import TheoremRecord
from burnqed.trajectory.files import write_text

Split = Literal["train", "valid", "test"]
Place = Literal["train", "valid", "test", "left out"]
LEFT_OUT: Place = "left out"
_VERSION = 1


class SplitConfig(BaseModel, frozen=True, extra="forbid"):
    """How theorems are divided."""

    valid: float = Field(0.05, ge=0.0, le=1.0, description="share of the clusters that validate")
    test: float = Field(0.05, ge=0.0, le=1.0, description="share of the clusters that test")
    near_duplicates: float = Field(
        0.8, ge=0.1, le=1.0, description="statements at least so similar are in one cluster, and so in one split"
    )
    salt: str = Field("burnqed", description="another text gives another division")

    @model_validator(mode="after")
    def _not_more_than_all(self) -> SplitConfig:
        if self.valid + self.test > 1.0:
            raise ValueError("valid and test together are more than all")
        return self


class Assignment(msgspec.Struct, frozen=True):
    """Where every theorem is, by name; what the shares and the salt were."""

    places: dict[str, Place]
    salt: str
    valid: float
    test: float
    near_duplicates: float
    version: int = _VERSION

    def __getitem__(self, name: str) -> Place:
        return self.places[name]

    def names(self, place: Place) -> set[str]:
        """The theorems in one place."""
        return {name for name, where in self.places.items() if where == place}


def assign(records: Iterable[TheoremRecord], config: SplitConfig, *, before: Assignment | None = None) -> Assignment:
    """A place for every theorem; those that ``before`` knows keep theirs, whether they are among the records or not.

    Clusters are made of the records; give all records that there are, not the new ones alone, so that a new theorem is put
    with its old neighbours. Raises BadInput when ``before`` was made with other settings.
    """
    _same_settings(config, before)
    known = dict(before.places) if before is not None else {}
    forms: list[tuple[str, NormalForm]] = []
    names: dict[str, str] = {}
    for number, record in enumerate(records):
        form = normal_form(record.statement, types="kept")
        names[f"{record.name}\0{number}"] = record.name
        if form is not None:
            forms.append((f"{record.name}\0{number}", form))
    return Assignment(
        places={**known, **_new_places(names, clusters(forms, threshold=config.near_duplicates), config, known)},
        salt=config.salt,
        valid=config.valid,
        test=config.test,
        near_duplicates=config.near_duplicates,
    )


def _new_places(
    names: Mapping[str, str], cluster_of: Mapping[str, str], config: SplitConfig, known: Mapping[str, Place]
) -> dict[str, Place]:
    groups = Groups()
    for key, name in names.items():
        groups.join(name, names[cluster_of.get(key, key)])
    members: dict[str, list[str]] = {}
    for name in set(names.values()):
        members.setdefault(groups.smallest(name), []).append(name)
    out: dict[str, Place] = {}
    for smallest, cluster in members.items():
        old = {known[name] for name in cluster if name in known} - {LEFT_OUT}
        place = split_of(smallest, config) if not old else old.pop() if len(old) == 1 else LEFT_OUT
        out |= {name: place for name in cluster if name not in known}
    return out


def split_of(name: str, config: SplitConfig) -> Split:
    """The split of a cluster, by its smallest name."""
    digest = hashlib.sha256(f"{config.salt}\0{name}".encode(errors="surrogatepass")).digest()
    at = int.from_bytes(digest[:8], "big") / 2**64
    if at < config.test:
        return "test"
    return "valid" if at < config.test + config.valid else "train"


def read_assignment(path: Path) -> Assignment | None:
    """The assignment in a file; None when there is no file yet. Raises BadInput when it cannot be read."""
    if not path.exists():
        return None
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Assignment)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadInput(
            f"{path} is no assignment of theorems to splits that can be read: {error}; without it theorems could move, "
            "so put it back rather than leave it out"
        ) from error
    if found.version != _VERSION:
        raise BadInput(f"{path} has version {found.version} and this burnqed reads {_VERSION}")
    return found


def write_assignment(path: Path, assignment: Assignment) -> None:
    """Write it whole, its names in order, so that a change shows as lines added."""
    ordered = msgspec.structs.replace(assignment, places=dict(sorted(assignment.places.items())))
    write_text(path, msgspec.json.format(msgspec.json.encode(ordered), indent=1).decode() + "\n")


def _same_settings(config: SplitConfig, before: Assignment | None) -> None:
    if before is None:
        return
    for field in ("salt", "valid", "test", "near_duplicates"):
        old, new = getattr(before, field), getattr(config, field)
        if old != new:
            raise BadInput(
                f"the theorems were divided with {field} = {old}, not {new}; what was decided stays, so keep the setting"
            )
