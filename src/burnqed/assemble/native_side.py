"""A native Lean for `burnqed prove`: its workers, and its gate."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from burnqed.core.ports import Gate
from burnqed.core.theorem import DEFAULT_IMPORTS, Theorem
from burnqed.lean.config import LeanConfig, NativeConfig
from burnqed.lean.dialect import PlainDialect
from burnqed.lean.native.find import NativeLean, configured, find_native
from burnqed.lean.native.launch import Scratch, native_spawner
from burnqed.lean.pool import WorkerPool
from burnqed.theorems.read import Entry
from burnqed.verify.native_gate import NativeGate


@dataclass(frozen=True)
class NativeSide:
    """A native Lean that was found, and how it is to be run."""

    native: NativeLean
    config: NativeConfig

    @classmethod
    def found(cls, project: Path | None, pantograph: Path | None) -> NativeSide:
        """Look for it. Raises BadInput with what is missing or does not fit."""
        config = configured(project, pantograph)
        return cls(find_native(config), config)

    @property
    def told(self) -> str:
        """One line for the record of a run."""
        versions = self.native.versions
        return (
            f"native Lean {versions.project_lean or '?'}, Pantograph {versions.pantograph or '?'}, "
            f"{self.native.project or self.native.executable}"
        )

    def with_imports(self, entries: Sequence[Entry]) -> list[Entry]:
        """Entries that import nothing of their own see Mathlib, where it is."""
        if not self.native.has_mathlib:
            return list(entries)
        return [
            dataclasses.replace(e, imports=("Mathlib",))
            if isinstance(e, Theorem) and e.imports == DEFAULT_IMPORTS
            else e
            for e in entries
        ]

    @contextlib.asynccontextmanager
    async def opened(self, entries: Sequence[Entry], limits: LeanConfig) -> AsyncIterator[tuple[WorkerPool, Gate]]:
        """The pool and the gate. The workers import what any of the entries does, the gate what each one does."""
        modules = dict.fromkeys(m for e in entries if isinstance(e, Theorem) for m in e.imports)
        with Scratch() as scratch:
            spawn = native_spawner(self.native, list(modules or DEFAULT_IMPORTS), self.config, limits, scratch=scratch)
            async with WorkerPool(spawn, limits, PlainDialect()) as pool, NativeGate(self.native, self.config) as gate:
                yield pool, gate
