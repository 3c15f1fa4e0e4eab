"""Options that several commands take."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from pileus.cli.composition import Composer
from pileus.kernel.config import ConfigError

F = TypeVar("F", bound=Callable[..., Any])


def default_state() -> Path:
    """`/var/lib/pileus` for root, a folder of one's own for others."""
    if os.geteuid() == 0:
        return Path("/var/lib/pileus")
    return Path(os.environ.get("XDG_STATE_HOME", "~/.local/state")).expanduser() / "pileus"


state_option = click.option(
    "--state",
    type=click.Path(file_okay=False, resolve_path=True, path_type=Path),
    default=default_state,
    show_default="/var/lib/pileus for root, else ~/.local/state/pileus",
    envvar="PILEUS_STATE",
    help="Folder with everything that the cloud knows.",
)
config_option = click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="PILEUS_CONFIG",
    help="Settings file (TOML).",
)


def load_settings(
    compose: Callable[[], Composer], file: Path | None, state: Path, **overrides: Any
) -> tuple[Composer, Any]:
    """The composition root and the settings: the file given, else `pileus.toml` in the state folder where there is one."""
    if file is None and (state / "pileus.toml").exists():
        file = state / "pileus.toml"
    composer = compose()
    try:
        return composer, composer.settings(file, {k: v for k, v in overrides.items() if v is not None})
    except ConfigError as error:
        raise click.ClickException(str(error)) from error
