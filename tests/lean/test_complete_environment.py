"""The complete program's environment commands: Pantograph's, and environments that are saved by what changed them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

from burnqed.lean.process import LeanProcess, RequestFailed

pytestmark = pytest.mark.lean

Reply = dict[str, Any]
Ask = Callable[..., Awaitable[Reply]]


@pytest_asyncio.fixture(loop_scope="session")
async def ask(complete_process: LeanProcess) -> AsyncIterator[Ask]:
    """Send a command, get its reply without the nonce; an error reply comes back as it was. The environment starts afresh."""

    async def send(command: str, **payload: Any) -> Reply:
        try:
            _, reply = await complete_process.request(command, payload, dict[str, Any], timeout_s=60)
        except RequestFailed as error:
            return {"error": error.kind, "desc": error.desc}
        reply.pop("nonce")
        return reply

    await send("reset")
    yield send
    assert await send("env.load", trail=[]) == {}


async def test_the_literal_pairs_of_pantograph(ask: Ask) -> None:
    assert await ask("env.add", name="Pantograph.mystery", value="λ (a b: Prop) => Or a b", isTheorem=False) == {}
    assert await ask("env.inspect", name="Pantograph.mystery", value=True) == {
        "isUnsafe": False,
        "type": {"pp": "Prop → Prop → Prop"},
        "value": {"pp": "fun a b => a ∨ b"},
    }
    assert await ask("env.add", name="Pantograph.mystery2", type="Nat → Int", value="λ (a: Nat) => a + 1") == {}
    assert await ask("env.inspect", name="Pantograph.mystery2", value=True) == {
        "isUnsafe": False,
        "type": {"pp": "Nat → Int"},
        "value": {"pp": "fun a => ↑a + 1"},
    }
    third = {"levels": ["u"], "type": "(α : Type u) → α → (α × α)", "value": "λ (α : Type u) (x : α) => (x, x)"}
    assert await ask("env.add", name="Pantograph.mystery3", isTheorem=False, **third) == {}
    assert (await ask("env.inspect", name="Pantograph.mystery3"))["type"] == {"pp": "(α : Type u) → α → α × α"}
    assert await ask("expr.echo", expr="λ {α : Sort (u + 1)} => List α", levels=["u"]) == {
        "expr": {"pp": "fun {α} => List α"},
        "type": {"pp": "{α : Type u} → Type u"},
    }
    assert await ask("env.parse", input="intro x; apply a", category="tactic") == {"pos": len("intro x")}


async def test_what_was_added_can_be_used(ask: Ask) -> None:
    assert await ask("env.add", name="two", type="Nat", value="2", isTheorem=False) == {}
    assert await ask("env.add", name="two_pos", type="0 < two", value="by decide", isTheorem=True) == {}
    await ask("goal.start", expr="∃ n, 0 < n ∧ n = two")
    done = await ask("goal.tactic", stateId=0, tactic="exact ⟨two, two_pos, rfl⟩")
    assert done["goals"] == []
    assert await ask("goal.verdict", stateId=1) == {"accepted": True, "axioms": [], "reason": ""}
    again = await ask("goal.start", theorem="theorem t : two = 2 := by sorry", header="open Nat")
    assert await ask("env.add", name="Nat.three", type="Nat", value="3") == {}
    header = await ask("goal.start", theorem="theorem t : three = 3 := by sorry", header="open Nat")
    assert header["goals"][0]["target"] == {"pp": "three = 3"}, (
        "a header that was kept is not used when what it stands on changes"
    )
    assert "error" not in again


@pytest.mark.parametrize(
    ("fields", "kind", "part"),
    [
        ({"type": "1 = 2", "value": "rfl", "isTheorem": True}, "expr", ""),
        ({"type": "1 = 1", "value": "by skip", "isTheorem": True}, "expr", "unsolved goals"),
        ({"type": "Nat", "value": "2", "isTheorem": True}, "expr", "must be a proposition"),
        ({"value": "fun x => x"}, "expr", ""),
        ({"value": "(fun (α : Sort _) (x : α) => x)"}, "expr", "universe"),
        ({"value": "nope"}, "expr", "Unknown identifier `nope`"),
        ({"value": "fun ("}, "parse", "unexpected end of input"),
        ({"type": "Nat →", "value": "1"}, "parse", "unexpected end of input"),
        ({"name": "Nat.add", "value": "1"}, "expr", "already"),
        ({"value": "unsafeCast 1"}, "expr", "escapes Lean's types"),
        ({"type": "Nat"}, "command", "EnvAdd.value"),
    ],
)
async def test_what_cannot_be_added(ask: Ask, fields: Reply, kind: str, part: str) -> None:
    reply = await ask("env.add", **{"name": "burnqedTest", **fields})
    assert reply["error"] == kind, reply
    assert part in reply["desc"]
    assert (await ask("env.inspect", name="burnqedTest"))["error"] == "index"
    assert await ask("env.save") == {"trail": []}


async def test_a_theorem_with_sorry_is_not_proved_by_it(ask: Ask) -> None:
    assert await ask("env.add", name="wrong", type="1 = 2", value="sorry", isTheorem=True) == {}
    await ask("goal.start", expr="1 = 2")
    assert (await ask("goal.tactic", stateId=0, tactic="exact wrong"))["goals"] == []
    assert not (await ask("goal.verdict", stateId=1))["accepted"]


async def test_modules(ask: Ask) -> None:
    described = await ask("env.describe")
    assert {"Init", "Std"} <= set(described["imports"])
    assert {"Init.Prelude", "Init.Data.Nat.Basic", "Std"} <= set(described["modules"])
    read = await ask("env.module_read", module="Init.Data.Nat.Basic")
    assert set(read) == {"imports", "constNames", "extraConstNames"}
    assert "Nat.add_comm" in read["constNames"]
    assert any(name.startswith("Init.") for name in read["imports"])
    assert await ask("env.module_read", module="Nope") == {"error": "index", "desc": "Module not found Nope"}
    assert (await ask("env.module_read"))["error"] == "command"
    prelude = await ask("env.inspect", name="Nat.add_comm", source=True)
    assert prelude["module"] == "Init.Data.Nat.Basic"
    assert "sourceStart" not in prelude, "the embedded library does not say where its constants stand"


@pytest.mark.parametrize(
    ("text", "category", "head"),
    [
        ("intro x; apply a", "tactic", "intro x"),
        ("x + 1 ) y", "term", "x + 1 "),
        ("∀ x, x = 𝔸 foo", "term", "∀ x, x = 𝔸 foo"),
        ("  simp\nrfl", "tactic", "  simp\n"),
        ("def x := 1\ndef y := 2", "command", "def x := 1\n"),
        ("lhs; rhs", "conv", "lhs"),
    ],
)
async def test_parsing_the_first_thing(ask: Ask, text: str, category: str, head: str) -> None:
    assert await ask("env.parse", input=text, category=category) == {"pos": len(head.encode())}


async def test_what_does_not_parse(ask: Ask) -> None:
    assert (await ask("env.parse", input=")", category="term"))["error"] == "parse"
    assert (await ask("env.parse", input="x", category="nope"))["error"] == "parse"
    assert (await ask("env.parse", input="x"))["error"] == "command"


async def test_the_catalog_holds_what_was_added(ask: Ask) -> None:
    before = (await ask("env.catalog"))["symbols"]
    await ask("env.add", name="burnqedTest.two", type="Nat", value="2")
    await ask("env.add", name="burnqedTest.refl", type="1 = 1", value="rfl", isTheorem=True)
    added = {"dburnqedTest.two", "tburnqedTest.refl"}
    assert set((await ask("env.catalog"))["symbols"]) - set(before) == added
    assert added <= set((await ask("env.catalog", modulePrefix="Init", invertFilter=True))["symbols"])
    assert not added & set((await ask("env.catalog", modulePrefix="Init"))["symbols"])
    reply = await ask("env.catalog", filename="symbols.txt")
    assert reply["error"] == "io"
    assert "burnqed lean serve" in reply["desc"]


async def test_environments_are_saved_by_what_changed_them(ask: Ask) -> None:
    assert await ask("env.save") == {"trail": []}
    await ask("env.add", name="two", type="Nat", value="2")
    await ask("env.add", name="two_pos", type="0 < two", value="by decide", isTheorem=True)
    saved = await ask("env.save")
    assert [entry["cmd"] for entry in saved["trail"]] == ["env.add", "env.add"]
    assert await ask("env.load", trail=[]) == {}
    assert (await ask("env.inspect", name="two"))["error"] == "index", "back at the start"
    assert await ask("env.add", name="two", type="Nat", value="22") == {}, "so the name is free"
    assert await ask("env.load", **saved) == {}
    assert (await ask("env.inspect", name="two", value=True))["value"] == {"pp": "2"}
    assert (await ask("env.inspect", name="two_pos"))["type"] == {"pp": "0 < two"}
    assert await ask("env.save") == saved
    broken = {"cmd": "env.add", "payload": {"name": "bad", "value": "nope"}}
    for trail in ([saved["trail"][0], broken], [{"cmd": "stat", "payload": {}}], [{"x": 1}], [7]):
        assert "error" in await ask("env.load", trail=trail), trail
        assert await ask("env.save") == saved, "a trail that fails changes nothing"
    assert (await ask("env.inspect", name="two_pos"))["type"] == {"pp": "0 < two"}
    assert (await ask("env.load"))["error"] == "arguments"
    for command in ("env.save", "env.load"):
        assert (await ask(command, path="x"))["error"] == "io"


async def test_states_stand_on_the_environment_they_began_in(ask: Ask) -> None:
    await ask("env.add", name="two", type="Nat", value="2")
    await ask("goal.start", expr="two = 2")
    trail = (await ask("goal.save", id=0))["trail"]
    environment = await ask("env.save")
    await ask("env.load", trail=[])
    assert (await ask("goal.tactic", stateId=0, tactic="rfl"))["goals"] == []
    assert (await ask("goal.load", trail=trail))["error"] == "expr", "a trail does not carry its environment"
    await ask("env.load", **environment)
    loaded = await ask("goal.load", trail=trail)
    assert (await ask("goal.tactic", stateId=loaded["id"], tactic="rfl"))["goals"] == []


async def test_texts_that_change_the_environment_are_part_of_its_trail(ask: Ask) -> None:
    text = "def Nat.two : Nat := 2\nopen Nat\nuniverse w"
    assert "error" not in await ask("frontend.process", file=text, inheritEnv=True)
    await ask("env.add", name="four", type="Nat", value="two + two")
    saved = await ask("env.save")
    assert [entry["cmd"] for entry in saved["trail"]] == ["frontend.process", "env.add"]
    assert "dNat.two" in (await ask("env.catalog", modulePrefix="Init", invertFilter=True))["symbols"]
    await ask("env.load", trail=[])
    assert (await ask("goal.start", expr="four = 4"))["error"] == "expr"
    await ask("env.load", **saved)
    await ask("goal.start", expr="two + two = four ∧ ∀ α : Sort w, α = α")
    assert (await ask("goal.tactic", stateId=0, tactic="exact ⟨rfl, fun _ => rfl⟩"))["goals"] == []
    assert "error" not in await ask("frontend.process", file="def nothing := 1")
    assert await ask("env.save") == saved, "what is not inherited changes nothing"


async def test_states_from_a_file_can_be_saved(ask: Ask) -> None:
    text = "theorem a : 1 = 1 := sorry\ntheorem b (p : Prop) : p → p := sorry"
    targets = (await ask("frontend.distil", file=text))["targets"]
    assert len(targets) == 2
    started = await ask("goal.start", file=text, hole=1)
    for state, goals in ((targets[1]["stateId"], targets[1]["goals"]), (started["stateId"], started["goals"])):
        after = await ask("goal.tactic", stateId=state, tactic="intros")
        loaded = await ask("goal.load", **await ask("goal.save", id=after["nextStateId"]))
        printed = await ask("goal.print", stateId=loaded["id"], goals=True)
        assert printed["goals"] == after["goals"]
        assert printed["goals"] != goals
