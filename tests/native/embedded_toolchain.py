"""Makes a folder that looks like a native toolchain out of the embedded Lean, so that the gate can be tried for real.

Its ``lean`` is a script. The embedded Lean sees two folders only and can write none. So the script copies lean.js
without the refusal to write, starts it without Node's permissions (the sandbox around it is the gate's own), and shows it the
root of the file system as its program's folder. This package takes every file for a module, in which nothing is
visible outside unless it says so; a program's ``main`` is therefore made public.
"""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

from burnqed.lean.embedded.install import EmbeddedLean

_REFUSALS = (
    'for(var name of ["setattr","mknod","rename","unlink","rmdir","symlink"])NODEFS.node_ops[name]=refuse;',
    "NODEFS.stream_ops.write=refuse;",
    "NODEFS.stream_ops.open=stream=>stream.flags&3?refuse():open(stream);",
)

_LEAN = r"""#!/usr/bin/env bash
# Gives the embedded Lean paths below /program, which is the root here.
ulimit -s 65536 2>/dev/null
arguments=()
previous=
for argument in "$@"; do
  case "$argument" in
    /*) if [ "$previous" = --run ]; then
          sed 's/^unsafe def main/public unsafe def main/' "$argument" > "$HOME/program.lean"
          argument="$HOME/program.lean"
        fi
        arguments+=("/program$argument") ;;
    *) arguments+=("$argument") ;;
  esac
  previous="$argument"
done
path=
IFS=: read -ra entries <<< "$LEAN_PATH"
for entry in "${entries[@]}"; do path="$path${path:+:}/program$entry"; done
LEAN_LIBRARY=LIBRARY LEAN_PROGRAM=/ LEAN_PATH="$path" \
  NODE --stack-size=60000 --no-wasm-inlining --no-warnings HERE/lean.js -j2 "${arguments[@]}" 2> "$HOME/err"
status=$?
grep -v '^\[DEBUG' "$HOME/err" >&2
exit $status
"""

_LAKE = """#!/bin/sh
case "$*" in
  "env printenv LEAN_PATH") echo LEAN_PATH ;;
  "env lean --version") echo "Lean (version 4.28.0, wasm32, Release)" ;;
  "env lean --print-prefix") echo SYSROOT ;;
  *) exit 1 ;;
esac
"""


def lake_project(project: Path, sysroot: Path, *folders: str) -> Path:
    """Make a Lake project whose LEAN_PATH has these folders of it; returns the folder of a `lake` that says so, for PATH."""
    for name in folders:
        (project / name).mkdir(parents=True, exist_ok=True)
    (project / "lakefile.toml").touch()
    (project / "lean-toolchain").write_text("leanprover/lean4:v4.28.0")
    lake = project / "path" / "lake"
    lake.parent.mkdir()
    lean_path = ":".join(str(project / name) for name in folders)
    lake.write_text(_LAKE.replace("echo LEAN_PATH", f"echo {lean_path}").replace("SYSROOT", str(sysroot)))
    lake.chmod(0o755)
    return lake.parent


def compile_module(sysroot: Path, folder: Path, module: str, text: str) -> None:
    """Compile a module into a folder of LEAN_PATH; it may import what is there already."""
    source = folder / f"{module.replace('.', '/')}.lean"
    source.parent.mkdir(parents=True, exist_ok=True)
    source.write_text(text)
    home = folder.parent / "home"
    home.mkdir(exist_ok=True)
    done = subprocess.run(
        [sysroot / "bin" / "lean", "-R", folder, "-o", source.with_suffix(".olean"), source],
        env={"HOME": str(home), "LEAN_PATH": str(folder), "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def make(folder: Path, lean: EmbeddedLean) -> Path:
    """The sysroot, with ``bin/lean``."""
    bin_ = folder / "bin"
    bin_.mkdir(parents=True)
    glue = lean.glue.read_text(encoding="utf-8")
    for refusal in _REFUSALS:
        assert glue.count(refusal) == 1
        glue = glue.replace(refusal, "")
    (bin_ / "lean.js").write_text(glue, encoding="utf-8")
    for name in ("lean.wasm", "symbols.bin"):
        (bin_ / name).symlink_to(lean.root / name)
    script = bin_ / "lean"
    replaced = {"LIBRARY": lean.library.resolve(), "NODE": lean.node, "HERE": bin_}
    text = _LEAN
    for word, path in replaced.items():
        text = text.replace(f"={word} ", f"={shlex.quote(str(path))} ").replace(
            f"  {word} ", f"  {shlex.quote(str(path))} "
        )
        text = text.replace(f" {word}/", f" {shlex.quote(str(path))}/")
    script.write_text(text)
    script.chmod(0o755)
    return folder
