"""A conversation goes on as if its process had never died, and files are handled outside it."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from burnqed.lean.config import LeanConfig
from burnqed.lean.conversation import Conversation
from burnqed.lean.host_files import ask_with_files
from burnqed.lean.pool import WorkerPool
from burnqed.lean.process import BatchLost, Launch, LeanProcess

TALKING = Path(__file__).with_name("talking_lean.py")
LAUNCH = Launch((sys.executable, str(TALKING), "Init"), {}, str(TALKING.parent))


def names(folder: Path) -> list[str]:
    """What is in a folder."""
    return sorted(p.name for p in folder.iterdir())


class Talk:
    """A conversation, and what a test asks of it."""

    def __init__(self, conversation: Conversation, pool: WorkerPool) -> None:
        self.conversation = conversation
        self.pool = pool

    async def __call__(self, command: str, **payload: Any) -> dict[str, Any]:
        return await self.conversation.ask(command, payload)

    async def goal(self, number: int) -> str:
        """The text of a state's goal."""
        reply = await self("goal.print", stateId=number, goals=True)
        return " ".join(g["target"]["pp"] for g in reply["goals"])

    async def step(self, number: int, tactic: str = "t") -> int:
        """The number of the state after a tactic."""
        return int((await self("goal.tactic", stateId=number, tactic=tactic))["nextStateId"])

    def kill(self) -> None:
        """Kill the process, as the system might."""
        self.conversation.process.process.kill()

    @property
    def in_process(self) -> int:
        """How many states the present process was told of."""
        return len(self.conversation._server_ids)


@pytest_asyncio.fixture
async def talk() -> AsyncIterator[Talk]:
    config = LeanConfig(workers=1, request_timeout_s=1.5, max_requests=10_000)
    pool = WorkerPool(lambda: LeanProcess.start(LAUNCH, ready_timeout_s=20), config)
    async with pool, pool.lease() as session:
        try:
            yield Talk(Conversation(session.process, pool.replace, config), pool)
        finally:
            await pool.close()


async def test_states_outlive_their_process(talk: Talk) -> None:
    start = (await talk("goal.start", expr="a"))["stateId"]
    one = await talk.step(start, "x")
    two = await talk.step(one, "y")
    other = (await talk("goal.start", expr="b"))["stateId"]
    assert [start, one, two, other] == [0, 1, 2, 3]
    talk.kill()
    assert await talk.goal(two) == "a in Init ; x ; y"
    assert talk.in_process == 3, "only what was needed was made again"
    assert await talk.goal(other) == "b in Init"
    assert await talk.step(two, "z") == 4
    assert talk.pool.replaced == 1


async def test_a_tactic_that_kills_is_asked_twice_and_no_more(talk: Talk, tmp_path: Path) -> None:
    start = (await talk("goal.start", expr="a"))["stateId"]
    once = await talk.step(start, f"die-once {tmp_path / 'died'}")
    assert await talk.goal(once) == "a in Init ; die-once"
    with pytest.raises(BatchLost):
        await talk.step(start, "die")
    assert await talk.goal(once) == "a in Init ; die-once", "and the conversation goes on"
    assert talk.pool.replaced == 3


async def test_a_batch_loses_only_what_hangs_or_kills(talk: Talk, tmp_path: Path) -> None:
    start = (await talk("goal.start", expr="a"))["stateId"]
    tactics = ["x", "die", "fail", f"die-once {tmp_path / 'died'}", "hang", "done"]
    outcomes = (await talk("goal.tactics", stateId=start, tactics=tactics))["outcomes"]
    assert [o.get("reason", "worked") for o in outcomes] == ["worked", "crash", "error", "worked", "timeout", "worked"]
    for outcome, text in ((outcomes[0], "a in Init ; x"), (outcomes[3], "a in Init ; die-once"), (outcomes[5], "")):
        assert await talk.goal(outcome["nextStateId"]) == text
    assert (await talk("goal.tactics", stateId=start, tactics=[]))["outcomes"] == []


async def test_states_are_made_again_in_the_environment_that_they_had(talk: Talk) -> None:
    before = (await talk("goal.start", expr="a"))["stateId"]
    await talk("env.add", name="f")
    between = (await talk("goal.start", expr="b"))["stateId"]
    await talk("frontend.process", file="g", inheritEnv=True)
    await talk("frontend.process", file="not kept", inheritEnv=False)
    after = (await talk("goal.start", expr="c"))["stateId"]
    talk.kill()
    assert (await talk("expr.echo", expr="1"))["type"] == {"pp": "Init+f+g"}
    assert await talk.goal(after) == "c in Init+f+g"
    assert await talk.goal(between) == "b in Init+f"
    assert await talk.goal(before) == "a in Init"


async def test_and_with_the_options_that_they_had(talk: Talk) -> None:
    start = (await talk("goal.start", expr="a"))["stateId"]
    first = await talk.step(start, "x")
    await talk("options.set", automaticMode=False)
    second = await talk.step(first, "y")
    talk.kill()
    assert await talk.goal(second) == "a in Init ; x ; y by hand"
    assert (await talk("options.print"))["automaticMode"] is False
    await talk("options.set", automaticMode=True, printJsonPretty=True)
    third = await talk.step(second, "z")
    talk.kill()
    assert await talk.goal(third) == "a in Init ; x ; y by hand ; z", "and lines stay lines"


async def test_replies_with_several_states_and_requests_about_several(talk: Talk) -> None:
    targets = (await talk("frontend.distil", file="f"))["targets"]
    one, two = (t["stateId"] for t in targets)
    both = (await talk("goal.continue", target=one, branch=two))["nextStateId"]
    talk.conversation.drop([one])
    talk.kill()
    assert await talk.goal(both) == "f 0 in Init and f 1 in Init"
    assert await talk.goal(two) == "f 1 in Init"


async def test_what_is_dropped_is_forgotten_once_nothing_needs_it(talk: Talk) -> None:
    numbers = [(await talk("goal.start", expr="a"))["stateId"]]
    for _ in range(60):
        numbers.append(await talk.step(numbers[-1]))
        await talk("goal.delete", stateIds=[numbers[-2], 10_000])
    assert len(talk.conversation._states) == 61, "the last one was made from all of them"
    assert talk.conversation.n_states == 1
    assert (await talk("goal.tactic", stateId=numbers[3], tactic="x"))["desc"] == "Invalid state index 3"
    assert (await talk("stat")) == {"nGoals": 1}
    assert (await talk.conversation.process.request("stat", {}, dict[str, Any], timeout_s=5))[1]["nGoals"] == 1
    talk.conversation.drop(numbers)
    assert not talk.conversation._states
    assert await talk("reset") == {"nGoals": 0}
    assert (await talk("goal.start", expr="a"))["stateId"] == 0


async def test_errors_are_replies_and_bad_requests_harm_nothing(talk: Talk) -> None:
    assert (await talk("nonsense"))["error"] == "command"
    assert (await talk("goal.delete", stateIds="all"))["error"] == "command"
    assert (await talk("goal.print", stateId=3))["error"] == "index"
    assert talk.pool.replaced == 0


async def test_files_are_read_and_written_here(talk: Talk, tmp_path: Path) -> None:
    async def ask(command: str, **payload: Any) -> dict[str, Any]:
        return await ask_with_files(talk.conversation.ask, command, payload, folder=tmp_path)

    (tmp_path / "a.lean").write_text("text ⊢", encoding="utf-8")
    reply = await ask("frontend.process", fileName="a.lean", invocations="out.json")
    assert reply["units"] == [{"boundary": [0, 6], "messages": [], "nInvocations": 2}]
    written = msgspec.json.decode((tmp_path / "out.json").read_bytes())
    assert [i["tactic"] for i in written["units"][0]["invocations"]] == ["text ⊢", "text ⊢"]
    assert "invocations" in (await ask("frontend.process", file="b", invocations=True))["units"][0], (
        "inline, if asked so"
    )

    with (tmp_path / "symbols").open("w+", encoding="utf-8") as held:
        assert await ask("env.catalog", filename="symbols", modulePrefix=None) == {}
        assert held.read() == "dInit\n", "into the file that is held open"

    start = (await ask("goal.start", expr="a"))["stateId"]
    step = await talk.step(start, "x")
    assert await ask("goal.save", id=step, path="state") == {}
    again = (await ask("goal.load", path="state"))["id"]
    talk.kill()
    (tmp_path / "state").unlink()
    assert await talk.goal(again) == "a in Init ; x", "made again without the file"
    await ask("env.add", name="f")
    assert await ask("env.save", path="env") == {}
    await ask("env.add", name="g")
    assert await ask("env.load", path="env") == {}
    assert (await ask("expr.echo", expr="1"))["type"] == {"pp": "Init+f"}
    assert names(tmp_path) == ["a.lean", "env", "out.json", "symbols"]


@pytest.mark.parametrize(
    ("command", "payload"),
    [
        ("frontend.process", {"fileName": "none.lean"}),
        ("frontend.process", {"fileName": "binary"}),
        ("frontend.process", {"file": "a", "invocations": "none/out.json"}),
        ("env.catalog", {"filename": "none/symbols"}),
        ("goal.save", {"id": 0, "path": "none/state"}),
        ("goal.load", {"path": "none"}),
        ("goal.load", {"path": "binary"}),
        ("goal.load", {"path": "env"}),
        ("env.load", {"path": "list"}),
    ],
)
async def test_files_that_cannot_be_used_are_an_error(
    talk: Talk, tmp_path: Path, command: str, payload: dict[str, Any]
) -> None:
    await talk("goal.start", expr="a")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "list").write_text("[]")
    await ask_with_files(talk.conversation.ask, "env.save", {"path": "env"}, folder=tmp_path)
    reply = await ask_with_files(talk.conversation.ask, command, payload, folder=tmp_path)
    assert reply["error"] == "io"
    assert str(tmp_path) in reply["desc"]
    assert names(tmp_path) == ["binary", "env", "list"]
