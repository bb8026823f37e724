"""Compiles a server program once, so that a process starts without elaborating its source.

The embedded Lean does it, in its usual sandbox: it prints the compiled module, and what it prints is stored in a folder
named by everything that decides it. ``programs/compile.lean`` says how it works.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
import shutil
import subprocess
from pathlib import Path

import filelock

from burnqed.core.errors import InstallError
from burnqed.lean.embedded.install import EmbeddedLean, home
from burnqed.lean.embedded.launch import command, environment, limit_stack
from burnqed.lean.embedded.programs import Program, part_text

_COMPILER = "compile"
_LOADER = "prelude\nimport Server\n"
_TIME_LIMIT_S = 600


def is_compiled(program: Program, lean: EmbeddedLean) -> bool:
    """Whether the program can be started at once."""
    return _folder(program, lean).is_dir()


def compiled(program: Program, lean: EmbeddedLean) -> Path:
    """The file that starts the program, compiled now if it is not yet: seconds, once.

    Raises InstallError when burnqed's folder cannot be written or the program has an error.
    """
    folder = _folder(program, lean)
    if not folder.is_dir():
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(folder.with_suffix(".lock")):
                if not folder.is_dir():
                    _compile_into(folder, program, lean)
        except OSError as error:
            raise InstallError(
                f"the Lean program cannot be compiled to {folder.parent}: {error.strerror or error}"
            ) from error
    return folder / "server.lean"


def _folder(program: Program, lean: EmbeddedLean) -> Path:
    text = "\0".join((lean.root.name, part_text(_COMPILER), program.text))
    return home() / "programs" / f"{program.name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _compile_into(folder: Path, program: Program, lean: EmbeddedLean) -> None:
    """Build the folder beside its place; one rename makes it visible."""
    draft = folder.with_name(f"{folder.name}.{secrets.token_hex(4)}.tmp")
    draft.mkdir()
    try:
        (draft / "source.lean").write_text(program.text, encoding="utf-8")
        compiler = draft / f"{_COMPILER}.lean"
        compiler.write_text(part_text(_COMPILER), encoding="utf-8")
        (draft / "Server.olean").write_bytes(_module(compiler, lean, program.name))
        (draft / "server.lean").write_text(_LOADER, encoding="utf-8")
        compiler.unlink()
        draft.replace(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _module(compiler: Path, lean: EmbeddedLean, name: str) -> bytes:
    """The bytes of the compiled module, as the compiler prints them. Raises InstallError."""
    try:
        # Its exit status says nothing: the package ends oddly after every main.
        done = subprocess.run(
            command(lean, compiler),
            env=environment(lean, compiler.parent),
            cwd=lean.root,
            preexec_fn=limit_stack,  # nothing but a limit is set there
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIME_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise InstallError(f"the {name} program was not compiled within {_TIME_LIMIT_S} s") from error
    lines = done.stdout.decode(errors="replace").splitlines()
    if errors := [line[6:] for line in lines if line.startswith("error {")]:
        raise InstallError(f"the {name} program has errors: " + "; ".join(map(_message, errors[:5])))
    if "compiled" not in lines:
        said = " / ".join(line for line in lines if not line.startswith(("[DEBUG", "bytes ")))[-500:]
        raise InstallError(f"the {name} program could not be compiled; Lean's last words: {said or 'none'}")
    with contextlib.suppress(ValueError):
        return bytes.fromhex("".join(line[6:] for line in lines if line.startswith("bytes ")))
    raise InstallError(f"the {name} program could not be compiled: Lean printed something else among its bytes")


def _message(text: str) -> str:
    message = json.loads(text)
    return f"line {message['pos']['line']}: {' '.join(message['data'].split())}"
