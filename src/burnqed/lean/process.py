"""One Lean process: start, framing, time limits, death.

Its standard output may carry noise (the embedded package prints ``[DEBUG:…]`` lines; tactics may print too). A line
counts as a reply only if it is JSON and carries the nonce of the request, where the server is one that echoes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import secrets
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import psutil

from burnqed.core.errors import LeanError, ProtocolError, WorkerLost
from burnqed.lean.protocol import Envelope, decode, request_line
from burnqed.lean.watch import Watch, resident_mb

T = TypeVar("T")
LINE_LIMIT_BYTES = 256 * 2**20
OWNER_VARIABLE = "BURNQED_OWNER"


@dataclass(frozen=True)
class Launch:
    """How to start one Lean process, whichever kind it is."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    prepare: Callable[[], None] | None = None  # runs in the child before exec
    echoes_nonce: bool = True
    noise: tuple[str, ...] = ()  # how lines begin that say nothing about why it ended
    memory_limit_mb: int | None = None  # more than that in the middle of a request, and it is killed


class RequestFailed(LeanError):
    """The server answered ``{"error": kind, "desc": text}``."""

    def __init__(self, kind: str, desc: str) -> None:
        super().__init__(f"Lean server: {kind}: {desc}")
        self.kind = kind
        self.desc = desc


class BatchLost(WorkerLost):
    """The process was lost during a request; ``partial`` holds the entries that it had answered.

    ``timed_out`` says that it was killed for its silence; ``busy`` that it worked all that time, so that asking again
    will hardly end otherwise. One that was silent and idle was stopped, starved or stuck, which may have been bad luck.
    """

    def __init__(self, message: str, *, partial: list[msgspec.Raw], timed_out: bool, busy: bool = False) -> None:
        super().__init__(message)
        self.partial = partial
        self.timed_out = timed_out
        self.busy = busy


def _born_s(pid: int) -> float:
    """When a process was started, by a clock that nobody sets where there is one."""
    if Path("/proc/self/stat").exists():
        # Not psutil's create_time(): it adds the time of boot, which moves when somebody sets the wall clock, and a
        # sweep would then take every living owner for a dead one.
        try:
            stat = Path(f"/proc/{pid}/stat").read_bytes()
        except OSError as error:
            raise psutil.NoSuchProcess(pid) from error
        return int(stat[stat.rindex(b")") + 2 :].split()[19]) / os.sysconf("SC_CLK_TCK")
    return float(psutil.Process(pid).create_time())


def owner_tag() -> str:
    """Name this process such that a reused process id is not mistaken for it."""
    return f"{os.getpid()}:{_born_s(os.getpid()):.2f}"


def owner_is_dead(tag: str) -> bool:
    """Whether the process that a tag names has gone."""
    try:
        pid_text, born = tag.split(":")
        return abs(_born_s(int(pid_text)) - float(born)) > 1.0
    except (ValueError, psutil.NoSuchProcess):
        return True


def die_with_parent() -> None:
    """Ask Linux to kill this child when burnqed dies; elsewhere the child ends when its standard input closes."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


async def _spawn(launch: Launch, prepare: Callable[[], None]) -> asyncio.subprocess.Process:
    """Start the process. Raises WorkerLost when the system refuses."""
    creating = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *launch.argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**launch.env, OWNER_VARIABLE: owner_tag()},
            cwd=launch.cwd,
            limit=LINE_LIMIT_BYTES,
            start_new_session=True,
            preexec_fn=prepare,
        )
    )
    try:
        return await asyncio.shield(creating)
    except OSError as error:
        raise WorkerLost(f"Lean could not be started ({launch.argv[0]}): {error}") from error
    except asyncio.CancelledError:
        # A cancellation inside create_subprocess_exec (Python 3.11) waits for ever for pipes that were never connected.
        with contextlib.suppress(OSError):
            process = await creating
            process.kill()
            await process.communicate()
        raise


@dataclass(eq=False)
class LeanProcess:
    """A running Lean. Make one with :meth:`start`; one request at a time."""

    process: asyncio.subprocess.Process
    launch: Launch
    started_s: float
    ready_after_s: float = 0.0
    requests: int = 0
    lost: bool = False
    stderr_tail: deque[bytes] = field(default_factory=lambda: deque(maxlen=40))
    _drain: asyncio.Task[None] | None = None
    _killed_for: str = ""

    @classmethod
    async def start(cls, launch: Launch, *, ready_timeout_s: float) -> LeanProcess:
        """Start a process and wait for ``ready.``. Raises WorkerLost when it does not come."""

        def prepare() -> None:
            die_with_parent()
            if launch.prepare:
                launch.prepare()

        began = time.monotonic()
        process = await _spawn(launch, prepare)
        self = cls(process=process, launch=launch, started_s=began)
        self._drain = asyncio.create_task(self._drain_stderr())
        seen: deque[bytes] = deque(maxlen=200)
        try:
            async with asyncio.timeout(ready_timeout_s):
                while True:
                    line = await self._read_line()
                    if line.rstrip() == b"ready.":
                        break
                    seen.append(line[:300])
        except TimeoutError as error:
            await self.close()
            raise WorkerLost(f"Lean was not ready after {ready_timeout_s:.0f} s") from error
        except asyncio.CancelledError:
            await self.close()
            raise
        except WorkerLost as error:
            await self.close()
            raise WorkerLost(
                f"Lean ended before it was ready; its last words: {self._words([*seen, *self.stderr_tail]) or 'none'}"
            ) from error
        self.ready_after_s = time.monotonic() - began
        return self

    @property
    def pid(self) -> int:
        """The operating system's number of the process."""
        return self.process.pid

    @property
    def age_s(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self.started_s

    def rss_mb(self) -> float:
        """Resident memory of the process and its children now; 0 when it is gone."""
        return resident_mb(self.pid)

    async def request(
        self, command: str, payload: dict[str, Any], reply_type: type[T], *, timeout_s: float
    ) -> tuple[list[msgspec.Raw], T]:
        """Ask, and wait for the answer: the entries of ``partial`` lines, then the reply.

        ``timeout_s`` counts from the last sign of life. Raises RequestFailed for an error reply (the process is
        well), BatchLost when the process died, or was killed for its silence or for the memory that it took,
        ProtocolError for a reply of another shape (it was killed, for what follows could not be trusted).
        """
        if self.lost:
            raise BatchLost("the Lean process is gone", partial=[], timed_out=False)
        self.requests += 1
        nonce = secrets.token_hex(8)
        body = {**payload, "nonce": nonce} if self.launch.echoes_nonce else payload
        partial: list[msgspec.Raw] = []
        assert self.process.stdin is not None
        watch = Watch(
            self.pid, timeout_s=timeout_s, limit_mb=self.launch.memory_limit_mb, too_large=self._kill_for_memory
        )
        try:
            async with asyncio.timeout(timeout_s) as limit:
                self.process.stdin.write(request_line(command, body))
                await self.process.stdin.drain()
                while True:
                    line = await self._read_line()
                    envelope = self._envelope(line, nonce)
                    if envelope is None:
                        continue
                    if envelope.error is not None:
                        raise RequestFailed(envelope.error, envelope.desc)
                    if envelope.partial is not None:
                        partial += [msgspec.Raw(bytes(entry)) for entry in envelope.partial]
                        watch.sign_of_life()
                        limit.reschedule(asyncio.get_running_loop().time() + timeout_s)
                        continue
                    try:
                        return partial, decode(line, reply_type)
                    except msgspec.DecodeError as error:
                        raise ProtocolError(f"Lean's reply to {command} cannot be read: {error}") from error
        except TimeoutError as error:
            busy = watch.busy()
            self.kill()
            message = f"no answer to {command} for {timeout_s:.0f} s"
            raise BatchLost(message, partial=partial, timed_out=True, busy=busy) from error
        except (WorkerLost, OSError) as error:
            self.kill()
            raise BatchLost(self._killed_for or str(error), partial=partial, timed_out=False) from error
        except BaseException as error:
            # Whatever is still on its way would be taken for the answer to the next request.
            if not isinstance(error, RequestFailed):
                self.kill()
            raise
        finally:
            watch.stop()

    def kill(self) -> None:
        """Kill the process and everything it started. May be called twice."""
        self.lost = True
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)

    async def close(self) -> None:
        """Kill it and wait until it is gone."""
        self.kill()
        await self.process.wait()
        if self._drain is not None:
            await asyncio.gather(self._drain, return_exceptions=True)
            self._drain = None
        # The transport closes its pipes at the next turn of the loop; without that turn Python warns at exit.
        await asyncio.sleep(0)

    def _kill_for_memory(self, rss_mb: float) -> None:
        limit_mb = self.launch.memory_limit_mb
        self._killed_for = f"the Lean process took {rss_mb:.0f} MB of memory, more than {limit_mb} MB"
        self.kill()

    def _envelope(self, line: bytes, nonce: str) -> Envelope | None:
        """The envelope of a line that answers the request with that nonce; None for noise."""
        if not line.startswith(b"{"):
            return None
        try:
            envelope = decode(line, Envelope)
        except msgspec.DecodeError:
            return None
        if self.launch.echoes_nonce and envelope.nonce != nonce:
            return None
        return envelope

    def _words(self, pieces: Iterable[bytes]) -> str:
        """What a process said, without the noise that it always makes; the end of it, on one line."""
        lines = b"".join(pieces).decode(errors="replace").splitlines()
        return " / ".join(x.strip() for x in lines if x.strip() and not x.startswith(self.launch.noise))[-400:]

    async def _read_line(self) -> bytes:
        assert self.process.stdout is not None
        try:
            line = await self.process.stdout.readuntil(b"\n")
        except asyncio.IncompleteReadError as error:
            said = self._words(self.stderr_tail)
            raise WorkerLost(f"the Lean process ended{': ' + said if said else ''}") from error
        except asyncio.LimitOverrunError as error:
            raise WorkerLost(f"a line of Lean's output is longer than {LINE_LIMIT_BYTES >> 20} MB") from error
        return line

    async def _drain_stderr(self) -> None:
        assert self.process.stderr is not None
        while chunk := await self.process.stderr.read(65536):
            self.stderr_tail.append(chunk[-2000:])
