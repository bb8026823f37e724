"""Makes a folder that looks like a native toolchain out of the embedded Lean, so that the gate can be tried for real.

Its ``lean`` is a script. The embedded Lean sees two folders only and can write none. So the script copies lean.js
without the refusal to write, starts it without Node's permissions (the sandbox around it is the gate's own), and shows it the
root of the file system as its program's folder. This package takes every file for a module, in which nothing is
visible outside unless it says so; a program's ``main`` is therefore made public.
"""

from __future__ import annotations

import shlex
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
