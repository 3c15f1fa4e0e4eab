"""Settings: one TOML file, and environment variables on top.

`PILEUS_IDENTITY__TOKEN_LIFETIME_SECONDS=600` sets `token_lifetime_seconds` of `[identity]`. What the file or
the environment names and no setting is called is an error that says so.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

PREFIX = "PILEUS_"
NO_SETTINGS = frozenset({"PILEUS_CONFIG", "PILEUS_STATE", "PILEUS_ADMIN_PASSWORD"})
"""Variables that say where settings and state are, or what had better stand in no file."""
S = TypeVar("S", bound=msgspec.Struct)


class ConfigError(Exception):
    """A setting that can't be; the message names it."""


def load(
    kind: type[S],
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> S:
    """The settings of `kind`: its defaults, on top of them the file's, the environment's, and `overrides`
    (nested mappings)."""
    values: dict[str, Any] = {}
    if file is not None:
        try:
            values = tomllib.loads(file.read_text())
        except FileNotFoundError as error:
            raise ConfigError(f"there is no settings file {file}") from error
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{file} can't be read: {error}") from error
    for name, text in (environ or {}).items():
        if name.startswith(PREFIX) and name not in NO_SETTINGS:
            _put(values, name.removeprefix(PREFIX).lower().split("__"), _literal(text))
    _merge(values, overrides or {})
    _check_names(kind, values, "")
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"settings: {error}") from error


def _literal(text: str) -> Any:
    """A TOML value where it is one, else the text itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _put(values: dict[str, Any], path: list[str], value: Any) -> None:
    for part in path[:-1]:
        values = values.setdefault(part, {})
    values[path[-1]] = value


def _merge(values: dict[str, Any], more: Mapping[str, Any]) -> None:
    for name, value in more.items():
        if isinstance(value, Mapping):
            _merge(values.setdefault(name, {}), value)
        elif value is not None:
            values[name] = value


def _check_names(kind: type[msgspec.Struct], values: Mapping[str, Any], place: str) -> None:
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    for name, value in values.items():
        if name not in fields:
            near = difflib.get_close_matches(name, fields, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; known here: {', '.join(sorted(fields))}"
            raise ConfigError(f"there is no setting {place}{name}{hint}")
        inner = fields[name].type
        if isinstance(inner, type) and issubclass(inner, msgspec.Struct) and isinstance(value, Mapping):
            _check_names(inner, value, f"{place}{name}.")
