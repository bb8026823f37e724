"""A PyPantograph-style session, many times: one request at a time over a bare pipe, and through our client.

A session starts a goal, applies 20 tactics, tries four others on five of the states (the branches), prints the last state
and deletes what it made: 43 operations. Every way does the same operations on the same server; the figure is
operations each second.

    python benchmarks/client_session.py --sessions 40
    python benchmarks/client_session.py --soak 10000
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import os
import platform
import subprocess
import time
from collections.abc import Callable
from typing import Any

import psutil

from burnqed.lean import GoalState, Server, TacticFailure
from burnqed.lean.embedded.install import install
from burnqed.lean.embedded.programs import COMPLETE
from burnqed.lean.embedded.server import server_launch
from burnqed.lean.process import OWNER_VARIABLE, owner_tag

STATEMENT = "∀ (a b c : Nat) (h : a ≤ b), a + c ≤ b + c + {k}"
PATH = (
    "intro a b c h",
    *(f"have h{i} : a + {i} ≤ b + {i} := Nat.add_le_add_right h {i}" for i in range(9)),
    *(f"have g{i} : c + {i} = {i} + c := Nat.add_comm c {i}" for i in range(9)),
    "exact Nat.le_trans (Nat.add_le_add_right h c) (Nat.le_add_right _ _)",
)
BRANCH_AT = (1, 5, 9, 13, 17)
BRANCHES = ("omega", "simp", "exact h", "apply Nat.le_of_lt")
OPERATIONS = 1 + len(PATH) + len(BRANCH_AT) * len(BRANCHES) + 2


class Pipe:
    """The server at the end of a pipe: write a line, wait for a line."""

    def __init__(self) -> None:
        launch = server_launch(install(), ("Init",), COMPLETE)
        self.process = subprocess.Popen(
            launch.argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**launch.env, OWNER_VARIABLE: owner_tag()},
            cwd=launch.cwd,
            preexec_fn=launch.prepare,
        )
        while self._line().strip() != b"ready.":
            pass

    def _line(self) -> bytes:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the server ended"
        return line

    def ask(self, command: str, payload: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{command} {json.dumps(payload, ensure_ascii=False)}\n".encode())
        self.process.stdin.flush()
        while not (line := self._line()).startswith(b"{"):
            pass
        reply: dict[str, Any] = json.loads(line)
        return reply

    def session(self, k: int) -> None:
        state = self.ask("goal.start", {"expr": STATEMENT.format(k=k)})["stateId"]
        made = [state]
        for i, tactic in enumerate(PATH):
            if i in BRANCH_AT:
                for branch in BRANCHES:
                    reply = self.ask("goal.tactic", {"stateId": state, "tactic": branch})
                    made += [reply["nextStateId"]] if "nextStateId" in reply else []
            state = self.ask("goal.tactic", {"stateId": state, "tactic": tactic})["nextStateId"]
            made.append(state)
        printed = self.ask("goal.print", {"stateId": state, "rootExpr": True})
        assert not printed["rootHasMVar"]
        self.ask("goal.delete", {"stateIds": made})

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


async def session(server: Server, k: int) -> None:
    """The session by our client, one tactic a request."""
    state = await server.goal_start_async(STATEMENT.format(k=k))
    for i, tactic in enumerate(PATH):
        if i in BRANCH_AT:
            for branch in BRANCHES:
                with contextlib.suppress(TacticFailure):
                    await server.goal_tactic_async(state, branch)
        state = await server.goal_tactic_async(state, tactic)
    assert state.is_solved
    assert await server.goal_root_async(state)


async def session_in_batches(server: Server, k: int) -> None:
    """The session by our client; what is tried on one state is one request."""
    state = await server.goal_start_async(STATEMENT.format(k=k))
    for i, tactic in enumerate(PATH):
        tried = (*BRANCHES, tactic) if i in BRANCH_AT else (tactic,)
        outcome = (await server.goal_tactics_async(state, tried, errors=False))[-1]
        assert isinstance(outcome, GoalState), outcome
        state = outcome
    assert state.is_solved
    assert await server.goal_root_async(state)


def blocking_session(server: Server, k: int) -> None:
    """The session by the synchronous methods."""
    state = server.goal_start(STATEMENT.format(k=k))
    for i, tactic in enumerate(PATH):
        if i in BRANCH_AT:
            for branch in BRANCHES:
                with contextlib.suppress(TacticFailure):
                    server.goal_tactic(state, branch)
        state = server.goal_tactic(state, tactic)
    assert state.is_solved
    assert server.goal_root(state)


async def many(one: Callable[[Server, int], Any], server: Server, count: int, at_once: int) -> None:
    gate = asyncio.Semaphore(at_once)

    async def run(k: int) -> None:
        async with gate:
            await one(server, k)

    await asyncio.gather(*(run(k) for k in range(count)))


def rate(name: str, sessions: int, work: Callable[[], None], base: float | None) -> float:
    began = time.perf_counter()
    work()
    found = sessions * OPERATIONS / (time.perf_counter() - began)
    beside = "" if base is None else f"   {found / base:5.2f} × the pipe"
    print(f"{name:<44}{found:8.1f} operations/s{beside}", flush=True)
    return found


def compare(sessions: int) -> None:
    print(f"{sessions} sessions of {OPERATIONS} operations, Python {platform.python_version()}, {os.cpu_count()} cores")
    pipe = Pipe()
    pipe.session(0)
    base = rate("bare pipe, one request at a time", sessions, lambda: _each(pipe.session, sessions), None)
    pipe.close()
    for workers in (1, 2):
        with Server(workers=workers) as server:
            asyncio.run(many(session, server, 2 * workers, workers))
            word = f"client, {workers} worker{'s' * (workers > 1)}"
            if workers == 1:
                rate(
                    f"{word}, blocking", sessions, lambda: _each(lambda k: blocking_session(server, k), sessions), base
                )
            for name, one in (("one tactic a request", session), ("batches", session_in_batches)):
                work = lambda one=one: asyncio.run(many(one, server, sessions, 2 * workers))  # noqa: B023, E731
                rate(f"{word}, {name}", sessions, work, base)


def _each(one: Callable[[int], None], count: int) -> None:
    for k in range(count):
        one(k)


def soak(requests: int) -> None:
    me = psutil.Process()
    mine: list[float] = []
    leans: list[float] = []
    asked = answered = 0
    server = Server()
    children = {c.pid for c in me.children(recursive=True)}
    began = time.perf_counter()
    state = server.goal_start(STATEMENT.format(k=0))
    while asked < requests:
        step = asked % len(PATH)
        if step == 0:
            state = server.goal_start(STATEMENT.format(k=asked))
            mine.append(me.memory_info().rss / 2**20)
            leans.append(sum(p.rss_mb() for p in server._open_workers.processes))
            children |= {c.pid for c in me.children(recursive=True)}
        asked += 1
        following = server.goal_tactic(state, PATH[step])
        answered += following.is_solved == (step == len(PATH) - 1)
        # A sibling that is dropped at once, so that deleting is part of it.
        if step % 4 == 0 and asked < requests:
            asked += 1
            (other,) = server.goal_tactics(state, ["skip" if step else "intro a"])
            answered += isinstance(other, GoalState)
        state = following
    seconds = time.perf_counter() - began
    del state, following, other
    gc.collect()
    server.gc()
    kept = server.run("stat", {})["nGoals"]
    replaced = server.replaced
    children |= {c.pid for c in me.children(recursive=True)}
    server.close()
    orphans = [pid for pid in children if psutil.pid_exists(pid)]
    print(f"{requests} requests in {seconds:.0f} s ({requests / seconds:.0f}/s), {requests - answered} lost or wrong")
    for name, rss in (("client", mine), ("Lean", leans)):
        print(f"{name:<7} MB: start {rss[0]:.0f}, end {rss[-1]:.0f}, most {max(rss):.0f}")
    print(f"states left {kept}, processes replaced {replaced}, orphans {len(orphans)}")
    assert answered == requests
    assert not orphans


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=40)
    parser.add_argument("--soak", type=int, default=0, metavar="REQUESTS")
    args = parser.parse_args()
    if args.soak:
        soak(args.soak)
    else:
        compare(args.sessions)


if __name__ == "__main__":
    main()
