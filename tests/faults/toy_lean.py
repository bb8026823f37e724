"""A Lean server over a toy logic, which breaks in the ways that a plan asks for. Run as a script: ``toy_lean.py FOLDER MODE``.

A goal ``a → b`` is two numbers; ``inc``, ``dec`` and ``double`` change the left one, ``split`` halves both into two goals,
``close`` ends a goal whose numbers are equal. Answers depend on nothing but the request, as Lean's.

``FOLDER/plan.json`` says what goes wrong: ``{"rate": 0.05, "seed": 1}`` breaks at so many of the spots, chosen by their
hash; ``{"spots": {"tactics inc": "hang"}}`` breaks at those. A spot is a command, with theorem, path and tactic where it
has them. Each breaks once: a marker in the folder remembers it, so that the process which is started next goes on.
"""

# It starts some hundred times in one test, and pathlib takes longer to import than all the rest.
# ruff: noqa: PTH118, PTH123

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
from typing import Any

DEADLY = ("exit", "quiet exit", "kill", "overflow", "oom", "half", "hang", "half hang", "stop", "wrong nonce", "shape")
HARMLESS = ("garbage", "not UTF-8", "duplicate", "pieces", "big", "flood", "slow", "after")
IN_BATCH = ("partial death", "partial hang", "too few", "too many", "error")
KINDS = (*DEADLY, *HARMLESS, *IN_BATCH)
MODES = ("normal", "slow start", "noisy start", "dies", "half ready", "never")

Goals = tuple[tuple[int, int], ...]
State = tuple[str, tuple[str, ...], Goals]


def step(goals: Goals, tactic: str) -> Goals | None:
    """The goals after a tactic on the first of them; None when it fails."""
    if not goals:
        return None
    (a, b), rest = goals[0], goals[1:]
    if tactic == "close":
        return rest if a == b else None
    if tactic == "split":
        return ((a // 2, b // 2), (a - a // 2, b - b // 2), *rest) if a > 1 else None
    moved = {"inc": a + 1, "dec": a - 1, "double": 2 * a}.get(tactic)
    return None if moved is None or not 0 <= moved <= 500 else ((moved, b), *rest)


def statement(text: str) -> Goals | None:
    """The goal of ``theorem NAME : reach A B …``."""
    words = text.partition(" : ")[2].split()
    return ((int(words[1]), int(words[2])),) if words[:1] == ["reach"] else None


def shown(goals: Goals) -> list[dict[str, Any]]:
    return [{"name": f"g{a}", "target": {"pp": f"{a} → {b}"}, "vars": [], "key": f"{a} {b}"} for a, b in goals]


def script_closes(goals: Goals, source: str) -> bool:
    for line in source.splitlines()[1:]:
        after = step(goals, line.strip(" ·"))
        if after is None:
            return False
        goals = after
    return not goals


class Server:
    def __init__(self, folder: str) -> None:
        self.folder = folder
        with open(os.path.join(folder, "plan.json")) as file:
            self.plan = json.load(file)
        self.states: list[State | None] = []
        self.ballast: list[bytearray] = []
        self.out = sys.stdout.buffer

    # -- breaking ---------------------------------------------------------------------------------------

    def fault(self, spot: str, *, in_batch: bool = False) -> str | None:
        """What goes wrong at a spot now; None mostly."""
        digest = hashlib.sha256(f"{self.plan.get('seed')} {spot}".encode()).digest()
        kind = next((k for s, k in self.plan.get("spots", {}).items() if matches(s, spot)), None)
        if kind is None and int.from_bytes(digest[:4], "big") < self.plan.get("rate", 0) * 2**32:
            kinds = KINDS if in_batch else (*DEADLY, *HARMLESS)
            kind = kinds[digest[4] % len(kinds)]
        if kind is None:
            return None
        try:
            os.close(os.open(os.path.join(self.folder, f"{kind}-{digest.hex()[:20]}"), os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return None
        return kind

    def write(self, data: bytes) -> None:
        self.out.write(data)
        self.out.flush()

    def break_now(self, kind: str | None, reply: dict[str, Any]) -> None:
        """The faults after which there is no right answer."""
        line = json.dumps(reply).encode()
        if kind == "exit":
            os._exit(9)
        if kind == "quiet exit":
            os._exit(0)
        if kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == "overflow":
            sys.stderr.write("Stack overflow detected. Aborting.\n")
            sys.stderr.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == "oom":
            self.ballast.append(bytearray(b"x") * 200_000_000)
            time.sleep(1000)
        if kind in ("half", "half hang"):
            self.write(line[: len(line) // 2])
        if kind == "half":
            os._exit(1)
        if kind == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        if kind == "wrong nonce":
            self.write(json.dumps({**reply, "nonce": "0" * 16}).encode() + b"\n")
        if kind in ("hang", "half hang", "wrong nonce", "stop"):
            time.sleep(1000)
        if kind == "shape":
            wrong = {"outcomes": 7, "stateId": "x", "nextStateId": "x", "accepted": 7, "nGoals": "x"}
            self.write(json.dumps({**reply, **{k: v for k, v in wrong.items() if k in reply}}).encode() + b"\n")
            if not any(key in reply for key in wrong):
                os._exit(1)

    def say(self, kind: str | None, reply: dict[str, Any]) -> None:
        """Answer, after the fault if there is one."""
        self.break_now(kind, reply)
        if kind == "shape":
            return
        line = json.dumps(reply).encode() + b"\n"
        if kind == "garbage":
            self.write(b'half { a line\n\n[1, 2]\nnull\n{"outcomes": [], "nonce": 17}\n{"accepted": true}\n{{{{\n')
        if kind == "not UTF-8":
            self.write(b"\xff\xfe\x00 \xc3\n{\xc3\x28}\n")
        if kind == "big":
            line = json.dumps({**reply, "padding": "x" * 10_000_000}).encode() + b"\n"
        if kind == "flood":
            sys.stderr.write("x" * 3_000_000)
            sys.stderr.flush()
        if kind == "slow":
            time.sleep(0.15)
        if kind == "pieces":
            size = max(1, len(line) // 40)
            for at in range(0, len(line), size):
                self.write(line[at : at + size])
                time.sleep(0.002)
            return
        self.write(line)
        if kind == "duplicate":
            self.write(line)
        if kind == "after":
            os._exit(9)

    # -- answering --------------------------------------------------------------------------------------

    def apply(self, state: State, tactic: str) -> dict[str, Any]:
        theorem, path, goals = state
        after = step(goals, tactic)
        if after is None:
            return {"messages": [{"data": "it does not apply", "severity": "error"}], "reason": "error"}
        self.states.append((theorem, (*path, tactic), after))
        return {"nextStateId": len(self.states) - 1, "goals": shown(after), "micros": 5}

    def batch(self, state: State, tactics: list[str], signed: dict[str, Any]) -> None:
        done: list[dict[str, Any]] = []
        later: str | None = None
        for tactic in tactics:
            kind = self.fault(spot_of("tactics", state, tactic), in_batch=True)
            if kind in ("partial death", "partial hang"):
                self.write(json.dumps({"partial": done, **signed}).encode() + b"\n")
                kind = "exit" if kind == "partial death" else "hang"
            if kind in DEADLY:
                self.break_now(kind, {"outcomes": done, **signed})
                if kind == "shape":
                    return
            later = kind or later
            done.append(self.apply(state, tactic))
        if later == "error":
            self.say(None, {"error": "internal", "desc": "interrupt", **signed})
            return
        if later == "too few":
            done.pop()
        if later == "too many":
            done.append({"goals": []})
        self.say(later, {"outcomes": done, **signed})

    def answer(self, command: str, p: dict[str, Any]) -> None:
        signed = {"nonce": p["nonce"]}
        state: State | None = None
        if "stateId" in p:
            state = self.states[p["stateId"]] if p["stateId"] < len(self.states) else None
            if state is None:
                self.say(None, {"error": "index", "desc": "Invalid state index", **signed})
                return
        if command == "goal.tactics" and state:
            self.batch(state, p["tactics"], signed)
        elif command == "goal.tactic" and state:
            kind = self.fault(spot_of("tactic", state, p["tactic"]))
            self.say(kind, {**self.apply(state, p["tactic"]), **signed})
        elif command == "goal.verdict" and state:
            self.say(self.fault(spot_of("verdict", state)), {"accepted": not state[2], "axioms": ["propext"], **signed})
        elif command == "goal.start":
            goals = statement(p["theorem"])
            kind = self.fault(f"start {p['theorem']}")
            if goals is None:
                self.say(None, {"error": "expr", "desc": "unknown identifier", **signed})
                return
            self.states.append((p["theorem"], (), goals))
            self.say(kind, {"stateId": len(self.states) - 1, "goals": shown(goals), **signed})
        elif command == "theorem.check":
            goals = statement(p["theorem"])
            accepted = goals is not None and script_closes(goals, p["source"])
            kind = self.fault(f"check {p['theorem']} {p['source']}")
            self.say(kind, {"accepted": accepted, "reason": "" if accepted else "no", "axioms": ["propext"], **signed})
        elif command == "reset":
            kind = self.fault(f"reset {self.states}")
            self.states = []
            self.say(kind, {"nGoals": 0, **signed})
        elif command == "goal.delete":
            held = [self.states[i] for i in p["stateIds"]]
            for i in p["stateIds"]:
                self.states[i] = None
            self.say(self.fault(f"delete {held}"), signed)
        else:
            self.say(None, {"error": "command", "desc": f"Unknown command {command}", **signed})


def spot_of(command: str, state: State, tactic: str = "") -> str:
    theorem, path, _ = state
    return " ".join((command, theorem, *path, tactic)).strip()


def matches(wanted: str, spot: str) -> bool:
    """``tactics inc`` is any spot of that command that ends so."""
    command, _, end = wanted.partition(" ")
    return spot.split(" ", 1)[0] == command and spot.endswith(end)


def main() -> None:
    folder, mode = sys.argv[1], sys.argv[2]
    with open(os.path.join(folder, "pids"), "a") as file:
        file.write(f"{os.getpid()} {mode}\n")
    server = Server(folder)
    if mode == "dies":
        sys.stderr.write("library missing\n")
        raise SystemExit(3)
    if mode == "half ready":
        server.write(b"rea")
        os._exit(1)
    if mode == "never":
        time.sleep(1000)
    if mode == "slow start":
        time.sleep(0.3)
    if mode == "noisy start":
        server.write(b"\xff\xc3\n{}\nready\n ready.\nready. \n" * 50)
        sys.stderr.write("x" * 500_000)
        sys.stderr.flush()
    server.write(b"ready.\n")
    for line in sys.stdin:
        command, _, text = line.partition(" ")
        server.answer(command, json.loads(text))


if __name__ == "__main__":
    main()
