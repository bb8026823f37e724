"""The native path with a real Lean behind it: our own server, started as somebody's Pantograph executable."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import pytest_asyncio
from tests.native.embedded_toolchain import lake_project, make

from burnqed.core.errors import StatementRejected
from burnqed.core.outcome import Refused, Stepped
from burnqed.core.theorem import Theorem
from burnqed.lean.config import LeanConfig, NativeConfig
from burnqed.lean.dialect import PlainDialect
from burnqed.lean.embedded.install import EmbeddedLean
from burnqed.lean.native.audit import Versions
from burnqed.lean.native.find import NativeLean
from burnqed.lean.native.launch import Scratch, native_spawner
from burnqed.lean.native.sandbox import probe
from burnqed.lean.pool import WorkerPool
from burnqed.lean.session import PooledSession

pytestmark = pytest.mark.lean


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def native_pool(executable: Path, needed: tuple[Path, ...]) -> AsyncIterator[WorkerPool]:
    limits = LeanConfig(workers=1, rss_limit_mb=4000)
    with Scratch() as scratch:
        native = NativeLean(executable, Versions())
        config = NativeConfig(readable=needed)
        async with WorkerPool(
            native_spawner(native, ["Init", "Std"], config, limits, scratch=scratch), limits, PlainDialect()
        ) as pool:
            yield pool


@pytest_asyncio.fixture(loop_scope="session")
async def session(native_pool: WorkerPool) -> AsyncIterator[PooledSession]:
    async with native_pool.lease() as leased:
        yield leased


async def prove(session: PooledSession, theorem: Theorem, *tactics: str, kill_before: int = -1) -> list[str]:
    """The texts of the states along a proof, which the process must believe."""
    ref, state = await session.start(theorem)
    texts = [state.text]
    for i, tactic in enumerate(tactics):
        if i == kill_before:
            session.process.kill()
        (outcome,) = await session.apply(ref, [tactic])
        assert isinstance(outcome, Stepped), (tactic, outcome)
        ref = outcome.ref
        texts.append(outcome.state.text)
    assert texts[-1] == "no goals"
    assert (await session.verdict(ref)).accepted
    return texts


ARITH = Theorem("arith", "theorem arith (a b : Nat) (h : a ≤ b) : a + 1 ≤ b + 1")
LIST = Theorem(
    "Foo.rev",
    "theorem rev (xs : List α) : twice xs = xs ++ xs",
    "namespace Foo\nuniverse u\nvariable {α : Type u}\ndef twice (l : List α) : List α := l ++ l",
)


async def test_proofs_step_by_step(session: PooledSession) -> None:
    texts = await prove(session, ARITH, "have g : a < b + 1 := by omega", "omega")
    assert texts[0] == "a b : Nat\nh : a ≤ b\n⊢ a + 1 ≤ b + 1"
    assert texts[1] == "a b : Nat\nh : a ≤ b\ng : a < b + 1\n⊢ a + 1 ≤ b + 1"
    await prove(
        session,
        Theorem("two", "theorem two (p q : Prop) (hp : p) (hq : q) : p ∧ q"),
        "constructor",
        "exact hp",
        "exact hq",
    )


async def test_a_header_with_everything_and_the_same_after_a_death(session: PooledSession) -> None:
    tactics = ("unfold twice", "cases xs", "rfl", "rfl")
    straight = await prove(session, LIST, *tactics)
    assert straight[0] == "α : Type u\nxs : List α\n⊢ twice xs = xs ++ xs"
    pid = session.process.pid
    assert await prove(session, LIST, *tactics, kill_before=2) == straight
    assert session.process.pid != pid


async def test_goals_are_taken_apart(session: PooledSession) -> None:
    ref, _ = await session.start(Theorem("two", "theorem two (p q : Prop) (hp : p) (hq : q) : p ∧ q"))
    (both,) = await session.apply(ref, ["constructor"])
    assert isinstance(both, Stepped)
    assert both.state.components == ((0,), (1,))
    part, state = await session.focus(both.ref, [1])
    assert [g.target for g in state.goals] == ["q"]
    session.process.kill()
    (end,) = await session.apply(part, ["exact hq"])
    assert isinstance(end, Stepped)
    assert end.state.finished
    assert not (await session.verdict(end.ref)).accepted


async def test_refusals(session: PooledSession) -> None:
    ref, state = await session.start(ARITH)
    tactics = ["sorry", "exact arith a b h", "no_such_tactic", "simp only []", "exact (", "skip", "omega"]
    outcomes = await session.apply(ref, tactics)
    kinds = [o.kind if isinstance(o, Refused) else "stepped" for o in outcomes]
    assert kinds == ["sorry", "error", "parse", "error", "parse", "stepped", "stepped"]
    stepped = outcomes[5]
    assert isinstance(stepped, Stepped)
    assert stepped.state.key == state.key
    assert not (await session.verdict(stepped.ref)).accepted
    with pytest.raises(StatementRejected, match=r"Nat\.no_such_thing"):
        await session.start(Theorem("bad", "theorem bad : Nat.no_such_thing = 1"))


@pytest.mark.skipif(probe()[0].bwrap is None, reason="bubblewrap does not work here")
def test_it_runs_in_the_sandbox(session: PooledSession) -> None:
    family = [psutil.Process(session.process.pid), *psutil.Process(session.process.pid).children(recursive=True)]
    assert "bwrap" in family[0].name()
    assert session.process.rss_mb() > 300
    mine, inner = Path("/proc/self/ns"), Path(f"/proc/{family[-1].pid}/ns")
    for kind in ("net", "pid", "mnt"):
        assert (inner / kind).readlink() != (mine / kind).readlink()


def test_the_command_line_with_a_project(
    executable: Path, needed: tuple[Path, ...], lean: EmbeddedLean, tmp_path: Path
) -> None:
    """Search in the executable, gate by the toolchain's `lean`: all of it real, but that the toolchain is the embedded one."""
    project = tmp_path / "project"
    path = lake_project(project, make(tmp_path / "sysroot", lean), "lib")
    arguments = ["prove", "∀ n : Nat, n < n + 1", "--project", project, "--pantograph", executable, "--seconds", "200"]
    readable = ":".join(map(str, (*needed, Path(lean.node).parent)))
    environment = {**os.environ, "PATH": f"{path}:{os.environ['PATH']}", "BURNQED_READABLE": readable}
    done = subprocess.run(
        [sys.executable, "-m", "burnqed", *arguments, "--json", "--out", tmp_path / "run"],
        capture_output=True, text=True, env=environment, timeout=250, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["status"] == "proved"
    assert "native Lean 4.28.0" in json.loads((tmp_path / "run" / "run.json").read_text())["lean"]
    (written,) = (tmp_path / "run" / "proofs").iterdir()
    again = subprocess.run(
        [sys.executable, "-m", "burnqed", "verify", written, "--project", project, "--json"],
        capture_output=True, text=True, timeout=250, check=False,
        env={**environment, "BURNQED_PANTOGRAPH": str(executable)},
    )  # fmt: skip
    assert again.returncode == 0, again.stderr
    report = json.loads(again.stdout)
    assert report["good"]
    assert [d["name"] for d in report["declarations"]] == ["statement"]
    assert "4.28.0" in report["kernel"]
    assert str(project) in report["trusted"]
