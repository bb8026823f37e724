"""`burnqed data harvest`."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from burnqed.cli.install_bar import ensure_lean
from burnqed.cli.work_bar import WorkBar, duration
from burnqed.core.errors import BadInput
from burnqed.data.harvest.catalogue import Module
from burnqed.data.harvest.config import HarvestConfig
from burnqed.data.harvest.folder import SOURCE, TASKS, HarvestFolder
from burnqed.data.harvest.run import harvest as run_harvest
from burnqed.data.manifest import Manifest, Origin
from burnqed.lean.config import LeanConfig, NativeConfig, native_lean_config
from burnqed.lean.embedded.install import EmbeddedLean
from burnqed.lean.embedded.programs import COMPLETE
from burnqed.lean.embedded.server import spawner
from burnqed.lean.native.find import NativeLean, configured, find_toolchain
from burnqed.lean.native.launch import Scratch
from burnqed.lean.native.library import library_spawner
from burnqed.lean.native.modules import modules_below, own_modules, roots_of
from burnqed.lean.pool import WorkerPool

_DEFAULT = HarvestConfig()
_TOLD = 3
"""So many modules that do not load are told with their reasons; the manifest counts all."""


def harvest(
    out: Annotated[Path, typer.Option(help="The folder of the harvest.")] = Path("data/harvest"),
    roots: Annotated[
        str | None,
        typer.Option(
            help="Modules, with all below them, separated by commas.",
            show_default=f"{','.join(_DEFAULT.roots)}; of a project its own modules",
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Try so many theorems at most, drawn at random.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Which ones.")] = _DEFAULT.seed,
    held_out: Annotated[
        float, typer.Option(help="Share of the modules none of whose theorems is trained on.")
    ] = _DEFAULT.held_out,
    valid: Annotated[
        float, typer.Option(help="Share of the other modules' theorems that are for validation.")
    ] = _DEFAULT.valid,
    workers: Annotated[
        int, typer.Option(min=0, help="Lean processes at once; 0 = ¾ of the cores, as memory allows.")
    ] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the harvest in --out.")] = False,
    project: Annotated[
        Path | None, typer.Option(help="A Lake project: harvest its compiled modules with its Lean (docs/native.md).")
    ] = None,
    lean_path: Annotated[
        str | None,
        typer.Option(help="Folders of compiled modules, with `:` between them, where `lake env` cannot be asked."),
    ] = None,
) -> None:
    """Make proving tasks of the theorems of Lean's own library, or of a project of yours.

    Each is stated where its module begins: on what the module imports and nothing else, so neither the theorem itself nor
    anything that was proved with it can be used. Nothing is fetched. The tasks are in tasks.jsonl, the account of
    every theorem of the library in manifest.json.

    Examples:
      burnqed data harvest

      burnqed data harvest --roots Init.Data.Nat,Init.Data.List --limit 500 --out data/small

      burnqed prove data/harvest/tasks.jsonl --seconds 10

      burnqed data harvest --project . --out data/mine

    """
    asked = tuple(r.strip() for r in (roots or "").split(",") if r.strip())
    if roots is not None and not asked:
        raise BadInput("--roots: name at least one module")
    native = _Native.found(project, lean_path, asked) if project or lean_path else None
    try:
        config = HarvestConfig(
            roots=asked or (roots_of(native.names) if native else _DEFAULT.roots),
            limit=limit,
            seed=seed,
            held_out=held_out,
            valid=valid,
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise BadInput(f"--{str(first['loc'][0]).replace('_', '-')}: {first['msg']}") from None
    side = native or _Embedded(ensure_lean(programs=[COMPLETE]), config)
    folder = HarvestFolder.open(out, {**side.settings, **config.model_dump(mode="json")}, resume=resume)
    began_s = time.monotonic()
    manifest = asyncio.run(_run(side, folder, config, workers))
    tried = manifest.rows_out + sum(c.count for c in manifest.dropped.get("statement", {}).values())
    print(
        f"{out / TASKS}: {manifest.rows_out:,} tasks from {tried:,} theorems, in {duration(time.monotonic() - began_s)}"
    )
    print(manifest.told(), file=sys.stderr)


async def _run(side: _Embedded | _Native, folder: HarvestFolder, config: HarvestConfig, workers: int) -> Manifest:
    async with side.pool(workers) as (pool, limits):
        with WorkBar("theorems") as bar:
            modules, wanted = await run_harvest(pool, limits, folder, config, names=side.names, on_progress=bar.show)
    _tell_unloaded(modules)
    command = f"burnqed {shlex.join(sys.argv[1:])}"
    return folder.finish(modules, wanted, config, origin=side.origin, command=command)


def _tell_unloaded(modules: list[Module]) -> None:
    unloaded = [m for m in modules if m.trouble]
    for module in unloaded[:_TOLD]:
        print(f"burnqed: {module.name} does not load: {module.trouble}", file=sys.stderr)
    if len(unloaded) > _TOLD:
        print(f"burnqed: nor do {len(unloaded) - _TOLD} others", file=sys.stderr)


@dataclass(frozen=True)
class _Embedded:
    """The embedded Lean, whose processes have all modules from their start."""

    lean: EmbeddedLean
    config: HarvestConfig
    names: tuple[str, ...] = ()

    @property
    def settings(self) -> dict[str, object]:
        """What a harvest must be resumed with, beside its configuration."""
        return {"lean": self.lean.lean_version}

    @property
    def origin(self) -> Origin:
        return Origin(
            name=SOURCE,
            location=", ".join(self.config.roots),
            licence="Apache-2.0",
            lean=self.lean.lean_version,
        )

    @contextlib.asynccontextmanager
    async def pool(self, workers: int) -> AsyncIterator[tuple[WorkerPool, LeanConfig]]:
        limits = LeanConfig(workers=workers)
        async with WorkerPool(spawner(self.lean, limits, program=COMPLETE), limits) as pool:
            yield pool, limits


@dataclass(frozen=True)
class _Native:
    """A native Lean that was found, and the modules that it is asked for."""

    lean: NativeLean
    config: NativeConfig
    names: tuple[str, ...] = field(repr=False)

    @classmethod
    def found(cls, project: Path | None, lean_path: str | None, roots: tuple[str, ...]) -> _Native:
        """Look for it. Raises BadInput with what is missing: a toolchain, a project, a root."""
        config = configured(project)
        if lean_path:
            config = config.model_copy(update={"lean_path": lean_path})
        lean = find_toolchain(config)
        return cls(lean, config, tuple(modules_below(lean, roots) if roots else own_modules(lean)))

    @property
    def settings(self) -> dict[str, object]:
        """What a harvest must be resumed with, beside its configuration."""
        return {"lean": self.lean.versions.project_lean, "project": str(self.lean.project or self.lean.lean_path)}

    @property
    def origin(self) -> Origin:
        return Origin(
            name=SOURCE,
            location=str(self.lean.project or self.lean.lean_path),
            lean=self.lean.versions.project_lean,
        )

    @contextlib.asynccontextmanager
    async def pool(self, workers: int) -> AsyncIterator[tuple[WorkerPool, LeanConfig]]:
        limits = native_lean_config(workers)
        with Scratch() as scratch:
            spawn = library_spawner(self.lean, self.config, limits, scratch=scratch)
            async with WorkerPool(spawn, limits) as pool:
                yield pool, limits
