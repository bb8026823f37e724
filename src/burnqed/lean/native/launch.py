"""How processes of a native Lean are started: the Pantograph executable as a worker, `lean` as a compiler.

Both run in a session of their own, with their own scratch folder as home, an environment of a few variables, limits of the
system, and, where bubblewrap works, in a sandbox. Memory is watched by its resident size: compiled files are
mapped and would count in full against an address-space limit.
"""

from __future__ import annotations

import atexit
import contextlib
import resource
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from types import TracebackType

from burnqed.core.errors import WorkerLost
from burnqed.lean.config import LeanConfig, NativeConfig
from burnqed.lean.native.find import NativeLean
from burnqed.lean.native.sandbox import Sandbox, choose
from burnqed.lean.process import Launch, LeanProcess

_OTHER_LEAN = ("incompatible header", "failed to read file", "object file", "unknown module prefix")


class Scratch:
    """A folder for whatever native processes write. A context manager; it is deleted at exit at the latest."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="burnqed-native-"))
        atexit.register(self.close)

    def __enter__(self) -> Scratch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def folder(self, name: str) -> Path:
        """A folder in it, made if need be."""
        path = self.path / name
        path.mkdir(exist_ok=True)
        return path

    def close(self) -> None:
        """Delete it."""
        shutil.rmtree(self.path, ignore_errors=True)
        atexit.unregister(self.close)


def limits(config: NativeConfig) -> Callable[[], None]:
    """A function for the child that sets the configured limits; never above the hard ones that hold already."""
    wanted = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_CPU: config.cpu_s or None,
        resource.RLIMIT_FSIZE: config.file_mb << 20 or None,
        resource.RLIMIT_AS: config.address_space_mb << 20 or None,
    }

    def set_limits() -> None:
        for which, value in wanted.items():
            if value is None:
                continue
            _, hard = resource.getrlimit(which)
            value = value if hard == resource.RLIM_INFINITY else min(value, hard)
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(which, (value, value))

    return set_limits


def native_launch(
    native: NativeLean,
    modules: Sequence[str],
    options: Sequence[str],
    config: NativeConfig,
    *,
    scratch: Scratch,
    sandbox: Sandbox | None = None,
    memory_limit_mb: int | None = None,
) -> Launch:
    """How to start Pantograph with these modules imported and these Lean options (``pp.raw=true``)."""
    home = scratch.folder("home")
    cwd = native.project or home
    argv = [str(native.executable), *modules, *(f"--{option}" for option in options)]
    chosen = choose(config.sandbox) if sandbox is None else sandbox
    return Launch(
        argv=chosen.wrap(argv, readable=(*native.readable, *config.readable), writable=(scratch.path,), cwd=cwd),
        env=native.environment(home),
        cwd=str(cwd),
        prepare=limits(config),
        echoes_nonce=False,
        memory_limit_mb=memory_limit_mb,
    )


def native_spawner(
    native: NativeLean,
    modules: Sequence[str],
    config: NativeConfig,
    lean_config: LeanConfig,
    *,
    scratch: Scratch,
) -> Callable[[], Awaitable[LeanProcess]]:
    """A function that starts one worker and waits until it is ready. Pair it with a PlainDialect."""
    heartbeats = () if "maxHeartbeats" in " ".join(config.options) else (f"maxHeartbeats={lean_config.max_heartbeats}",)
    launch = native_launch(
        native,
        modules,
        (*heartbeats, *config.options),
        config,
        scratch=scratch,
        memory_limit_mb=2 * lean_config.rss_limit_mb,
    )

    async def spawn() -> LeanProcess:
        try:
            return await LeanProcess.start(launch, ready_timeout_s=lean_config.ready_timeout_s)
        except WorkerLost as error:
            said = " ".join(str(error).split())
            raise WorkerLost(said + _hint(native, said)) from error

    return spawn


def _hint(native: NativeLean, said: str) -> str:
    """What the last words of a Pantograph that did not come up most often mean."""
    if not any(sign in said for sign in _OTHER_LEAN):
        return ""
    lean = native.versions.pantograph_lean or "another version"
    where = native.project or "LEAN_PATH"
    return (
        f"; this Pantograph was built with Lean {lean}, so {where} must have been built with the very same, "
        f"and `lake build` (or `lake exe cache get`) must have run there"
    )
