"""A server that answers what harvesting and tracing ask, with no Lean behind it; its library is a file.

Names and texts say what happens: ``hang``, ``kill`` and ``killonce`` do it, ``own`` has no statement, ``ERR`` is an error,
``SORRY`` a sorry; commands of a text are its paragraphs, and each line that begins with two spaces is a tactic. ``odd``
leaves other goals when it is applied again, and ``fatal`` kills then.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

plan = Path(sys.argv[1])
library: dict[str, Any] = json.loads(plan.read_text())
log = plan.with_suffix(".log")
states: list[str] = []
nonce = ""


def say(reply: dict[str, Any]) -> None:
    print(json.dumps({**reply, "nonce": nonce}), flush=True)


def disaster(text: str) -> None:
    """Hang or die, if the text says so."""
    once = plan.with_suffix(".once")
    if "killonce" in text and not once.exists():
        once.touch()
        os._exit(1)
    if re.search(r"kill(?!once)", text):
        os._exit(1)
    if "hang" in text:
        time.sleep(60)


def theorems(module: str) -> list[dict[str, Any]]:
    names = library[module]["theorems"]
    return [{"index": 2 * i, "name": n, **({"skip": "auxiliary"} if "._" in n else {})} for i, n in enumerate(names)]


def statement(index: int, name: str) -> dict[str, Any]:
    disaster(name)
    with log.open("a") as file:
        file.write(f"{name}\n")
    if "own" in name:
        return {"index": index, "name": name, "reason": "needs its own module", "missing": ["Foo"]}
    return {"index": index, "name": name, "statement": f"theorem harvest.{name} : True", "form": "readable"}


def statements(payload: dict[str, Any]) -> None:
    names = {t["index"]: t["name"] for t in theorems(payload["module"])}
    done = []
    for index in payload["indices"]:
        done.append(statement(index, names[index]))
        say({"partial": [done.pop()]})
    say({"statements": done})


def invocations(piece: str, at: int, *, states_too: bool) -> list[dict[str, Any]]:
    found = []
    lines = list(re.finditer(r"^  (\S.*)$", piece, re.MULTILINE))
    for number, m in enumerate(lines):
        begin = at + len(piece[: m.start(1)].encode())
        entry = {
            "goalBefore": f"⊢ {number}",
            "goalAfter": "" if number + 1 == len(lines) else f"⊢ {number + 1}",
            "tactic": m[1],
            "range": [begin, begin + len(m[1].encode())],
            "usedConstants": ["Nat", "own.aux"],
        }
        if m[1].startswith("conv"):
            entry["mode"] = "conv"
        if states_too:
            entry["stateId"] = len(states)
            states.append(entry["goalAfter"])
        found.append(entry)
    return found


def trace(payload: dict[str, Any]) -> None:
    text, at = payload["file"], 0
    with log.open("a") as file:
        file.write(json.dumps(payload.get("imports")) + "\n")
    pieces = re.findall(r".+?(?:\n\n+|\Z)", text, re.DOTALL)
    for number, piece in enumerate(pieces):
        where = {"command": number, "boundary": [at, at + len(piece.encode())]}
        say({"partial": [where]})
        disaster(piece)
        name = re.search(r"theorem (\S+)", piece)
        entries = invocations(piece, at, states_too=payload.get("states", False))
        say({"partial": [{
            **where, "errors": ["it does not hold"] if "ERR" in piece else [], "sorry": "SORRY" in piece,
            "names": [name[1]] if name else [], "made": [name[1], "own.aux"] if name else [], "invocations": entries,
        }]})  # fmt: skip
        at += len(piece.encode())
    say({"commands": len(pieces)})


print("ready.", flush=True)
for line in sys.stdin:
    command, _, rest = line.strip().partition(" ")
    request = json.loads(rest or "{}")
    nonce = request.get("nonce", "")
    if command == "env.describe":
        say({"imports": ["Init"], "modules": list(library)})
    elif command == "library.theorems":
        say({"imports": library[request["module"]]["imports"], "theorems": theorems(request["module"])})
    elif command == "library.statements":
        statements(request)
    elif command == "trace.file":
        trace(request)
    elif command == "goal.tactic":
        disaster(request["tactic"].replace("fatal", "kill"))
        left = "⊢ other" if "odd" in request["tactic"] else states[request["stateId"]]
        states.append(left)
        say({"nextStateId": len(states) - 1, "goals": []})
    elif command == "goal.text":
        say({"text": states[request["stateId"]]})
    else:
        states.clear()
        say({"nGoals": 0})
