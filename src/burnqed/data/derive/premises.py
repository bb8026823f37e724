"""The premises of the library whose modules Lean has listed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from burnqed.data.harvest.catalogue import Module
from burnqed.premises.index import Known, Premises, symbols


def premises_of(modules: Iterable[Module], statements: Mapping[str, str]) -> Premises:
    """All theorems that a person stated. ``statements`` are the texts of those that have one, by name; of the others their
    names' words stand for it.
    """
    theorems: list[Known] = []
    imports: dict[str, tuple[str, ...]] = {}
    for module in modules:
        imports[module.name] = module.imports
        for theorem in module.candidates:
            text = statements.get(theorem.name)
            said = symbols(re.sub(r"[._]", " ", theorem.name) if text is None else text)
            theorems.append(Known(theorem.name, module.name, said))
    return Premises(theorems, imports)
