"""`pileus up`, `down`, `status`, `version`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec

from pileus import __version__
from pileus.cli import background, kept
from pileus.cli.composition import Composer, TeardownFailed
from pileus.cli.options import config_option, load_settings, only_option, raising, sim_option, state_option
from pileus.cli.process import RunningCloud, find, forget, record
from pileus.kernel import interpreter

STOP_SECONDS = 20.0


@click.command()
@state_option
@config_option
@click.option("--listen", metavar="ADDR:PORT", help="Where clients are answered.  [default: 127.0.0.1:8900]")
@sim_option
@only_option
@click.option(
    "--devices",
    type=click.IntRange(min=1),
    help="Folders that objects are spread over, each meant to be a disk of its own.",
)
@click.option("--replicas", type=click.IntRange(min=1), help="Copies of each object on these devices.")
@click.option("--foreground", is_flag=True, help="Stay, and log to the terminal.")
@click.pass_obj
def up(
    compose: Callable[[], Composer],
    state: Path,
    config: Path | None,
    listen: str | None,
    sim: bool | None,
    only: str | None,
    devices: int | None,
    replicas: int | None,
    foreground: bool,
) -> None:
    """Raise the cloud; returns when it answers."""
    running = find(state)
    if running is not None:
        click.echo(f"The cloud is up already, at {running.base_url} (process {running.pid}).")
        return

    def serve(tell: background.Teller) -> None:
        interpreter.load()
        spread = {"devices": devices, "replicas": replicas}
        composer, settings = load_settings(
            compose,
            config,
            state,
            listen=listen,
            sim=sim,
            only=only,
            object_store={name: said for name, said in spread.items() if said is not None} or None,
        )
        interpreter.run(_serve(composer, settings, state, tell, terminal=foreground and sys.stderr.isatty()))

    if foreground:
        serve(background.Teller(None))
        return
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise click.ClickException(
            f"the state folder {state} can't be made ({error.strerror}): give another, --state DIR"
        ) from error
    background.run(serve, state / "pileus.log")
    running = find(state)
    if running is None:
        raise click.ClickException(f"the cloud ended at once; {state / 'pileus.log'} says why")
    click.echo(f"The cloud is up: {running.base_url}")
    _tell_clients(state)


def _tell_clients(state: Path) -> None:
    """How they get in, to be copied."""
    click.echo(
        f"  export OS_CLIENT_CONFIG_FILE={state / 'clouds.yaml'} OS_CLOUD=pileus  # openstack, Terraform, Ansible …"
    )
    click.echo(f"  . {state / 'openrc'}  # swift, and what else reads no clouds.yaml")
    click.echo("  openstack ec2 credentials create  # a key for S3, at the address above")


async def _serve(
    composer: Composer, settings: Any, state: Path, tell: background.Teller, *, terminal: bool
) -> None:
    from pileus.kernel import log

    log.configure(settings.log_level, json=not terminal)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    cloud = composer.cloud(settings, state)
    try:
        kept.keep(state, settings.sim, settings.only)
        await cloud.start(tell.step)
    except Exception as error:
        raise click.ClickException(str(error)) from error
    record(state, RunningCloud(os.getpid(), settings.base_url, settings.sim))
    interpreter.serve()
    tell.ready(settings.base_url)
    await stopped.wait()
    forget(state)
    await cloud.stop()


@click.command()
@state_option
@config_option
@click.option(
    "--keep-guests", is_flag=True, help="End the control plane only: servers and their networks run on."
)
@click.pass_obj
def down(compose: Callable[[], Composer], state: Path, config: Path | None, keep_guests: bool) -> None:
    """Take the cloud down. Its state stays: the next `up` brings the same cloud back."""
    if not state.exists():
        click.echo(f"There is no cloud in {state}.")
        return
    running = find(state)
    if running is not None:
        _stop(running, state)
        click.echo(f"The control plane has ended (process {running.pid}).")
    if not keep_guests:
        composer, settings = load_settings(compose, config, state)
        try:
            asyncio.run(composer.teardown(settings, state, click.echo))
        except TeardownFailed as error:
            raise click.ClickException(f"not all of the cloud is down: {error}") from error
    click.echo(f"The cloud is down; what it knows stays in {state}.")


def _stop(running: RunningCloud, state: Path) -> None:
    """Asks the process to end, and makes it after a while."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(running.pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while find(state) is not None or running.is_alive():
        if time.monotonic() > deadline:
            with contextlib.suppress(ProcessLookupError):
                os.kill(running.pid, signal.SIGKILL)
            break
        time.sleep(0.05)
    forget(state)


@click.command()
@state_option
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
def status(ctx: click.Context, state: Path, as_json: bool) -> None:
    """Tell whether the cloud is up, and where. Exits with 3 where it is not."""
    running = find(state)
    if as_json:
        found = {"up": running is not None, "state": str(state)}
        if running is not None:
            found.update(base_url=running.base_url, pid=running.pid, simulated=running.sim)
        click.echo(msgspec.json.encode(found).decode())
    elif running is None:
        what = "The cloud in {} is down" if (state / "pileus.db").exists() else "There is no cloud in {} yet"
        click.echo(f"{what.format(state)}; `{raising(state)}` raises it.")
    else:
        click.echo(
            f"The cloud is up: {running.base_url} (process {running.pid}{', simulated' if running.sim else ''})"
        )
        click.echo(f"  log: {state / 'pileus.log'}")
        _tell_clients(state)
    if running is None:
        ctx.exit(3)


@click.command()
def version() -> None:
    """Print the version."""
    click.echo(f"pileus {__version__}")
