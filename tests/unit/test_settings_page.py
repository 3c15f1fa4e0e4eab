"""The operator's page of settings is held to what can be set."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from pileus.app.settings import Settings

PAGE = Path(__file__).parents[2] / "doc/operator/settings.md"
ROW = re.compile(r"^\| `(?P<name>[a-z0-9_.]+)` \|(?: `(?P<default>.*?)`| all|) \|.*\|$", re.MULTILINE)
LONG = {"compute.scheduler_settings.enabled_filters"}
"""Whose defaults the page tells in words."""


def _settings(kind: type[msgspec.Struct], place: str = "") -> Iterator[tuple[str, Any]]:
    for field in msgspec.structs.fields(kind):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield from _settings(field.type, f"{place}{field.name}.")
        else:
            yield (
                f"{place}{field.name}",
                field.default_factory() if field.default is msgspec.NODEFAULT else field.default,
            )


def _told() -> dict[str, Any]:
    rows = ROW.finditer(PAGE.read_text())
    return {
        row["name"]: None if row["default"] is None else tomllib.loads(f"value = {row['default']}")["value"]
        for row in rows
    }


def test_every_setting_is_on_the_page_with_its_default() -> None:
    there = {
        name: list(default) if isinstance(default, tuple) else default
        for name, default in _settings(Settings)
        if name not in LONG
    }
    told = _told()
    assert told.keys() >= LONG
    assert {name: default for name, default in told.items() if name not in LONG} == there
