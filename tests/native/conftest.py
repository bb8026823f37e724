"""Our own server as somebody's Pantograph executable, and what it reads."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import burnqed
from burnqed.lean.embedded.install import EmbeddedLean, home
from burnqed.lean.embedded.programs import COMPLETE
from burnqed.lean.embedded.server import server_launch
from burnqed.lean.serve import install_as


@pytest.fixture(scope="module")
def executable(lean: EmbeddedLean, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a person would give as Pantograph's executable."""
    path = tmp_path_factory.mktemp("pantograph") / "pantograph-repl"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BURNQED_HOME", str(home()))  # in the sandbox HOME is another
        install_as(path)
    server_launch(lean, (), COMPLETE)  # compiles the program, which in the sandbox it could not write
    return path


@pytest.fixture(scope="module")
def needed(lean: EmbeddedLean) -> tuple[Path, ...]:
    """What the server reads, wherever this test's Python and Lean lie."""
    return (lean.root, home(), Path(sys.prefix), Path(sys.base_prefix), Path(burnqed.__file__).parent.parent)
