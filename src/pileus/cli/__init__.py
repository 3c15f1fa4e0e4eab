"""The `pileus` command."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

import click

from pileus.cli.composition import Composer
from pileus.cli.options import WholeLines

COMMANDS = {
    "up": ("pileus.cli.life", "up"),
    "down": ("pileus.cli.life", "down"),
    "status": ("pileus.cli.life", "status"),
    "doctor": ("pileus.cli.doctor", "doctor"),
    "image": ("pileus.cli.image", "image"),
    "object-server": ("pileus.cli.object_server", "object_server"),
    "ring": ("pileus.cli.ring", "ring"),
    "keys": ("pileus.cli.keys", "keys"),
    "version": ("pileus.cli.life", "version"),
}
"""Where each command is; imported when it is used, so that none pays for another."""


class LazyGroup(WholeLines):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(module), name)
        return command


def make(compose: Callable[[], Composer]) -> click.Group:
    """The command, over a composition root that is imported only by those that need it."""

    @click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "obj": compose})
    def pileus() -> None:
        """A whole cloud on this machine: OpenStack's APIs, real machines, seconds to start.

        \b
        pileus doctor        what this machine can do, and what helps where it can't
        pileus up            raise the cloud (--sim: simulated hosts, needs nothing but Python)
        pileus status        is it up, where is it, how do I reach it
        pileus down          take it down; its state stays, the next `up` brings it back

        \b
        pileus up --only object-store,identity       Swift and S3 alone, without root
        pileus COMMAND --help                        what a command takes
        """

    return pileus
