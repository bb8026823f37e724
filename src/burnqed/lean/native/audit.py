"""Whether Pantograph, the project and Lean belong together, told from their version texts alone.

A Pantograph executable reads only the compiled files of the very Lean that it was built with. With any other it dies
before ``ready.``, and its users' most common question is why. So the answer is given before it is started.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# Pantograph's release -> the Lean it was built with. From the toolchain files and bump requests of its releases.
LEAN_OF_PANTOGRAPH: dict[str, str] = {
    "0.2.25": "4.15.0",
    "0.3.0": "4.18.0",
    "0.3.1": "4.18.0",
    "0.3.2": "4.20.1",
    "0.3.3": "4.20.1",
    "0.3.4": "4.21.0",
    "0.3.7": "4.22.0",
    "0.3.11": "4.25.2",
    "0.3.13": "4.27.0",
    "0.3.14": "4.28.0",
    "0.3.15": "4.29.1",
}

OLDEST = (0, 3, 8)
"""Before it ``frontend.distil`` and what we need of it were another command."""

REPLAYS_SINCE = (4, 28, 0)
"""The first Lean whose toolchain has ``leanchecker``."""

_VERSION = re.compile(r"v?(\d+\.\d+\.\d+(?:-rc\d+)?)")
_LEAN = re.compile(r"\bversion (\d+\.\d+\.\d+(?:-[\w.]+)?)")


@dataclass(frozen=True)
class Versions:
    """What each part says of itself; an empty text where it says nothing.

    ``pantograph`` is the release of the executable, ``pantograph_toolchain`` the text of a ``lean-toolchain`` file beside
    it, ``project_toolchain`` that of the project, ``lean`` the version that ``lean --version`` names, ``pinned`` what the
    configuration asks for.
    """

    pantograph: str = ""
    pantograph_toolchain: str = ""
    project_toolchain: str = ""
    lean: str = ""
    pinned: str = ""

    @property
    def pantograph_lean(self) -> str:
        """The Lean that Pantograph was built with, as far as can be told."""
        return toolchain_version(self.pantograph_toolchain) or LEAN_OF_PANTOGRAPH.get(self.pantograph, "")

    @property
    def project_lean(self) -> str:
        """The Lean of the project: what runs there, else what its toolchain file names."""
        return self.lean or toolchain_version(self.project_toolchain)


def toolchain_version(text: str) -> str:
    """The version in a ``lean-toolchain`` text such as ``leanprover/lean4:v4.28.0``; empty for ``stable`` and its like."""
    match = _VERSION.search(text.strip().rpartition(":")[2])
    return match[1] if match else ""


def lean_version(text: str) -> str:
    """The version in what ``lean --version`` prints; empty when there is none."""
    match = _LEAN.search(text)
    return match[1] if match else ""


def numbers(version: str) -> tuple[int, ...]:
    """A version as numbers to compare, release candidates as their release; empty for an empty text."""
    return tuple(int(n) for n in re.findall(r"\d+", version.partition("-")[0]))


def audit(found: Versions) -> str:
    """What does not fit and what to do, as one sentence; an empty text when everything that is known fits."""
    declared = toolchain_version(found.project_toolchain)
    if found.pinned and found.project_lean and found.project_lean != found.pinned:
        return (
            f"the configuration asks for Lean {found.pinned}, but the project runs Lean {found.project_lean}: "
            f"change the configuration, or put leanprover/lean4:v{found.pinned} into the project's lean-toolchain"
        )
    if declared and found.lean and declared != found.lean:
        return (
            f"the project's lean-toolchain names Lean {declared}, but `lean` there is {found.lean}: "
            "install elan, or put the right toolchain first in PATH"
        )
    if found.pantograph and numbers(found.pantograph) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        return f"Pantograph {found.pantograph} lacks frontend.distil as it is used here: take {oldest} or newer"
    if found.pantograph_lean and found.project_lean and found.pantograph_lean != found.project_lean:
        return (
            f"Pantograph {found.pantograph or '(unknown release)'} was built with Lean {found.pantograph_lean}, but the "
            f"project has Lean {found.project_lean}: {_cure(found.project_lean)}"
        )
    return ""


def _cure(lean: str) -> str:
    """Where to get a Pantograph for that Lean."""
    releases = [release for release, built_with in LEAN_OF_PANTOGRAPH.items() if built_with == lean]
    if releases:
        return f"build Pantograph {releases[-1]}, which is for that Lean, or move the project"
    return (
        f"build Pantograph with leanprover/lean4:v{lean}, or move the project to a Lean that a release was built with"
    )
