"""What the library holds: its modules in order, what each imports, and its theorems."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from burnqed.core.errors import BadInput
from burnqed.data.lean_ask import LeanAsk, Lost
from burnqed.lean.process import RequestFailed
from burnqed.lean.protocol import DescribeReply, LibraryReply, LibraryTheorem

DEPRECATED = "deprecated"
"""Why a theorem that a person stated is left out: it stands there under a new name as well."""


@dataclass(frozen=True)
class Module:
    """A module with its theorems, those that no person stated included; ``trouble`` says why it could not be loaded."""

    name: str
    imports: tuple[str, ...]
    theorems: tuple[LibraryTheorem, ...]
    trouble: str = ""

    @property
    def candidates(self) -> tuple[LibraryTheorem, ...]:
        """The theorems that can become tasks."""
        return tuple(t for t in self.theorems if not skipped(t))


def skipped(theorem: LibraryTheorem) -> str:
    """Why a theorem is left out before its statement is looked at; empty when it is not."""
    return theorem.skip or (DEPRECATED if theorem.deprecated else "")


async def catalogue(lean: LeanAsk, roots: Sequence[str], *, silence_s: float) -> list[Module]:
    """The modules below the roots, each after what it imports. Raises BadInput for a root that there is not."""
    library = await lean.ask_surely("env.describe", {}, DescribeReply, silence_s=silence_s)
    for root in roots:
        if not any(_below(module, root) for module in library.modules):
            raise BadInput(f"the installed library has no module {root}; its roots are {', '.join(library.imports)}")
    names = (m for m in library.modules if any(_below(m, root) for root in roots))
    return [await module_of(lean, name, silence_s=silence_s) for name in names]


async def module_of(lean: LeanAsk, name: str, *, silence_s: float) -> Module:
    """What a module holds; or why it does not load, which is so too when Lean is lost over it twice."""
    trouble = ""
    for _ in range(2):
        try:
            _, reply = await lean.ask(
                "library.theorems", {"module": name}, LibraryReply, LibraryReply, silence_s=silence_s
            )
        except RequestFailed as error:
            return Module(name, (), (), error.desc)
        except Lost as error:
            trouble = str(error)
        else:
            return Module(name, tuple(dict.fromkeys(reply.imports)), tuple(reply.theorems))
    return Module(name, (), (), trouble)


def drawn(modules: Sequence[Module], limit: int | None, seed: int) -> dict[str, list[int]]:
    """The theorems to try, by module, as Lean numbers them there: all candidates, or ``limit`` of them at random."""
    chosen = [(module.name, theorem.index) for module in modules for theorem in module.candidates]
    if limit is not None and limit < len(chosen):
        chosen = random.Random(f"harvest {seed}").sample(chosen, limit)
    found: dict[str, list[int]] = {}
    for name, index in sorted(chosen):
        found.setdefault(name, []).append(index)
    return found


def _below(module: str, root: str) -> bool:
    return module == root or module.startswith(f"{root}.")
