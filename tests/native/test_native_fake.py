"""The plain dialect, the session and the pool over a Pantograph that misbehaves; no real Lean."""

from __future__ import annotations

import asyncio
import shlex
import sys
from pathlib import Path

import pytest

from burnqed.core.errors import LeanError, StatementRejected, WorkerLost
from burnqed.core.outcome import Outcome, Refused, StateRef, Stepped
from burnqed.core.theorem import Theorem
from burnqed.lean.config import LeanConfig, NativeConfig
from burnqed.lean.dialect import PlainDialect
from burnqed.lean.native.audit import Versions
from burnqed.lean.native.find import NativeLean, find_native
from burnqed.lean.native.launch import Scratch, native_spawner
from burnqed.lean.pool import WorkerPool

FAKE = Path(__file__).with_name("fake_pantograph.py")


def theorem(n: int, header: str = "", name: str = "foo") -> Theorem:
    return Theorem(name, f"theorem {name} (x : Nat) : x = {n}", header)


class Lab:
    """A fake executable in a folder of its own, and pools over it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.executable = folder / "repl"
        (folder / "fake.py").write_text(FAKE.read_text(encoding="utf-8"), encoding="utf-8")
        self.executable.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {folder}/fake.py "$@"\n')
        self.executable.chmod(0o755)
        self.mode("normal")

    def mode(self, mode: str) -> None:
        (self.folder / "mode").write_text(mode)

    def native(self) -> NativeLean:
        return NativeLean(self.executable, Versions(pantograph="0.3.14"))

    def pool(self, scratch: Scratch, **settings: float) -> WorkerPool:
        config = LeanConfig.model_validate({"workers": 1, "request_timeout_s": 3, "ready_timeout_s": 20, **settings})
        spawn = native_spawner(self.native(), ["Init"], NativeConfig(sandbox="off"), config, scratch=scratch)
        return WorkerPool(spawn, config, PlainDialect())


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


@pytest.fixture
def scratch():
    with Scratch() as folder:
        yield folder


def kinds(outcomes: list[Outcome]) -> list[str]:
    return [o.kind if isinstance(o, Refused) else "stepped" for o in outcomes]


async def test_a_proof_from_state_zero_to_none(lab: Lab, scratch: Scratch) -> None:
    async with lab.pool(scratch) as pool, pool.lease() as session:
        ref, state = await session.start(theorem(2))
        assert ref == StateRef(0)
        assert state.text == "x : Nat\n⊢ x = 2"
        (first,) = await session.apply(ref, ["step"])
        assert isinstance(first, Stepped)
        assert first.lean_ms > 0
        assert not (await session.verdict(first.ref)).accepted
        (second,) = await session.apply(first.ref, ["suggest"])
        assert isinstance(second, Stepped)
        assert second.state.finished
        assert second.suggestion == "step"
        assert (await session.verdict(second.ref)).accepted
        await session.forget([ref, first.ref])
        (again,) = await session.apply(first.ref, ["step"])  # rebuilt
        assert isinstance(again, Stepped)


async def test_states_that_differ_in_numbers_of_variables_only_have_one_key(lab: Lab, scratch: Scratch) -> None:
    async with lab.pool(scratch) as pool, pool.lease() as session:
        ref, start = await session.start(theorem(3))
        a, b = await session.apply(ref, ["step", "suggest"])
        assert isinstance(a, Stepped)
        assert isinstance(b, Stepped)
        assert a.state.goals[0].id != b.state.goals[0].id
        assert a.state.key == b.state.key != start.key
        assert a.state.key is not None


async def test_goals_without_metavariables_are_taken_apart(lab: Lab, scratch: Scratch) -> None:
    async with lab.pool(scratch) as pool, pool.lease() as session:
        ref, _ = await session.start(theorem(2))
        split, tied = await session.apply(ref, ["split", "tie"])
        assert isinstance(split, Stepped)
        assert split.state.components == ((0,), (1,))
        assert isinstance(tied, Stepped)
        assert tied.state.components == ((0, 1),), "it cannot be told which goals a metavariable ties together"
        part, state = await session.focus(split.ref, [1])
        assert [g.target for g in state.goals] == ["x = 3"]
        assert state.key == (split.state.goals[1].key,)
        session.process.kill()
        first, second, third = [*(await session.apply(part, ["step"])), *(await session.apply(part, ["step", "die"]))]
        assert isinstance(first, Stepped)
        assert isinstance(second, Stepped)
        assert first.state.text == second.state.text == "x : Nat\n⊢ x = 2"
        assert isinstance(third, Refused)


async def test_a_part_is_no_proof(lab: Lab, scratch: Scratch) -> None:
    async with lab.pool(scratch) as pool, pool.lease() as session:
        ref, _ = await session.start(theorem(1))
        (split,) = await session.apply(ref, ["split"])
        assert isinstance(split, Stepped)
        part, _ = await session.focus(split.ref, [0])
        (end,) = await session.apply(part, ["step"])
        assert isinstance(end, Stepped)
        assert end.state.finished
        assert not (await session.verdict(end.ref)).accepted


async def test_an_old_pantograph_cannot_take_goals_apart(lab: Lab, scratch: Scratch) -> None:
    lab.mode("cannot continue")
    async with lab.pool(scratch) as pool, pool.lease() as session:
        ref, _ = await session.start(theorem(1))
        (split,) = await session.apply(ref, ["split"])
        assert isinstance(split, Stepped)
        with pytest.raises(LeanError, match=r"cannot take the goals of a state apart: Unknown command goal\.continue"):
            await session.focus(split.ref, [0])


async def test_every_way_to_refuse(lab: Lab, scratch: Scratch) -> None:
    tactics = {
        "step": "stepped",
        "no such": "error",
        "bad syntax": "parse",
        "sorry": "sorry",
        "unsafe": "unsafe",
        "nostate": "error",
        "nogoals": "error",
        "error io interrupt": "timeout",
        "error internal interrupt": "timeout",
        "error exception oh no": "error",
        "error core (deterministic) timeout at whnf": "heartbeats",
        "error core maximum recursion depth has been reached": "recursion",
        "garbage": "stepped",
        "stderr": "stepped",
        "flood": "stepped",
    }
    async with lab.pool(scratch) as pool, pool.lease() as session:
        ref, _ = await session.start(theorem(2))
        outcomes = await session.apply(ref, list(tactics))
        assert dict(zip(tactics, kinds(outcomes), strict=True)) == tactics
        assert pool.replaced == 0


async def test_deaths_hangs_and_nonsense_cost_nobody_else_anything(lab: Lab, scratch: Scratch) -> None:
    async with lab.pool(scratch, request_timeout_s=1) as pool, pool.lease() as session:
        ref, _ = await session.start(theorem(3))
        (first,) = await session.apply(ref, ["step"])
        assert isinstance(first, Stepped)
        tactics = ["step", "die", "die once", "half", "hang", "shape", "step"]
        outcomes = await session.apply(first.ref, tactics)
        assert kinds(outcomes) == ["stepped", "crash", "stepped", "crash", "timeout", "crash", "stepped"]
        assert isinstance(outcomes[-1], Stepped)
        (last,) = await session.apply(outcomes[-1].ref, ["step"])
        assert isinstance(last, Stepped)
        assert last.state.finished


async def test_the_same_run_with_kills_from_outside(lab: Lab, scratch: Scratch) -> None:
    async def run(kill: bool) -> list[str]:
        async with lab.pool(scratch) as pool, pool.lease() as session:
            ref, _ = await session.start(theorem(4, header="open Nat"))
            texts: list[str] = []
            for i in range(3):
                if kill and i:
                    session.process.kill()
                (outcome,) = await session.apply(ref, ["step"])
                assert isinstance(outcome, Stepped)
                ref = outcome.ref
                texts.append(outcome.state.text)
            return texts

    assert await run(kill=True) == await run(kill=False)


async def test_a_process_serves_one_header_only(lab: Lab, scratch: Scratch) -> None:
    async with lab.pool(scratch) as pool:
        pids = []
        for header in ["", "", "open Nat\ndef a := 1", "open Nat\ndef a := 1", "", "def b := 1", "def c := 1"]:
            async with pool.lease() as session:
                await session.start(theorem(2, header))
                pids.append(session.process.pid)
        assert pids[0] == pids[1] == pids[2] == pids[3]
        assert pids[3] != pids[4] == pids[5] != pids[6]
        assert pool.replaced == 2


async def test_a_server_that_keeps_the_scope_needs_no_scope_commands(lab: Lab, scratch: Scratch) -> None:
    lab.mode("keeps scope")
    async with lab.pool(scratch) as pool, pool.lease() as session:
        for _ in range(2):
            _, state = await session.start(theorem(2, "open Nat"))
            assert len(state.goals) == 1
        assert session.process.requests == 5 + 3  # the first start asks twice, the second knows


async def test_what_lean_refuses_is_told_in_one_sentence(lab: Lab, scratch: Scratch) -> None:
    async with lab.pool(scratch) as pool, pool.lease() as session:
        with pytest.raises(StatementRejected, match=r"statement of foo: .*Unknown identifier `unknown_thing`"):
            await session.start(Theorem("foo", "theorem foo : unknown_thing = 1"))
        with pytest.raises(StatementRejected, match="header, line 2: unexpected token"):
            await session.start(theorem(2, "open Nat\nnonsense"))
        _, state = await session.start(theorem(2, "open Nat"))  # the spoiled process was replaced
        assert len(state.goals) == 1


async def test_an_old_pantograph_is_named(lab: Lab, scratch: Scratch) -> None:
    lab.mode("old")
    async with lab.pool(scratch) as pool, pool.lease() as session:
        with pytest.raises(LeanError, match=r"frontend.distil.*0\.3\.8.*newer release"):
            await session.start(theorem(2))


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("silent", "not ready after 1 s"),
        ("mismatch", r"incompatible header.*built with Lean 4\.28\.0.*the very same.*lake build"),
        ("no module", r"Mathlib does not exist.*lake exe cache get"),
        ("error line", "ended before it was ready.*something"),
    ],
)
async def test_no_ready(lab: Lab, scratch: Scratch, mode: str, words: str) -> None:
    lab.mode(mode)
    async with lab.pool(scratch, ready_timeout_s=1 if mode == "silent" else 20) as pool:
        with pytest.raises(WorkerLost, match=words):
            async with asyncio.timeout(30):
                await pool.warm_up()


async def test_a_slow_start_with_other_lines_first(lab: Lab, scratch: Scratch) -> None:
    lab.mode("slow")
    async with lab.pool(scratch) as pool, pool.lease() as session:
        _, state = await session.start(theorem(1))
        assert not state.finished
        assert session.process.ready_after_s > 1


def test_the_version_is_asked(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    native = find_native(NativeConfig(pantograph=lab.executable), {"PATH": ""})
    assert native.versions.pantograph == "0.3.14"
    assert native.versions.pantograph_lean == "4.28.0"
