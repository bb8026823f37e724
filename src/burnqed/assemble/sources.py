"""Where settings come from: defaults, then a TOML file, then the environment, then flags; the later wins.

Every value remembers its origin, so that a wrong one is named with the place where it stands.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, SecretStr, ValidationError

from burnqed.assemble.config import RunConfig
from burnqed.core.errors import BadInput

PREFIX = "BURNQED_"
_BETWEEN = "__"

Key = tuple[str, ...]
Settings = TypeVar("Settings", bound=BaseModel)


def load_config(
    *,
    file: Path | None = None,
    environment: Mapping[str, str],
    flags: Mapping[str, object],
    assignments: Sequence[str] = (),
) -> RunConfig:
    """The effective configuration of a run of searches; see :func:`load_settings`."""
    return load_settings(RunConfig, file=file, environment=environment, flags=flags, assignments=assignments)


def load_settings(
    kind: type[Settings],
    *,
    file: Path | None = None,
    environment: Mapping[str, str],
    flags: Mapping[str, object],
    assignments: Sequence[str] = (),
    defaults: Mapping[str, object] | None = None,
    defaults_from: str = "the command's default",
) -> Settings:
    """The effective settings of a kind. Raises BadInput that names key and origin of what is wrong.

    ``environment`` is looked through for ``BURNQED_SECTION__KEY``; ``flags`` are dotted keys (``search.max_nodes``);
    ``assignments`` are texts ``search.max_nodes=10``; ``defaults`` are dotted keys where the defaults are not the kind's, and
    ``defaults_from`` says whose they are.
    """
    settings: dict[Key, tuple[object, str]] = {}
    for dotted, value in (defaults or {}).items():
        settings[tuple(dotted.split("."))] = (value, defaults_from)
    settings |= _given(file=file, environment=environment, flags=flags, assignments=assignments)
    nested: dict[str, Any] = {}
    for key, (value, origin) in settings.items():
        _check_key(kind, key, origin)
        _put(nested, key, value)
    try:
        return kind.model_validate(nested)
    except ValidationError as error:
        raise BadInput(_sentence(error, settings)) from None


def given_keys(
    *,
    file: Path | None = None,
    environment: Mapping[str, str],
    flags: Mapping[str, object],
    assignments: Sequence[str] = (),
) -> frozenset[str]:
    """The dotted keys that somebody set, by any of the ways of :func:`load_settings`."""
    given = _given(file=file, environment=environment, flags=flags, assignments=assignments)
    return frozenset(".".join(key) for key in given)


def _given(
    *,
    file: Path | None,
    environment: Mapping[str, str],
    flags: Mapping[str, object],
    assignments: Sequence[str],
) -> dict[Key, tuple[object, str]]:
    """What was set, each value with its origin; the later way wins."""
    settings: dict[Key, tuple[object, str]] = {}
    if file is not None:
        settings |= {key: (value, str(file)) for key, value in leaves(_read_toml(file))}
    for name, text in sorted(environment.items()):
        if name.startswith(PREFIX) and _BETWEEN in name:
            key = tuple(name.removeprefix(PREFIX).lower().split(_BETWEEN))
            settings[key] = (_from_text(text), f"the environment variable {name}")
    for dotted, flag in flags.items():
        settings[tuple(dotted.split("."))] = (flag, "the command line")
    for text in assignments:
        dotted, equals, given = text.partition("=")
        if not equals:
            raise BadInput(f"--set {text}: it is KEY=VALUE, such as --set search.max_nodes=100")
        settings[tuple(dotted.strip().split("."))] = (_from_text(given.strip()), f"--set {text}")
    return settings


def as_toml(config: BaseModel, *, only_set: bool = False) -> str:
    """The configuration as a TOML file, every key with its description; what it prints can be read back.

    With ``only_set`` the keys that nobody set are comments, so that reading it back leaves them to be decided elsewhere.
    """
    rest = (
        "Remove the # before a setting that you change, and before its section."
        if only_set
        else "Keep what you change."
    )
    lines = [f"# Every setting, with its value. {rest} The rest has these defaults."]
    for section, name in _sections(config, ()):
        active = {key for key in section.model_fields_set if not isinstance(getattr(section, key), BaseModel)}
        lines += ["", f"{'#' if only_set and not active else ''}[{'.'.join(name)}]"] if name else []
        for key, info in type(section).model_fields.items():
            value = getattr(section, key)
            if isinstance(value, BaseModel):
                continue
            lines.append(f"# {info.description}")
            if value is None or isinstance(value, SecretStr):
                lines.append(f"# {key} = {'(not set)' if not value else '(not shown)'}")
            else:
                lines.append(f"{'#' if only_set and key not in active else ''}{key} = {toml_value(value)}")
    return "\n".join(lines) + "\n"


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInput(f"{path}: there is no such configuration file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: the configuration file cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{path}: this is not TOML: {error}") from error


def leaves(tree: Mapping[str, Any], above: Key = ()) -> Iterator[tuple[Key, object]]:
    """The values of a tree of settings, each with its key."""
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, (*above, name))
        else:
            yield (*above, name), value


def _from_text(text: str) -> object:
    """Lists and tables in JSON; all else as it stands, for the setting's own type to read."""
    if text[:1] in "[{" and text:
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _check_key(settings: type[BaseModel], key: Key, origin: str) -> None:
    """Every part of a key must be a field, the last one a value and not a section."""
    model = settings
    for depth, part in enumerate(key):
        if part not in model.model_fields:
            close = difflib.get_close_matches(part, model.model_fields, n=1)
            where = ".".join(key[:depth])
            hint = f"; did you mean {'.'.join((*key[:depth], close[0]))}?" if close else ""
            there = f"; {where or 'a configuration'} has {', '.join(model.model_fields)}"
            raise BadInput(f"{origin}: unknown key {'.'.join(key)}{hint or there}")
        kind = model.model_fields[part].annotation
        last = depth == len(key) - 1
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            if last:
                raise BadInput(f"{origin}: {'.'.join(key)} is a section, not a value")
            model = kind
        elif not last:
            raise BadInput(
                f"{origin}: unknown key {'.'.join(key)}; {'.'.join(key[: depth + 1])} is a value, not a section"
            )


def _put(nested: dict[str, Any], key: Key, value: object) -> None:
    for part in key[:-1]:
        nested = nested.setdefault(part, {})
    nested[key[-1]] = value


def _sentence(error: ValidationError, settings: Mapping[Key, tuple[object, str]]) -> str:
    """The first thing that is wrong, in one sentence."""
    first = error.errors(include_url=False)[0]
    place = tuple(str(part) for part in first["loc"])
    message = str(first["msg"]).removeprefix("Value error, ")
    for length in range(len(place), 0, -1):
        if place[:length] in settings:
            value, origin = settings[place[:length]]
            return f"{origin}: {'.'.join(place[:length])} = {value}: {message[:1].lower()}{message[1:]}"
    return f"the configuration is not complete: {message}"


def _sections(model: BaseModel, name: Key) -> Iterator[tuple[BaseModel, Key]]:
    yield model, name
    for key in type(model).model_fields:
        value = getattr(model, key)
        if isinstance(value, BaseModel):
            yield from _sections(value, (*name, key))


def toml_value(value: object) -> str:
    """A setting's value as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, BaseModel):
        value = {k: v for k, v in value.model_dump().items() if v is not None}
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{k} = {toml_value(v)}' for k, v in value.items())}}}"
    if isinstance(value, tuple):
        return f"[{', '.join(toml_value(v) for v in value)}]"
    return json.dumps(str(value), ensure_ascii=False)
