"""A prover as a folder that can be handed on: a model, an energy head, and the settings that they do best with.

``prover.toml`` (who it is, and ``[settings]``), ``model/`` (a Hugging Face folder), ``head/`` (an energy head; may be
missing) and ``README.md`` (the model card). Nothing here loads a model.
"""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from burnqed.assemble.config import RunConfig
from burnqed.assemble.sources import leaves, load_settings, toml_value
from burnqed.core.errors import BadInput
from burnqed.models.fingerprint import folder_hash
from burnqed.trajectory.files import write_text

PROVER = "prover.toml"
MODEL = "model"
HEAD = "head"
CARD = "README.md"
MENU = "menu"

_SECTIONS = ("search", "policy", "value")
_FROM_FOLDER = ("policy.kind", "policy.model", "policy.url", "value.head", "value.url")
"""What the folder itself says, and its settings may not."""
_PATHS = ("policy.menu", "value.encoder")


class ProverFile(BaseModel, frozen=True, extra="forbid"):
    """What ``prover.toml`` holds."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="by which it is chosen")
    about: str = Field(min_length=1, description="one sentence on what it is")
    created: datetime.date = Field(description="the day on which it was packed")
    licence: str = Field(min_length=1, description="of weights and card")
    parameters: int | None = Field(None, ge=1, description="numbers in the model and the head")
    settings: dict[str, Any] = Field(default_factory=dict, description="settings of a run, by section")


@dataclass(frozen=True)
class ProverFolder:
    """A prover that was read; ``settings`` are dotted keys of a run's configuration, complete with the paths of its parts."""

    path: Path
    file: ProverFile
    settings: Mapping[str, object]

    @property
    def name(self) -> str:
        """By which it is chosen."""
        return self.file.name

    @property
    def model(self) -> Path:
        """The model's folder."""
        return self.path / MODEL

    @property
    def size_bytes(self) -> int:
        """What the folder takes on disk."""
        return size_of(self.path)

    @cached_property
    def digest(self) -> str:
        """Thirty-two hexadecimal digits for its model and head; its settings are in the record of a run anyway."""
        return folder_hash(self.path, (f"{MODEL}/*", f"{HEAD}/*"))


def is_prover(folder: Path) -> bool:
    """Whether a folder says that it is a prover."""
    return (folder / PROVER).is_file()


def size_of(folder: Path) -> int:
    """The bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def read_prover(folder: Path) -> ProverFolder:
    """Read a prover's folder. Raises BadInput with one sentence for whatever is missing or wrong."""
    folder = folder.expanduser().absolute()
    path = folder / PROVER
    if not folder.is_dir():
        raise BadInput(f"there is no folder {folder}")
    try:
        stored = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        is_model = (folder / "config.json").exists()
        what = "a model, not a prover" if is_model else "no prover"
        raise BadInput(f"{folder} is {what}: it has no {PROVER}; `burnqed models pack` makes a prover") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{path}: this is not TOML: {error}") from error
    file = prover_file(stored, origin=str(path))
    if not (folder / MODEL / "config.json").is_file() or not any((folder / MODEL).glob("*.safetensors")):
        raise BadInput(f"{folder}: the prover has no model; {MODEL}/ must hold config.json and weights in safetensors")
    if (folder / HEAD).exists() and not all(
        (folder / HEAD / name).is_file() for name in ("head.json", "head.safetensors")
    ):
        raise BadInput(f"{folder}: the prover's {HEAD}/ must hold head.json and head.safetensors")
    return ProverFolder(folder, file, settings_of(folder, file, origin=str(path)))


def prover_file(stored: Mapping[str, Any], *, origin: str) -> ProverFile:
    """What ``prover.toml`` holds, checked but for its settings. Raises BadInput that begins with ``origin``."""
    try:
        file = ProverFile.model_validate(stored)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise BadInput(f"{origin}: {key}: {first['msg'][:1].lower()}{first['msg'][1:]}") from error
    if file.name == MENU:
        raise BadInput(f"{origin}: name: {MENU} is the tactic menu's own; choose another")
    return file


def write_prover(folder: Path, file: ProverFile) -> None:
    """Write ``prover.toml``. Raises BadInput for settings that no run has, RunError when the disk refuses."""
    own = _own(file, origin="the settings of a prover")
    lines = [
        f"{key} = {value.isoformat() if isinstance(value, datetime.date) else toml_value(value)}"
        for key, value in file.model_dump(exclude={"settings"}, exclude_none=True).items()
    ]
    lines += ["", "[settings]", *(f"{key} = {toml_value(_plain(value))}" for key, value in own.items())] if own else []
    write_text(folder / PROVER, "\n".join(lines) + "\n")


def settings_of(folder: Path, file: ProverFile, *, origin: str) -> dict[str, object]:
    """The settings of a prover in this folder, paths and all. Raises BadInput that begins with ``origin``."""
    found: dict[str, object] = {"policy.kind": "model", "policy.model": str(folder / MODEL)}
    if (folder / HEAD).exists():
        found |= {"value.kind": "head", "value.head": str(folder / HEAD)}
    own = _own(file, origin=origin)
    for key in _PATHS:
        if key in own:
            own[key] = str(folder / str(own[key]))
    found |= own
    if found.get("value.kind") != "head":
        found.pop("value.head", None)
    load_settings(RunConfig, environment={}, flags={}, defaults=found, defaults_from=origin)
    return found


def _own(file: ProverFile, *, origin: str) -> dict[str, object]:
    """The settings in the file by dotted key, without what is not the file's to say."""
    own = {".".join(key): value for key, value in leaves(file.settings)}
    for key in own:
        if key.partition(".")[0] not in _SECTIONS:
            raise BadInput(f"{origin}: {key} is not for a prover to say; it has settings of {', '.join(_SECTIONS)}")
        if key in _FROM_FOLDER:
            raise BadInput(f"{origin}: {key} is what the prover's folder says; leave it out")
    return own


def _plain(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value
