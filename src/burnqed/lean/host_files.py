"""Files for commands that name them: read and written here, since the sandboxed server touches none.

Pantograph's ``frontend.process`` reads a file and writes invocations to another, ``env.catalog`` writes symbols, and
``goal.save``, ``goal.load``, ``env.save`` and ``env.load`` keep states and environments in files. Our server is given the
texts and answers with the contents; :func:`ask_with_files` puts both together, so that a client sees Pantograph.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

Reply = dict[str, Any]
"""A reply as JSON: the fields of a success, or ``error`` and ``desc``."""

Ask = Callable[[str, dict[str, Any]], Awaitable[Reply]]
"""Sends a command with its payload and waits for the reply."""

_SAVES = frozenset({"goal.save", "env.save"})
_LOADS = frozenset({"goal.load", "env.load"})


class _FileTrouble(Exception):
    """A file cannot be read, written or understood; the text says which and why."""


async def ask_with_files(ask: Ask, command: str, payload: dict[str, Any], *, folder: Path | None = None) -> Reply:
    """The reply to a command, with the files that it names read and written; other commands go through as they are.

    Relative paths start at ``folder``, or where this process is. A file that cannot be used is an ``io`` error.
    """
    try:
        if command == "frontend.process":
            return await _process(ask, payload, folder)
        if command == "env.catalog" and isinstance(payload.get("filename"), str):
            return await _catalog(ask, payload, folder)
        if command in _SAVES and isinstance(payload.get("path"), str):
            return await _save(ask, command, payload, folder)
        if command in _LOADS and isinstance(payload.get("path"), str):
            return await _load(ask, command, payload, folder)
    except _FileTrouble as trouble:
        return {"error": "io", "desc": str(trouble)}
    return await ask(command, payload)


async def _process(ask: Ask, payload: dict[str, Any], folder: Path | None) -> Reply:
    sent = dict(payload)
    if isinstance(sent.get("fileName"), str) and sent.get("file") is None:
        sent["file"] = _read(_at(folder, sent.pop("fileName")))
    reply = await ask("frontend.process", sent)
    target = payload.get("invocations")
    if "error" in reply or not isinstance(target, str):
        return reply
    units = reply.get("units", [])
    found = [{"invocations": unit.pop("invocations", [])} for unit in units]
    for unit, entry in zip(units, found, strict=True):
        unit["nInvocations"] = len(entry["invocations"])
    _write(_at(folder, target), msgspec.json.encode({"units": found}))
    return reply


async def _catalog(ask: Ask, payload: dict[str, Any], folder: Path | None) -> Reply:
    reply = await ask("env.catalog", {k: v for k, v in payload.items() if k != "filename"})
    if "error" in reply:
        return reply
    path = _at(folder, payload["filename"])
    try:
        # Into the file that is there, not beside it and renamed: PyPantograph holds it open and reads it through that.
        path.write_text("".join(f"{symbol}\n" for symbol in reply.get("symbols", [])), encoding="utf-8")
    except OSError as error:
        raise _trouble(path, error) from error
    return {}


async def _save(ask: Ask, command: str, payload: dict[str, Any], folder: Path | None) -> Reply:
    path = _at(folder, payload["path"])
    reply = await ask(command, {k: v for k, v in payload.items() if k != "path"})
    if "error" in reply:
        return reply
    _write(path, msgspec.json.encode({"saved": command, "trail": reply.get("trail")}))
    return {}


async def _load(ask: Ask, command: str, payload: dict[str, Any], folder: Path | None) -> Reply:
    path = _at(folder, payload["path"])
    try:
        content = msgspec.json.decode(_read(path))
    except msgspec.DecodeError as error:
        raise _FileTrouble(f"{path} was not saved by burnqed; save it again with {_saver(command)}") from error
    if not isinstance(content, dict) or content.get("saved") != _saver(command):
        raise _FileTrouble(f"{path} was not made by {_saver(command)} of burnqed")
    return await ask(command, {**{k: v for k, v in payload.items() if k != "path"}, "trail": content.get("trail")})


def _saver(command: str) -> str:
    return command.replace(".load", ".save")


def _at(folder: Path | None, name: str) -> Path:
    return (folder or Path()) / name


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except OSError as error:
        raise _trouble(path, error) from error
    except UnicodeDecodeError as error:
        raise _FileTrouble(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}") from error


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        try:
            draft.write_bytes(content)
            draft.replace(path)
        finally:
            with contextlib.suppress(OSError):
                draft.unlink()
    except OSError as error:
        raise _trouble(path, error) from error


def _trouble(path: Path, error: OSError) -> _FileTrouble:
    return _FileTrouble(f"{path}: {error.strerror or error}")
