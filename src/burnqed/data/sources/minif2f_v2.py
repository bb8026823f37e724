"""miniF2F v2, simplified (v2s) and competition (v2c), with what is wrong in the published files put right and told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from burnqed.core.errors import BadInput
from burnqed.data.reading import columns_of, read_rows
from burnqed.data.records import Record
from burnqed.data.sources.cut import Uncut, cut, under
from burnqed.data.sources.source import Hub, Loaded, Source, each, problem_of

SWAPPED = "split-swapped"
"""The published label of the split was the other one."""
KNOWN_BAD = "known-bad"

BAD_ROWS = {
    "mathd_numbertheory_198": "no `:` before the goal, so Lean does not take it",
    "mathd_algebra_320": "a hypothesis that is always false, so anything follows",
    "mathd_algebra_288": "the text of another problem",
}
"""Rows of v2s that are wrong as published, and how."""

_SPLITS = {"valid": "test", "test": "valid"}
_SPACED = "informal statement"


class Simplified(msgspec.Struct):
    """A row of v2s; one of its keys has a space."""

    name: str
    split: str
    formal_statement: str
    informal_statement: str = msgspec.field(name=_SPACED)
    header: str = ""


class Competition(msgspec.Struct):
    """A row of v2c; answers to be found are definitions before the theorem, each a sorry."""

    name: str
    split: str
    formal_statement: str
    informal_statement: str
    header: str = ""


def load_simplified(path: Path) -> Iterator[Loaded]:
    """The problems of v2s; rows known to be bad are flagged and stay."""
    _not_the_other(path, _SPACED, V2S, V2C)
    return each(read_rows(path, Simplified), _simplified)


def load_competition(path: Path) -> Iterator[Loaded]:
    """The problems of v2c; those whose answer is a sorried definition are flagged."""
    _not_the_other(path, "informal_statement", V2C, V2S)
    return each(read_rows(path, Competition), _competition)


def _not_the_other(path: Path, key: str, wanted: Source, other: Source) -> None:
    columns = columns_of(path)
    if key not in columns and columns & {_SPACED, "informal_statement"}:
        raise BadInput(f"{path} is {other.title}, not {wanted.title}; fetch it as {other.name}")


def _simplified(where: str, row: Simplified) -> list[Record]:
    return _records(where, row, {KNOWN_BAD} if row.name in BAD_ROWS else set())


def _competition(where: str, row: Competition) -> list[Record]:
    return _records(where, row, set())


def _records(where: str, row: Simplified | Competition, flags: set[str]) -> list[Record]:
    if row.split not in _SPLITS:
        raise Uncut("split is neither valid nor test")
    piece = cut(under(row.header, row.formal_statement))
    return [
        problem_of(
            piece,
            origin=where,
            name=row.name,
            split=_SPLITS[row.split],
            informal=row.informal_statement,
            flags={*flags, SWAPPED},
        )
    ]


_NOTES = (
    "split labels were swapped: what the file calls valid are the original test problems; put right",
    "informal_proof and formal_proof are not read: a benchmark's proofs are nobody's training data",
)
V2S = Source(
    name="minif2f-v2s",
    title="miniF2F v2s (simplified)",
    home=Hub("roozbeh-yz/miniF2F_v2", ("miniF2F_v2s.jsonl", "*v2s*.jsonl")),
    licence="see its card",
    load=load_simplified,
    lean="4.9.0",
    schemas=(Simplified,),
    benchmark=True,
    rows="488",
    notes=(*_NOTES, *(f"{name}: {why}" for name, why in BAD_ROWS.items()), "six rows write `∑ k in`"),
)
V2C = Source(
    name="minif2f-v2c",
    title="miniF2F v2c (competition)",
    home=Hub("roozbeh-yz/miniF2F_v2", ("miniF2F_v2c.jsonl", "*v2c*.jsonl")),
    licence="see its card",
    load=load_competition,
    lean="4.9.0",
    schemas=(Competition,),
    benchmark=True,
    rows="488",
    notes=(*_NOTES, "a `…_solution` definition before the theorem is a sorry that no proof may rest on; flagged"),
)
