"""Literal conversations with Pantograph: the executable answers these requests, to the letter, and dies of any other."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from burnqed.core.theorem import Theorem
from burnqed.lean.config import LeanConfig, NativeConfig
from burnqed.lean.dialect import PlainDialect
from burnqed.lean.native.audit import Versions
from burnqed.lean.native.find import NativeLean
from burnqed.lean.native.launch import Scratch, native_launch
from burnqed.lean.process import BatchLost, LeanProcess, RequestFailed
from burnqed.lean.protocol import StartReply, proof_state, refusal

# Requests and replies as Pantograph's own tests and a capture of 0.3.13 have them; keys of replies in wire order.
RECORDED = [
    (
        'goal.start {"expr":"∀ (p q: Prop), p ∨ q → q ∨ p"}',
        '{"root":"_uniq.9","stateId":0}',
    ),
    (
        'goal.tactic {"stateId":0,"tactic":"intro x"}',
        '{"goals":[{"fragment":"tactic","name":"_uniq.11","target":{"pp":"∀ (q : Prop), x ∨ q → q ∨ x"},"vars":'
        '[{"isInaccessible":false,"name":"_uniq.10","type":{"pp":"Prop"},"userName":"x"}]}],"hasSorry":false,'
        '"hasUnsafe":false,"messages":[],"nextStateId":1}',
    ),
    (
        'goal.tactic {"stateId":0,"tactic":"sorry"}',
        '{"goals":[],"hasSorry":true,"hasUnsafe":false,"messages":[],"nextStateId":3}',
    ),
    (
        'goal.tactic {"stateId":0,"tactic":"no_such_tactic"}',
        '{"hasSorry":false,"hasUnsafe":false,"parseError":"<Pantograph>:1:1: unknown tactic"}',
    ),
    (
        'goal.tactic {"stateId":0,"tactic":"apply Nat.le_of_succ_le"}',
        '{"hasSorry":false,"hasUnsafe":false,"messages":[{"caption":"","data":"Tactic `apply` failed: could not unify",'
        '"endPos":null,"fileName":"<anonymous>","isSilent":false,"keepFullRange":false,"kind":"[anonymous]",'
        '"pos":{"column":0,"line":0},"severity":"error"}]}',
    ),
    (
        'goal.tactic {"stateId":0,"tactic":"sleep 1000; simp"}',
        '{"desc":"interrupt","error":"io"}',
    ),
    (
        'goal.tactic {"stateId":99,"tactic":"simp"}',
        '{"desc":"Invalid state index 99","error":"index"}',
    ),
    (
        'goal.print {"stateId":1,"rootExpr":true}',
        '{"extraMVars":[],"goals":[],"root":{"pp":"fun x => ?m.2"},"rootHasMVar":true,"rootHasSorry":false,'
        '"rootHasUnsafe":false}',
    ),
    ('options.set {"automaticMode":true,"printJsonPretty":false,"printExprAST":true,"timeout":0}', "{}"),
    ('options.set {"automaticMode":true,"printJsonPretty":false,"printExprAST":true,"timeout":24000}', "{}"),
    (
        'frontend.process {"file":"open Nat\\nuniverse u\\nuniverse burnqed_kept",'
        '"readHeader":false,"inheritEnv":true,"newConstants":false}',
        '{"units":[{"boundary":[0,9],"messages":[]},{"boundary":[9,20],"messages":[]},'
        '{"boundary":[20,41],"messages":[]}]}',
    ),
    (
        'frontend.distil {"file":"universe burnqed_kept\\n'
        'open Nat\\nuniverse u\\ntheorem mystery (p : Prop) : p → p := by sorry",'
        '"ignoreValues":false}',
        '{"targets":[{"goals":[{"fragment":"tactic","name":"_uniq.3","target":{"pp":"p → p"},"vars":'
        '[{"isInaccessible":false,"name":"_uniq.2","type":{"pp":"Prop"},"userName":"p"}]}],"stateId":0}]}',
    ),
    ('goal.delete {"stateIds":[0,1]}', "{}"),
    ("no.such {}", '{"desc":"Unknown command no.such","error":"command"}'),
]

SERVER = """
import json, sys
table = [(cmd, json.loads(body), reply) for cmd, body, reply in json.load(open(sys.argv[1]))]
out = sys.stdout.buffer
out.write(b"ready.\\n"); out.flush()
for line in sys.stdin.buffer:
    cmd, _, body = line.decode().strip().partition(" ")
    found = [reply for c, b, reply in table if c == cmd and b == json.loads(body)]
    assert len(found) == 1, line
    out.write(found[0].encode() + b"\\n"); out.flush()
"""


@pytest_asyncio.fixture(loop_scope="session")
async def process(tmp_path: Path) -> AsyncIterator[LeanProcess]:
    table = [(*request.split(" ", 1), reply) for request, reply in RECORDED]
    (tmp_path / "table.json").write_text(json.dumps(table))
    (tmp_path / "server.py").write_text(SERVER)
    executable = tmp_path / "repl"
    executable.write_text(f"#!/bin/sh\nexec {shlex.quote(sys.executable)} {tmp_path}/server.py {tmp_path}/table.json\n")
    executable.chmod(0o755)
    with Scratch() as scratch:
        native = NativeLean(executable, Versions(pantograph="0.3.13"))
        launch = native_launch(native, ["Init"], [], NativeConfig(sandbox="off"), scratch=scratch)
        started = await LeanProcess.start(launch, ready_timeout_s=20)
        try:
            yield started
        finally:
            await started.close()


CONFIG = LeanConfig(request_timeout_s=30)


async def ask(process: LeanProcess, command: str, payload: dict[str, Any], kind: type) -> Any:
    return (await process.request(command, payload, kind, timeout_s=10))[1]


async def test_start_and_tactics(process: LeanProcess) -> None:
    start = await ask(process, "goal.start", {"expr": "∀ (p q: Prop), p ∨ q → q ∨ p"}, StartReply)
    assert (start.state_id, start.root) == (0, "_uniq.9")
    plain = PlainDialect()
    (reply,) = await plain.tactics(process, 0, ["intro x"], CONFIG)
    assert reply.next_state_id == 1
    assert reply.goals is not None
    state = proof_state(reply.goals)
    assert state.text == "x : Prop\n⊢ ∀ (q : Prop), x ∨ q → q ∨ x"
    assert state.goals[0].id == "_uniq.11"
    assert state.goals[0].key is None  # no S-expression came
    verdict = await plain.verdict(process, 1, CONFIG)
    assert not verdict.accepted
    assert "metavariables" in verdict.reason


async def test_refusals(process: LeanProcess) -> None:
    plain = PlainDialect()
    tactics = ["sorry", "no_such_tactic", "apply Nat.le_of_succ_le", "sleep 1000; simp"]
    replies = await plain.tactics(process, 0, tactics, CONFIG)
    assert [refusal(r) for r in replies] == [
        ("sorry", "the step leaves a sorry"),
        ("parse", "<Pantograph>:1:1: unknown tactic"),
        ("error", "Tactic `apply` failed: could not unify"),
        ("timeout", "interrupt"),
    ]
    assert replies[0].next_state_id == 3
    assert replies[0].has_sorry
    assert [r.next_state_id for r in replies[1:]] == [None] * 3
    with pytest.raises(RequestFailed, match="Invalid state index 99"):
        await plain.tactic(process, 99, "simp", CONFIG)
    assert not process.lost


async def test_opening_a_theorem_in_its_header(process: LeanProcess) -> None:
    plain = PlainDialect()
    theorem = Theorem("mystery", "theorem mystery (p : Prop) : p → p", "open Nat\nuniverse u")
    assert plain.fits(process, theorem)
    for _ in range(2):  # the header is run once
        reply = await plain.open(process, theorem, CONFIG)
        assert reply.state_id == 0
        assert proof_state(reply.goals).text == "p : Prop\n⊢ p → p"
    assert process.requests == 7
    assert not plain.fits(process, Theorem("other", "theorem other : True"))


async def test_anything_else_is_the_end(process: LeanProcess) -> None:
    with pytest.raises(RequestFailed, match="Unknown command"):
        await ask(process, "no.such", {}, dict)
    with pytest.raises(BatchLost):
        await PlainDialect().tactic(process, 0, "a tactic that is not on record", CONFIG)
