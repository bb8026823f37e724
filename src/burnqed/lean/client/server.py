"""The client: PyPantograph's ``Server``, over a pool whose processes may come and go."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import weakref
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from burnqed.lean.client.background import background, blocking
from burnqed.lean.client.environment import EnvironmentMethods
from burnqed.lean.client.files import FileMethods
from burnqed.lean.client.goals import GoalMethods
from burnqed.lean.client.workers import Workers
from burnqed.lean.config import LeanConfig
from burnqed.lean.embedded.install import install
from burnqed.lean.embedded.programs import COMPLETE
from burnqed.lean.embedded.server import server_launch
from burnqed.lean.native.find import configured, find_native
from burnqed.lean.native.launch import Scratch, native_launch
from burnqed.lean.process import Launch

_open: weakref.WeakSet[Workers] = weakref.WeakSet()


class Server(GoalMethods, EnvironmentMethods, FileMethods):
    """Lean to talk to. Every method has a twin with ``_async``, which is the real one; both work anywhere.

    Without ``executable`` and ``project_path`` it is the embedded Lean (``imports`` from Init and Std). With one of them, it is
    a Pantograph of your own: that one (a path, or a :class:`Launch`), or the one that fits the Lake project; ``lean_path``
    says where its modules are. ``options`` are Pantograph's, ``core_options`` Lean's (``pp.raw=true``). ``timeout`` is for
    each request, in seconds. States stay good when a process dies or is replaced. ``workers`` processes serve independent
    roots at the same time. ``config`` sets all limits (then ``timeout`` does not count). ``buffer_limit`` is taken for
    PyPantograph's sake: there is no such limit here.
    """

    def __init__(
        self,
        imports: Sequence[str] = ("Init",),
        project_path: str | Path | None = None,
        lean_path: str | None = None,
        options: dict[str, Any] | None = None,
        core_options: Sequence[str] = (),
        timeout: float = 60,
        buffer_limit: int | None = None,
        *,
        executable: str | Path | Launch | None = None,
        workers: int = 1,
        config: LeanConfig | None = None,
        start: bool = True,
    ) -> None:
        self.imports = list(imports)
        self.project_path = project_path
        self.lean_path = lean_path
        self.options = dict(options or {})
        self.core_options = list(core_options)
        self.timeout = timeout
        self.executable = executable
        # A start takes seconds, so a process is replaced for its memory, not for its age.
        self.config = (
            config
            or LeanConfig(
                request_timeout_s=timeout,
                statement_timeout_s=max(timeout, 120.0),
                ready_timeout_s=max(timeout, 180.0),
                max_requests=1_000_000,
                max_age_s=7 * 86400.0,
            )
        ).model_copy(update={"workers": workers})
        self._finalizer: weakref.finalize[..., Any] | None = None
        self._scratch: Scratch | None = None
        if start:
            self.restart()

    @classmethod
    async def create(
        cls,
        imports: Sequence[str] = ("Init",),
        project_path: str | Path | None = None,
        lean_path: str | None = None,
        options: dict[str, Any] | None = None,
        core_options: Sequence[str] = (),
        timeout: float = 120,  # noqa: ASYNC109 - PyPantograph's name; for each request
        buffer_limit: int | None = None,
        start: bool = True,
        *,
        executable: str | Path | Launch | None = None,
        workers: int = 1,
        config: LeanConfig | None = None,
    ) -> Server:
        """A server, started without blocking the loop."""
        self = cls(
            imports,
            project_path,
            lean_path,
            options,
            core_options,
            timeout,
            buffer_limit,
            executable=executable,
            workers=workers,
            config=config,
            start=False,
        )
        if start:
            await self.restart_async()
        return self

    async def restart_async(self) -> None:
        """Start it, or start it afresh: states and definitions from before are gone."""
        await self.close_async()
        await background().do(self._start())

    restart = blocking(restart_async)

    async def close_async(self) -> None:
        """End all its processes. May be called twice; :meth:`restart` starts it again."""
        if self._workers is not None:
            workers, self._workers = self._workers, None
            await background().do(workers.close())
        if self._finalizer is not None:
            self._finalizer.detach()
        if self._scratch is not None:
            self._scratch.close()

    close = blocking(close_async)

    def is_automatic(self) -> bool:
        """Whether tactics leave all goals in sight."""
        return bool(self.options.get("automaticMode", True))

    @property
    def pids(self) -> list[int]:
        """The process numbers of the Leans at work now."""
        return [] if self._workers is None else [p.pid for p in self._workers.processes]

    @property
    def replaced(self) -> int:
        """How many processes died or were replaced since the start."""
        return 0 if self._workers is None else self._workers.replaced

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *exc: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    async def __aenter__(self) -> Server:
        return self

    async def __aexit__(self, *exc: type[BaseException] | BaseException | TracebackType | None) -> None:
        await self.close_async()

    async def _start(self) -> None:
        launch = await asyncio.to_thread(self._launch)
        workers = Workers(launch, self.config, self.options)
        await workers.open()
        self._workers = workers
        self._finalizer = weakref.finalize(self, _close_soon, workers)
        self._finalizer.atexit = False
        _open.add(workers)

    def _launch(self) -> Launch:
        if isinstance(self.executable, Launch):
            return self.executable
        if self.executable is not None or self.project_path is not None:
            return self._native_launch()
        arguments = (*self.imports, *(f"--{option}" for option in self.core_options))
        return server_launch(install(), arguments, COMPLETE)

    def _native_launch(self) -> Launch:
        given = {"lean_path": self.lean_path} if self.lean_path else {}
        config = configured(_path(self.project_path), _path(self.executable)).model_copy(
            # It writes the files that are named to it, where its user may write; a sandbox would hide them.
            update={"options": tuple(self.core_options), "sandbox": "off", **given}
        )
        self._scratch = Scratch()
        limit_mb = 2 * self.config.rss_limit_mb
        found = find_native(config)
        return native_launch(
            found, self.imports, self.core_options, config, scratch=self._scratch, memory_limit_mb=limit_mb
        )


def _path(given: str | Path | Launch | None) -> Path | None:
    return Path(given).absolute() if isinstance(given, str | Path) else None


def _close_soon(workers: Workers) -> None:
    """The server is garbage: end its processes without waiting, whatever thread this is in."""
    shared = background()
    if not shared.loop.is_closed():
        asyncio.run_coroutine_threadsafe(workers.close(), shared.loop)


@atexit.register
def _close_all() -> None:
    """End what is open when Python ends, so that nothing is left and nothing warns."""
    for workers in list(_open):
        if not workers.closed:
            with contextlib.suppress(Exception):
                background().wait_for(workers.close(), timeout_s=5.0)
