"""The server in the embedded Lean, as something to start."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from burnqed.core.theorem import DEFAULT_IMPORTS
from burnqed.lean.config import LeanConfig
from burnqed.lean.embedded.compile import compiled
from burnqed.lean.embedded.install import EmbeddedLean
from burnqed.lean.embedded.launch import command, environment, limit_stack
from burnqed.lean.embedded.programs import PROVER, Program
from burnqed.lean.process import Launch, LeanProcess

_NOISE = ("[DEBUG", "  mainModule", "  - /", "    at ", "Node.js v", "wasm://", "prelude", "import Server")
"""Lines that the package and Node print around every death, and the start of the program that the package prints too."""


def server_launch(
    lean: EmbeddedLean, arguments: tuple[str, ...] = DEFAULT_IMPORTS, program: Program = PROVER
) -> Launch:
    """How to start a server with these modules imported.

    Its program is compiled first if that was not done yet, which takes seconds. Raises InstallError when it cannot be.
    """
    loader = compiled(program, lean)
    return Launch(
        argv=tuple(command(lean, loader, *arguments)),
        env=environment(lean, loader.parent),
        cwd=str(lean.root),
        prepare=limit_stack,
        noise=_NOISE,
    )


def spawner(
    lean: EmbeddedLean, config: LeanConfig, arguments: tuple[str, ...] = DEFAULT_IMPORTS, program: Program = PROVER
) -> Callable[[], Awaitable[LeanProcess]]:
    """A function that starts one server and waits until it is ready."""
    launch = server_launch(lean, arguments, program)
    return lambda: LeanProcess.start(launch, ready_timeout_s=config.ready_timeout_s)
