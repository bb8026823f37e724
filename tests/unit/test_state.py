"""States as text and as keys."""

from __future__ import annotations

import json

from burnqed.core.state import Goal, ProofState, Variable
from burnqed.lean.protocol import Message, TacticReply, decode, proof_state, suggestion

WIRE = json.dumps(
    {
        "goals": [
            {
                "fragment": "tactic",
                "key": "7",
                "name": "_uniq.60",
                "userName": "succ",
                "target": {"pp": "∃ z, x + z = y"},
                "vars": [
                    {"isInaccessible": False, "name": "_uniq.57", "type": {"pp": "Nat"}, "userName": "x"},
                    {"isInaccessible": False, "name": "_uniq.58", "type": {"pp": "Nat"}, "userName": "y"},
                    {"isInaccessible": True, "name": "_uniq.59", "type": {"pp": "x <\n  y"}, "userName": "h✝"},
                    {
                        "isInaccessible": False,
                        "name": "_uniq.1",
                        "type": {"pp": "Nat"},
                        "value": {"pp": "3"},
                        "userName": "k",
                    },
                ],
            }
        ],
        "hasSorry": False,
        "hasUnsafe": False,
        "messages": [],
        "nextStateId": 1,
    }
)


def test_a_goal_reads_as_lean_prints_it():
    reply = decode(WIRE.encode(), TacticReply)
    assert reply.goals is not None
    state = proof_state(reply.goals)
    assert state.text == "case succ\nx y : Nat\nh✝ : x <\n    y\nk : Nat := 3\n⊢ ∃ z, x + z = y"
    assert [v.accessible for v in state.goals[0].variables] == [True, True, False, True]
    assert state.key == ("7",)


def test_a_state_is_the_same_by_the_keys_of_its_goals():
    def state(*goals: tuple[str, str | None, int]) -> ProofState:
        return ProofState(tuple(Goal((Variable(name, "Nat"),), "True", key=key, group=g) for name, key, g in goals))

    assert state(("a", "1", 0)).key == state(("b", "1", 0)).key, "names do not matter"
    assert state(("a", "1", 0)).key != state(("a", "2", 0)).key
    assert state(("a", None, 0)).key is None, "a goal tied to others by a metavariable is never merged"
    assert state(("a", "1", 0), ("a", None, 1)).key is None
    three = state(("a", None, 0), ("b", "2", 1), ("c", None, 0))
    assert three.components == ((0, 2), (1,)), "the second goal can be proved apart"


def test_suggestions():
    def info(data: str) -> Message:
        return Message(data, severity="information")

    assert suggestion([info("Try this:\n  [apply] exact rfl")]) == "exact rfl"
    assert suggestion([info("Try this: simp only [foo]")]) == "simp only [foo]"
    assert suggestion([info("Try this: a"), info("Try this: b")]) is None
    assert suggestion([]) is None
