"""How a process of the embedded Lean is started: its command line, its environment, its stack.

The process can read its own installation and the folder of its program, and do nothing else with the machine: write
no file, start no process, evaluate no JavaScript text. Node 24 has no permission for the network: that nothing can be
reached rests on the glue, which offers no connection, and not on Node. Nor is Node's permission model a wall against
hostile JavaScript: code that could start a Worker with ``execArgv: []`` would be free of it (tried with 24.19). The
threads that the glue starts inherit it. So the wall is WebAssembly; the flags limit what the glue can be asked for.

What it prints and its exit status by
``IO.Process.exit`` are Lean's; the status of a process whose ``main`` just returns is arbitrary, so do not look at it.
"""

from __future__ import annotations

import resource
from pathlib import Path

from burnqed.lean.embedded.glue import PROGRAM_MOUNT
from burnqed.lean.embedded.install import EmbeddedLean

THREADS = 2
"""Threads that Lean elaborates and imports with; they are started ahead."""

STACK_BYTES = 64 << 20
"""Stack of the process, see :func:`limit_stack`."""

# --stack-size is in kB, a little below STACK_BYTES. With both, a deep recursion ends in Lean's own "maximum recursion
# depth" instead of the death of the process (13 of 1,360 tactic calls without).
_NODE_FLAGS = (
    "--stack-size=60000",
    "--permission",
    "--allow-worker",
    "--disallow-code-generation-from-strings",  # emscripten has a function that evaluates JavaScript; nothing needs it
    # Start of a server with Init and Std: 3.0 instead of 3.2 s, 4.6 instead of 5.1 s of processor time, 760 instead of
    # 820 MB. Tactics afterwards: no loss seen, on a machine too busy to measure small ones. No gain: --max-lazy,
    # --wasm-lazy-validation, --single-threaded-gc, --no-wasm-tier-up, --wasm-tiering-budget (lower: 3.8 s).
    # A loss: --no-wasm-dynamic-tiering (6.7 s), --disable-wasm-trap-handler (3.8 s).
    "--no-wasm-inlining",
    "--no-warnings",  # one of them is about --allow-worker, see the module
)


def lean_command(lean: EmbeddedLean, folder: Path, *args: str, threads: int = THREADS) -> list[str]:
    """A command line that starts ``lean`` itself with ``args``; it can read ``folder``, which it sees as /program."""
    return [
        str(lean.node),
        *_NODE_FLAGS,
        f"--allow-fs-read={lean.root.resolve()}",  # Node compares real paths
        f"--allow-fs-read={folder.resolve()}",
        str(lean.glue),
        f"-j{threads}",
        *args,
    ]


def command(lean: EmbeddedLean, program: Path, *args: str, threads: int = THREADS) -> list[str]:
    """A command line that runs the ``main`` of the Lean file ``program`` with ``args``.

    The process can read everything in the program's folder. Start it with :func:`environment` and
    :func:`limit_stack`.
    """
    program = program.resolve()
    return lean_command(lean, program.parent, "--run", f"{PROGRAM_MOUNT}/{program.name}", *args, threads=threads)


def environment(lean: EmbeddedLean, program_folder: Path) -> dict[str, str]:
    """The whole environment of the process: nothing of the user's, so that nothing in it leaks or interferes."""
    return {
        "LEAN_LIBRARY": str(lean.library.resolve()),
        "LEAN_PROGRAM": str(program_folder.resolve()),
        "LEAN_PATH": PROGRAM_MOUNT,  # a compiled program lies there
    }


def limit_stack() -> None:
    """Give this process a stack of :data:`STACK_BYTES`, or what the hard limit allows; for use as ``preexec_fn``."""
    _, hard = resource.getrlimit(resource.RLIMIT_STACK)
    wanted = STACK_BYTES if hard == resource.RLIM_INFINITY else min(STACK_BYTES, hard)
    resource.setrlimit(resource.RLIMIT_STACK, (wanted, hard))
