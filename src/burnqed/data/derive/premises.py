"""The premises of the library whose modules Lean has listed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from burnqed.data.derive.tasks import library_name
from burnqed.data.harvest.catalogue import Module, catalogue
from burnqed.data.lean_ask import LeanAsk
from burnqed.data.records import TheoremRecord
from burnqed.premises.index import Known, Premises, symbols

_ROOTS = ("Init", "Std")
_SILENCE_S = 60.0


async def library_premises(ask: LeanAsk, tasks: Iterable[TheoremRecord]) -> Premises:
    """Those of Init and Std, as Lean lists them, with the statements that the tasks have."""
    statements = {name: task.statement for task in tasks if (name := library_name(task))}
    return premises_of(await catalogue(ask, _ROOTS, silence_s=_SILENCE_S), statements)


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
