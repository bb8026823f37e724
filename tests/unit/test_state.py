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
    assert state.key == ((state.goals[0].text, "7"),)


def test_names_and_types_both_tell_states_apart():
    def state(name: str, key: str | None) -> ProofState:
        return ProofState((Goal((Variable(name, "Nat"),), "True", key=key),))

    assert state("a", "1").key != state("b", "1").key
    assert state("a", "1").key != state("a", "2").key
    assert state("a", "1").key == state("a", "1").key
    assert state("a", None).key is None, "a goal tied to others by a metavariable is never merged"


def test_suggestions():
    def info(data: str) -> Message:
        return Message(data, severity="information")

    assert suggestion([info("Try this:\n  [apply] exact rfl")]) == "exact rfl"
    assert suggestion([info("Try this: simp only [foo]")]) == "simp only [foo]"
    assert suggestion([info("Try this: a"), info("Try this: b")]) is None
    assert suggestion([]) is None
