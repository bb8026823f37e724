"""The proving server in the embedded Lean, as something to start."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from burnqed.core.theorem import DEFAULT_IMPORTS
from burnqed.lean.config import LeanConfig
from burnqed.lean.embedded.install import EmbeddedLean
from burnqed.lean.embedded.launch import command, environment, limit_stack
from burnqed.lean.process import Launch, LeanProcess

PROGRAM = Path(__file__).parent / "programs" / "serve.lean"


def server_launch(lean: EmbeddedLean, modules: tuple[str, ...] = DEFAULT_IMPORTS) -> Launch:
    """How to start the proving server with these modules imported."""
    return Launch(
        argv=tuple(command(lean, PROGRAM, *modules)),
        env=environment(lean, PROGRAM.parent),
        cwd=str(lean.root),
        prepare=limit_stack,
    )


def spawner(
    lean: EmbeddedLean, config: LeanConfig, modules: tuple[str, ...] = DEFAULT_IMPORTS
) -> Callable[[], Awaitable[LeanProcess]]:
    """A function that starts one server and waits until it is ready."""
    launch = server_launch(lean, modules)
    return lambda: LeanProcess.start(launch, ready_timeout_s=config.ready_timeout_s)
