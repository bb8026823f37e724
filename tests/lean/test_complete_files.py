"""Files in the complete server: commands, invocations, sorries as goals, and what became of a file."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

from burnqed.lean.process import LeanProcess, RequestFailed

pytestmark = [pytest.mark.lean, pytest.mark.asyncio(loop_scope="session")]

Ask = Callable[..., Awaitable[dict[str, Any]]]


@pytest_asyncio.fixture(loop_scope="session")
async def ask(complete_process: LeanProcess) -> Ask:
    """Send a command, get its reply without the nonce; an error reply comes back as it was."""

    async def send(command: str, **payload: Any) -> dict[str, Any]:
        try:
            _, reply = await complete_process.request(command, payload, dict[str, Any], timeout_s=120)
        except RequestFailed as error:
            return {"error": error.kind, "desc": error.desc}
        reply.pop("nonce")
        return reply

    return send


def errors(messages: list[dict[str, Any]]) -> list[str]:
    return [m["data"] for m in messages if m["severity"] == "error"]


# --- frontend.process


async def test_boundaries_are_bytes_after_the_imports(ask: Ask) -> None:
    reply = await ask("frontend.process", file="import Init\nopen Nat\nuniverse u", readHeader=True)
    assert reply == {"units": [{"boundary": [12, 21], "messages": []}, {"boundary": [21, 31], "messages": []}]}


async def test_boundaries_count_bytes_and_not_characters(ask: Ask) -> None:
    first = "theorem a : ∀ n : Nat, n = n := fun _ => rfl\n"
    reply = await ask("frontend.process", file=first + "theorem b : True := trivial")
    assert reply["units"][0]["boundary"] == [0, len(first.encode())]


async def test_an_unknown_module_is_named(ask: Ask) -> None:
    reply = await ask("frontend.process", file="import Mathlib.Tactic\n", readHeader=True)
    assert reply["error"] == "frontend"
    assert "Mathlib.Tactic" in reply["desc"]


async def test_without_read_header_the_text_has_none(ask: Ask) -> None:
    reply = await ask("frontend.process", file="import Init\ndef x := 1")
    assert errors(reply["units"][0]["messages"])


async def test_a_path_is_refused_with_advice(ask: Ask) -> None:
    reply = await ask("frontend.process", fileName="/etc/passwd")
    assert reply["error"] == "io"
    assert "burnqed lean serve" in reply["desc"]
    assert (await ask("frontend.process"))["error"] == "arguments"


async def test_new_constants_are_what_a_person_declared(ask: Ask) -> None:
    text = "def f : Nat → Nat\n  | 0 => 1\n  | n + 1 => f n\ntheorem t : f 0 = 1 := by rfl\nopen Nat"
    reply = await ask("frontend.process", file=text, newConstants=True)
    assert [u["newConstants"] for u in reply["units"]] == [["f"], ["t"], []]


async def test_invocations_as_pantograph_has_them(ask: Ask) -> None:
    text = "example : ∀ (p q: Prop), p → p ∨ q := by\n  intro p q h\n  exact Or.inl h"
    reply = await ask("frontend.process", file=text, invocations="/tmp/x.json")
    (unit,) = reply["units"]
    assert unit["nInvocations"] == 2
    wanted = [
        {
            "goalBefore": "⊢ ∀ (p q : Prop), p → p ∨ q",
            "goalAfter": "p q : Prop\nh : p\n⊢ p ∨ q",
            "tactic": "intro p q h",
            "usedConstants": [],
        },
        {
            "goalBefore": "p q : Prop\nh : p\n⊢ p ∨ q",
            "goalAfter": "",
            "tactic": "exact Or.inl h",
            "usedConstants": ["Or.inl"],
        },
    ]
    assert [{key: entry[key] for key in wanted[0]} for entry in unit["invocations"]] == wanted
    begin, end = unit["invocations"][1]["range"]
    assert text.encode()[begin:end].decode() == "exact Or.inl h"


STRUCTURED = """theorem foo (n : Nat) (p q : Prop) (hp : p) (hq : q) : p ∧ q ∧ 0 + n = n := by
  refine ⟨?_, ?_, ?_⟩ <;> try assumption
  · induction n with
    | zero => rfl
    | succ n ih =>
      have h : n = n := by rfl
      first | contradiction | omega
"""


async def test_one_entry_for_each_tactic_that_a_person_wrote(ask: Ask) -> None:
    reply = await ask("frontend.process", file=STRUCTURED, invocations=True)
    (unit,) = reply["units"]
    assert not errors(unit["messages"])
    heads = [entry["tactic"].split("\n")[0] for entry in unit["invocations"]]
    assert heads.count("refine ⟨?_, ?_, ?_⟩ <;> try assumption") == 1
    assert heads.count("refine ⟨?_, ?_, ?_⟩") == 1
    assert heads.count("assumption") == 2  # the third try failed
    assert heads.count("· induction n with") == heads.count("induction n with") == 1
    assert heads.count("have h : n = n := by rfl") == heads.count("omega") == 1
    assert "contradiction" not in heads
    several = next(entry for entry in unit["invocations"] if entry["tactic"] == "refine ⟨?_, ?_, ?_⟩")
    assert several["goalAfter"].count("\n\ncase ") == 2


async def test_every_invocation_can_be_run_again(ask: Ask) -> None:
    reply = await ask("frontend.process", file=STRUCTURED, invocations=True, states=True)
    for entry in reply["units"][0]["invocations"]:
        before = await ask("goal.text", stateId=entry["stateId"])
        assert before["text"] == entry["goalBefore"]
        after = await ask("goal.tactic", stateId=entry["stateId"], tactic=entry["tactic"])
        assert "nextStateId" in after, (entry, after)
        assert (await ask("goal.text", stateId=after["nextStateId"]))["text"] == entry["goalAfter"]


async def test_an_invocation_does_not_know_its_own_theorem(ask: Ask) -> None:
    text = "theorem selfish (p : Prop) (h : p) : p := by\n  exact h\n"
    reply = await ask("frontend.process", file=text, invocations=True, states=True)
    state = reply["units"][0]["invocations"][0]["stateId"]
    assert "nextStateId" not in await ask("goal.tactic", stateId=state, tactic="exact _root_.selfish p h")


async def test_conv_steps_are_marked(ask: Ask) -> None:
    text = "theorem c (a b : Nat) : a + b = b + a := by\n  conv => lhs; rw [Nat.add_comm]\n"
    reply = await ask("frontend.process", file=text, invocations=True, states=True)
    modes = {e["tactic"]: e.get("mode") for e in reply["units"][0]["invocations"]}
    assert modes["conv => lhs; rw [Nat.add_comm]"] is None
    assert modes["lhs"] == "conv"


async def test_what_a_file_leaves_can_be_inherited(ask: Ask) -> None:
    text = "import Init\nnamespace Inherited\nuniverse w\nopen Nat\nvariable (k : Nat)\ndef seven := 7"
    try:
        await ask("frontend.process", file=text, readHeader=True, inheritEnv=True)
        assert "error" not in await ask("goal.start", expr="∀ (α : Type w), add_one = add_one → seven = 7")
        again = await ask("frontend.process", file="theorem kk : k = k := rfl", newConstants=True)
        assert not errors(again["units"][0]["messages"])
        assert again["units"][0]["newConstants"] == ["Inherited.kk"]
        assert "error" in await ask("expr.echo", expr="seventeen")
    finally:
        await ask("env.load", trail=[])


# --- frontend.distil and frontend.track


async def test_distil_as_pantograph_has_it(ask: Ask) -> None:
    reply = await ask("frontend.distil", file="theorem mystery (p: Prop) : p → p := sorry", binderName="x")
    ((goal,),) = [target["goals"] for target in reply["targets"]]
    assert goal["target"] == {"pp": "∀ (p : Prop), p → p"}
    assert goal["vars"] == []
    assert goal["fragment"] == "tactic"


async def test_coupled_sorries_become_one_subtype(ask: Ask) -> None:
    text = (
        "def f : Nat → Nat := sorry\ndef g : Nat → Nat := λ x => x + 1\ntheorem mystery (n : Nat) : f n = g n := sorry"
    )
    (target,) = (await ask("frontend.distil", file=text))["targets"]
    assert [g["target"]["pp"] for g in target["goals"]] == ["{ f // ∀ (n : Nat), f n = g n }"]
    done = await ask("goal.tactic", stateId=target["stateId"], tactic="exact ⟨g, fun _ => rfl⟩")
    assert done["goals"] == []


async def test_values_keep_what_is_there(ask: Ask) -> None:
    text = "def f : Nat → Nat := λ x => x + sorry\ntheorem mystery1 : f 1 = 2 := sorry\ntheorem mystery2 : f 2 = 4 := sorry"
    (target,) = (await ask("frontend.distil", file=text, ignoreValues=False))["targets"]
    assert [g["target"]["pp"] for g in target["goals"]] == ["Nat", "(fun x => x + ?f) 1 = 2", "(fun x => x + ?f) 2 = 4"]
    done = await ask("goal.tactic", stateId=target["stateId"], tactic="exact x; rfl; rfl")
    assert done["goals"] == []


async def test_distil_takes_examples_and_never_the_target_itself(ask: Ask) -> None:
    text = "theorem test (p q : Prop) (hp : p) (hq : q) : p ∧ q := by sorry\nexample : 2 + 2 = 4 := by sorry"
    first, second = (await ask("frontend.distil", file=text))["targets"]
    refused = await ask("goal.tactic", stateId=first["stateId"], tactic="exact test")
    assert errors(refused["messages"]) == ["Unknown identifier `test`"]
    done = await ask("goal.tactic", stateId=second["stateId"], tactic="rfl")
    assert (await ask("goal.verdict", stateId=done["nextStateId"]))["accepted"]


@pytest.mark.parametrize(
    ("src", "dst", "failure"),
    [
        ("def x : Nat := sorry", "def x : Nat := 123", None),
        ("def x : Nat := sorry", "def x : Nat := sorry", "Definition value has sorry: x"),
        ("def x : Nat := sorry\ndef y : Nat := sorry", "def x : Nat := 123", "[y] not accounted for"),
        ("theorem m : False := sorry", "axiom z : False\ntheorem m : False := z", "Adding axiom is not allowed: z"),
        ("theorem m : 1 = 1 := sorry", "theorem m : 2 = 2 := rfl", "Type clash of m"),
        ("def x : Nat := 1", "def x : Nat := 2", "Definition clash of x"),
        ("inductive A where\n  | a\n  | b", "inductive A where\n  | a\n  | b\n  | c", "lash of A"),
        (
            "def f (xs : List Nat) : Nat := sorry",
            "def h := 1\ndef f (xs : List Nat) : Nat := xs.reverse.length + h",
            None,
        ),
    ],
)
async def test_track(ask: Ask, src: str, dst: str, failure: str | None) -> None:
    reply = await ask("frontend.track", src=src, dst=dst)
    if failure is None:
        assert "failure" not in reply
    else:
        assert failure in reply["failure"]
    assert reply["srcMessages"] == reply["dstMessages"] == []


async def test_track_shows_messages_when_there_are_errors(ask: Ask) -> None:
    reply = await ask("frontend.track", src="def f : Nat := sorry", dst="def f : Nat := false")
    assert errors(reply["dstMessages"]) == [
        "Type mismatch\n  false\nhas type\n  Bool\nbut is expected to have type\n  Nat"
    ]
    assert [m["kind"] for m in reply["srcMessages"]] == ["hasSorry"]


async def test_track_says_which_axioms_a_theorem_reaches(ask: Ask) -> None:
    dst = "theorem m (p : Prop) : p ∨ ¬ p := by\n  have := Classical.choice (α := Unit) ⟨()⟩\n  exact Classical.em p"
    reply = await ask("frontend.track", src="theorem m (p : Prop) : p ∨ ¬ p := sorry", dst=dst)
    assert "failure" not in reply
    assert "Classical.choice" in reply["axioms"]["m"]


async def test_refactor_says_that_it_is_not_there(ask: Ask) -> None:
    assert (await ask("frontend.refactor", file="", coreOptions=[]))["error"] == "frontend"


# --- file.holes and goal.start

FILE = """import Init
open Nat

namespace Demo
universe u
variable {α : Type u} (xs : List α)

def double (n : Nat) : Nat := n + n

theorem double_eq (n : Nat) : double n = 2 * n := by sorry

theorem two (a b : Nat) (h : a = b) : double a = double b ∧ a + 0 = b := by
  have k : a + 1 = b + 1 := sorry
  refine ⟨?_, ?_⟩
  · sorry
  · exact sorry

example (p q : Prop) (hp : p) : p ∨ q := by
  let m := 3
  have : m = 3 := by sorry
  sorry

theorem len : xs.length = xs.length + 0 := sorry

instance : Inhabited (Nat × Nat) where
  default := sorry

def loop (n : Nat) : Nat := go n 0
where
  go : Nat → Nat → Nat
    | 0, acc => acc
    | k + 1, acc => go k (acc + k)
  helper : 1 = 1 := sorry

theorem ex : ∃ n : Nat, n > 3 := by
  apply Exists.intro
  case h => sorry
  case w => exact 4

theorem multi (a b : Nat) (h : a = b) : a = b ∧ b = a := by
  constructor <;> sorry

theorem rcs : ∀ n : Nat, n = n
  | 0 => sorry
  | n + 1 => by
    have := rcs n
    sorry

theorem mm (n : Nat) : (match n with | 0 => 1 | k + 1 => k + 1) > 0 := by
  sorry
end Demo
"""
PROOFS = {
    0: "unfold double\nomega",
    1: "omega",
    2: "rw [h]",
    3: "omega",
    4: "rfl",
    5: "exact Or.inl hp",
    6: "rfl",
    7: "exact (1, 2)",
    8: "rfl",
    11: "rfl",
    12: "rfl",
    13: "split\n· decide\n· exact Nat.succ_pos _",
}


async def test_the_sorries_of_a_file(ask: Ask) -> None:
    reply = await ask("file.holes", file=FILE)
    assert not errors(reply["messages"])
    holes = reply["holes"]
    assert [h["index"] for h in holes] == list(range(14))
    texts = [FILE.encode()[slice(*h["range"])].decode() for h in holes]
    assert texts[0] == texts[4] == "by sorry"
    assert texts[1] == texts[2] == texts[3] == "sorry"
    assert [h["kind"] for h in holes[:5]] == ["tactic", "term", "tactic", "term", "tactic"]
    assert [h["declaration"] for h in holes[:6]] == ["Demo.double_eq", *["Demo.two"] * 3, *["Demo._example"] * 2]
    assert holes[1]["column"] == len("  have k : a + 1 = b + 1 := ")
    variables = [(v["userName"], v["type"]["pp"], v.get("value")) for v in holes[4]["goals"][0]["vars"]]
    assert variables[-1] == ("m", "Nat", {"pp": "3"})
    assert ("xs", "List α", None) in variables
    assert [h["index"] for h in holes if not h["ready"]] == [9, 10]
    assert "metavariable" in holes[9]["reason"]
    assert "several goals" in holes[10]["reason"]
    assert not holes[7]["prop"]


@pytest.mark.parametrize("hole", PROOFS)
async def test_a_sorry_is_proved_where_it_stands(ask: Ask, hole: int) -> None:
    start = await ask("goal.start", file=FILE, hole=hole)
    assert "error" not in start, start
    step = await ask("goal.tactic", stateId=start["stateId"], tactic=PROOFS[hole])
    assert step.get("goals") == [], step
    verdict = await ask("goal.verdict", stateId=step["nextStateId"])
    assert verdict["accepted"], verdict
    own = await ask("goal.tactic", stateId=start["stateId"], tactic=f"exact {start['name']}")
    assert "nextStateId" not in own  # the declaration itself is not there


async def test_what_cannot_be_started_says_why(ask: Ask) -> None:
    assert "several goals" in (await ask("goal.start", file=FILE, hole=10))["desc"]
    assert (await ask("goal.start", file=FILE, hole=99))["error"] == "index"
    assert (await ask("file.holes"))["error"] == "arguments"


async def test_a_goal_that_speaks_of_another_sorry_waits(ask: Ask) -> None:
    text = "def d : { n : Nat // n < 10 } := ⟨sorry, sorry⟩\n"
    first, second = (await ask("file.holes", file=text))["holes"]
    assert (first["ready"], second["ready"]) == (True, False)
    assert "another sorry" in second["reason"]


async def test_imports_start_afresh(ask: Ask) -> None:
    try:
        await ask("frontend.process", file="def leftover := 1\nopen Nat", inheritEnv=True)
        text = "import Init\ntheorem t : True := by\n  have h : 1 = 1 := by sorry\n  trivial\n"
        start = await ask("goal.start", file=text, hole=0)
        assert "nextStateId" not in await ask("goal.tactic", stateId=start["stateId"], tactic="have := leftover")
    finally:
        await ask("env.load", trail=[])


async def test_a_recursive_call_is_no_proof(ask: Ask) -> None:
    start = await ask("goal.start", file="theorem rec (n : Nat) : n = n + 1 := by\n  sorry\n", hole=0)
    for tactic in ("exact rec n", "exact _root_.rec n", "assumption", "exact?"):
        assert "nextStateId" not in await ask("goal.tactic", stateId=start["stateId"], tactic=tactic)


# --- file.check

SMALL = "theorem foo (n : Nat) : 0 + n = n := by sorry\n"


async def test_a_filled_file_is_accepted(ask: Ask) -> None:
    dst = SMALL.replace("sorry", "simp")
    reply = await ask("file.check", src=SMALL, dst=dst, complete=["foo"])
    assert reply["accepted"], reply["reason"]
    assert reply["declarations"] == [{"name": "foo", "kind": "theorem", "command": 0, "sorry": False, "axioms": []}]


async def test_a_whole_file_with_some_sorries_left(ask: Ask) -> None:
    dst = FILE.replace("double n = 2 * n := by sorry", "double n = 2 * n := by\n  unfold double\n  omega")
    dst = dst.replace("have : m = 3 := by sorry", "have : m = 3 := by rfl").replace(
        ":= by rfl\n  sorry", ":= by rfl\n  exact Or.inl hp"
    )
    dst = dst.replace("default := sorry", "default := (1, 2)")
    reply = await ask("file.check", src=FILE, dst=dst, complete=["Demo.double_eq"])
    assert reply["accepted"], reply["reason"]
    left = {d["name"] for d in reply["declarations"] if d["sorry"]}
    assert left == {"Demo.two", "Demo.len", "Demo.loop.helper", "Demo.ex", "Demo.multi", "Demo.rcs", "Demo.mm"}
    (example,) = [d for d in reply["declarations"] if d["kind"] == "example"]
    assert not example["sorry"]
    refused = await ask("file.check", src=FILE, dst=dst, complete=["Demo.two"])
    assert "Demo.two still rests on a sorry" in refused["reason"]


ATTACKS = {
    "type changed": (SMALL, "theorem foo (n : Nat) : n = n := by rfl\n"),
    "new axiom": (SMALL, "axiom bad : ∀ n : Nat, 0 + n = n\n" + SMALL.replace("by sorry", "bad n")),
    "new command": (SMALL, SMALL.replace("sorry", "simp\ntheorem evil : True := trivial")),
    "new command in the middle": (
        SMALL + "def z := 1\n",
        SMALL.replace("sorry", "simp\nattribute [simp] Nat.add_comm") + "def z := 1\n",
    ),
    "where": (SMALL, SMALL.replace("by sorry", "helper n\nwhere\n  helper : ∀ n : Nat, 0 + n = n := by simp")),
    "let rec": (SMALL, SMALL.replace("by sorry", "by\n  let rec evil : Nat → Nat := fun x => x\n  simp")),
    "compiled code": ("theorem foo : 10 + 10 = 20 := by sorry\n", "theorem foo : 10 + 10 = 20 := by native_decide\n"),
    "unsafe": (SMALL, SMALL.replace("by sorry", "unsafe (unsafeCast ())")),
    "an error": (SMALL, SMALL.replace("sorry", "exact 3")),
    "imports": (SMALL, "import Std\n" + SMALL.replace("sorry", "simp")),
    "itself": (
        "theorem foo (n : Nat) : n = n + 1 := by sorry\n",
        "theorem foo (n : Nat) : n = n + 1 := by exact foo n\n",
    ),
    "a definition": ("def f : Nat := 3\n" + SMALL, "def f : Nat := 4\n" + SMALL),
    "a comment opens": (
        SMALL + "theorem t : True := trivial\n",
        SMALL.replace("sorry", "simp /-") + "theorem t : True := trivial\n-/\n",
    ),
    "the file ends early": (
        SMALL + "theorem t : True := trivial\n",
        SMALL.replace("sorry", "simp\n#exit") + "theorem t : True := trivial\n",
    ),
    "the statement": ("theorem x : (sorry : Prop) := by sorry\n", "theorem x : (True : Prop) := by trivial\n"),
    "the statement of an example": (
        "example : (sorry : Prop) := by sorry\n",
        "example : (True : Prop) := by trivial\n",
    ),
    "an attribute": (
        "noncomputable def f : Nat := sorry\n",
        "@[implemented_by Nat.zero] noncomputable def f : Nat := 3\n",
    ),
    "an attribute inside": (
        SMALL,
        SMALL.replace("by sorry", "by\n  let rec @[implemented_by Nat.zero] f : Nat := 3\n  simp"),
    ),
    "an option that computes": (SMALL, SMALL.replace("sorry", "simp (config := (by exact {}))")),
    "a theorem that is wrong": ("theorem no : False := by sorry\n", "theorem no : False := by decide\n"),
    "a check that was switched off": (
        "theorem no : False := by sorry\n",
        "theorem no : False := by\n  set_option debug.skipKernelTC true in exact (of_decide_eq_true rfl : False)\n",
    ),
    "a hole in a notation": (
        'notation "zz" => (sorry : Prop)\ntheorem no : zz := by sorry\n',
        'notation "zz" => (True : Prop)\ntheorem no : zz := by trivial\n',
    ),
    "a hole in a variable": (
        "variable (h : sorry)\ninclude h\ntheorem no : 1 = 2 := by sorry\n",
        "variable (h : 1 = 2)\ninclude h\ntheorem no : 1 = 2 := by exact h\n",
    ),
    "deriving": ("structure S where\n  x : Nat := sorry\n", "structure S where\n  x : Nat := 3\nderiving Repr\n"),
    "another kind": (SMALL, SMALL.replace("theorem", "def").replace("sorry", "simp")),
    "a command gone": ("def z := 1\n" + SMALL, SMALL.replace("sorry", "simp")),
}


@pytest.mark.parametrize("attack", ATTACKS)
async def test_an_attack_on_the_file_is_refused(ask: Ask, attack: str) -> None:
    src, dst = ATTACKS[attack]
    assert (await ask("file.check", src=src, dst=src))["accepted"]
    reply = await ask("file.check", src=src, dst=dst)
    assert not reply["accepted"]
    assert reply["reason"]


HONEST = {
    "a value that later ones use": (
        "def f : Nat := sorry\ntheorem g : f = f := by sorry\ndef h : Nat := f + 1\n",
        ["2", "rfl"],
    ),
    "two in one term": ("theorem a (n : Nat) : n = n ∧ 0 + n = n := ⟨sorry, sorry⟩\n", ["rfl", "by simp"]),
    "a matcher": ("def f (n : Nat) : Nat := sorry\n", ["match n with | 0 => 1 | k + 1 => k"]),
    "a recursive definition": (
        "def f (n : Nat) : Nat := sorry\n",
        ["if n = 0 then 1 else f (n / 2)\ntermination_by n\ndecreasing_by omega"],
    ),
    "private": ("private theorem p (n : Nat) : 0 + n = n := by sorry\ntheorem g : 0 + 1 = 1 := p 1\n", ["simp"]),
    "mutual": ("mutual\ntheorem a : True := sorry\ntheorem b : True := sorry\nend\n", ["trivial", "trivial"]),
    "an option": ("set_option maxHeartbeats 1000 in\n" + SMALL, ["omega"]),
    "a type and a partial function": (
        "inductive T where\n  | leaf\n  | node (l r : T)\npartial def spin (n : Nat) : Nat := spin (n + 1)\n"
        "example (t : T) : t = t := by sorry\n",
        ["cases t <;> rfl"],
    ),
    "section variables": (
        "section\nvariable (p q : Prop) (hp : p)\ninclude hp\nexample : p ∨ q := by sorry\nend\n",
        ["exact Or.inl hp"],
    ),
    "a name that Lean gives too": (
        "theorem Nat.rec' : True := trivial\ntheorem rec (n : Nat) : n = n := by sorry\n",
        ["rfl"],
    ),
    "a definition without code": ("def f (xs : List Nat) := xs.reverse\n" + SMALL, ["simp"]),
}


@pytest.mark.parametrize("case", HONEST)
async def test_an_honest_file_is_accepted_and_complete(ask: Ask, case: str) -> None:
    src, proofs = HONEST[case]
    dst = src
    for proof in proofs:
        dst = dst.replace("sorry", proof, 1)
    reply = await ask("file.check", src=src, dst=dst)
    assert reply["accepted"], reply["reason"]
    assert not any(d["sorry"] for d in reply["declarations"])
    assert reply["declarations"]


async def test_what_the_parser_says_is_told(ask: Ask) -> None:
    broken = "theorem a : 1 = 1 := by\n  sorry\ntheorem b : = 1 := by sorry\n"
    units = (await ask("frontend.process", file=broken))["units"]
    (message,) = [m for u in units for m in u["messages"] if m["severity"] == "error"]
    assert message["pos"] == {"line": 3, "column": 11}
    assert any(m["severity"] == "error" for m in (await ask("file.holes", file=broken))["messages"])
    verdict = await ask("file.check", src=broken, dst=broken.replace("sorry", "rfl", 1))
    assert not verdict["accepted"]
