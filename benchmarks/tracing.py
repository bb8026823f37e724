"""Tactic invocations of a file: how long they take, and how many of them give their goals again when they are replayed.

    python benchmarks/tracing.py [FILE] [--json]

Every invocation comes with a state. Its tactic is applied to that state, and what is left must be what the file's own
elaboration left, as Lean prints it. Metavariables are numbered by Lean as it goes, so their numbers are not compared.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import time
from pathlib import Path
from typing import Any

from burnqed.lean.embedded.install import install
from burnqed.lean.embedded.programs import COMPLETE
from burnqed.lean.embedded.server import server_launch
from burnqed.lean.process import LeanProcess, RequestFailed

FILE = Path(__file__).parent.parent / "examples" / "tracing.lean"
_NUMBERED = re.compile(r"\?[mu]\.\d+|\?[mu]_\d+|_fvar\.\d+")


def comparable(goals: str) -> str:
    """Goals as text, without what only numbers metavariables."""
    return _NUMBERED.sub("?_", goals)


async def ask(process: LeanProcess, command: str, **payload: Any) -> dict[str, Any]:
    _, reply = await process.request(command, payload, dict[str, Any], timeout_s=300)
    return reply


async def replayed(process: LeanProcess, invocation: dict[str, Any]) -> str:
    """What is left when the tactic is applied to the state that it had in the file; or why it cannot be."""
    request = {"stateId": invocation["stateId"], "tactic": invocation["tactic"]}
    try:
        reply = await ask(process, "goal.tactic", **request)
    except RequestFailed as error:
        return f"refused: {error.desc}"
    if "nextStateId" not in reply:
        said = [message["data"] for message in reply.get("messages", []) if message["severity"] == "error"]
        return f"refused: {reply.get('parseError') or ' / '.join(said) or reply.get('reason')}"
    left = (await ask(process, "goal.text", stateId=reply["nextStateId"]))["text"]
    await ask(process, "goal.delete", stateIds=[reply["nextStateId"]])
    return str(left)


async def main(name: str, text: str, *, as_json: bool) -> None:
    process = await LeanProcess.start(server_launch(install(), program=COMPLETE), ready_timeout_s=300)
    try:
        payload: dict[str, Any] = {"file": text, "readHeader": True, "invocations": True}
        began = time.perf_counter()
        await ask(process, "frontend.process", **{**payload, "invocations": False})
        elaborated_s = time.perf_counter() - began
        began = time.perf_counter()
        traced = await ask(process, "frontend.process", **payload)
        traced_s = time.perf_counter() - began
        traced = await ask(process, "frontend.process", **payload, states=True)
        errors = [m["data"] for unit in traced["units"] for m in unit["messages"] if m["severity"] == "error"]
        invocations = [entry for unit in traced["units"] for entry in unit["invocations"]]
        pairs = [entry for entry in invocations if "stateId" in entry]
        failures = []
        began = time.perf_counter()
        for entry in pairs:
            left = await replayed(process, entry)
            if comparable(left) != comparable(entry["goalAfter"]):
                line = text.encode()[: entry["range"][0]].count(b"\n") + 1
                failures.append({"line": line, "tactic": entry["tactic"], "wanted": entry["goalAfter"], "got": left})
        replay_s = time.perf_counter() - began
        memory_mb = process.rss_mb()
    finally:
        await process.close()
    result = {
        "file": name,
        "lines": text.count("\n"),
        "errors": errors,
        "elaborated_s": round(elaborated_s, 2),
        "invocations_s": round(traced_s, 2),
        "invocations": len(invocations),
        "conv_steps": len(invocations) - len(pairs),
        "pairs": len(pairs),
        "replay": round((len(pairs) - len(failures)) / len(pairs), 4) if pairs else None,
        "replay_s": round(replay_s, 2),
        "rss_mb": round(memory_mb),
        "failures": failures,
    }
    if as_json:
        print(json.dumps(result, indent=2, ensure_ascii=False))
        return
    for error in errors:
        print(f"error in the file: {error}")
    for failure in failures:
        print(
            f"line {failure['line']}: {failure['tactic']}\n--- wanted\n{failure['wanted']}\n--- got\n{failure['got']}"
        )
    print(f"{result['lines']} lines, elaborated in {elaborated_s:.1f} s, with invocations in {traced_s:.1f} s")
    print(f"{len(invocations)} invocations, {result['conv_steps']} of them steps inside conv, which have no state")
    if pairs:
        share = 100 * (1 - len(failures) / len(pairs))
        print(f"{len(pairs)} pairs replayed in {replay_s:.1f} s: {share:.2f} % give their goals again")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path, default=FILE)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    asyncio.run(main(arguments.file.name, arguments.file.read_text(encoding="utf-8"), as_json=arguments.json))
