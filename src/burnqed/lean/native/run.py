"""Runs a native program to its end, shut in: for the gate's compiler and checkers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from burnqed.lean.process import OWNER_VARIABLE, die_with_parent, owner_tag
from burnqed.lean.watch import resident_mb

_KEPT_BYTES = 1 << 20
_LOOK_S = 0.5


@dataclass(frozen=True)
class Ended:
    """How a program ended. ``trouble`` says why it was killed; ``out`` and ``err`` are the last megabyte of each."""

    status: int
    out: str
    err: str
    trouble: str = ""

    @property
    def well(self) -> bool:
        """Whether it ended by itself, with status 0."""
        return self.status == 0 and not self.trouble

    @property
    def last_words(self) -> str:
        """Something to tell when it did not."""
        said = " ".join((self.err.strip() or self.out.strip()).split())[-300:]
        return self.trouble or f"status {self.status}{': ' + said if said else ''}"


async def run_to_end(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: str,
    prepare: Callable[[], None],
    timeout_s: float,
    memory_mb: int,
) -> Ended:
    """Run it; kill it and its group after ``timeout_s`` or above ``memory_mb``. A program that cannot start has status 127."""

    def before() -> None:
        die_with_parent()
        prepare()

    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**env, OWNER_VARIABLE: owner_tag()},
            cwd=cwd,
            start_new_session=True,
            preexec_fn=before,
        )
    except OSError as error:
        return Ended(127, "", str(error))
    trouble = ""
    assert process.stdout is not None
    assert process.stderr is not None
    reading = asyncio.gather(_tail(process.stdout), _tail(process.stderr))
    try:
        trouble = await _watched(process, timeout_s, memory_mb)
    finally:
        # Also when it ended well: a child that it left behind would hold the pipes open.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        out, err = await reading
    return Ended(process.returncode or 0, out, err, trouble)


async def _watched(process: asyncio.subprocess.Process, timeout_s: float, memory_mb: int) -> str:
    """Wait for the end; why it must be killed, if it must."""
    loop = asyncio.get_running_loop()
    end = loop.time() + timeout_s
    while (left := end - loop.time()) > 0:
        try:
            async with asyncio.timeout(min(left, _LOOK_S)):
                await process.wait()
                return ""
        except TimeoutError:
            if (used := resident_mb(process.pid)) > memory_mb:
                return f"it took {used:.0f} MB of memory, more than {memory_mb} MB"
    return f"it did not end within {timeout_s:.0f} s"


async def _tail(stream: asyncio.StreamReader) -> str:
    """The last of a stream, however much comes."""
    kept: deque[bytes] = deque()
    size = 0
    while chunk := await stream.read(65536):
        kept.append(chunk)
        size += len(chunk)
        while size > _KEPT_BYTES:
            size -= len(kept.popleft())
    return b"".join(kept).decode(errors="replace")
