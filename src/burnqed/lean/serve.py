"""``burnqed lean serve``: a process that looks like Pantograph's own executable.

It prints ``ready.``, then answers each line with a line; an empty line or the end of the input ends it. Behind it
works the embedded Lean, in its sandbox, replaced with its states made again when it dies, grows too large or hangs.
Files that commands name are read and written by this front, with the rights of whoever started it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import shlex
import signal
import stat
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from burnqed.core.errors import LeanError
from burnqed.lean.config import LeanConfig
from burnqed.lean.conversation import PANTOGRAPH_VERSION, Conversation
from burnqed.lean.embedded.install import EmbeddedLean
from burnqed.lean.embedded.programs import COMPLETE
from burnqed.lean.embedded.server import spawner
from burnqed.lean.host_files import Reply, ask_with_files
from burnqed.lean.pool import WorkerPool
from burnqed.lean.pretty_json import pretty
from burnqed.lean.process import BatchLost

NO_LIMIT_S = 365 * 86400.0
"""Pantograph waits for ever; whoever wants a limit sets the option ``timeout``."""

GRACE_S = 5.0
"""So long after that limit Lean may take to notice it; then its process is replaced."""


def serve(arguments: Sequence[str], lean: EmbeddedLean) -> None:
    """Serve on standard input and output until the input ends. A signal to end ends it, and Lean with it, at once."""
    ending = asyncio.run(_run(list(arguments), lean))
    if ending is not None:
        signal.signal(ending, signal.SIG_DFL)
        os.kill(os.getpid(), ending)


def install_as(path: Path) -> None:
    """Write a script that runs the server, to stand where a client expects Pantograph's executable."""
    lines = ["#!/bin/sh", "# Made by `burnqed lean serve --install-as`: burn-qed's server in Pantograph's place."]
    if home := os.environ.get("BURNQED_HOME"):
        lines.append(f'[ -n "$BURNQED_HOME" ] || export BURNQED_HOME={shlex.quote(home)}')
    lines.append(f'exec {shlex.quote(sys.executable)} -m burnqed lean serve "$@"')
    draft = path.with_name(f".{path.name}.tmp")
    draft.write_text("\n".join(lines) + "\n", encoding="utf-8")
    draft.chmod(draft.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    draft.replace(path)


async def _run(arguments: list[str], lean: EmbeddedLean) -> signal.Signals | None:
    """Serve; the signal that ended it, if one did."""
    loop = asyncio.get_running_loop()
    serving = asyncio.ensure_future(_serve(arguments, lean))
    caught: list[signal.Signals] = []

    def end(number: signal.Signals) -> None:
        caught.append(number)
        serving.cancel()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, end, number)
    try:
        await serving
    except asyncio.CancelledError:
        if not caught:
            raise
    return caught[0] if caught else None


async def _serve(arguments: list[str], lean: EmbeddedLean) -> None:
    # Requests are cheap and a start takes seconds, so that a process is replaced for its memory, not for its count.
    config = LeanConfig(workers=1, request_timeout_s=NO_LIMIT_S, max_requests=100_000, max_age_s=NO_LIMIT_S)
    pool = WorkerPool(spawner(lean, config, tuple(arguments), COMPLETE), config)
    async with pool, pool.lease() as session:
        front = _Front(Conversation(session.process, pool.replace, config))
        try:
            lines = _Lines()
            _write(b"ready.\n")
            while (line := await lines.next()) is not None:
                _write(await front.answer(line) + b"\n")
        except BrokenPipeError:
            pass  # nobody listens any more
        finally:
            await pool.close()  # before the lease ends, so that no time goes into making the process fit for another


class _Front:
    """From a line to the line that answers it."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self._pretty = False
        self._timeout_s = NO_LIMIT_S

    async def answer(self, line: bytes) -> bytes:
        parsed = _parse(line)
        if isinstance(parsed, str):
            return self._encode({"error": "command", "desc": parsed})
        command, payload = parsed
        nonce = payload.pop("nonce", None)
        try:
            reply = await ask_with_files(self._ask, command, payload)
        except BatchLost as lost:
            if lost.timed_out:
                reply = {"error": "io", "desc": "interrupt"}
            else:
                desc = f"Lean died twice over this request; its states were kept. {lost}"
                reply = {"error": "internal", "desc": desc}
        except LeanError as error:
            reply = {"error": "internal", "desc": str(error)}
        if nonce is not None:
            reply["nonce"] = nonce
        if command == "options.set" and "error" not in reply:
            self._pretty = bool(payload.get("printJsonPretty", self._pretty))
            limit_ms = payload.get("timeout")
            if isinstance(limit_ms, int):
                self._timeout_s = limit_ms / 1000 + GRACE_S if limit_ms else NO_LIMIT_S
        elif command == "options.print" and "error" not in reply:
            reply["printJsonPretty"] = self._pretty
        return self._encode(reply)

    async def _ask(self, command: str, payload: dict[str, Any]) -> Reply:
        return await self._conversation.ask(command, payload, timeout_s=self._timeout_s)

    def _encode(self, reply: Reply) -> bytes:
        if self._pretty:
            return pretty(reply).encode()
        return msgspec.json.encode(reply, order="sorted")


def _parse(line: bytes) -> tuple[str, dict[str, Any]] | str:
    """The command and payload of ``cmd {json}``, ``cmd`` or ``{"cmd": …, "payload": …}``; or what is wrong with it."""
    try:
        if line.startswith(b"{"):
            whole = msgspec.json.decode(line)
            command, payload = whole.get("cmd"), whole.get("payload")
            if not isinstance(command, str):
                return "Unable to parse json: cmd: String expected"
        else:
            word, _, rest = line.partition(b" ")
            command, payload = word.decode(), msgspec.json.decode(rest) if rest.strip() else None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return f"Unable to parse json: {error}"
    if payload is not None and not isinstance(payload, dict):
        return "Unable to parse json: object expected"
    return command, payload or {}


class _Lines:
    """The lines of standard input. Read in a thread, since the input may be a file, a terminal or a pipe."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        # A daemon, and os.read instead of sys.stdin: the interpreter can end while it waits.
        threading.Thread(target=self._read, daemon=True, name="stdin").start()
        self._ended = False

    async def next(self) -> bytes | None:
        """The next line without its ends, or None when there is none or it is empty."""
        line = await self._queue.get()
        return line or None

    def _read(self) -> None:
        rest: list[bytes] = []
        with contextlib.suppress(RuntimeError):  # the loop is closed
            while chunk := os.read(0, 1 << 20):
                head, *more = chunk.split(b"\n")
                rest.append(head)
                for piece in more:
                    self._put(b"".join(rest).strip())
                    rest = [piece]
            if last := b"".join(rest).strip():
                self._put(last)
            self._put(None)
            _wait_for_closed_output()
            # Nobody asks and nobody listens, though a request may still be under way: its client is gone.
            os.kill(os.getpid(), signal.SIGTERM)

    def _put(self, line: bytes | None) -> None:
        self._loop.call_soon_threadsafe(self._queue.put_nowait, line)


def _wait_for_closed_output() -> None:
    """Return when nobody can read the standard output any more; only a pipe or a socket can tell."""
    poll = select.poll()
    poll.register(1, 0)
    while not any(event & (select.POLLERR | select.POLLHUP | select.POLLNVAL) for _, event in poll.poll(1000)):
        pass


def _write(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


def version_line(arguments: Sequence[str]) -> str | None:
    """What ``--version`` as the only argument prints: the Pantograph that this is like."""
    return PANTOGRAPH_VERSION if list(arguments) == ["--version"] else None
