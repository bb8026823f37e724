"""One real Lean for all tests marked ``lean``. It is installed if it is not there (``BURNQED_HOME`` says where)."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from hypothesis import settings

from burnqed.core.outcome import Stepped
from burnqed.core.theorem import Theorem
from burnqed.lean.config import LeanConfig
from burnqed.lean.embedded.install import EmbeddedLean, install
from burnqed.lean.embedded.programs import COMPLETE
from burnqed.lean.embedded.server import server_launch, spawner
from burnqed.lean.pool import WorkerPool
from burnqed.lean.process import LeanProcess
from burnqed.lean.session import PooledSession

# What a test says nothing of must not depend on what is shipped, nor on what the user of this machine has chosen.
os.environ["BURNQED_PROVER"] = "menu"

# How long an example takes says how busy the machine is.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

# A shell starts what it runs in the background with Ctrl-C ignored, and processes that tests start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


def theorem(statement: str, header: str = "", name: str = "foo") -> Theorem:
    """A theorem from what stands after its name: ``(n : Nat) : n = n``, or ``: 1 = 1``."""
    universes, _, rest = statement.partition(" ") if statement.startswith(".{") else ("", "", statement)
    return Theorem(name, f"theorem {name}{universes} {rest}", header)


async def stepped(session: PooledSession, t: Theorem, *tactics: str) -> Stepped:
    """The state after these tactics, each of which must work."""
    ref, _ = await session.start(t)
    outcome = None
    for tactic in tactics:
        (outcome,) = await session.apply(ref, [tactic])
        assert isinstance(outcome, Stepped), (tactic, outcome)
        ref = outcome.ref
    assert outcome is not None
    return outcome


async def proves(session: PooledSession, t: Theorem, *tactics: str) -> bool:
    """Whether the tactics work, leave no goal, and the kernel agrees."""
    last = await stepped(session, t, *tactics)
    return last.state.finished and (await session.verdict(last.ref)).accepted


@pytest.fixture(scope="session")
def lean() -> EmbeddedLean:
    """The embedded Lean."""
    return install()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def pool(lean: EmbeddedLean) -> AsyncIterator[WorkerPool]:
    """The pool with the one real worker that tests share."""
    config = LeanConfig(workers=1)
    async with WorkerPool(spawner(lean, config), config) as workers:
        await workers.warm_up()
        yield workers


@pytest_asyncio.fixture(loop_scope="session")
async def session(pool: WorkerPool) -> AsyncIterator[PooledSession]:
    """The shared worker, leased."""
    async with pool.lease() as leased:
        yield leased


@pytest_asyncio.fixture(loop_scope="session")
async def lean_process(session: PooledSession) -> LeanProcess:
    """The process of the shared worker, with no state in it."""
    return session.process


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def complete_process(lean: EmbeddedLean) -> AsyncIterator[LeanProcess]:
    """A process of the complete program, shared; a module that uses it resets what it leaves."""
    process = await LeanProcess.start(server_launch(lean, program=COMPLETE), ready_timeout_s=180)
    try:
        yield process
    finally:
        await process.close()
