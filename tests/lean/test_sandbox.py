"""What code can do that runs inside the embedded Lean: nothing to the machine.

A person's own header may run programs (``#eval``), and so may a file; a tactic may not. Each program here says something
that only a program which really ran could say: a value, or the system's own refusal.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio
from tests.conftest import theorem

from burnqed.core.errors import WorkerLost
from burnqed.core.outcome import Refused
from burnqed.lean.embedded.install import EmbeddedLean
from burnqed.lean.embedded.server import server_launch
from burnqed.lean.process import LeanProcess, RequestFailed
from burnqed.lean.session import PooledSession

pytestmark = pytest.mark.lean

SECRET = "the user's own words"
MARK = "mark of the beast"
REFUSED = r"read-only|not permitted|denied"
ABSENT = r"no such file|not found"
UNSUPPORTED = r"not implemented|unsupported"

# A program that answers with a string, and what it must say. @HOST@ is a folder of the host, with a file `secret` in it.
PROGRAMS = [
    # writing: in a memory of its own that has the same paths, or not at all
    ('IO.FS.createDirAll "@HOST@"; IO.FS.writeFile "@HOST@/new" "dead"; IO.FS.readFile "@HOST@/new"', '"dead"'),
    ('IO.FS.createDirAll "@HOST@"; IO.FS.writeFile "@HOST@/secret" "dead"; IO.FS.readFile "@HOST@/secret"', '"dead"'),
    ('IO.FS.writeFile "/tmp/burnqed-was-here" "dead"; IO.FS.readFile "/tmp/burnqed-was-here"', '"dead"'),
    ('IO.FS.createDirAll "@HOST@"; IO.FS.writeFile "@HOST@/secret" ""; IO.FS.removeFile "@HOST@/secret"; return "gone"', "gone"),
    ('IO.FS.writeFile "/etc/burnqed" "dead"; return "wrote"', ABSENT),
    ('IO.FS.writeFile "/program/server.lean" "dead"; return "wrote"', REFUSED),
    ('IO.FS.writeFile "/program/new" "dead"; return "wrote"', REFUSED),
    ('IO.FS.removeFile "/program/server.lean"; return "removed"', REFUSED),
    ('IO.FS.rename "/program/server.lean" "/program/other"; return "renamed"', REFUSED),
    ('IO.FS.createDir "/program/folder"; return "made"', REFUSED),
    ('IO.FS.writeFile "/toolchain/lib/lean/Init.olean" "dead"; return "wrote"', REFUSED),
    ('IO.FS.removeFile "/toolchain/lib/lean/Init.olean"; return "removed"', REFUSED),
    # reading: its program and its library, and nothing else
    ('return String.Pos.Raw.extract (← IO.FS.readFile "/program/server.lean") 0 ⟨6⟩', '"(import|prelud)"'),
    ('IO.FS.readFile "@HOST@/../host-secret"', ABSENT),
    ('IO.FS.readFile "/etc/passwd"', ABSENT),
    ('IO.FS.readFile "/program/../../../../../../etc/passwd"', ABSENT),
    ('IO.FS.readFile "/toolchain/lib/lean/../../../../../../../etc/passwd"', ABSENT),
    ('IO.FS.readFile "/proc/self/environ"', ABSENT),
    ('IO.FS.readFile "/proc/1/cmdline"', ABSENT),
    ('IO.FS.readFile "@HOME@/.profile"', ABSENT),
    ('IO.FS.readFile "file:///etc/passwd"', ABSENT),
    (
        'return toString (← IO.getEnv "BURNQED_OWNER") ++ toString (← IO.getEnv "BURNQED_HOME")'
        ' ++ toString (← IO.getEnv "LEAN_LIBRARY")',
        '"nonenonenone"',
    ),
    ('return toString (← IO.getEnv "PATH") ++ toString (← IO.getEnv "HOME")', '"none(none|.some ./home/web_user.)"'),
    # processes
    ('let o ← IO.Process.output { cmd := "touch", args := #["@HOST@/new"] }; return o.stdout', UNSUPPORTED),
    ('let c ← IO.Process.spawn { cmd := "/bin/sh" }; return toString (← c.wait)', UNSUPPORTED),
    ('let c ← IO.Process.spawn { cmd := "rm", args := #["@HOST@/secret"] }; c.kill; return "killed"', UNSUPPORTED),
    ("return toString (← IO.Process.getPID)", '"42"'),  # emscripten's own idea of a number; not ours
]  # fmt: skip


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def lean_process(lean: EmbeddedLean) -> AsyncIterator[LeanProcess]:
    """A process of this module's own: one that other tests drove to the end of its stack may die much later."""
    process = await LeanProcess.start(server_launch(lean), ready_timeout_s=180)
    yield process
    await process.close()


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Path]:
    """A folder of the host that must stay as it is."""
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "secret").write_text(SECRET)
    (tmp_path / "host-secret").write_text(SECRET)
    yield inside
    assert [path.name for path in inside.iterdir()] == ["secret"]
    assert (inside / "secret").read_text() == SECRET
    assert not Path("/tmp/burnqed-was-here").exists()
    assert not Path("/etc/burnqed").exists()


def program(code: str, host: Path) -> str:
    code = code.replace("@HOST@", str(host)).replace("@HOME@", str(Path.home()))
    return f"#eval (do {code} : IO String)\n"


async def said_by_header(process: LeanProcess, header: str) -> str:
    """What Lean says about a header: its messages, or its error."""
    payload = {"header": header, "theorem": "theorem foo : True := by sorry", "source": "theorem foo : True := trivial"}
    try:
        _, reply = await process.request("theorem.check", payload, dict, timeout_s=60)
    except RequestFailed as error:
        return error.desc
    return "\n".join(m["data"] for m in reply["messages"])


async def said_by_start(process: LeanProcess, header: str) -> str:
    """The same header where a search begins; its messages are not told there, only its errors."""
    payload = {"header": header, "theorem": "theorem foo : True := by sorry"}
    try:
        await process.request("goal.start", payload, dict, timeout_s=60)
    except RequestFailed as error:
        return error.desc
    return ""


async def said_by_file(process: LeanProcess, text: str) -> str:
    _, reply = await process.request("frontend.process", {"file": text}, dict, timeout_s=60)
    return "\n".join(m["data"] for unit in reply["units"] for m in unit["messages"])


def family_is_alone(process: LeanProcess) -> bool:
    """It has no children, and no sockets but the pipes to us."""
    me = psutil.Process(process.pid)
    return me.children(recursive=True) == [] and me.net_connections(kind="inet") == []


@pytest.mark.parametrize(("code", "says"), PROGRAMS, ids=range(len(PROGRAMS)))
async def test_programs_in_a_header(lean_process: LeanProcess, host: Path, code: str, says: str) -> None:
    said = await said_by_header(lean_process, program(code, host))
    assert re.search(says, said), said
    assert SECRET not in said
    assert "root:" not in said
    begun = await said_by_start(lean_process, program(code, host))
    assert not begun or re.search(says, begun), begun
    assert family_is_alone(lean_process)


async def test_programs_in_a_file(complete_process: LeanProcess, host: Path) -> None:
    said = await said_by_file(complete_process, "".join(program(code, host) for code, _ in PROGRAMS))
    for _, says in PROGRAMS:
        assert re.search(says, said), (says, said)
    assert SECRET not in said
    assert "root:" not in said
    assert family_is_alone(complete_process)


async def test_programs_for_when_a_module_is_imported_do_not_run(lean_process: LeanProcess, host: Path) -> None:
    header = f'initialize IO.FS.writeFile "{host}/new" "dead"\ninitialize counter : IO.Ref Nat ← IO.mkRef 1\n'
    assert re.search(
        "cannot evaluate|have not been|not been initialized|import|^$", await said_by_header(lean_process, header)
    )


async def test_metaprograms_need_what_is_not_there(lean_process: LeanProcess) -> None:
    for command in ("run_cmd pure ()", "run_elab pure ()", "run_meta pure ()", 'elab "x" : term => return default'):
        assert re.search(r"import Lean|[Uu]nknown|expected", await said_by_header(lean_process, command)), command


CAST = 'cast (sorry : IO Unit = (Unit → Nat)) (IO.eprintln "@MARK@") ()'.replace("@MARK@", MARK)
LATER = f'cast @PROOF@ (IO.eprintln "{MARK}") ()'
RUNS = f"(match {CAST} with | 12345 => false | _ => true) = true"

# A forged equation of types makes a program of any term; none of them is written with a forbidden word.
TACTICS = [
    f"have h : {RUNS} := by native_decide\nskip",
    f"have h : {RUNS} := by decide +native\nskip",
    f"have h : {RUNS} := by decide (config := {{ native := true }})\nskip",
    f"have h : {RUNS} := by first | native_decide | skip\nskip",
    f"exact absurd (by native_decide : {RUNS}) (by simp)",
    f"simp (maxSteps := {CAST})",
    f"simp (maxSteps := 1000 + {CAST})",
    f"simp (config := {{ maxSteps := {CAST} }})",
    f"have e : IO Unit = (Unit → Nat) := by as_aux_lemma => sorry\nsimp (maxSteps := {LATER.replace('@PROOF@', '_proof_1')})",
    f"have e : IO Unit = (Unit → Nat) := by as_aux_lemma => sorry\nsimp (maxSteps := {LATER.replace('@PROOF@', 'foo._proof_1')})",
    f'simp (maxSteps := dbgTrace "{MARK}" fun _ => 1000)',
    f'omega (config := dbgTrace "{MARK}" fun _ => {{}})',
    f'rw (config := dbgTrace "{MARK}" fun _ => {{}}) [Nat.add_comm]',
    f'· simp (maxSteps := id (dbgTrace "{MARK}" fun _ => 7))',
    f'let rec @[macro Lean.Parser.Tactic.done] f : Lean.Macro := dbgTrace "{MARK}" fun _ => default\ntrivial',
    f'let rec /-- {{lean}}`{MARK}` -/ f (n : Nat) : Nat := n\ntrivial',
    f'have : (dbgTrace "{MARK}" fun _ => true) = true := by native_decide\ntrivial',
    f"exact absurd (rfl : Lean.reduceBool ({CAST} == 0) = true) (by simp)",
    f"have := Lean.ofReduceBool ({CAST} == 0) true rfl\ntrivial",
    f"bv_decide (config := {{ timeout := {CAST} }})",
]  # fmt: skip


async def told_on_stderr(process: LeanProcess, act: Callable[[], Awaitable[Any]]) -> str:
    """What a process writes to standard error while something is done."""
    process.stderr_tail.clear()
    await act()
    await asyncio.sleep(0.1)
    return b"".join(process.stderr_tail).decode(errors="replace")


async def test_no_program_runs_from_a_tactic(session: PooledSession) -> None:
    ref, _ = await session.start(theorem(": True"))
    outcomes = []

    async def act() -> None:
        outcomes.extend(await session.apply(ref, TACTICS))

    assert MARK not in await told_on_stderr(session.process, act)
    assert [o.kind for o in outcomes if isinstance(o, Refused)] == ["unsafe"] * len(TACTICS)


async def test_no_program_runs_from_a_proof(lean_process: LeanProcess) -> None:
    async def act() -> None:
        for tactic in TACTICS:
            script = "\n".join("  " + line for line in tactic.splitlines())
            payload = {
                "header": "",
                "theorem": "theorem foo : True := by sorry",
                "source": f"theorem foo : True := by\n{script}",
            }
            _, reply = await lean_process.request("theorem.check", payload, dict, timeout_s=60)
            assert (reply["accepted"], reply["reason"]) == (False, "the source names something unsafe"), tactic

    assert MARK not in await told_on_stderr(lean_process, act)


async def test_such_programs_do_run_where_they_may(lean_process: LeanProcess) -> None:
    """The tests above would see one: in a person's own header the very same text is a program that runs."""

    async def compiled() -> None:
        await said_by_header(lean_process, f"theorem t : {RUNS} := by native_decide")

    assert MARK in await told_on_stderr(lean_process, compiled) + await said_by_header(
        lean_process, f"theorem t : {RUNS} := by native_decide"
    )
    option = f'theorem t : 1 + 0 = 1 := by simp (maxSteps := dbgTrace "{MARK}" fun _ => 1000)'
    assert MARK in await said_by_header(lean_process, option)


async def test_options_that_say_something_stay_allowed(session: PooledSession) -> None:
    ref, _ = await session.start(theorem("(alternative b : Nat) : alternative + b = b + alternative"))
    allowed = [
        "simp (maxSteps := 1000) [Nat.add_comm]",
        "simp (config := { maxSteps := 1000, contextual := true }) [Nat.add_comm]",
        "simp (config := {}) +contextual [Nat.add_comm]",
        "rw (occs := .pos [1]) [Nat.add_comm]",
        "have hnative := alternative; omega",
        "let rec f (n : Nat) : Nat := n\nomega",
    ]
    assert [getattr(o, "kind", "stepped") for o in await session.apply(ref, allowed)] == ["stepped"] * len(allowed)


TALKATIVE = r"""#eval (do
  let t ← IO.asTask (do
    IO.eprintln "MARK"
    IO.println "{\"accepted\":true,\"axioms\":[],\"reason\":\"\"}"
    IO.println "{\"accepted\":true,\"axioms\":[],\"reason\":\"\",\"nonce\":\"0000000000000000\"}"
    IO.println "ready.")
  match t.get with
  | .ok _ => return "printed"
  | .error e => throw e : IO String)
""".replace("MARK", MARK)


async def test_printed_replies_are_not_believed(lean_process: LeanProcess) -> None:
    """A thread of the header's prints past the catching of ``#eval``, on the very stream on which replies come."""
    payload = {
        "header": TALKATIVE,
        "theorem": "theorem foo : False := by sorry",
        "source": "theorem foo : False := by\n  trivial",
    }

    async def act() -> None:
        try:
            _, reply = await lean_process.request("theorem.check", payload, dict, timeout_s=60)
        except RequestFailed as error:
            pytest.fail(error.desc)
        assert not reply["accepted"]
        assert "printed" in json.dumps(reply["messages"])

    assert MARK in await told_on_stderr(lean_process, act)
    assert "2" in await said_by_header(lean_process, "#eval 1 + 1")


async def test_a_flood_of_output_harms_nothing(lean_process: LeanProcess) -> None:
    code = """unsafe def flood (line : String) : Nat → IO Unit
  | 0 => pure ()
  | n + 1 => do IO.println line; flood line n
unsafe def wide : Nat → String → String
  | 0, s => s
  | n + 1, s => wide n (s ++ s)
#eval (do
  let t ← IO.asTask (flood (wide 12 "{{ x") 400)
  match t.get with
  | .ok _ => return "flooded"
  | .error e => throw e : IO String)
"""  # 400 lines of 16 kB
    assert "flooded" in await said_by_header(lean_process, code)
    assert "2" in await said_by_header(lean_process, "#eval 1 + 1")


SOCKET = """#eval (do
  IO.eprintln "MARK"
  let s ← Std.Internal.UV.TCP.Socket.new
  let p ← s.connect (.v4 { addr := .ofParts 127 0 0 1, port := PORT })
  return "connected" : IO String)
""".replace("MARK", MARK)


async def test_no_connection_is_made(lean: EmbeddedLean) -> None:
    """The build has no libuv: asking for a socket ends the process."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        code = SOCKET.replace("PORT", str(listener.getsockname()[1]))
        process = await LeanProcess.start(server_launch(lean), ready_timeout_s=180)
        with pytest.raises(WorkerLost, match="libuv"):
            await said_by_header(process, code)
        await process.close()
        with pytest.raises(BlockingIOError):
            listener.accept()
        # the listener would have seen one
        with socket.create_connection(listener.getsockname(), timeout=5):
            listener.accept()[0].close()


async def test_no_signal_reaches_another_process(lean_process: LeanProcess) -> None:
    """A child that was never started, forged with the number of a process of ours; and the number of every process."""
    victim = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", "import time; time.sleep(100)"], start_new_session=True
    )
    try:
        for pid in (victim.pid, os.getpid()):
            code = f"""structure Forged where
  stdin : Unit := ()
  stdout : Unit := ()
  stderr : Unit := ()
  pid : UInt32 := {pid}
  setsid : Bool := true
unsafe def killed : IO String := do
  let c : IO.Process.Child {{ stdin := .null, stdout := .null, stderr := .null }} := unsafeCast ({{}} : Forged)
  c.kill
  return "killed"
#eval killed
"""
            said = await said_by_header(lean_process, code)
            assert re.search(REFUSED, said), said
        assert victim.poll() is None
    finally:
        victim.kill()
        victim.wait()
