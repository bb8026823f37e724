"""All public sets by name."""

from __future__ import annotations

import difflib

from burnqed.core.errors import BadInput
from burnqed.data.sources import (
    deepseek_prover,
    goedel_workbook,
    lean_github,
    lean_workbook,
    minif2f_v1,
    minif2f_v2,
    numinamath,
    proofnet,
    putnambench,
    stp,
)
from burnqed.data.sources.source import Source

SOURCES: dict[str, Source] = {
    source.name: source
    for source in (
        lean_workbook.PROBLEMS,
        lean_workbook.STEPS,
        goedel_workbook.SOURCE,
        numinamath.SOURCE,
        deepseek_prover.SOURCE,
        stp.SOURCE,
        lean_github.SOURCE,
        minif2f_v1.V1,
        minif2f_v1.GOEDEL_V2,
        minif2f_v1.INTERNLM,
        minif2f_v1.AIMO,
        minif2f_v1.FILES,
        minif2f_v2.V2S,
        minif2f_v2.V2C,
        proofnet.SOURCE,
        proofnet.SHARP,
        putnambench.SOURCE,
    )
}


def source_named(name: str) -> Source:
    """The set of that name. Raises BadInput with the nearest names."""
    if name in SOURCES:
        return SOURCES[name]
    near = difflib.get_close_matches(name, SOURCES, n=3, cutoff=0.4)
    raise BadInput(f"no set is called {name}; {'near to it: ' if near else 'there are: '}{', '.join(near or SOURCES)}")
