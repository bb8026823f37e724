"""The settings that a long work was begun with, in a file of its folder: it goes on with the same ones, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from burnqed.core.errors import BadInput, RunError


def require_same(file: Path, settings: Mapping[str, object]) -> None:
    """Raises BadInput that names a setting of which the file has another value, and RunError for a file that is damaged."""
    try:
        before = msgspec.json.decode(file.read_bytes(), type=dict[str, object])
    except (OSError, msgspec.DecodeError) as error:
        raise RunError(f"{file} is damaged: {error}") from error
    now = msgspec.json.decode(msgspec.json.encode(settings), type=dict[str, object])
    for key in sorted(before.keys() | now.keys()):
        if before.get(key) != now.get(key):
            raise BadInput(
                f"{file.parent} was begun with {key} = {before.get(key)}, not {now.get(key)}; resume it with the same settings"
            )
