"""Fetch the types that SGLang publishes for its HTTP interface, for the tests that check client and server against them.

The package cannot be installed beside burnqed (it pins another torch) and is not imported: one generated file of it, which needs
msgspec only, goes to ``.cache/contract/``. What arrives must have the pinned hash.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

VERSION = "0.5.23"
INSIDE = "sglang/api/v1/api_types.py"
SHA256 = "60fd8b7b61b1b88424139f57879e16b4b756473b26f20e214314b74dec52352b"
TARGET = Path(__file__).parent.parent / ".cache" / "contract" / "api_types.py"


def main() -> int:
    """Download, check, write; one sentence and status 1 when that fails."""
    if TARGET.exists() and hashlib.sha256(TARGET.read_bytes()).hexdigest() == SHA256:
        return 0
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        which = ["--python-version", "3.11", "--platform", "manylinux_2_34_x86_64", f"sglang=={VERSION}"]
        done = subprocess.run([*pip, "--dest", folder, *which], capture_output=True, text=True, check=False)
        if done.returncode:
            print(
                f"sglang {VERSION} cannot be fetched: {(done.stderr.strip().splitlines() or ['?'])[-1]}",
                file=sys.stderr,
            )
            return 1
        with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as wheel:
            content = wheel.read(INSIDE)
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        print(f"{INSIDE} of sglang {VERSION} has the hash {found}, not the pinned one", file=sys.stderr)
        return 1
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    beside = TARGET.with_suffix(".new")
    beside.write_bytes(content)
    beside.replace(TARGET)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
