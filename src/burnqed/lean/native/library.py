"""A server over the compiled modules of a native Lean: what they state, and each statement where its module begins.

The toolchain's ``lean --run`` elaborates and interprets the program, so there is nothing to build; it is written in a
dialect that needs little of Lean, but it is written for one version.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from burnqed.core.errors import LeanError, WorkerLost
from burnqed.lean.config import LeanConfig, NativeConfig
from burnqed.lean.embedded.launch import limit_stack
from burnqed.lean.embedded.package import PINS
from burnqed.lean.embedded.programs import LIBRARY
from burnqed.lean.native.find import NativeLean
from burnqed.lean.native.launch import Scratch, limits
from burnqed.lean.native.sandbox import Sandbox, choose
from burnqed.lean.process import Launch, LeanProcess

_ERROR = re.compile(r":\d+:\d+: error(?:\([\w.]+\))?: (.*)")


def library_launch(
    native: NativeLean,
    config: NativeConfig,
    *,
    scratch: Scratch,
    sandbox: Sandbox | None = None,
    memory_limit_mb: int | None = None,
) -> Launch:
    """How to start it: `lean` shut in as every native process is. The program's text is written into ``scratch``."""
    program = scratch.folder("program") / f"{LIBRARY.name}.lean"
    program.write_text(LIBRARY.text, encoding="utf-8")
    home = scratch.folder("home")
    cwd = native.project or home
    chosen = choose(config.sandbox) if sandbox is None else sandbox
    set_limits = limits(config)

    def prepare() -> None:
        set_limits()
        limit_stack()  # terms are printed and compared by recursion

    return Launch(
        argv=chosen.wrap(
            [str(native.executable), "--run", str(program)],
            readable=(*native.readable, *config.readable),
            writable=(scratch.path,),
            cwd=cwd,
        ),
        env=native.environment(home),
        cwd=str(cwd),
        prepare=prepare,
        memory_limit_mb=memory_limit_mb,
    )


def library_spawner(
    native: NativeLean, config: NativeConfig, lean_config: LeanConfig, *, scratch: Scratch
) -> Callable[[], Awaitable[LeanProcess]]:
    """A function that starts one server and waits until it is ready.

    It raises LeanError, after which no other try helps, when this Lean does not take the program, and WorkerLost when the
    process is lost in any other way.
    """
    launch = library_launch(native, config, scratch=scratch, memory_limit_mb=2 * lean_config.rss_limit_mb)

    async def spawn() -> LeanProcess:
        try:
            return await LeanProcess.start(launch, ready_timeout_s=lean_config.ready_timeout_s)
        except WorkerLost as error:
            said = _ERROR.search(str(error))
            if said is None:
                raise
            version = native.versions.project_lean or "of unknown version"
            raise LeanError(
                f"the program that reads compiled modules is written for Lean {PINS.lean_version}, and the Lean {version} of "
                f"{native.project or native.executable} does not take it: {said[1].partition(' / ')[0]}"
            ) from error

    return spawn
