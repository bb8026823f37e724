"""The two kinds of row that every step of the data part reads and writes, one JSON object a line.

A theorem with or without its proof, and one tactic with the states around it. Whatever a public set looks like, its
loader in ``data/sources`` makes these.
"""

from __future__ import annotations

import msgspec

from burnqed.core.theorem import DEFAULT_IMPORTS, Theorem, import_lines

HARVESTED = "harvest."
"""How the names of tasks begin that are theorems of the library (``data/harvest``)."""
BENCHMARK = "benchmark"
"""The flag of a theorem that measures: it may enter no training file."""


class TheoremRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A theorem as a set has it.

    ``statement`` is the text from ``theorem`` up to, but without, ``:=`` (blank space at its ends removed); ``header`` is
    the Lean text before it without its ``import`` lines, which are ``imports``. ``proof`` is the text after ``:=``, so it mostly
    begins with ``by``; None when the set has none or a sorry for it. ``source`` is the set's name, ``split`` its part
    after every repair, ``origin`` the row (``file:line``, or the set's own id), ``lean`` the toolchain for which the set
    was made (``4.9.0``), empty when nobody says. ``flags`` are sorted words that later steps and people look at.
    """

    name: str
    statement: str
    header: str = ""
    imports: tuple[str, ...] = DEFAULT_IMPORTS
    source: str = ""
    split: str = ""
    origin: str = ""
    lean: str = ""
    informal: str = ""
    proof: str | None = None
    flags: tuple[str, ...] = ()

    @property
    def benchmark(self) -> bool:
        """Whether it measures, and may therefore not be trained on."""
        return BENCHMARK in self.flags

    @property
    def theorem(self) -> Theorem:
        """What the rest of burnqed works with."""
        where = f"{self.source}:{self.origin}" if self.source and self.origin else self.source or self.origin
        return Theorem(self.name, self.statement, self.header, self.imports, where)

    @property
    def lean_text(self) -> str:
        """The row as a Lean file: imports, header, statement, and the proof, or ``by sorry`` without one."""
        header = f"{self.header.strip()}\n\n" if self.header.strip() else ""
        proof = "by sorry" if self.proof is None else self.proof
        return f"{import_lines(self.imports)}\n{header}{self.statement} := {proof}\n"


class TacticRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One tactic of a proof, with all goals before and after it as Lean prints them.

    ``state_after`` is ``no goals`` when it ended the proof. ``step`` counts from 0 in the order of the proof, -1 when it is
    not known; ``depth`` is how many of the proof's tactics stand around it (see ``data/trace/rows.py``); ``constants`` are
    the library's names that the tactic used, where that was traced. The other fields are as in :class:`TheoremRecord`.
    """

    theorem: str
    source: str
    state_before: str
    tactic: str
    state_after: str
    split: str = ""
    origin: str = ""
    lean: str = ""
    step: int = -1
    depth: int = 0
    constants: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()


Record = TheoremRecord | TacticRecord

NO_GOALS = "no goals"
"""The state of a finished proof in a :class:`TacticRecord`."""


def line(record: Record) -> bytes:
    """A record as one line of a file, with its line break."""
    return msgspec.json.encode(record) + b"\n"
