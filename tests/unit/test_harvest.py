"""Harvesting: what is tried, what becomes of it, and that nothing is lost or done twice. Lean is a toy here."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from burnqed.core.errors import BadInput, RunError
from burnqed.core.theorem import Theorem
from burnqed.data.harvest.catalogue import Module, drawn
from burnqed.data.harvest.config import HarvestConfig
from burnqed.data.harvest.folder import TASKS, UNLOADED, HarvestFolder, Tried
from burnqed.data.harvest.run import HUNG, KILLED, harvest
from burnqed.data.harvest.split import HELD_OUT, TRAIN, VALID, split_of
from burnqed.data.manifest import Manifest, Origin
from burnqed.data.records import TheoremRecord
from burnqed.data.trace.inputs import theorem_records
from burnqed.lean.config import LeanConfig
from burnqed.lean.pool import WorkerPool
from burnqed.lean.process import Launch, LeanProcess
from burnqed.lean.protocol import LibraryTheorem
from burnqed.theorems.read import read_input

TOY = Path(__file__).with_name("toy_library.py")
LIBRARY = {
    "Init.A": {"imports": ["Init.Zero"], "theorems": ["A.one", "A.two", "A.two._aux", "A.own"]},
    "Init.B": {"imports": ["Init.A", "Init.A"], "theorems": ["B.one", "B.two"]},
    "Std.C": {"imports": ["Init"], "theorems": ["C.one"]},
}
CONFIG = HarvestConfig(silence_s=0.6)
INIT = HarvestConfig(silence_s=0.6, roots=("Init",))


class Toy:
    """A pool of toy processes with a library of its own."""

    def __init__(self, folder: Path, library: dict[str, object] = LIBRARY) -> None:
        self.plan = folder / "library.json"
        self.plan.write_text(json.dumps(library))
        self.config = LeanConfig(workers=2, ready_timeout_s=20)

    async def spawn(self) -> LeanProcess:
        launch = Launch((sys.executable, "-S", "-E", str(TOY), str(self.plan)), {}, str(self.plan.parent))
        return await LeanProcess.start(launch, ready_timeout_s=20)

    @contextlib.asynccontextmanager
    async def pool(self) -> AsyncIterator[WorkerPool]:
        async with WorkerPool(self.spawn, self.config) as pool:
            yield pool

    @property
    def tried(self) -> list[str]:
        log = self.plan.with_suffix(".log")
        return log.read_text().splitlines() if log.exists() else []

    async def harvest(self, out: Path, config: HarvestConfig = CONFIG, *, resume: bool = False) -> Manifest:
        folder = HarvestFolder.open(out, config.model_dump(mode="json"), resume=resume)
        async with self.pool() as pool:
            modules, wanted = await harvest(pool, self.config, folder, config)
        return folder.finish(modules, wanted, config, origin=Origin(name="harvest", lean="4.28.0"))


def tasks(out: Path) -> dict[str, TheoremRecord]:
    return theorem_records(out / TASKS)


async def test_every_theorem_is_a_task_or_counted(tmp_path: Path) -> None:
    manifest = await Toy(tmp_path).harvest(tmp_path / "out")
    found = tasks(tmp_path / "out")
    assert list(found) == ["harvest.A.one", "harvest.A.two", "harvest.B.one", "harvest.B.two", "harvest.C.one"]
    assert (manifest.rows_in, manifest.rows_out) == (7, 5)
    assert manifest.dropped_for("library", "auxiliary") == 1
    assert manifest.dropped["statement"]["needs its own module"].examples == ["A.own: Foo"]
    assert Manifest.read(tmp_path / "out") == manifest


async def test_a_task_stands_on_what_its_module_imports_and_nothing_else(tmp_path: Path) -> None:
    await Toy(tmp_path).harvest(tmp_path / "out")
    record = tasks(tmp_path / "out")["harvest.B.one"]
    assert (record.imports, record.origin, record.lean) == (("Init.A",), "Init.B:B.one", "4.28.0")
    prover_sees = [t for t in read_input(str(tmp_path / "out" / TASKS)) if isinstance(t, Theorem)]
    assert {t.name: t.imports for t in prover_sees}["harvest.B.one"] == ("Init.A",)
    assert len(prover_sees) == 5


@pytest.mark.parametrize(("bad", "reason"), [("A.hang", HUNG), ("A.kill", KILLED)])
async def test_a_theorem_that_hangs_or_kills_lean_is_told_and_the_rest_goes_on(
    tmp_path: Path, bad: str, reason: str
) -> None:
    library = {"Init.A": {"imports": ["Init"], "theorems": ["A.one", bad, "A.two", "A.three"]}}
    manifest = await Toy(tmp_path, library).harvest(tmp_path / "out", INIT)
    assert list(tasks(tmp_path / "out")) == ["harvest.A.one", "harvest.A.two", "harvest.A.three"]
    assert manifest.dropped_for("statement", reason) == 1
    assert manifest.dropped["statement"][reason].examples[0].startswith(bad)


async def test_a_process_lost_once_costs_nothing(tmp_path: Path) -> None:
    library = {"Init.A": {"imports": ["Init"], "theorems": ["A.one", "A.killonce", "A.two"]}}
    manifest = await Toy(tmp_path, library).harvest(tmp_path / "out", INIT)
    assert (manifest.rows_out, manifest.rows_dropped) == (3, 0)


async def test_what_was_done_is_not_done_again(tmp_path: Path) -> None:
    library = {f"Init.M{i}": {"imports": ["Init"], "theorems": [f"M{i}.t"]} for i in range(6)}
    library["Init.M9"] = {"imports": ["Init"], "theorems": ["M9.hang"]}
    toy = Toy(tmp_path, library)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(toy.harvest(tmp_path / "out", HarvestConfig(silence_s=30, roots=("Init",))), 3)
    assert sorted(toy.tried) == [f"M{i}.t" for i in range(6)]
    assert not (tmp_path / "out" / TASKS).exists()
    toy.plan.write_text(toy.plan.read_text().replace("M9.hang", "M9.t"))
    await toy.harvest(tmp_path / "out", HarvestConfig(silence_s=30, roots=("Init",)), resume=True)
    assert sorted(toy.tried) == [*(f"M{i}.t" for i in range(6)), "M9.t"]
    assert len(tasks(tmp_path / "out")) == 7


async def test_a_module_over_which_lean_is_lost_is_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    toy = Toy(tmp_path)
    folder = HarvestFolder.open(tmp_path / "out", {}, resume=False)
    async with toy.pool() as pool:  # the toy dies of a module that it does not know
        modules, wanted = await harvest(pool, toy.config, folder, CONFIG, names=["Init.A", "No.Such", "Std.C"])
    manifest = folder.finish(modules, wanted, CONFIG, origin=Origin(name="harvest"))
    assert list(tasks(tmp_path / "out")) == ["harvest.A.one", "harvest.A.two", "harvest.C.one"]
    assert manifest.dropped_for("module", UNLOADED) == 1
    assert manifest.dropped["module"][UNLOADED].examples[0].startswith("No.Such: the Lean process ended")


async def test_an_unknown_root_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no module Mathlib; its roots are Init"):
        await Toy(tmp_path).harvest(tmp_path / "out", HarvestConfig(roots=("Std", "Mathlib")))


async def test_a_root_is_a_module_with_all_below_it(tmp_path: Path) -> None:
    library = {**LIBRARY, "Init.AB": {"imports": ["Init"], "theorems": ["AB.one"]}}
    manifest = await Toy(tmp_path, library).harvest(tmp_path / "out", HarvestConfig(roots=("Init.A",)))
    assert manifest.rows_in == 4


def test_a_folder_is_not_overwritten_nor_resumed_with_other_settings(tmp_path: Path) -> None:
    settings = HarvestConfig().model_dump(mode="json")
    with pytest.raises(BadInput, match="no harvest to resume"):
        HarvestFolder.open(tmp_path, settings, resume=True)
    HarvestFolder.open(tmp_path, settings, resume=False)
    with pytest.raises(BadInput, match="holds a harvest already"):
        HarvestFolder.open(tmp_path, settings, resume=False)
    with pytest.raises(BadInput, match="begun with seed = 0, not 1"):
        HarvestFolder.open(tmp_path, {**settings, "seed": 1}, resume=True)
    (tmp_path / "harvest.json").write_text("{")
    with pytest.raises(RunError, match=r"harvest\.json is damaged"):
        HarvestFolder.open(tmp_path, settings, resume=True)


def test_a_damaged_part_is_named(tmp_path: Path) -> None:
    folder = HarvestFolder.open(tmp_path, {}, resume=False)
    folder.keep("Init.A", [Tried(name="A.one", statement="theorem t : True", form="typed")])
    assert folder.tried("Init.A")[0].form == "typed"
    (tmp_path / "parts" / "Init.A.json").write_text('[{"name": 3}]')
    with pytest.raises(RunError, match=r"Init\.A\.json is damaged"):
        folder.tried("Init.A")


def library_of(*names: str) -> list[Module]:
    theorems = tuple(LibraryTheorem(i, name) for i, name in enumerate(names))
    skipped = LibraryTheorem(99, "x._aux", skip="auxiliary")
    return [Module("M", ("Init",), (*theorems, skipped, LibraryTheorem(100, "old", deprecated=True)))]


def test_what_is_drawn_depends_on_the_seed_and_holds_no_made_theorem() -> None:
    modules = library_of(*(f"t{i}" for i in range(50)))
    assert drawn(modules, None, 0) == {"M": list(range(50))}
    assert drawn(modules, 10, 1) == drawn(modules, 10, 1) != drawn(modules, 10, 2)
    assert len(drawn(modules, 10, 1)["M"]) == 10


def test_a_module_is_held_out_as_a_whole_and_the_rest_is_split_by_theorem() -> None:
    config = HarvestConfig(held_out=0.2, valid=0.1)
    parts = {m: {split_of(f"M{m}", f"t{t}", config) for t in range(200)} for m in range(300)}
    held = [m for m, found in parts.items() if HELD_OUT in found]
    assert all(parts[m] == {HELD_OUT} for m in held)
    assert 0.14 < len(held) / 300 < 0.26
    names = [split_of("M0" if 0 not in held else "M1", f"t{t}", config) for t in range(2000)]
    assert set(names) == {TRAIN, VALID}
    assert 0.07 < names.count(VALID) / 2000 < 0.13


def test_a_larger_share_only_adds() -> None:
    small, large = HarvestConfig(held_out=0.05), HarvestConfig(held_out=0.3)
    for m in range(200):
        if split_of(f"M{m}", "t", small) == HELD_OUT:
            assert split_of(f"M{m}", "t", large) == HELD_OUT
