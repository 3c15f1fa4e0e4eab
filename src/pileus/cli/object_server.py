"""`pileus object-server`: a storage node."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import click

from pileus.kernel import interpreter

RINGS = Path("/etc/pileus")


@click.command("object-server")
@click.option(
    "--devices",
    required=True,
    type=click.Path(file_okay=False, exists=True, resolve_path=True, path_type=Path),
    help="Folder with a folder (a mounted disk, normally) for each device, named as the rings do.",
)
@click.option("--listen", required=True, metavar="ADDR:PORT", help="As the rings have it for these devices.")
@click.option(
    "--rings",
    default=RINGS,
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder with container.ring.gz (lists of containers and accounts), object.ring.gz, object-1.ring.gz …",
)
@click.option(
    "--key",
    default=RINGS / "cluster.key",
    show_default=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The cluster's key, as `pileus keys cluster` makes it.",
)
@click.option(
    "--roles",
    default="account,container,object",
    show_default=True,
    help="What it serves of its devices.",
)
@click.option(
    "--recon", metavar="ADDR:PORT", help="Where /recon, /metrics and /healthcheck are answered over HTTP."
)
@click.option(
    "--interval",
    type=click.FloatRange(0, min_open=True),
    help="Seconds from one walk of replicator, auditor and their like to the next.  [default: each its own]",
)
@click.option(
    "--container-shard-rows",
    type=click.IntRange(2),
    default=1_000_000,
    show_default=True,
    help="A container with more objects is split into shards; the same at all nodes.",
)
@click.option("--log-level", default="info", show_default=True)
def object_server(
    devices: Path,
    listen: str,
    rings: Path,
    key: Path,
    roles: str,
    recon: str | None,
    interval: float | None,
    container_shard_rows: int,
    log_level: str,
) -> None:
    """Serve this host's devices to the proxies and nodes of an object store; stays until SIGTERM.

    Which devices these are, the rings say: those at ADDR:PORT. Where ADDR is 0.0.0.0 or ::, those at any address of this
    host.
    """
    interpreter.load()
    from pileus.drivers.object.node.node import ROLES
    from pileus.kernel import log

    chosen = [role.strip() for role in roles.split(",") if role.strip()]
    if unknown := sorted({*chosen} - {*ROLES}):
        raise click.UsageError(f"there is no role {unknown[0]!r}; there are {', '.join(ROLES)}")
    address, recon_address = _address(listen, "--listen"), _address(recon, "--recon") if recon else None
    log.configure(log_level, json=not sys.stderr.isatty())
    interpreter.run(
        _serve(devices, rings, key, address, recon_address, chosen, interval, container_shard_rows)
    )


def _address(text: str, option: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not (host and port.isdigit() and int(port) < 65536):
        raise click.UsageError(f"{option} {text}: it must be ADDR:PORT, as 10.0.0.1:6200")
    return host.strip("[]"), int(port)


async def _serve(
    devices: Path,
    rings_folder: Path,
    key_file: Path,
    address: tuple[str, int],
    recon_address: tuple[str, int] | None,
    roles: list[str],
    interval: float | None,
    shard_rows: int,
) -> None:
    from pileus.drivers.object.node.http import StatusPages
    from pileus.drivers.object.node.node import StorageNode
    from pileus.drivers.object.node.rings import Rings, RingsError
    from pileus.drivers.object.wire.handshake import KeyFileError, read_key
    from pileus.kernel.clock import SystemClock
    from pileus.kernel.http.server import AddressError, Server, check_address
    from pileus.services.object_store.driver import DeviceError
    from pileus.services.object_store.recon import Recon

    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with AsyncExitStack() as undo:
        try:
            check_address(*address)
            rings = Rings(rings_folder)
            key = read_key(key_file)
            node = StorageNode(
                devices,
                rings,
                key,
                *address,
                SystemClock(),
                roles=roles,
                every_seconds=interval,
                shard_rows=shard_rows,
            )
            undo.push_async_callback(node.close)
            await node.start()
            if recon_address is not None:
                recon = Recon(node.daemons, devices=devices, rings=lambda: node.follower.rings.files)
                pages = Server(StatusPages(recon), *recon_address)
                await pages.start()
                undo.push_async_callback(pages.stop)
        except (RingsError, KeyFileError, AddressError, DeviceError, OSError) as error:
            raise click.ClickException(str(error)) from error
        interpreter.serve()
        click.echo(f"Serving {', '.join(node.served)} at {address[0]}:{address[1]}.")
        await stopped.wait()
