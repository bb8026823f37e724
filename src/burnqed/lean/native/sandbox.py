"""A bubblewrap shell around a native process: no network, nothing writable but its scratch folder, nobody else's processes.

Inside, the whole file system is there for reading, except the user's home, /run and the folders for temporary files,
which are empty but for what the process needs. What is written to /tmp lies in memory and goes with the process.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from burnqed.core.errors import BadInput

SandboxMode = Literal["auto", "required", "off"]
_TMP_BYTES = 512 << 20
_SIZED_SINCE = (0, 7)


@dataclass(frozen=True)
class Sandbox:
    """How a command is wrapped. ``bwrap`` is None where there is none or none is wanted; then only rlimits hold."""

    bwrap: Path | None = None
    sized: bool = field(default=False)  # whether this bubblewrap can limit the size of /tmp

    def wrap(
        self, argv: Sequence[str], *, readable: Sequence[Path] = (), writable: Sequence[Path] = (), cwd: Path
    ) -> tuple[str, ...]:
        """The command line that runs ``argv`` in ``cwd``; ``readable`` is shown even where it would be hidden."""
        if self.bwrap is None:
            return tuple(argv)
        hidden = hidden_folders()
        line = [str(self.bwrap), "--unshare-all", "--die-with-parent", "--ro-bind", "/", "/"]
        line += ["--dev", "/dev", "--proc", "/proc"]
        for folder in hidden:
            line += ["--size", str(_TMP_BYTES)] if self.sized else []
            line += ["--tmpfs", str(folder)]
        for path in sorted({p.resolve() for p in readable} | {Path(os.path.normpath(p)) for p in readable}):
            if any(path.is_relative_to(folder) for folder in hidden) and path.exists():
                line += ["--ro-bind", str(path), str(path)]
        for path in writable:
            line += ["--bind", str(path), str(path)]
        return (*line, "--chdir", str(cwd), "--", *argv)


NO_SANDBOX = Sandbox()


def hidden_folders() -> list[Path]:
    """The folders that a process does not see: temporary files, the user's home with its keys, /run with its sockets.

    A socket in a folder that is there for reading could still be connected to, Docker's for one.
    """
    temporary = [Path("/tmp"), Path("/var/tmp"), Path(tempfile.gettempdir())]  # noqa: S108 - hidden, not used
    found = [*temporary, Path.home(), Path("/run")]
    real = sorted({p.resolve() for p in found if p.is_dir()} - {Path("/")})
    return [p for p in real if not any(p != other and p.is_relative_to(other) for other in real)]


def choose(mode: SandboxMode) -> Sandbox:
    """The sandbox for a mode. Raises BadInput when it is required and cannot be had."""
    if mode == "off":
        return NO_SANDBOX
    sandbox, trouble = probe()
    if mode == "required" and trouble:
        raise BadInput(f"the sandbox is required, but {trouble}")
    return sandbox


@functools.cache
def probe() -> tuple[Sandbox, str]:
    """The sandbox that works here; if none, NO_SANDBOX and why, as a part of a sentence."""
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        return NO_SANDBOX, "bubblewrap (bwrap) is not installed; install it with your system's package manager"
    try:
        told = subprocess.run([bwrap, "--version"], capture_output=True, text=True, timeout=10, check=False).stdout
        version = tuple(int(n) for n in re.findall(r"\d+", told)[:2])
        sandbox = Sandbox(Path(bwrap), sized=version >= _SIZED_SINCE)
        tried = subprocess.run(
            sandbox.wrap(["true"], cwd=Path("/")), capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return NO_SANDBOX, f"{bwrap} does not run: {error}"
    if tried.returncode:
        said = " ".join(tried.stderr.split())[:200]
        return NO_SANDBOX, (
            f"{bwrap} does not work here ({said}); user namespaces may be switched off in this container or system"
        )
    return sandbox, ""
