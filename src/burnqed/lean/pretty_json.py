"""JSON laid out as Lean's ``Json.pretty`` does, for clients that set ``printJsonPretty``."""

from __future__ import annotations

from typing import Any

import msgspec

_WIDTH = 120


def pretty(value: Any, indent: int = 0) -> str:
    """The value on one line if it fits into what is left of one, else its parts on lines of their own, one deeper."""
    flat = _flat(value)
    if indent + len(flat) <= _WIDTH or not isinstance(value, dict | list) or not value:
        return flat
    if isinstance(value, list):
        parts = [pretty(item, indent + 1) for item in value]
        opening, closing = "[]"
    else:
        parts = [_pair(key, value[key], indent + 1) for key in sorted(value)]
        opening, closing = "{}"
    return opening + f",\n{' ' * (indent + 1)}".join(parts) + closing


def _pair(key: str, value: Any, indent: int) -> str:
    name = _flat(key)
    flat = f"{name}: {_flat(value)}"
    if indent + len(flat) <= _WIDTH:
        return flat
    return f"{name}:\n{' ' * indent}{pretty(value, indent)}"


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_flat(key)}: {_flat(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flat(item) for item in value) + "]"
    return msgspec.json.encode(value).decode()
