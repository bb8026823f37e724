"""The provers at hand: those that come with burnqed, those of the user's own, and which of them is the default.

The choice is a file in the user's folder for settings, not in ``BURNQED_HOME``: that is a cache, and whoever empties a cache does
not mean to change who proves.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs
from pydantic import BaseModel, Field, ValidationError

import burnqed
from burnqed.assemble.prover_folder import MENU, ProverFolder, is_prover, read_prover, size_of
from burnqed.core.errors import BadInput, RunError
from burnqed.trajectory.files import write_text

SHIPPED = Path(burnqed.__file__).parent / "shipped"
DEFAULT = "default.txt"
"""Beside the provers that come along: the name of the one that proves when nobody has chosen."""
VARIABLE = "BURNQED_PROVER"
"""In the environment: a name, a folder or ``menu``, before any choice."""
CONFIG_HOME = "BURNQED_CONFIG_HOME"
CHOICE = "choice.toml"
_BACK = "choose another with `burnqed models use`, or go back with `burnqed models use --reset`"


class Choice(BaseModel, frozen=True, extra="forbid"):
    """What the user chose."""

    prover: str = Field("", description="a name, a folder, or menu; empty: what comes along")
    known: tuple[Path, ...] = Field((), description="folders of provers of the user's own")


@dataclass(frozen=True)
class Listed:
    """A prover for a list; ``trouble`` is a sentence when it cannot be used."""

    name: str
    about: str
    where: str
    parameters: int | None = None
    size_bytes: int | None = None
    default: bool = False
    trouble: str = ""


@dataclass(frozen=True)
class Provers:
    """Where provers are looked for. ``forced`` is what the environment says."""

    shipped: Path = SHIPPED
    choice_file: Path = Path(CHOICE)
    forced: str = ""

    @classmethod
    def here(cls, environment: Mapping[str, str] = os.environ) -> Provers:
        """Those of this user; ``BURNQED_CONFIG_HOME`` is another folder for the choice."""
        folder = environment.get(CONFIG_HOME)
        home = Path(folder).expanduser() if folder else Path(platformdirs.user_config_dir("burnqed"))
        return cls(choice_file=home / CHOICE, forced=environment.get(VARIABLE, ""))

    def find(self, text: str) -> ProverFolder | None:
        """The prover of that name or folder; None is the menu. Raises BadInput when there is none, or a damaged one."""
        if text == MENU:
            return None
        if (folder := self._named(text)) is not None:
            return read_prover(folder)
        if Path(text).expanduser().is_dir():
            return read_prover(Path(text))
        if "/" in text or "\\" in text:
            raise BadInput(f"there is no prover in {text}: the folder is gone")
        raise BadInput(f"there is no prover {text}; `burnqed models list` shows which there are")

    def is_one(self, text: str) -> bool:
        """Whether a text names a prover, or a folder that says that it is one. The menu is none."""
        return self._named(text) is not None or is_prover(Path(text).expanduser())

    def default(self) -> ProverFolder | None:
        """Who proves when a run says nothing of it; None is the menu. Raises BadInput when that cannot be used."""
        text, whose = self._default()
        if not text:
            return None
        try:
            return self.find(text)
        except BadInput as error:
            raise BadInput(f"{whose}: {error}" + ("" if self.forced else f"; {_BACK}")) from error

    def use(self, text: str) -> ProverFolder | None:
        """Make it the default; returns it, None for the menu. Raises BadInput when it is none, RunError when the disk refuses."""
        found = self.find(text)
        try:
            known = [path for path in self._choice().known if is_prover(path)]
        except BadInput:  # the damaged file is replaced
            known = []
        if found is not None and found.path.parent != self.shipped:
            known = [*(path for path in known if path != found.path), found.path]
            self._write(Choice(prover=str(found.path), known=tuple(known)))
        else:
            self._write(Choice(prover=found.name if found is not None else MENU, known=tuple(known)))
        return found

    def reset(self) -> None:
        """Forget what was chosen, and the folders of the user's own."""
        try:
            self.choice_file.unlink(missing_ok=True)
        except OSError as error:
            raise RunError(f"{self.choice_file} cannot be removed: {error.strerror or error}") from error

    def listed(self) -> tuple[list[Listed], str]:
        """All of them, the menu first, and a sentence when the default cannot be told; a damaged one does not hide the others."""
        notice, default = "", None
        try:
            default = self.default()
            path = default.path if default is not None else None
        except BadInput as error:
            notice, path = str(error), Path()
        folders = list(self._folders())
        if default is not None and default.path not in folders:
            folders.append(default.path)
        menu = Listed(MENU, "tactics by rules that look at the goal, no model", "burnqed", default=path is None)
        return [menu, *(_listed(folder, path) for folder in folders)], notice

    def _folders(self) -> Iterator[Path]:
        yield from self._shipped()
        try:
            choice = self._choice()
        except BadInput:
            return
        yield from choice.known

    def _shipped(self) -> list[Path]:
        return sorted(path for path in self.shipped.glob("*") if is_prover(path))

    def _named(self, text: str) -> Path | None:
        """The folder of a name: what comes along first, then the user's own."""
        if not text or Path(text).name != text:
            return None
        for folder in self._folders():
            if folder.parent == self.shipped:
                if folder.name == text:
                    return folder
            elif is_prover(folder) and _name_of(folder) == text:
                return folder
        return None

    def _default(self) -> tuple[str, str]:
        """Name or folder of the default, and who says so; an empty name is the menu."""
        if self.forced:
            return self.forced, f"the environment variable {VARIABLE}"
        if chosen := self._choice().prover:
            return chosen, "the prover that you chose cannot be used"
        try:
            return (self.shipped / DEFAULT).read_text(encoding="utf-8").strip(), "the prover that comes with burnqed"
        except FileNotFoundError:
            return "", ""

    def _choice(self) -> Choice:
        try:
            return Choice.model_validate(tomllib.loads(self.choice_file.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return Choice()
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, ValidationError) as error:
            reason = "its keys are prover and known" if isinstance(error, ValidationError) else error
            raise BadInput(f"{self.choice_file}, which says who proves, cannot be read ({reason}); {_BACK}") from error

    def _write(self, choice: Choice) -> None:
        try:
            self.choice_file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{self.choice_file.parent} cannot be made: {error.strerror or error}") from error
        prover, *known = (json.dumps(str(one), ensure_ascii=False) for one in (choice.prover, *choice.known))
        lines = (
            "# Who proves by default; written by `burnqed models use`.",
            f"prover = {prover}",
            f"known = [{', '.join(known)}]",
        )
        write_text(self.choice_file, "\n".join(lines) + "\n")


def _name_of(folder: Path) -> str:
    try:
        return read_prover(folder).name
    except BadInput:
        return ""


def _listed(folder: Path, default: Path | None) -> Listed:
    try:
        found = read_prover(folder)
    except BadInput as error:
        return Listed(folder.name, "", str(folder), default=folder == default, trouble=str(error))
    return Listed(
        found.name,
        found.file.about,
        str(folder),
        parameters=found.file.parameters,
        size_bytes=size_of(folder),
        default=folder == default,
    )
