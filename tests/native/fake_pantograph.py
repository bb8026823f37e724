"""A Pantograph that proves toy goals and misbehaves on request. Run as a program; no Lean behind it.

A goal is a number: ``step`` counts it down, at 0 there is none left; ``split`` makes two of it, ``tie`` two that share a
metavariable. The file `mode` beside it decides how it starts.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

out = sys.stdout.buffer
HERE = Path(__file__).parent
MODE = (HERE / "mode").read_text().strip()
states: dict[int, tuple[int, ...]] = {}  # a negative number is a goal with a metavariable
next_id = 0
header = ""


def say(line: str) -> None:
    out.write(line.encode() + b"\n")
    out.flush()


def goal(n: int, place: int = 0) -> dict[str, Any]:
    fv = f"_uniq.{next_id * 10 + 1}"
    right = f"(:lit {n})" if n > 0 else "(:mv _uniq.7)"
    return {
        "fragment": "tactic",
        "name": f"_uniq.{next_id * 10}.{place}",
        "target": {"pp": f"x = {n}", "sexp": f"((:c Eq) (:c Nat) (:fv {fv}) {right})"},
        "vars": [{"isInaccessible": False, "name": fv, "userName": "x", "type": {"pp": "Nat", "sexp": "(:c Nat)"}}],
    }


def remember(*goals: int) -> int:
    global next_id
    states[next_id] = goals
    next_id += 1
    return next_id - 1


def shown(*goals: int) -> dict[str, Any]:
    return {"goals": [goal(n, place) for place, n in enumerate(goals)], "nextStateId": remember(*goals)}


def stepped(*goals: int, **more: Any) -> dict[str, Any]:
    reply = {**shown(*(n for n in goals if n)), "hasSorry": False, "hasUnsafe": False, "messages": []}
    return {**reply, **more}


def failed(text: str) -> dict[str, Any]:
    message = {"severity": "error", "data": text, "kind": "[anonymous]", "pos": {"line": 1, "column": 0}}
    return {"hasSorry": False, "hasUnsafe": False, "messages": [message]}


def once(name: str) -> bool:
    try:
        (HERE / name).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def tactic(n: int, rest: tuple[int, ...], text: str) -> dict[str, Any]:
    if text == "step":
        return stepped(n - 1, *rest)
    if text == "split":
        return stepped(n, n + 1, *rest)
    if text == "tie":
        return stepped(n, -1, *rest)
    if text == "suggest":
        data = "Try this:\n  [apply] step"
        return stepped(n - 1, messages=[{"severity": "information", "data": data, "kind": "x"}])
    if text == "die":
        sys.exit(1)
    if text == "die once" and once("died"):
        sys.exit(1)
    if text == "die once":
        return stepped(n - 1)
    if text == "hang":
        while True:
            pass
    if text == "half":
        out.write(b'{"goals":[],"nextSta')
        out.flush()
        sys.exit(0)
    if text == "garbage":
        say("stdout: no JSON at all")
        say("[1, 2]")
        return stepped(n - 1)
    if text == "flood":
        return stepped(n - 1, messages=[{"severity": "information", "data": "x" * (10 << 20), "kind": "x"}])
    if text == "stderr":
        sys.stderr.write("stdout: " + "y" * 300_000 + "\n")
        sys.stderr.flush()
        return stepped(n - 1)
    if text == "nostate":
        return {"goals": [], "hasSorry": False, "hasUnsafe": False, "messages": []}
    if text == "nogoals":
        return {"nextStateId": remember(), "hasSorry": False, "hasUnsafe": False, "messages": []}
    if text == "sorry":
        return stepped(0, hasSorry=True)
    if text == "unsafe":
        return stepped(0, hasUnsafe=True)
    if text == "bad syntax":
        return {"hasSorry": False, "hasUnsafe": False, "parseError": "<Pantograph>:1:1: unknown tactic"}
    if text == "shape":
        return {"goals": "none", "nextStateId": 3}
    if text.startswith("error "):
        _, kind, *desc = text.split(" ")
        return {"error": kind, "desc": " ".join(desc)}
    return failed(f"unknown tactic `{text}`")


def answer(command: str, payload: dict[str, Any]) -> dict[str, Any]:
    global header
    if "nonce" in payload:
        return {"error": "command", "desc": "this is plain Pantograph and knows no nonce"}
    if command == "options.set":
        assert set(payload) <= {"automaticMode", "printJsonPretty", "printExprAST", "timeout"}, payload
        return {}
    if command == "frontend.process":
        if payload["inheritEnv"] and header and "def " in header:
            raise AssertionError("a second header in one process")
        header = payload["file"]
        data = header.encode()
        bad = "nonsense" in header
        message = {"severity": "error", "data": "unexpected\n  token", "kind": "x", "pos": {"line": 2, "column": 0}}
        end = data.index(b"universe burnqed_kept")
        return {
            "units": [
                {"boundary": [0, end], "messages": [message] if bad else []},
                {"boundary": [end, len(data)], "messages": []},
            ]
        }
    if command == "frontend.distil":
        assert payload["ignoreValues"] is False
        if MODE == "keeps scope" and "universe burnqed_kept" in payload["file"]:
            return {"error": "io", "desc": "a universe level named `burnqed_kept` has already been declared"}
        if "unknown_thing" in payload["file"]:
            return {"error": "io", "desc": "<anonymous>:1:5: error: Unknown identifier `unknown_thing`"}
        if MODE == "old":
            return {"error": "command", "desc": "Unknown command frontend.distil"}
        n = int(payload["file"].rsplit("=", 2)[1].strip(" :"))
        return {"targets": [{"stateId": remember(n), "goals": [goal(n)]}]}
    if command == "goal.tactic":
        if payload["stateId"] not in states:
            return {"error": "index", "desc": f"Invalid state index {payload['stateId']}"}
        first, *rest = states[payload["stateId"]]
        return tactic(first, tuple(rest), payload["tactic"])
    if command == "goal.continue":
        if MODE == "cannot continue":
            return {"error": "command", "desc": "Unknown command goal.continue"}
        places = [int(name.rsplit(".", 1)[1]) for name in payload["goals"]]
        return shown(*(states[payload["target"]][place] for place in places))
    if command == "goal.print":
        assert payload["rootExpr"] is True
        return {
            "root": {"pp": "…"},
            "goals": [],
            "extraMVars": [],
            "rootHasMVar": states[payload["stateId"]] != (),
            "rootHasSorry": False,
            "rootHasUnsafe": False,
        }
    if command == "goal.delete":
        for state in payload["stateIds"]:
            states.pop(state, None)
        return {}
    if command == "reset":
        count = len(states)
        states.clear()
        globals()["next_id"] = 0
        return {"nGoals": count}
    return {"error": "command", "desc": f"Unknown command {command}"}


def main() -> None:
    if sys.argv[1:] == ["--version"]:
        say("0.3.14")
        return
    if MODE == "silent":
        time.sleep(60)
    if MODE == "mismatch":
        sys.stderr.write("uncaught exception: failed to read file '/x/Init.olean', incompatible header\n")
        sys.exit(1)
    if MODE == "no module":
        sys.stderr.write("uncaught exception: object file '/x/Mathlib.olean' of module Mathlib does not exist\n")
        sys.exit(1)
    if MODE == "error line":
        say('{"error":"io","desc":"something"}')
        sys.exit(0)
    if MODE == "slow":
        time.sleep(1.5)
        say("a line that is not it")
    say("ready.")
    for line in sys.stdin.buffer:
        text = line.decode().strip()
        if not text:
            return
        command, _, rest = text.partition(" ")
        say(json.dumps(answer(command, json.loads(rest or "{}")), separators=(",", ":"), ensure_ascii=False))


main()
