"""PutnamBench: a Lean file a problem; where an answer is asked for, it is a definition before the theorem, a sorry."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from burnqed.data.records import TheoremRecord
from burnqed.data.sources.cut import Cut
from burnqed.data.sources.lean_folder import load_folder
from burnqed.data.sources.source import GitHub, Loaded, Source, problem_of


def load(path: Path) -> Iterator[Loaded]:
    """The problems of a folder of Lean files."""
    return load_folder(path, _record)


def _record(piece: Cut, path: PurePosixPath) -> TheoremRecord:
    return problem_of(piece, origin=str(path), split="test")


SOURCE = Source(
    name="putnambench",
    title="PutnamBench, Lean 4",
    home=GitHub("trishullab/PutnamBench", ("lean4/src/*.lean",), archive=True),
    licence="Apache-2.0",
    load=load,
    benchmark=True,
    rows="644 to 672",
    notes=(
        "its toolchain moves with Mathlib; name the commit beside every result",
        "a comment after a sorried definition gives the answer away; comments of the header are not kept",
        "all of it needs Mathlib",
    ),
)
