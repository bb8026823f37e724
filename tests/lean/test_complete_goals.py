"""The complete program's goal commands: all that Pantograph's can do, and states that are saved by how they were made."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

from burnqed.lean.process import LeanProcess, RequestFailed

pytestmark = pytest.mark.lean

Reply = dict[str, Any]
Ask = Callable[..., Awaitable[Reply]]
SWAP = "∀ (p q: Prop), p ∨ q → q ∨ p"
SUM = "∀ (a b: Nat), (b = 2) -> 1 + a + 1 = a + b"


@pytest_asyncio.fixture(loop_scope="session")
async def ask(complete_process: LeanProcess) -> AsyncIterator[Ask]:
    """Send a command, get its reply without the nonce; an error reply comes back as it was. States and options start afresh."""

    async def send(command: str, **payload: Any) -> Reply:
        try:
            _, reply = await complete_process.request(command, payload, dict[str, Any], timeout_s=60)
        except RequestFailed as error:
            return {"error": error.kind, "desc": error.desc}
        reply.pop("nonce")
        return reply

    before = await send("options.print")
    await send("reset")
    yield send
    await send("options.set", **before)


class Proof:
    """One proof through the server, so that a test reads like the proof."""

    def __init__(self, ask: Ask) -> None:
        self.ask = ask
        self.reply: Reply = {}
        self.state = -1

    async def start(self, expr: str, **more: Any) -> Proof:
        self.reply = await self.ask("goal.start", expr=expr, **more)
        self.state = self.reply["stateId"]
        return self

    async def step(self, state: int | None = None, **fields: Any) -> Reply:
        """A step that works, from the state that was made last or from another."""
        self.reply = await self.ask("goal.tactic", stateId=self.state if state is None else state, **fields)
        assert "nextStateId" in self.reply, (fields, self.reply)
        self.state = self.reply["nextStateId"]
        return self.reply

    async def tactics(self, *texts: str) -> Reply:
        for text in texts:
            await self.step(tactic=text)
        return self.reply


def targets(reply: Reply) -> list[str]:
    return [goal["target"]["pp"] for goal in reply["goals"]]


def fragments(reply: Reply) -> list[str]:
    return [goal["fragment"] for goal in reply["goals"]]


def variables(goal: Reply) -> list[tuple[str, str | None]]:
    return [(v["userName"], v["type"]["pp"] if "type" in v else None) for v in goal["vars"]]


async def test_the_literal_pairs_of_pantograph(ask: Ask) -> None:
    assert await ask("goal.start", expr=SWAP) == {"root": "_uniq.9", "stateId": 0}
    first = await ask("goal.tactic", stateId=0, tactic="intro x")
    (goal,) = first["goals"]
    assert (goal["name"], goal["target"]) == ("_uniq.11", {"pp": "∀ (q : Prop), x ∨ q → q ∨ x"})
    assert goal["vars"] == [{"isInaccessible": False, "name": "_uniq.10", "type": {"pp": "Prop"}, "userName": "x"}]
    assert await ask("goal.print", stateId=1, rootExpr=True, parentExprs=True) == {
        "extraMVars": [],
        "goals": [],
        "parentExprs": [{"pp": "fun x => ?m.2"}],
        "root": {"pp": "fun x => ?m.2"},
        "rootHasMVar": True,
        "rootHasSorry": False,
        "rootHasUnsafe": False,
    }
    second = await ask("goal.tactic", stateId=1, tactic="intro y")
    assert [goal["name"] for goal in second["goals"]] == ["_uniq.14"]
    failed = await ask("goal.tactic", stateId=1, tactic="apply Nat.le_of_succ_le")
    assert failed["messages"][0]["data"].startswith("Tactic `apply` failed: could not unify the conclusion of ")
    assert "goals" not in failed
    sorry = await ask("goal.tactic", stateId=0, tactic="sorry")
    assert sorry == {"goals": [], "hasSorry": True, "hasUnsafe": False, "messages": [], "nextStateId": 3}
    assert await ask("goal.tactic", stateId=0, tactic="nonsense") == {
        "hasSorry": False,
        "hasUnsafe": False,
        "parseError": "<Pantograph>:1:1: unknown tactic",
    }


@pytest.mark.parametrize("automatic", [True, False])
async def test_automatic_mode(ask: Ask, automatic: bool) -> None:
    await ask("options.set", automaticMode=automatic)
    proof = await Proof(ask).start(SWAP)
    cases = await proof.tactics("intro p q h", "cases h")
    assert [(g["userName"], g["vars"][2]["userName"], g["vars"][2]["isInaccessible"]) for g in cases["goals"]] == [
        ("inl", "h✝", True),
        ("inr", "h✝", True),
    ]
    after = await proof.step(tactic="apply Or.inr")
    assert [g["userName"] for g in after["goals"]] == (["inl.h", "inr"] if automatic else ["inl.h"])
    assert targets(after)[0] == "p"


async def test_sites(ask: Ask) -> None:
    proof = await Proof(ask).start("1 = 1 ∧ 2 = 2 ∧ 3 = 3")
    split = await proof.step(tactic="refine ⟨?a, ?b, ?c⟩")
    state = proof.state
    for goal_id in (1, split["goals"][1]["name"]):
        preferred = await proof.step(state, tactic="skip", goalId=goal_id)
        assert [g["userName"] for g in preferred["goals"]] == ["b", "a", "c"]
        focused = await proof.step(state, tactic="all_goals rfl", goalId=goal_id, autoResume=False)
        assert focused["goals"] == []
        assert (await ask("goal.print", stateId=proof.state))["rootHasMVar"], "the others sleep"
    every = await proof.step(state, tactic="all_goals rfl", goalId=2)
    assert every["goals"] == []
    assert (await ask("goal.verdict", stateId=proof.state))["accepted"]
    await ask("options.set", automaticMode=False)
    assert (await ask("goal.tactic", stateId=proof.state, tactic="rfl"))["error"] == "index"
    resumed = await proof.step(state, tactic="rfl", autoResume=True)
    assert [g["userName"] for g in resumed["goals"]] == ["b", "c"]


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({}, "arguments"),
        ({"tactic": "skip", "expr": "1"}, "arguments"),
        ({"mode": "magic"}, "operation"),
        ({"mode": "tactic"}, "invalid"),
        ({"tactic": 5}, "command"),
        ({"tactic": "skip", "goalId": 4}, "index"),
        ({"tactic": "skip", "goalId": "_uniq.0"}, "index"),
        ({"tactic": "skip", "stateId": 99}, "index"),
    ],
)
async def test_what_cannot_be_asked_of_a_step(ask: Ask, fields: Reply, kind: str) -> None:
    await Proof(ask).start(SWAP)
    assert (await ask("goal.tactic", **{"stateId": 0, **fields}))["error"] == kind
    assert await ask("stat") == {"nGoals": 1}


async def test_expressions(ask: Ask) -> None:
    proof = await Proof(ask).start(SWAP)
    holes = await proof.step(expr="fun p q h => h.elim (fun a => ?left) fun b => _")
    assert targets(holes) == ["q ∨ p", "q ∨ p"]
    assert holes["goals"][0]["userName"] == "left"
    await proof.step(expr="Or.inr a")
    done = await proof.step(expr="by exact Or.inl b")
    assert done["goals"] == []
    assert (await ask("goal.verdict", stateId=proof.state))["accepted"]
    wrong = await ask("goal.tactic", stateId=0, expr="fun p q h => h")
    assert "mismatch" in wrong["messages"][0]["data"]
    assert "parseError" in await ask("goal.tactic", stateId=0, expr="fun p q h => (")
    inner = await ask("goal.tactic", stateId=0, expr="fun p q h => by simp")
    assert "goals" not in inner, "an error inside a block is an error of the step"


async def test_have_and_let(ask: Ask) -> None:
    proof = await Proof(ask).start("1 + 1 = 2")
    have = await proof.step(have="2 = 1 + 1", binderName="h")
    assert targets(have) == ["2 = 1 + 1", "1 + 1 = 2"]
    assert [variables(goal) for goal in have["goals"]] == [[], [("h", "2 = 1 + 1")]]
    await proof.tactics("rfl", "exact h.symm")
    assert (await ask("goal.verdict", stateId=proof.state))["accepted"]
    let = await proof.step(0, let="Nat", binderName="n")
    assert let["goals"][0]["userName"] == "n"
    assert let["goals"][1]["vars"][0]["value"] == {"pp": "?n"}
    await proof.tactics("exact 7")
    assert proof.reply["goals"][0]["vars"][0]["value"] == {"pp": "7"}
    await proof.tactics("have : n = 7 := rfl", "rfl")
    assert (await ask("goal.verdict", stateId=proof.state))["accepted"]
    unnamed = await proof.step(0, have="True")
    assert unnamed["goals"][1]["vars"][0]["userName"] == "this"
    vague = await ask("goal.tactic", stateId=0, have="∃ x, x = x")
    assert "undetermined" in vague["messages"][0]["data"]


async def test_drafts(ask: Ask) -> None:
    proof = await Proof(ask).start("∀ p : Prop, p → p")
    await proof.tactics("intro p")
    draft = await proof.step(draft="by\nhave h1 : Or p p := sorry\nsorry")
    assert targets(draft) == ["p ∨ p", "p → p"]
    assert variables(draft["goals"][1]) == [("p", "Prop"), ("h1", "p ∨ p")]
    assert not draft["hasSorry"]
    await proof.step(0, draft="fun p h => (sorry : ∀ n : Nat, n = n → p) 3 rfl")
    await proof.tactics("intro _ _", "exact h")
    assert (await ask("goal.verdict", stateId=proof.state))["accepted"]
    await proof.step(0, draft="fun p h => by\nlet n : Nat := 2\nhave e : n = 2 := sorry\nexact h")
    assert variables(proof.reply["goals"][0])[2:] == [("n", "Nat")]
    await proof.tactics("rfl")
    assert (await ask("goal.verdict", stateId=proof.state))["accepted"]
    coupled = await ask(
        "goal.tactic", stateId=0, draft="fun p h => (⟨sorry, sorry⟩ : ∃ n : Nat, n = n ∧ p).choose_spec.2"
    )
    assert "Coupling is not allowed" in coupled["messages"][0]["data"]


async def test_calc_and_conv(ask: Ask) -> None:
    await ask("options.set", automaticMode=False)
    proof = await Proof(ask).start(SUM)
    await proof.tactics("intro a b h")
    entered = await proof.step(mode="calc")
    assert (targets(entered), fragments(entered)) == (["1 + a + 1 = a + b"], ["calc"])
    assert (await ask("goal.tactic", stateId=proof.state, mode="calc"))["error"] == "invalid"
    assert "goals" not in await ask("goal.tactic", stateId=proof.state, tactic="a = 7")
    first = await proof.step(tactic="1 + a + 1 = a + 1 + 1")
    calc = proof.state
    assert fragments(first) == ["tactic", "calc"]
    assert [goal.get("userName") for goal in first["goals"]] == ["calc", None]
    assert targets(first) == ["1 + a + 1 = a + 1 + 1", "a + 1 + 1 = a + b"]
    conv = await proof.step(mode="conv")
    assert (targets(conv), fragments(conv)) == (["1 + a + 1 = a + 1 + 1"], ["conv"])
    assert (await ask("goal.tactic", stateId=proof.state, mode="conv"))["desc"] == "Already in conv state"
    assert (await ask("goal.tactic", stateId=proof.state, expr="rfl"))["error"] == "invalid"
    assert "parseError" in await ask("goal.tactic", stateId=proof.state, tactic="omega")
    assert targets(await proof.step(tactic="rhs")) == ["a + 1 + 1"]
    assert targets(await proof.step(tactic="rw [Nat.add_comm]")) == ["1 + (a + 1)"]
    left = await proof.step(mode="tactic")
    assert (targets(left), fragments(left)) == (["1 + a + 1 = 1 + (a + 1)"], ["tactic"])
    await proof.tactics("rfl")
    await_rest = await ask("goal.continue", target=proof.state, branch=calc)
    assert (targets(await_rest), fragments(await_rest)) == (["a + 1 + 1 = a + b"], ["calc"])
    proof.state = await_rest["nextStateId"]
    last = await proof.step(tactic="_ = a + b")
    assert (targets(last), fragments(last)) == (["a + 1 + 1 = a + b"], ["tactic"]), "the calculation is complete"
    await proof.tactics("rw [h]")
    assert (await ask("goal.verdict", stateId=proof.state))["accepted"]
    other = await proof.step(calc, tactic="_ = a + 2", goalId=1)
    assert targets(other) == ["a + 1 + 1 = a + 2", "a + 2 = a + b"]
    out = await proof.step(calc, mode="tactic", goalId=1)
    assert fragments(out) == ["tactic"]


async def test_a_conversion_ends_when_its_parts_do(ask: Ask) -> None:
    proof = await Proof(ask).start("∀ (p : Prop) (x y z : Nat), p → (p → x = y) → x + z = y + z ∧ p")
    await proof.tactics("intro p x y z hp hi", "apply And.intro")
    await proof.step(mode="conv")
    inner = await proof.tactics("rhs", "arg 1")
    assert (targets(inner), fragments(inner)) == (["y", "p"], ["conv", "tactic"])
    rewritten = await proof.tactics("rw [← hi]")
    assert targets(rewritten) == ["x", "p", "p"]
    closed = await proof.tactics("rfl")
    assert (targets(closed), fragments(closed)) == (["p", "p"], ["tactic", "tactic"]), "x + z = x + z closed itself"
    await proof.tactics("exact hp", "exact hp")
    assert (await ask("goal.verdict", stateId=proof.state))["accepted"]


async def test_a_conversion_in_parts(ask: Ask) -> None:
    proof = await Proof(ask).start("∀ (a b c d : Nat), b + a + c = b + a + d → a + b + c = b + a + d")
    await proof.tactics("intro a b c d h")
    await proof.step(mode="conv")
    parts = await proof.tactics("lhs", "congr")
    assert (targets(parts), fragments(parts)) == (["a + b", "c"], ["conv", "conv"])
    await proof.tactics("rw [Nat.add_comm]; rfl")
    assert targets(proof.reply) == ["c"]
    ended = await proof.step(tactic="rfl")
    assert (targets(ended), fragments(ended)) == (["b + a + c = b + a + d"], ["tactic"])
    await proof.tactics("exact h")
    assert (await ask("goal.verdict", stateId=proof.state))["accepted"]


async def test_no_text_that_is_elaborated_may_run_code(ask: Ask) -> None:
    await Proof(ask).start(SUM)
    await ask("goal.tactic", stateId=0, mode="calc")
    await ask("goal.tactic", stateId=0, mode="conv")
    unsafe = "(unsafeCast 0 : True)"
    attacks: list[Reply] = [
        *({kind: unsafe} for kind in ("expr", "have", "let", "draft")),
        {"tactic": f"exact {unsafe}"},
        {"stateId": 1, "tactic": f"{unsafe} = {unsafe}"},
        {"stateId": 2, "tactic": f"rw [{unsafe}]"},
    ]
    for fields in attacks:
        refused = await ask("goal.tactic", **{"stateId": 0, **fields})
        assert (refused["hasUnsafe"], refused["reason"]) == (True, "unsafe"), fields
        assert "goals" not in refused


async def test_continue(ask: Ask) -> None:
    await ask("options.set", automaticMode=False)
    proof = await Proof(ask).start("(2 : Nat) ≤ 5")
    coupled = await proof.tactics("apply Nat.le_trans")
    branch = proof.state
    assert targets(coupled) == ["2 ≤ ?m", "?m ≤ 5", "Nat"]
    await proof.step(tactic="exact 3", goalId=2)
    assert proof.reply["goals"] == []
    back = await ask("goal.continue", target=proof.state, branch=branch)
    assert targets(back) == ["2 ≤ 3", "3 ≤ 5"]
    names = [goal["name"] for goal in coupled["goals"]]
    some = await ask("goal.continue", target=proof.state, goals=[names[1], names[2]])
    assert targets(some) == ["3 ≤ 5"], "what is solved stays solved"
    unsolved = await ask("goal.continue", target=back["nextStateId"], branch=branch)
    assert unsolved == {"error": "structure", "desc": "Target state has unresolved goals"}
    missing = await ask("goal.continue", target=0, goals=names[:2])
    assert missing == {"error": "structure", "desc": f"Goals [{names[0]}, {names[1]}] are not in scope"}
    other = await Proof(ask).start("1 = 1")
    strange = await ask("goal.continue", target=proof.state, branch=other.state)
    assert strange["error"] == "structure"
    assert strange["desc"].startswith("Roots of two continued goal states do not match")
    assert (await ask("goal.continue", target=proof.state))["error"] == "arguments"
    assert (await ask("goal.continue", target=proof.state, branch=branch, goals=names))["error"] == "arguments"
    assert (await ask("goal.continue", target=99, branch=branch))["error"] == "index"
    assert (await ask("goal.continue", target=proof.state, branch=99))["error"] == "index"


async def test_subsumption_finds_cycles(ask: Ask) -> None:
    proof = await Proof(ask).start("forall (p : Prop), p -> p")
    first = (await proof.tactics("intro p"))["goals"][0]["name"]
    second = (await proof.tactics("intro h"))["goals"][0]["name"]
    third = (await proof.tactics("revert h"))["goals"][0]["name"]
    for field in ("candidates", "srcs"):
        reply = await ask("goal.subsume", stateId=proof.state, goal=third, **{field: [first, second]})
        assert reply == {"result": "cycle", "subsumptor": first}
    assert await ask("goal.subsume", stateId=proof.state, goal=third, candidates=[second]) == {"result": "none"}


async def test_subsumption_in_one_state(ask: Ask) -> None:
    proof = await Proof(ask).start("∀ (p q : Prop), p → q → (p ∧ p) ∧ (q → p)")
    split = await proof.tactics("intro p q hp hq", "refine ⟨⟨?a, ?b⟩, ?c⟩", "case' c => intro _")
    names = {goal["userName"]: goal["name"] for goal in split["goals"]}
    await proof.step(tactic="exact hp", goalId=names["a"])
    reply = await ask("goal.subsume", stateId=proof.state, goal=names["b"], candidates=[names["a"]])
    assert (reply["result"], reply["subsumptor"]) == ("subsumed", names["a"])
    left = await ask("goal.print", stateId=reply["stateId"], goals=True)
    assert [goal["userName"] for goal in left["goals"]] == ["c"]
    larger = await ask("goal.subsume", stateId=reply["stateId"], goal=names["c"], candidates=[names["a"]])
    assert larger["result"] == "subsumed", "one more hypothesis does not matter"
    assert (await ask("goal.verdict", stateId=larger["stateId"]))["accepted"]


async def test_subsumption_across_states(ask: Ask) -> None:
    """The candidate is looked up in ``srcStateId``; in the goal's own state it is not solved."""
    proof = await Proof(ask).start("∀ n : Nat, 0 < n → (n + 0 < n * 2 ∧ n + 0 < n * 2)")
    split = await proof.tactics("intro n h", "constructor")
    state = proof.state
    left, right = (goal["name"] for goal in split["goals"])
    solved = await proof.step(state, tactic="omega", goalId=0, autoResume=False)
    assert solved["goals"] == []
    reply = await ask("goal.subsume", stateId=state, goal=right, candidates=[left], srcStateId=proof.state)
    assert (reply["result"], reply["subsumptor"]) == ("subsumed", left)
    proof.state = reply["stateId"]
    await proof.tactics("omega")
    assert proof.reply["goals"] == []
    assert (await ask("goal.verdict", stateId=proof.state))["accepted"], "what omega had proved came along"
    strange = await ask("goal.subsume", stateId=state, goal=right, candidates=[left], srcStateId=99)
    assert strange == {"error": "index", "desc": "Invalid src state index 99"}
    assert (await ask("goal.subsume", stateId=state, goal="_x", candidates=[left]))["error"] == "index"
    assert (await ask("goal.subsume", stateId=state, goal=right, candidates=["_x"]))["error"] == "index"
    assert (await ask("goal.subsume", stateId=state, goal=right))["error"] == "command"
    numbers = await Proof(ask).start("Nat × Nat")
    pair = await numbers.tactics("constructor")
    one, two = (goal["name"] for goal in pair["goals"])
    await numbers.step(tactic="exact 1", goalId=one)
    reply = await ask("goal.subsume", stateId=numbers.state, goal=two, candidates=[one])
    assert reply == {"result": "none"}, "only proofs are interchangeable"


async def test_starts(ask: Ask) -> None:
    copied = await Proof(ask).start("1 = 1")
    reply = await ask("goal.start", copyFrom="Nat.add_comm")
    assert set(reply) == {"stateId", "root"}
    shown = await ask("goal.print", stateId=reply["stateId"], goals=True)
    assert targets(shown) == ["∀ (n m : Nat), n + m = m + n"]
    poly = await ask("goal.start", copyFrom="List.map_map")
    await copied.step(poly["stateId"], tactic="intros; simp")
    assert (await ask("goal.verdict", stateId=copied.state))["accepted"]
    assert (await ask("goal.start", expr="Sort u", levels=["u"])).get("error") is None
    assert (await ask("goal.start", copyFrom="Nat.nope"))["error"] == "index"
    assert (await ask("goal.start"))["error"] == "arguments"
    assert (await ask("goal.start", expr="True", copyFrom="Nat.add_comm"))["error"] == "arguments"
    theorem = await ask("goal.start", theorem="theorem t (n : Nat) : n = n := by sorry", header="open Nat")
    assert theorem["name"] == "t"


async def test_printing_a_state(ask: Ask) -> None:
    proof = await Proof(ask).start("∀ (p q : Prop), p → q → p ∧ q")
    split = await proof.tactics("intro p q hp hq", "constructor")
    left, right = (goal["name"] for goal in split["goals"])
    printed = await ask("goal.print", stateId=proof.state, rootExpr=True, parentExprs=True, goals=True)
    assert printed["root"] == {"pp": "fun p q hp hq => ⟨?left, ?right⟩"}
    assert printed["parentExprs"] == [{"pp": "⟨?left, ?right⟩"}]
    assert printed["goals"] == split["goals"]
    await proof.step(tactic="exact hp")
    more = await ask("goal.print", stateId=proof.state, extraMVars=[left, right, "_uniq.0"])
    assert more["extraMVars"] == [{"pp": "hp"}, {}, {}]
    assert (more["rootHasMVar"], more["rootHasSorry"]) == (True, False)
    await proof.step(tactic="sorry")
    last = await ask("goal.print", stateId=proof.state)
    assert (last["rootHasMVar"], last["rootHasSorry"]) == (False, True)
    await proof.step(0, mode="calc")
    entered = await ask("goal.print", stateId=proof.state, parentExprs=True)
    assert entered["parentExprs"] == []
    await proof.step(0, mode="conv")
    entered = await ask("goal.print", stateId=proof.state, parentExprs=True)
    assert entered["parentExprs"] == [None], "in a fragment, not assigned"


async def test_printing_options(ask: Ask) -> None:
    await ask("options.set", printExprAST=True)
    shown = await ask("env.inspect", name="Nat.add_one")
    assert shown["type"] == {
        "pp": "∀ (n : Nat), n + 1 = n.succ",
        "sexp": "(:forall n (:c Nat) ((:c Eq) (:c Nat) ((:c HAdd.hAdd) (:c Nat) (:c Nat) (:c Nat) ((:c instHAdd) (:c Nat) "
        "(:c instAddNat)) 0 ((:c OfNat.ofNat) (:c Nat) (:lit 1) ((:c instOfNatNat) (:lit 1)))) ((:c Nat.succ) 0)))",
    }
    for name, sexp in (
        (
            "Nat.le_of_succ_le",
            "(:forall n (:c Nat) (:forall m (:c Nat) (:forall h ((:c LE.le) (:c Nat) (:c instLENat) "
            "((:c Nat.succ) 1) 0) ((:c LE.le) (:c Nat) (:c instLENat) 2 1)) :i) :i)",
        ),
        ("Or", "(:forall a (:sort 0) (:forall b (:sort 0) (:sort 0)))"),
        ("List", "(:forall α (:sort (+ u 1)) (:sort (+ u 1)))"),
    ):
        assert (await ask("env.inspect", name=name))["type"]["sexp"] == sexp
    for expr, sexp in (
        ("λ x: Nat × Bool => x.1", "(:lambda x ((:c Prod) (:c Nat) (:c Bool)) ((:c Prod.fst) (:c Nat) (:c Bool) 0))"),
        ('let x := "a"; x', '(:let x (:c String) (:lit "a") 0)'),
        (
            "fun (α : Sort (max u v)) [h : Inhabited α] => h.1",
            "(:lambda α (:sort (:max u v)) (:lambda h ((:c Inhabited) 0) ((:c Inhabited.default) 1 0) :ii))",
        ),
    ):
        assert (await ask("expr.echo", expr=expr, levels=["u", "v"]))["expr"]["sexp"] == sexp, expr
    proof = await Proof(ask).start("∀ p : Prop, p → p")
    await proof.tactics("intro p h")
    inner = proof.reply["goals"][0]["name"]
    parent = await ask("goal.print", stateId=proof.state, parentExprs=True)
    assert parent["parentExprs"][0]["sexp"] == f"(:lambda p (:sort 0) (:lambda h 0 (:subst (:mv {inner}) 1 0)))"
    await ask("options.set", printExprAST=False, printExprPretty=False, printDependentMVars=True)
    await proof.start("∃ (x : Nat), x + 1 = 0")
    (prop, witness) = (await proof.tactics("apply Exists.intro"))["goals"]
    assert prop["target"] == {"dependentMVars": [witness["name"]]}
    assert witness["target"] == {"dependentMVars": []}


async def test_showing_more_or_fewer_variables(ask: Ask) -> None:
    await ask("options.set", noRepeat=True)
    proof = await Proof(ask).start(SWAP)
    first = await proof.tactics("intro p q")
    assert variables(first["goals"][0]) == [("p", "Prop"), ("q", "Prop")], "new in this step"
    second = await proof.tactics("intro h")
    assert variables(second["goals"][0]) == [("p", None), ("q", None), ("h", "p ∨ q")]
    await ask("options.set", noRepeat=False)
    third = await ask("goal.print", stateId=proof.state, goals=True)
    assert variables(third["goals"][0]) == [("p", "Prop"), ("q", "Prop"), ("h", "p ∨ q")]
    await proof.start("True → 1 = 1")
    quiet = await proof.step(tactic="refine fun __x => ?_")
    assert quiet["goals"][0]["vars"] == []
    await ask("options.set", printImplementationDetailHyps=True)
    loud = await ask("goal.print", stateId=proof.state, goals=True)
    assert variables(loud["goals"][0]) == [("__x", "True")]
    assert loud["goals"][0]["key"] == quiet["goals"][0]["key"], "what is shown does not change what the goal is"


async def test_options_are_checked(ask: Ask) -> None:
    before = await ask("options.print")
    assert (await ask("options.set", colour=True))["error"] == "arguments"
    for wrong in ({"printExprAST": 1}, {"timeout": True}, {"timeout": -1}, {"timeout": 1.5}, {"automaticMode": "yes"}):
        assert (await ask("options.set", **wrong))["error"] == "command", wrong
    assert (await ask("options.set", noRepeat=True, colour=True))["error"] == "arguments"
    assert await ask("options.print") == before, "all or nothing"
    assert await ask("options.set", maxHeartbeats=1000) == {}
    assert (await ask("options.print"))["maxHeartbeats"] == 1000


async def test_a_time_limit_stops_what_can_be_stopped(ask: Ask) -> None:
    interrupt = {"error": "io", "desc": "interrupt"}
    slow = "sleep 40; sleep 40; sleep 40; sleep 40"
    proof = await Proof(ask).start("(1 : Nat) + (2 * 3) = 1 + (4 - 3) + (6 - 4) + 3")
    await ask("options.set", timeout=100)
    assert await ask("goal.tactic", stateId=0, expr="by\nsleep 200; simp") == interrupt
    assert await ask("goal.tactic", stateId=0, tactic=f"first | ({slow}) | skip") == interrupt
    assert await ask("goal.start", expr="by sleep 200; exact True") == interrupt
    assert await ask("expr.echo", expr="(by sleep 200; exact 5 : Nat)") == interrupt
    batch = await ask("goal.tactics", stateId=0, tactics=["skip", slow, "skip"])
    assert [entry.get("reason") for entry in batch["outcomes"]] == [None, "interrupt", None], "one limit for each"
    await ask("options.set", timeout=20_000)
    assert "goals" in await ask("goal.tactic", stateId=0, tactic="sleep 100"), (
        "a limit that is not reached does nothing"
    )
    await ask("options.set", timeout=0)
    assert (await proof.tactics("simp"))["goals"] == []


async def again(ask: Ask, state: int) -> tuple[Reply, Reply]:
    """The state as it is printed, and as it is printed after it was saved and loaded."""
    saved = await ask("goal.save", id=state)
    assert set(saved) == {"trail"}, saved
    count = (await ask("stat"))["nGoals"]
    loaded = await ask("goal.load", trail=saved["trail"])
    assert set(loaded) == {"id"}, loaded
    assert (await ask("stat"))["nGoals"] == count + 1, "nothing of the way is kept"
    fields = {"goals": True, "rootExpr": True, "parentExprs": True}
    before = await ask("goal.print", stateId=state, **fields)
    return before, await ask("goal.print", stateId=loaded["id"], **fields)


async def test_states_are_saved_by_how_they_were_made(ask: Ask) -> None:
    proof = await Proof(ask).start(SUM)
    await proof.tactics("intro a b h")
    await proof.step(mode="calc")
    await proof.tactics("1 + a + 1 = a + 1 + 1")
    await proof.step(mode="conv", goalId=0, autoResume=False)
    before, after = await again(ask, proof.state)
    assert before == after
    await proof.tactics("rhs", "rw [Nat.add_comm]")
    await proof.step(mode="tactic")
    await proof.tactics("rfl")
    proof.state = (await ask("goal.continue", target=proof.state, branch=3))["nextStateId"]
    await proof.tactics("_ = a + 2")
    before, after = await again(ask, proof.state)
    assert before == after
    assert len(after["goals"]) == 2
    await proof.start("∀ p : Prop, p → p ∧ p")
    await proof.step(draft="fun p h => ⟨sorry, sorry⟩")
    outcomes = (
        await ask("goal.tactics", stateId=proof.state, tactics=["exact h", "skip"], goalId=1, autoResume=False)
    )["outcomes"]
    source = outcomes[0]["nextStateId"]
    shown = await ask("goal.print", stateId=proof.state, goals=True)
    left, right = (goal["name"] for goal in shown["goals"])
    reply = await ask("goal.subsume", stateId=proof.state, goal=left, candidates=[right], srcStateId=source)
    before, after = await again(ask, reply["stateId"])
    assert before == after
    assert [goal["name"] for goal in after["goals"]] == [right]
    theorem = await ask("goal.start", theorem="theorem t (n : Nat) : k = n := by sorry", header="def k := 2")
    before, after = await again(ask, theorem["stateId"])
    assert before == after


async def test_what_cannot_be_saved_or_loaded(ask: Ask) -> None:
    await Proof(ask).start("1 = 1")
    for command, payload in (("goal.save", {"id": 0}), ("goal.load", {})):
        reply = await ask(command, **payload, path="state.bin")
        assert reply["error"] == "io"
        assert "burnqed lean serve" in reply["desc"]
    assert (await ask("goal.save", id=9))["error"] == "index"
    assert (await ask("goal.load"))["error"] == "arguments"
    start = {"cmd": "goal.start", "payload": {"expr": "1 = 1"}, "from": []}
    wrong = {"cmd": "goal.tactic", "payload": {"tactic": "exact 7"}, "from": [0]}
    for trail in ([], [{"cmd": "stat", "payload": {}, "from": []}], [{"nothing": 1}], [start, wrong]):
        assert "error" in await ask("goal.load", trail=trail), trail
    assert await ask("stat") == {"nGoals": 1}
