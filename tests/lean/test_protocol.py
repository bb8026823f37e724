"""Every command of the embedded server: Pantograph's literal pairs, its error shapes, and what we add."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from burnqed.lean.process import LeanProcess, RequestFailed

pytestmark = pytest.mark.lean

Ask = Callable[..., Awaitable[dict[str, Any]]]
SWAP = "∀ (p q: Prop), p ∨ q → q ∨ p"


@pytest_asyncio.fixture(loop_scope="session")
async def ask(lean_process: LeanProcess) -> Ask:
    """Send a command, get its reply without the nonce; an error reply comes back as it was."""

    async def send(command: str, **payload: Any) -> dict[str, Any]:
        try:
            _, reply = await lean_process.request(command, payload, dict[str, Any], timeout_s=60)
        except RequestFailed as error:
            return {"error": error.kind, "desc": error.desc}
        assert len(reply.pop("nonce")) == 16
        return reply

    return send


async def exchange(process: LeanProcess, line: str) -> dict[str, Any]:
    """One raw line to the server and the next JSON line from it."""
    assert process.process.stdin is not None
    assert process.process.stdout is not None
    process.process.stdin.write(line.encode() + b"\n")
    await process.process.stdin.drain()
    while True:
        answer = await process.process.stdout.readuntil(b"\n")
        if answer.startswith(b"{"):
            reply: dict[str, Any] = msgspec.json.decode(answer)
            return reply


async def test_the_literal_pairs_of_pantograph(ask: Ask) -> None:
    assert await ask("stat") == {"nGoals": 0}
    assert await ask("goal.start", expr=SWAP) == {"root": "_uniq.9", "stateId": 0}
    first = await ask("goal.tactic", stateId=0, tactic="intro x")
    key = first["goals"][0].pop("key")
    assert key.isdecimal()
    assert first == {
        "goals": [
            {
                "fragment": "tactic",
                "name": "_uniq.11",
                "target": {"pp": "∀ (q : Prop), x ∨ q → q ∨ x"},
                "vars": [{"isInaccessible": False, "name": "_uniq.10", "type": {"pp": "Prop"}, "userName": "x"}],
            }
        ],
        "hasSorry": False,
        "hasUnsafe": False,
        "messages": [],
        "nextStateId": 1,
    }
    assert await ask("goal.tactic", stateId=0, tactic="sorry") == {
        "goals": [],
        "hasSorry": True,
        "hasUnsafe": False,
        "messages": [],
        "nextStateId": 2,
    }
    assert await ask("goal.tactic", stateId=0, tactic="nonsense") == {
        "hasSorry": False,
        "hasUnsafe": False,
        "parseError": "<Pantograph>:1:1: unknown tactic",
    }
    printed = await ask("goal.print", stateId=1, rootExpr=True)
    assert printed == {
        "extraMVars": [],
        "goals": [],
        "root": {"pp": "fun x => ?m.2"},
        "rootHasMVar": True,
        "rootHasSorry": False,
        "rootHasUnsafe": False,
    }
    assert await ask("expr.echo", expr="λ {α : Sort (u + 1)} => List α", levels=["u"]) == {
        "expr": {"pp": "fun {α} => List α"},
        "type": {"pp": "{α : Type u} → Type u"},
    }
    assert await ask("env.inspect", name="Nat.add_one") == {
        "isUnsafe": False,
        "module": "Init.Data.Nat.Basic",
        "type": {"pp": "∀ (n : Nat), n + 1 = n.succ"},
    }
    assert await ask("stat") == {"nGoals": 3}
    assert await ask("goal.delete", stateIds=[0, 2, 77]) == {}
    assert await ask("stat") == {"nGoals": 1}
    assert (await ask("goal.tactic", stateId=0, tactic="intro x"))["error"] == "index"
    assert await ask("reset") == {"nGoals": 1}
    assert await ask("reset") == {"nGoals": 0}
    assert (await ask("goal.start", expr="True"))["stateId"] == 0, "numbers begin again"


@pytest.mark.parametrize(
    ("command", "payload", "kind", "desc"),
    [
        ("invalid", {}, "command", "Unknown command invalid"),
        (
            "expr.echo",
            {"expr": 5},
            "command",
            "Unable to parse json: Pantograph.Protocol.ExprEcho.expr: String expected",
        ),
        ("expr.echo", {"expr": "1 +"}, "parse", "<Pantograph>:1:3: unexpected end of input"),
        ("expr.echo", {"expr": "foo"}, "expr", "Unknown identifier `foo`"),
        ("env.inspect", {"name": "Nope"}, "index", "Symbol not found Nope"),
        ("env.inspect", {}, "command", "Unable to parse json: Pantograph.Protocol.EnvInspect.name: String expected"),
        ("goal.print", {"stateId": 99}, "index", "Invalid state index 99"),
        ("goal.print", {"stateId": -1}, "command", "Unable to parse json: stateId: Natural number expected"),
        ("goal.tactic", {"tactic": "skip"}, "command", "Unable to parse json: stateId: Natural number expected"),
        ("goal.tactics", {"stateId": 99, "tactics": []}, "index", "Invalid state index 99"),
        ("goal.verdict", {"stateId": 99}, "index", "Invalid state index 99"),
        ("goal.start", {}, "arguments", "Exactly one of {expr, theorem} must be supplied"),
        ("goal.start", {"expr": "p", "theorem": "q"}, "arguments", "Exactly one of {expr, theorem} must be supplied"),
        ("goal.start", {"expr": "∀ p,"}, "parse", "<Pantograph>:1:4: unexpected end of input"),
        ("goal.start", {"expr": "foo"}, "expr", "Unknown identifier `foo`"),
        ("goal.start", {"theorem": "theorem foo : Bar := by sorry"}, "expr", "Unknown identifier `Bar`"),
        ("theorem.check", {}, "arguments", "theorem.check takes header, theorem and source"),
    ],
)
async def test_error_replies(ask: Ask, command: str, payload: dict[str, Any], kind: str, desc: str) -> None:
    assert await ask(command, **payload) == {"error": kind, "desc": desc}


async def test_other_refusals_of_a_start(ask: Ask) -> None:
    assert (await ask("goal.start", theorem="def x := 1"))["error"] == "arguments"
    bad_header = await ask("goal.start", header="def k : Nat := true", theorem="theorem bar : k = 4 := by sorry")
    assert bad_header["error"] == "frontend"
    assert bad_header["desc"].startswith("Type mismatch")
    closing = await ask("goal.start", header="end", theorem="theorem bar : 1 = 1 := by sorry")
    assert closing["error"] == "frontend"
    assert (await ask("goal.start", theorem="theorem x : (sorry : Prop) := by sorry"))["error"] == "expr"
    assert await ask("stat") == {"nGoals": 0}, "nothing of it was kept"


async def test_options(ask: Ask) -> None:
    options = await ask("options.print")
    assert options == {
        "automaticMode": True,
        "maxHeartbeats": 200000,
        "noRepeat": False,
        "printAuxDecls": False,
        "printDependentMVars": False,
        "printExprAST": False,
        "printExprPretty": True,
        "printImplementationDetailHyps": False,
        "printJsonPretty": False,
        "timeout": 0,
    }
    await ask("goal.start", expr="∀ n : Nat, n < 3 → n * n < 9")
    assert await ask("options.set", maxHeartbeats=1, unknown=3) == {}
    try:
        assert (await ask("options.print"))["maxHeartbeats"] == 1
        assert (await ask("goal.tactic", stateId=0, tactic="intro n h; omega"))["reason"] == "heartbeats"
    finally:
        await ask("options.set", maxHeartbeats=200000)
    assert await ask("options.print") == options


async def test_inspect(ask: Ask) -> None:
    nat = await ask("env.inspect", name="Nat")
    assert nat["inductInfo"] == {
        "all": ["Nat"],
        "ctors": ["Nat.zero", "Nat.succ"],
        "isNested": False,
        "isRec": True,
        "isReflexive": False,
        "numIndices": 0,
        "numParams": 0,
    }
    succ = await ask("env.inspect", name="Nat.succ")
    assert succ["constructorInfo"] == {"cidx": 1, "induct": "Nat", "numFields": 1, "numParams": 0}
    rec = (await ask("env.inspect", name="Nat.rec"))["recursorInfo"]
    assert (rec["numMotives"], rec["numMinors"], rec["k"]) == (1, 2, False)
    assert [rule["ctor"] for rule in rec["rules"]] == ["Nat.zero", "Nat.succ"]
    deep = await ask("env.inspect", name="Nat.add_one", dependency=True)
    assert deep["typeDependency"][:3] == ["Nat", "Eq", "HAdd.hAdd"]
    assert (await ask("env.inspect", name="unsafeCast"))["isUnsafe"] is True


async def test_catalog(ask: Ask) -> None:
    every = (await ask("env.catalog"))["symbols"]
    assert len(every) > 60_000
    assert sum(map(len, every)) > 2_000_000
    assert {symbol[0] for symbol in every} == set("adtoqicr")
    assert {"apropext", "tNat.add_comm", "dNat.add", "iNat", "cNat.succ", "rNat.rec", "qQuot.mk"} <= set(every)
    nat = set((await ask("env.catalog", modulePrefix="Init.Data.Nat"))["symbols"])
    others = set((await ask("env.catalog", modulePrefix="Init.Data.Nat", invertFilter=True))["symbols"])
    assert "tNat.succ_inj" in nat
    assert "tNat.succ_inj" not in others
    assert nat | others == set(every)
    assert len(nat & others) < 20, "a few constants are made anew in every module that needs them"


async def test_start_forms(ask: Ask) -> None:
    assert "goals" not in await ask("goal.start", expr="Sort u", levels=["u"])
    reply = await ask("goal.start", theorem="theorem foo (a b : Nat) (h : a < b) : ∃ c, a + c = b := by sorry")
    assert reply["name"] == "foo"
    (goal,) = reply["goals"]
    assert [(v["userName"], v["type"]["pp"]) for v in goal["vars"]] == [("a", "Nat"), ("b", "Nat"), ("h", "a < b")]
    assert goal["target"] == {"pp": "∃ c, a + c = b"}
    poly = await ask("goal.start", theorem="theorem foo.{v} (α : Type v) [Inhabited α] : ∃ x : α, x = x := by sorry")
    assert [(v["userName"], v["isInaccessible"]) for v in poly["goals"][0]["vars"]] == [("α", False), ("inst✝", True)]
    example = await ask("goal.start", theorem="example (a b : Nat) : a + b = b + a := by sorry")
    assert example["name"] == "_example"
    header = "open Nat\nnamespace Foo\ndef k := 3\nuniverse u"
    scoped = await ask("goal.start", header=header, theorem="theorem bar (α : Type u) : succ k = 4 := by sorry")
    assert scoped["goals"][0]["target"] == {"pp": "k.succ = 4"}


async def test_a_statement_means_what_it_means_in_a_file(ask: Ask) -> None:
    """Elaborated by the same rules of unification, and with the same finishing touches."""
    for statement in (
        "theorem foo (o : Option Nat) : (do let x ← o; some (x + 1)) = o.map (· + 1)",
        "theorem foo (l : List Nat) : (Id.run do { let mut s := 0; for x in l do { s := s + x }; return s }) = l.sum",
        "theorem foo (n : Nat) : (let m := n + 1; m * 2) = 2 * n + 2",
        "theorem foo (a : Int) (b : Nat) : a + b = b + a",
        "theorem foo (x : Sort _) : x = x",
        "theorem foo {α} (x y : α) (h : x = y) : y = x",
    ):
        reply = await ask(
            "theorem.check", header="", theorem=f"{statement} := by sorry", source=f"{statement} := sorry"
        )
        assert reply["reason"] == "the proof uses sorry", statement


async def test_tactic_failures_have_no_goals_and_real_positions(ask: Ask) -> None:
    await ask("goal.start", expr=SWAP)
    failed = await ask("goal.tactic", stateId=0, tactic="intro p q h\nexact   foo")
    assert set(failed) == {"messages", "hasSorry", "hasUnsafe", "reason"}
    (message,) = failed["messages"]
    assert message["data"] == "Unknown identifier `foo`"
    assert message["pos"] == {"line": 2, "column": 8}
    assert message["endPos"] == {"line": 2, "column": 11}
    assert message["severity"] == "error"
    second = "exact (fun («𝔸ℕ» : Nat) => foo) 1"
    wide = await ask("goal.tactic", stateId=0, tactic=f"intro p q h\n{second}")
    assert wide["messages"][0]["pos"] == {"line": 2, "column": second.index("foo")}, "columns count characters"
    rest = await ask("goal.tactic", stateId=0, tactic="intro p q h\n  )")
    assert rest["parseError"] == "<Pantograph>:2:2: expected end of input"
    assert "stateId" in (await ask("goal.tactic", tactic="skip"))["desc"]
    assert (await ask("goal.tactic", stateId=0))["error"] == "arguments"


async def test_one_goal_of_several(ask: Ask) -> None:
    await ask("goal.start", expr="1 = 1 ∧ 2 = 2 ∧ 3 = 3")
    split = await ask("goal.tactic", stateId=0, tactic="refine ⟨?a, ?b, ?c⟩")
    assert [g["userName"] for g in split["goals"]] == ["a", "b", "c"]
    second = split["goals"][1]["name"]
    done = await ask("goal.tactic", stateId=1, goalId=second, tactic="rfl")
    assert [g["userName"] for g in done["goals"]] == ["a", "c"]
    assert (await ask("goal.tactic", stateId=2, goalId=second, tactic="rfl"))["error"] == "index"
    every = await ask("goal.tactic", stateId=2, tactic="all_goals rfl")
    assert every["goals"] == []
    printed = await ask("goal.print", stateId=3, rootExpr=True, goals=True)
    assert (printed["goals"], printed["rootHasMVar"]) == ([], False)
    assert await ask("goal.verdict", stateId=3) == {"accepted": True, "axioms": [], "reason": ""}
    open_state = await ask("goal.verdict", stateId=2)
    assert not open_state["accepted"]
    assert "metavariables" in open_state["reason"]


async def test_verdicts_tell_axioms(ask: Ask) -> None:
    await ask("goal.start", expr="∀ p : Prop, p ∨ ¬p")
    await ask("goal.tactic", stateId=0, tactic="exact fun p => (Classical.choice ⟨Classical.em p⟩)")
    assert (await ask("goal.verdict", stateId=1)) == {"accepted": True, "axioms": ["Classical.choice"], "reason": ""}
    await ask("goal.start", expr="10 ^ 20 % 7 = 2")
    native = await ask("goal.tactic", stateId=2, tactic="native_decide")
    assert (native.get("goals"), native["hasUnsafe"], native["reason"]) == (None, True, "unsafe"), "it would run code"
    await ask("goal.start", header="axiom cheat : False", theorem="theorem x : 1 = 2 := by sorry")
    await ask("goal.tactic", stateId=3, tactic="exact cheat.elim")
    assert (await ask("goal.verdict", stateId=4))["axioms"] == ["cheat"]
    header = "def computed : Bool := true"
    await ask("goal.start", header=header, theorem="theorem x : Lean.reduceBool computed = true := by sorry")
    await ask("goal.tactic", stateId=5, tactic="rfl")
    assert (await ask("goal.verdict", stateId=6))["axioms"] == ["Lean.trustCompiler"], "computed by compiled code"
    await ask("goal.start", expr="False")
    aux = await ask("goal.tactic", stateId=7, tactic="as_aux_lemma => sorry")
    assert (await ask("goal.verdict", stateId=aux["nextStateId"]))["reason"] == "the proof uses sorry"


async def test_batches(lean_process: LeanProcess) -> None:
    async def batch(**payload: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        partial, reply = await lean_process.request("goal.tactics", payload, dict[str, Any], timeout_s=60)
        return [msgspec.json.decode(entry) for entry in partial], reply["outcomes"]

    await lean_process.request("goal.start", {"expr": "∀ n : Nat, n < 3 → n < 9"}, dict[str, Any], timeout_s=60)
    tactics = ["intro n h", "foo", "sleep 250", "exact 1", "sleep 250", "sorry", "intro n h; omega"]
    early, late = await batch(stateId=0, tactics=tactics)
    assert len(early) == 5, "all up to the second sleep went out before the rest began"
    kinds = ["goals" in entry for entry in early + late]
    assert kinds == [True, False, True, False, True, True, True]
    assert "parseError" in early[1]
    assert early[3]["messages"] == [], "brief: no text is rendered"
    assert early[3]["reason"] == "error"
    assert late[0]["hasSorry"]
    assert late[1]["goals"] == []
    numbers = [entry["nextStateId"] for entry in early + late if "nextStateId" in entry]
    assert numbers == list(range(1, 6))
    assert all(entry["micros"] > 0 for entry in early + late)
    _, (wordy,) = await batch(stateId=0, tactics=["exact 1"], errors=True)
    assert wordy["messages"][0]["severity"] == "error"
    assert await batch(stateId=0, tactics=[]) == ([], [])


async def test_theorem_check(ask: Ask) -> None:
    asked = {"header": "", "theorem": "theorem a : 1 = 1 := by sorry"}
    good = await ask("theorem.check", **asked, source="theorem a : 1 = 1 := by\n  rfl")
    assert good == {"accepted": True, "axioms": [], "messages": [], "reason": ""}
    bad = await ask("theorem.check", **asked, source="theorem a : 1 = 1 := by\n  foo")
    assert not bad["accepted"]
    assert bad["reason"] == "the source is not one theorem: <Pantograph>:2:3: unknown tactic"
    wrong = await ask("theorem.check", **asked, source="theorem a : 1 = 1 := by\n  exact absurd rfl")
    assert not wrong["accepted"]
    assert wrong["messages"]
    two = await ask("theorem.check", **asked, source="theorem b : 1 = 1 := rfl\ntheorem a : 1 = 1 := b")
    assert (two["accepted"], two["reason"][:29]) == (False, "the source is not one theorem")


async def test_heartbeats_count_for_each_request(ask: Ask) -> None:
    await ask("goal.start", expr="∀ n : Nat, n < 3 → n * n < 9")
    work = "intro n h\nmatch n with\n| 0 => decide\n| 1 => decide\n| 2 => decide\n| n + 3 => omega"
    tiny = await ask("goal.tactic", stateId=0, tactic=work, maxHeartbeats=1)
    assert tiny["reason"] == "heartbeats"
    assert "maximum number of heartbeats (1)" in tiny["messages"][0]["data"]
    assert (await ask("goal.tactic", stateId=0, tactic=work))["goals"] == []
    for _ in range(50):  # one needs about 200 thousand allocations; 50 of them would not fit into this limit
        assert (await ask("goal.tactic", stateId=0, tactic=work, maxHeartbeats=4000)).get("goals") == []
    six = await ask("goal.tactics", stateId=0, tactics=[work] * 6, maxHeartbeats=4000)
    assert all(entry["goals"] == [] for entry in six["outcomes"])


async def test_all_planes_of_unicode(ask: Ask) -> None:
    for text in ("é", "ℕ ⊢ ∀ ⟨x⟩", "𝔸𝒫 𐀀", "日本語", "\U0001f980\U0010fffd", "\u200d\u0301", 'quote "q" \\ / \t'):
        literal = text.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t")
        reply = await ask("expr.echo", expr=f'"{literal}"')
        assert reply["expr"]["pp"] == f'"{literal}"', text
        await ask("reset")
        await ask("goal.start", expr=f"∀ «{text.strip()}» : Nat, 0 = 0" if "\t" not in text else "∀ x : Nat, 0 = 0")
        if "\t" not in text:
            named = await ask("goal.tactic", stateId=0, tactic=f"intro «{text}𝔹»")
            assert named["goals"][0]["vars"][0]["userName"] == f"{text}𝔹"


async def test_long_lines(ask: Ask) -> None:
    text = "⟩a" * 300_000  # 1.2 MB in, and out again
    assert (await ask("expr.echo", expr=f'"{text}"'))["expr"]["pp"] == f'"{text}"'
    text = "𝔸" * 2_600_000  # over 10 MB
    assert (await ask("expr.echo", expr=f'"{text}"'))["expr"]["pp"] == f'"{text}"'
    await ask("goal.start", expr="1 = 1")
    spaced = "skip" + " " * 1_000_000 + "\nrfl"
    assert (await ask("goal.tactic", stateId=0, tactic=spaced))["goals"] == []


async def test_the_three_input_forms(lean_process: LeanProcess) -> None:
    assert await exchange(lean_process, "stat") == {"nGoals": 0}
    assert await exchange(lean_process, "  stat {} ") == {"nGoals": 0}
    assert await exchange(lean_process, '{"cmd":"stat"}') == {"nGoals": 0}
    started = await exchange(lean_process, '{"cmd":"goal.start","payload":{"expr":"1 = 1","nonce":"n1"}}')
    assert started == {"root": "_uniq.4", "stateId": 0, "nonce": "n1"} or started["nonce"] == "n1"
    assert (await exchange(lean_process, 'goal.print {"stateId":0,"nonce":[1,"x"]}'))["nonce"] == [1, "x"]
    assert (await exchange(lean_process, 'goal.print {"stateId":7,"nonce":"e"}'))["nonce"] == "e", "errors echo it too"
    for bad in ("stat {", '{"cmd":', '{"command":"stat"}', "goal.start [1"):
        reply = await exchange(lean_process, bad)
        assert reply["error"] == "command"
        assert reply["desc"].startswith("Unable to parse json: ")
    assert (await exchange(lean_process, "goal.start 17"))["error"] == "arguments"
    await exchange(lean_process, "reset")


async def test_pretty_replies(lean_process: LeanProcess) -> None:
    assert lean_process.process.stdin is not None
    assert lean_process.process.stdout is not None
    lean_process.process.stdin.write(b'options.set {"printJsonPretty":true}\nstat\n')
    text = b""
    while b"nGoals" not in text or not text.rstrip().endswith(b"}"):
        text += await lean_process.process.stdout.readuntil(b"\n")
    assert len(text.splitlines()) > 1
    assert msgspec.json.decode(text[text.index(b"{", text.index(b"}")) if text.startswith(b"{}") else 0 :]) is not None
    assert lean_process.process.stdin is not None
    lean_process.process.stdin.write(b'options.set {"printJsonPretty":false}\n')
    while (await lean_process.process.stdout.readuntil(b"\n")).strip() != b"{}":
        pass
