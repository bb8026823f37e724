"""Looks for a native Lean: Pantograph's executable, the Lake project, what `lake env` says of it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from burnqed.core.errors import BadInput
from burnqed.lean.config import NativeConfig
from burnqed.lean.native.audit import REPLAYS_SINCE, Versions, audit, lean_version, numbers, toolchain_version
from burnqed.lean.native.sandbox import SandboxMode

PANTOGRAPH_VARIABLE = "BURNQED_PANTOGRAPH"
PROJECT_VARIABLE = "BURNQED_PROJECT"
SANDBOX_VARIABLE = "BURNQED_SANDBOX"
READABLE_VARIABLE = "BURNQED_READABLE"
LEAN_PATH_VARIABLE = "BURNQED_LEAN_PATH"
TOOLCHAIN_VARIABLE = "BURNQED_TOOLCHAIN"
_MODES: dict[str, SandboxMode] = {"auto": "auto", "required": "required", "off": "off"}
_BUILT = (
    ".lake/build/bin/repl",
    ".lake/packages/Pantograph/.lake/build/bin/repl",
    ".lake/packages/pantograph/.lake/build/bin/repl",
)
_SHORT_S = 20.0


@dataclass(frozen=True)
class NativeLean:
    """A native Lean that was found. ``sysroot`` is the toolchain's folder; None when it cannot be told."""

    executable: Path
    versions: Versions
    project: Path | None = None
    lean_path: str = ""
    sysroot: Path | None = None

    @property
    def mismatch(self) -> str:
        """What does not fit, as one sentence; empty when everything does."""
        return audit(self.versions)

    @property
    def leanchecker(self) -> Path | None:
        """The toolchain's own replay, which it has from 4.28 on."""
        path = self.sysroot / "bin" / "leanchecker" if self.sysroot else None
        return path if path and path.is_file() else None

    @property
    def replay_note(self) -> str:
        """Why there is no ``leanchecker``; empty when there is."""
        if self.leanchecker:
            return ""
        version = self.versions.project_lean
        if version and numbers(version) < REPLAYS_SINCE:
            return f"Lean {version} has no leanchecker, which comes with 4.28 and newer"
        return "no leanchecker was found beside lean"

    @property
    def has_mathlib(self) -> bool:
        """Whether Mathlib is compiled where this Lean looks for modules."""
        return any((Path(entry) / "Mathlib.olean").is_file() for entry in self.lean_path.split(os.pathsep) if entry)

    @property
    def readable(self) -> tuple[Path, ...]:
        """Everything that its processes read: project, toolchain, executable, compiled modules."""
        entries = [Path(p) for p in self.lean_path.split(os.pathsep) if p]
        # Packages lie in the project's .lake as a rule, but a path dependency may be anywhere.
        known = [self.project, self.sysroot, self.executable.parent, self.executable.resolve().parent, *entries]
        return tuple(dict.fromkeys(p for p in known if p is not None))

    def environment(self, home: Path) -> dict[str, str]:
        """The whole environment of its processes: nothing of the user's but where Lean lies."""
        path = [str(self.sysroot / "bin")] if self.sysroot else []
        env = {"PATH": os.pathsep.join([*path, "/usr/local/bin", "/usr/bin", "/bin"]), "HOME": str(home)}
        env |= {"LANG": "C.UTF-8", "TMPDIR": str(home)}
        if self.lean_path:
            env["LEAN_PATH"] = self.lean_path
        if self.sysroot:
            env["LEAN_SYSROOT"] = str(self.sysroot)
        return env


def configured(
    project: Path | None = None, pantograph: Path | None = None, environ: Mapping[str, str] = os.environ
) -> NativeConfig:
    """The configuration that the environment's variables make, below what was given. Raises BadInput."""
    mode = environ.get(SANDBOX_VARIABLE) or "auto"
    if mode not in _MODES:
        raise BadInput(f"{SANDBOX_VARIABLE} is {mode!r}; it may be {', '.join(_MODES)}")
    return NativeConfig(
        project=project,
        pantograph=pantograph,
        lean_path=environ.get(LEAN_PATH_VARIABLE, ""),
        toolchain=environ.get(TOOLCHAIN_VARIABLE, ""),
        sandbox=_MODES[mode],
        readable=tuple(Path(p) for p in environ.get(READABLE_VARIABLE, "").split(os.pathsep) if p),
    )


def find_native(config: NativeConfig, environ: Mapping[str, str] = os.environ) -> NativeLean:
    """The native Lean of a configuration. Raises BadInput with what is missing, or with what does not fit."""
    project = find_project(config, environ)
    executable = find_pantograph(config, project, environ)
    pantograph = Versions(
        pantograph=_told([str(executable), "--version"], timeout_s=_SHORT_S),
        pantograph_toolchain=_toolchain(executable.resolve().parent),
    )
    return _fitting(executable, pantograph, _lean_of(config, project, environ), config, project)


def find_toolchain(config: NativeConfig, environ: Mapping[str, str] = os.environ) -> NativeLean:
    """The same for what needs `lean` alone, which is then the executable, and no Pantograph. Raises BadInput."""
    project = find_project(config, environ)
    lean = _lean_of(config, project, environ)
    executable = lean.sysroot / "bin" / "lean" if lean.sysroot else None
    if executable is None or not executable.is_file():
        where = f", which is not in {executable.parent}" if executable else ""
        raise BadInput(f"this needs the toolchain's `lean`{where}: install elan, or put `lean` into PATH")
    return _fitting(executable, Versions(), lean, config, project)


@dataclass(frozen=True)
class _Lean:
    """What can be told of `lean` itself, see :class:`NativeLean`."""

    lean_path: str
    sysroot: Path | None
    version: str


def _lean_of(config: NativeConfig, project: Path | None, environ: Mapping[str, str]) -> _Lean:
    """The `lean` of a project, or the one in PATH. Raises BadInput when `lake` does not tell."""
    if project is not None and not config.lean_path:
        lean_path = _lake_env(project, ["printenv", "LEAN_PATH"], config.lake_timeout_s)
        version = lean_version(_lake_env(project, ["lean", "--version"], config.lake_timeout_s))
        return _Lean(lean_path, Path(_lake_env(project, ["lean", "--print-prefix"], config.lake_timeout_s)), version)
    if lean := shutil.which("lean", path=environ.get("PATH")):
        version = lean_version(_told([lean, "--version"], cwd=project, timeout_s=_SHORT_S))
        prefix = _told([lean, "--print-prefix"], cwd=project, timeout_s=_SHORT_S)
        return _Lean(config.lean_path, Path(prefix) if prefix else None, version)
    return _Lean(config.lean_path, None, "")


def _fitting(
    executable: Path, pantograph: Versions, lean: _Lean, config: NativeConfig, project: Path | None
) -> NativeLean:
    """All of it together, if it fits. Raises BadInput with what does not."""
    versions = replace(
        pantograph,
        project_toolchain=_toolchain(project),
        lean=lean.version,
        pinned=toolchain_version(config.toolchain),
    )
    found = NativeLean(executable, versions, project, lean.lean_path, lean.sysroot)
    if found.mismatch:
        raise BadInput(found.mismatch)
    return found


def find_project(config: NativeConfig, environ: Mapping[str, str]) -> Path | None:
    """The Lake project: configured, else BURNQED_PROJECT; None without either. Raises BadInput when it is none."""
    named = config.project or (Path(p) if (p := environ.get(PROJECT_VARIABLE)) else None)
    if named is None:
        return None
    project = named.expanduser().resolve()
    if not any((project / name).is_file() for name in ("lakefile.toml", "lakefile.lean")):
        raise BadInput(f"{project} is no Lake project: it has neither lakefile.toml nor lakefile.lean")
    return project


def find_pantograph(config: NativeConfig, project: Path | None, environ: Mapping[str, str]) -> Path:
    """The executable: configured, BURNQED_PANTOGRAPH, in the project, in PATH, in the Python package. Raises BadInput."""
    named = config.pantograph or (Path(p) if (p := environ.get(PANTOGRAPH_VARIABLE)) else None)
    if named is not None:
        path = named.expanduser().absolute()
        if not (path.is_file() and os.access(path, os.X_OK)):
            raise BadInput(f"{path} is no executable file; give Pantograph's `repl` or `pantograph-repl`")
        return path
    for path in _candidates(project, environ):
        if path.is_file() and os.access(path, os.X_OK):
            return path
    raise BadInput(
        "no Pantograph was found: give its executable by --pantograph or "
        f"{PANTOGRAPH_VARIABLE}, or install the Python package `pantograph` for the project's Lean"
    )


def _candidates(project: Path | None, environ: Mapping[str, str]) -> Iterator[Path]:
    if project is not None:
        yield from (project / built for built in _BUILT)
    if in_path := shutil.which("pantograph-repl", path=environ.get("PATH")):
        yield Path(in_path)
    try:
        package = importlib.util.find_spec("pantograph")
    except (ImportError, ValueError):
        package = None
    if package is not None and package.origin:
        yield Path(package.origin).parent / "pantograph-repl"


def _toolchain(folder: Path | None) -> str:
    """The text of the ``lean-toolchain`` file in a folder; empty when there is none."""
    try:
        return (folder / "lean-toolchain").read_text(encoding="utf-8").strip() if folder else ""
    except (OSError, UnicodeDecodeError):
        return ""


def _lake_env(project: Path, command: Sequence[str], timeout_s: float) -> str:
    """What a command prints in the project's environment. Raises BadInput with lake's own words."""
    told = " ".join(["lake env", *command])
    cure = "or give LEAN_PATH in the configuration (lean_path)"
    try:
        status, out, err = _run(["lake", "env", *command], cwd=project, timeout_s=timeout_s)
    except FileNotFoundError:
        raise BadInput(f"`lake` is not in PATH, so {project} cannot be asked: install elan, {cure}") from None
    except subprocess.TimeoutExpired:
        raise BadInput(
            f"`{told}` in {project} did not end within {timeout_s:.0f} s: run it by hand to see why, {cure}"
        ) from None
    if status or not out.strip():
        said = " ".join(err.split())[-300:] or f"status {status} and no text"
        raise BadInput(f"`{told}` failed in {project} ({said}): run `lake build` there, {cure}")
    return out.strip()


def _told(argv: Sequence[str], *, cwd: Path | None = None, timeout_s: float) -> str:
    """What a program prints; empty when it does not."""
    try:
        status, out, _ = _run(argv, cwd=cwd, timeout_s=timeout_s)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return out.strip() if status == 0 else ""


def _run(argv: Sequence[str], *, cwd: Path | None, timeout_s: float) -> tuple[int, str, str]:
    """Run a program to its end. After ``timeout_s`` the whole group is killed: `lake` leaves its `lean` behind otherwise."""
    with subprocess.Popen(
        argv,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise
        return process.returncode, out, err
