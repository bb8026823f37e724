"""A server with our protocol and no Lean behind it: a state's goal tells all that the state was made from.

Tactics: ``fail``, ``die`` (the process), ``die-once FILE``, ``hang``, ``done`` (no goal is left), ``sorry``; any other is added.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

states: dict[int, dict[str, Any]] = {}
next_id = 0
environment = sys.argv[1:]
options: dict[str, Any] = {"automaticMode": True, "printJsonPretty": False, "timeout": 0}
out = sys.stdout


def made(state: dict[str, Any]) -> int:
    global next_id
    states[next_id] = state
    next_id += 1
    return next_id - 1


def goals(state: dict[str, Any]) -> list[dict[str, Any]]:
    if state["done"]:
        return []
    text = " ; ".join([state["from"], *state["steps"]])
    return [{"fragment": "tactic", "name": f"_m{len(state['steps'])}", "target": {"pp": text}, "vars": []}]


def root(text: str) -> dict[str, Any]:
    return {"from": f"{text} in {'+'.join(environment)}", "steps": [], "done": False}


def message(text: str) -> dict[str, Any]:
    return {"data": text, "severity": "error", "kind": "[anonymous]", "pos": {"line": 1, "column": 0}, "endPos": None}


def tactic(state: dict[str, Any], text: str) -> dict[str, Any]:
    word, _, rest = text.partition(" ")
    if word == "die" or (word == "die-once" and not Path(rest).exists()):
        if rest:
            Path(rest).touch()
        os._exit(1)
    if word == "hang":
        time.sleep(60)
    if word == "parse":
        return {"hasSorry": False, "hasUnsafe": False, "parseError": "<Pantograph>:1:1: unknown tactic"}
    if word == "fail":
        return {"messages": [message("it fails")], "hasSorry": False, "hasUnsafe": False, "reason": "error"}
    step = word + ("" if options["automaticMode"] else " by hand")
    state = {"from": state["from"], "steps": [*state["steps"], step], "done": word == "done"}
    found = {"nextStateId": made(state), "goals": goals(state), "messages": []}
    return {**found, "hasSorry": word == "sorry", "hasUnsafe": False}


def answer(cmd: str, p: dict[str, Any]) -> dict[str, Any]:
    global next_id
    if "stateId" in p and p["stateId"] not in states:
        return {"error": "index", "desc": f"Invalid state index {p['stateId']}"}
    match cmd:
        case "goal.start":
            return {"stateId": made(root(p["expr"])), "root": "_m0"}
        case "goal.tactic":
            return tactic(states[p["stateId"]], p.get("tactic") or p.get("have") or p.get("mode"))
        case "goal.tactics":
            outcomes = []
            for text in p["tactics"]:
                outcomes.append(tactic(states[p["stateId"]], text))
                say({"partial": outcomes, "nonce": p.get("nonce")})
                outcomes = []
            return {"outcomes": outcomes}
        case "goal.continue":
            target, branch = states[p["target"]], states[p["branch"]]
            state = {"from": f"{target['from']} and {branch['from']}", "steps": branch["steps"], "done": False}
            return {"nextStateId": made(state), "goals": goals(state)}
        case "goal.print":
            reply = {"goals": goals(states[p["stateId"]]), "rootHasMVar": True}
            return {**reply, "root": {"pp": "a proof"}} if states[p["stateId"]]["done"] else reply
        case "goal.verdict":
            return {"accepted": states[p["stateId"]]["done"], "reason": "", "axioms": ["propext"]}
        case "goal.delete":
            for number in p["stateIds"]:
                states.pop(number, None)
            return {}
        case "goal.save":
            return {"trail": states[p["id"]]}
        case "goal.load":
            return {"id": made(p["trail"])}
        case "env.save":
            return {"trail": list(environment)}
        case "env.load":
            environment[:] = p["trail"]
            return {}
        case "env.add":
            environment.append(p["name"])
            return {}
        case "env.catalog":
            return {"symbols": [f"d{name}" for name in environment]}
        case "env.parse":
            return {"error": "parse", "desc": "no tactic"} if p["input"].startswith(")") else {"pos": 3}
        case "expr.echo":
            return {"expr": {"pp": p["expr"]}, "type": {"pp": "+".join(environment)}}
        case "frontend.process":
            environment.extend([p["file"]] if p.get("inheritEnv") else [])
            unit = {"boundary": [0, len(p["file"])], "messages": []}
            entry = {"goalBefore": "⊢ a", "goalAfter": "", "tactic": p["file"], "usedConstants": ["c"]}
            return {"units": [{**unit, "invocations": [entry, entry]} if p.get("invocations") else unit]}
        case "frontend.distil":
            two = [root(f"{p['file']} {i}") for i in range(2)]
            return {"targets": [{"stateId": made(s), "goals": goals(s)} for s in two]}
        case "frontend.track":
            failure = {} if p["src"] == p["dst"] else {"failure": "they differ"}
            return {"srcMessages": [], "dstMessages": [], **failure}
        case "options.set":
            options.update({k: v for k, v in p.items() if k in options})
            return {}
        case "options.print":
            return dict(options)
        case "stat":
            return {"nGoals": len(states)}
        case "reset":
            count = len(states)
            states.clear()
            next_id = 0
            return {"nGoals": count}
    return {"error": "command", "desc": f"Unknown command {cmd}"}


def say(reply: dict[str, Any]) -> None:
    out.write(json.dumps(reply, ensure_ascii=False) + "\n")
    out.flush()


if __name__ == "__main__":
    say({"noise": True})
    out.write("ready.\n")
    out.flush()
    for line in sys.stdin:
        cmd, _, text = line.strip().partition(" ")
        payload = json.loads(text or "{}")
        if payload.get("expr") == "silent":
            time.sleep(60)
        out.write("noise from a tactic\n")
        say({**answer(cmd, payload), "nonce": payload.get("nonce")})
