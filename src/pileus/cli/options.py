"""Options that several commands take."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from pileus.cli import kept
from pileus.cli.composition import Composer
from pileus.kernel.config import ConfigError


class WholeLines(click.Group):
    """A group whose help tells of each command all of its first sentence, where click cuts it off."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, each.get_short_help_str(limit=200)) for name, each in commands if each is not None]
            )


def default_state() -> Path:
    """`/var/lib/pileus` for root, a folder of one's own for others."""
    if os.geteuid() == 0:
        return Path("/var/lib/pileus")
    return Path(os.environ.get("XDG_STATE_HOME", "~/.local/state")).expanduser() / "pileus"


def _own(ctx: click.Context, parameter: click.Parameter, state: Path) -> Path:
    """Raises ClickException for a folder that is somebody else's."""
    if state.exists() and not os.access(state, os.R_OK | os.W_OK | os.X_OK):
        owner = state.stat().st_uid
        raise click.ClickException(
            f"{state} belongs to another user ({'root' if owner == 0 else owner}): run it as that user, with sudo "
            "maybe, or with a folder of your own: --state DIR"
        )
    return state


state_option = click.option(
    "--state",
    type=click.Path(file_okay=False, readable=False, resolve_path=True, path_type=Path),
    default=default_state,
    show_default="/var/lib/pileus for root, else ~/.local/state/pileus",
    envvar="PILEUS_STATE",
    callback=_own,
    help="Folder with everything that the cloud knows.",
)
config_option = click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="PILEUS_CONFIG",
    help="Settings file (TOML).",
)


sim_option = click.option(
    "--sim", is_flag=True, default=None, help="Simulated hosts and networks: all APIs, no root, no QEMU."
)
only_option = click.option(
    "--only",
    metavar="SERVICE,…",
    help="Run these services alone, such as object-store,identity; `all` runs all again.",
)


def raising(state: Path, *, sim: bool = False, only: Sequence[str] = ()) -> str:
    """The command that raises the cloud of a state folder."""
    words = ["pileus", "up"]
    if sim:
        words.append("--sim")
    if only:
        words += ["--only", ",".join(only)]
    if state != default_state():
        words += ["--state", shlex.quote(str(state))]
    return " ".join(words)


def load_settings(
    compose: Callable[[], Composer],
    file: Path | None,
    state: Path,
    *,
    sim: bool | None = None,
    only: str | None = None,
    **overrides: Any,
) -> tuple[Composer, Any]:
    """The composition root and the settings: the file given, else `pileus.toml` in the state folder where there is
    one; on top of them what this state folder keeps, and what is said now."""
    if file is None and (state / "pileus.toml").exists():
        file = state / "pileus.toml"
    said: dict[str, Any] = {
        **overrides,
        "sim": sim or kept.simulated(state) or None,
        "only": kept.only(state) if only is None else _names(only),
    }
    composer = compose()
    try:
        return composer, composer.settings(file, {k: v for k, v in said.items() if v is not None})
    except ConfigError as error:
        raise click.ClickException(str(error)) from error


def _names(only: str) -> list[str]:
    return [] if only == "all" else [name.strip() for name in only.split(",") if name.strip()]
