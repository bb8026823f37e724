"""Every family of statements, by name."""

from __future__ import annotations

from burnqed.data.generate import (
    bounds,
    divisibility,
    finite_types,
    functions,
    identities,
    inequalities,
    library,
    linear,
    lists,
    logic,
    quantifiers,
    recurrences,
)
from burnqed.data.generate.draft import Family

FAMILIES: dict[str, Family] = {
    m.FAMILY: m.draft
    for m in (
        library,
        identities,
        inequalities,
        linear,
        bounds,
        divisibility,
        recurrences,
        lists,
        logic,
        quantifiers,
        functions,
        finite_types,
    )
}
