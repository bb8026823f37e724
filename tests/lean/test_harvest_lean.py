"""The library as tasks, in the embedded Lean: environments of other imports, statements that say the same again, honest tasks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

from burnqed.core.outcome import Refused, Stepped
from burnqed.core.theorem import Theorem
from burnqed.lean.process import LeanProcess, RequestFailed
from burnqed.lean.session import PooledSession

pytestmark = [pytest.mark.lean, pytest.mark.asyncio(loop_scope="session")]

Ask = Callable[..., Awaitable[dict[str, Any]]]
COMM = "theorem mine : ∀ n m : Nat, n + m = m + n := by sorry"


def asking(process: LeanProcess) -> Ask:
    async def send(command: str, **payload: Any) -> dict[str, Any]:
        try:
            partial, reply = await process.request(command, payload, dict[str, Any], timeout_s=120)
        except RequestFailed as error:
            return {"error": error.kind, "desc": error.desc}
        return {**reply, "entries": partial}

    return send


@pytest_asyncio.fixture(loop_scope="session")
async def ask(complete_process: LeanProcess) -> Ask:
    """Of the complete program."""
    return asking(complete_process)


# --- environments of other imports


async def works(ask: Ask, state: int, tactic: str) -> bool:
    return "nextStateId" in await ask("goal.tactic", stateId=state, tactic=tactic)


@pytest.mark.parametrize("program", ["prover", "complete"])
async def test_a_theorem_stands_on_what_it_imports(
    program: str, lean_process: LeanProcess, complete_process: LeanProcess
) -> None:
    ask = asking(lean_process if program == "prover" else complete_process)
    early = await ask("goal.start", theorem=COMM, header="", imports=["Init.Core"])
    assert not await works(ask, early["stateId"], "exact Nat.add_comm")
    assert await works(ask, early["stateId"], "exact fun n m => (sorry : n + m = m + n)")
    base = await ask("goal.start", theorem=COMM, header="")
    assert await works(ask, base["stateId"], "exact Nat.add_comm")
    late = await ask("goal.start", theorem=COMM, header="", imports=["Init.Data.Nat.Basic"])
    assert await works(ask, late["stateId"], "exact Nat.add_comm")
    gone = await ask("goal.tactic", stateId=early["stateId"], tactic="intro n")
    assert gone["error"] == "index", "a state goes with its environment"
    assert await works(ask, base["stateId"], "exact Nat.add_comm"), "what the server started with stays"


async def test_headers_are_kept_apart_by_what_they_stand_on(ask: Ask) -> None:
    header = "def mine : Nat := 7"
    for imports in (["Init.Core"], ["Init.Data.Nat.Basic"], ["Init.Core"]):
        started = await ask("goal.start", theorem="theorem t : mine = 7 := by sorry", header=header, imports=imports)
        assert await works(ask, started["stateId"], "rfl")
        known = await works(ask, started["stateId"], "have _ := Nat.add_comm 1 1; rfl")
        assert known == (imports != ["Init.Core"])


async def test_many_environments_after_each_other(ask: Ask) -> None:
    modules = ["Init.Core", "Init.Data.List.Basic", "Init.Omega", "Std.Data.HashMap.Basic", "Init.Data.Nat.Lemmas"]
    for turn in range(25):
        imports = [modules[turn % len(modules)]]
        started = await ask("goal.start", theorem="theorem t (p : Prop) (h : p) : p ∨ p := by sorry", imports=imports)
        assert await works(ask, started["stateId"], "exact Or.inl h"), (turn, started)


@pytest.mark.parametrize(
    ("imports", "said"),
    [
        (["Mathlib.Logic.Basic"], "unknown module Mathlib.Logic.Basic"),
        (["Init.NoSuchThing"], "imports cannot be read"),
        ([], "names of modules expected"),
        ("Init", "names of modules expected"),
    ],
)
async def test_imports_that_cannot_be(ask: Ask, imports: object, said: str) -> None:
    reply = await ask("goal.start", theorem=COMM, header="", imports=imports)
    assert said in reply["desc"]
    assert "stateId" in await ask("goal.start", theorem=COMM, header="", imports=["Init.Core"])


async def test_a_saved_state_remembers_its_imports(ask: Ask) -> None:
    started = await ask("goal.start", theorem=COMM, header="", imports=["Init.Core"])
    saved = await ask("goal.save", id=started["stateId"])
    await ask("goal.start", theorem=COMM, header="", imports=["Init.Data.Nat.Basic"])
    loaded = await ask("goal.load", trail=saved["trail"])
    assert not await works(ask, loaded["id"], "exact Nat.add_comm")


async def test_a_session_opens_theorems_of_different_imports(session: PooledSession) -> None:
    signature = COMM.removesuffix(" := by sorry")
    for imports, known in ((("Init.Core",), False), (("Init", "Std"), True), (("Init.Data.Nat.Basic",), True)):
        ref, _ = await session.start(Theorem("mine", signature, imports=imports))
        (outcome,) = await session.apply(ref, ["exact Nat.add_comm"])
        assert isinstance(outcome, Stepped if known else Refused)
        if isinstance(outcome, Stepped):
            assert (await session.verdict(outcome.ref)).accepted


# --- the library


async def statements(ask: Ask, module: str) -> dict[str, dict[str, Any]]:
    theorems = (await ask("library.theorems", module=module))["theorems"]
    wanted = [t["index"] for t in theorems if "skip" not in t]
    reply = await ask("library.statements", module=module, indices=wanted)
    assert "statements" in reply, reply
    found = [*reply["statements"]]
    return {entry["name"]: entry for entry in found}


async def test_what_no_person_stated_says_why(ask: Ask) -> None:
    reply = await ask("library.theorems", module="Init.Data.Nat.Basic")
    skip = {t["name"]: t.get("skip", "") for t in reply["theorems"]}
    assert skip["Nat.add_comm"] == skip["Nat.add_assoc"] == ""
    assert all(name.startswith("Init.") for name in reply["imports"])
    core = {t["name"]: t for t in (await ask("library.theorems", module="Init.Core"))["theorems"]}
    assert core["Iff.mp"]["skip"] == "projection"
    assert core["Sum.inl.injEq"]["skip"] == "comes with a type"
    assert all(t.get("skip") == "auxiliary" for name, t in core.items() if "._proof_" in name)
    assert core["Subtype.eq"]["deprecated"]


async def test_a_statement_says_the_same_again_where_its_module_begins(ask: Ask) -> None:
    found = await statements(ask, "Init.Data.Nat.Compare")
    good = [entry for entry in found.values() if "statement" in entry]
    assert len(good) >= 8
    imports = (await ask("library.theorems", module="Init.Data.Nat.Compare"))["imports"]
    for entry in good:
        started = await ask("goal.start", theorem=f"{entry['statement']} := by sorry", header="", imports=imports)
        assert started["name"] == f"harvest.{entry['name']}"
        assert not await works(ask, started["stateId"], f"exact @{entry['name']}")


async def test_variables_that_nobody_can_write_get_names(ask: Ask) -> None:
    found = await statements(ask, "Init.Data.List.Erase")
    assert {entry["form"] for entry in found.values() if "statement" in entry} >= {"readable"}
    assert not [entry for entry in found.values() if entry.get("reason") == "no text says the same"]
    assert not [entry for entry in found.values() if "✝" in entry.get("statement", "")]


async def test_a_statement_about_its_own_module_is_none_there(ask: Ask) -> None:
    found = await statements(ask, "Init.Control.ExceptCps")
    own = [entry for entry in found.values() if entry.get("reason") == "needs its own module"]
    assert own
    assert any("ExceptCpsT" in entry["missing"] for entry in own)


async def test_an_unknown_module_is_named(ask: Ask) -> None:
    assert (await ask("library.theorems", module="Init.Nope"))["desc"] == "Module not found Init.Nope"
    assert (await ask("library.statements", module="Init.Nope", indices=[]))["error"] == "index"
