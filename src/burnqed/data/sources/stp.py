"""STP's self-play data: the prompt holds header and statement in a fence, the target is the proof."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from burnqed.data.reading import read_rows
from burnqed.data.records import Record
from burnqed.data.sources.cut import Uncut, cut
from burnqed.data.sources.source import Hub, Loaded, Source, each, record_of

_FENCE = re.compile(r"```(?:lean4?)?[ \t]*\n")
_TRAILING_SORRY = re.compile(r"\bsorry\s*\Z")
_TAG = re.compile(r"\w[\w-]*")


class Row(msgspec.Struct):
    """A row; ``tag`` may be a word, a list, or a list written as text (``['conjecture']``)."""

    prompt: str
    target: str
    tag: str | list[str] | None = None


def load(path: Path) -> Iterator[Loaded]:
    """A record for each proof, its tags as ``stp:…`` flags."""
    return each(read_rows(path, Row), _record)


def _record(where: str, row: Row) -> list[Record]:
    fence = _FENCE.search(row.prompt)
    if fence is None:
        raise Uncut("no fence in the prompt")
    begin = _TRAILING_SORRY.sub("", row.prompt[fence.end() :].rstrip().removesuffix("```").rstrip()).rstrip()
    target = row.target.rstrip().removesuffix("```").strip("\n").rstrip()
    piece = cut(f"{begin}\n{target}")
    if piece.proof is None:
        raise Uncut("no proof in it")
    tags = _TAG.findall(row.tag) if isinstance(row.tag, str) else row.tag or []
    return [record_of(piece, origin=where, flags=[f"stp:{tag}" for tag in tags])]


SOURCE = Source(
    name="stp",
    title="STP, self-play conjectures, workbook problems and Mathlib",
    home=Hub("kfdong/STP_Lean_0320", ("data/*.parquet", "*.parquet")),
    licence="MIT",
    load=load,
    lean="4.9.0",
    schemas=(Row,),
    rows="25K workbook problems, 704K conjectures, 80K of Mathlib",
    notes=("many conjectures share a name; each statement gets its own",),
)
