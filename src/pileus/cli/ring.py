"""`pileus ring`: where a cluster's servers and devices are, and which of them holds what."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from pileus.cli.options import WholeLines
from pileus.kernel.files import write_whole
from pileus.lib.ring import Builder, BuilderError, Device, encode
from pileus.lib.ring.words import WordsError, parse_device, search, written

builder_argument = click.argument(
    "builder_file", metavar="BUILDER", type=click.Path(dir_okay=False, path_type=Path)
)
search_argument = click.argument("searched", metavar="DEVICE")
format_option = click.option("--format", "version", type=click.IntRange(1, 2), default=1, show_default=True,
                             help="Of the ring file, as Swift numbers them.")  # fmt: skip


@click.group("ring", cls=WholeLines)
def ring() -> None:
    """Build the rings of an object store on several hosts.

    A BUILDER is a file, account.builder, container.builder or object.builder, that knows the devices and what was wished.
    `rebalance` makes the ring of it, object.ring.gz, in Swift's format, which every server and proxy gets a copy of.

    \b
    pileus ring create object.builder --part-power 10 --replicas 3
    pileus ring add object.builder r1z1-10.0.0.1:6200/sdb1 100  r1z2-10.0.0.2:6200/sdb1 100
    pileus ring rebalance object.builder
    """


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except (BuilderError, WordsError, ValueError) as error:
        raise click.ClickException(str(error)) from None
    except BrokenPipeError:
        raise
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}") from None


@contextmanager
def _opened(file: Path) -> Iterator[Builder]:
    """The builder; what was changed of it is kept where nothing was raised."""
    with _failures():
        if not file.exists():
            raise click.ClickException(f"there is no builder {file}: `pileus ring create {file}` makes one")
        before = file.read_bytes()
        builder = Builder.load(before)
        yield builder
        after = builder.dump()
        if after != before:
            write_whole(file, after, 0o644)


def _found(builder: Builder, text: str) -> list[Device]:
    found = search(builder.present, text)
    if not found:
        raise WordsError(f"no device is {text!r}: `pileus ring show` lists them")
    return found


@ring.command()
@builder_argument
@click.option("--part-power", type=click.IntRange(0, 32), default=10, show_default=True,
              help="2 to this power partitions: some hundred for each device there will ever be. Never changes.")  # fmt: skip
@click.option(
    "--replicas", type=float, default=3.0, show_default=True, help="Of each object; 2.5 is possible."
)
@click.option("--min-part-hours", type=click.IntRange(0), default=1, show_default=True,
              help="Only one replica of a partition is moved in so many hours, so that data can follow.")  # fmt: skip
def create(builder_file: Path, part_power: int, replicas: float, min_part_hours: int) -> None:
    """Make a builder without devices."""
    with _failures():
        if builder_file.exists():
            raise click.ClickException(
                f"{builder_file} is there already, and nothing brings it back once it is lost: move it away first"
            )
        write_whole(builder_file, Builder(part_power, replicas, min_part_hours).dump(), 0o644)
    click.echo(f"{builder_file}: {1 << part_power} partitions, {replicas:g} replicas. Now add devices.")


@ring.command()
@builder_argument
@click.argument("devices", metavar="DEVICE WEIGHT…", nargs=-1, required=True)
def add(builder_file: Path, devices: tuple[str, ...]) -> None:
    """Add devices, each with its weight: its size in GB, say.

    A DEVICE is rREGIONzZONE-ADDRESS:PORT/NAME, as r1z2-10.0.0.1:6200/sdb1. What lies in one zone is expected to fail
    together. A note may follow after an underscore, and R10.1.0.1:6300 before the slash names where replication goes.
    """
    if len(devices) % 2:
        raise click.UsageError("each DEVICE needs a WEIGHT after it: r1z2-10.0.0.1:6200/sdb1 100")
    with _opened(builder_file) as builder:
        for text, weight in zip(devices[::2], devices[1::2], strict=True):
            added = builder.add(**parse_device(text)._asdict(), weight=_weight(weight))
            click.echo(f"d{added.id} {written(added)} weight {added.weight:g}")
    click.echo("The next rebalance gives them partitions.")


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise WordsError(f"{text!r} is no weight: a number, as 100") from None


@ring.command("set-weight")
@builder_argument
@search_argument
@click.argument("weight")
def set_weight(builder_file: Path, searched: str, weight: str) -> None:
    """Change the weight of devices; 0 drains them over time. DEVICE: d3, r1z2, 10.0.0.1:6200/sdb1, /sdb1, _NOTE."""
    with _opened(builder_file) as builder:
        for each in _found(builder, searched):
            builder.set_weight(each.id, _weight(weight))
            click.echo(f"d{each.id} {written(each)} weight {each.weight:g} -> {_weight(weight):g}")


@ring.command()
@builder_argument
@search_argument
def remove(builder_file: Path, searched: str) -> None:
    """Remove devices that are gone; the next rebalance moves all that they had. To drain one, set its weight to 0."""
    with _opened(builder_file) as builder:
        for each in _found(builder, searched):
            builder.remove(each.id)
            click.echo(f"d{each.id} {written(each)} is removed")


def _wish(
    name: str,
    argument: str,
    kind: click.IntRange | click.FloatRange,
    change: Callable[[Builder, Any], None],
    help: str,
) -> None:
    """A command that changes one number that the whole ring goes by."""

    @ring.command(name, help=help)
    @builder_argument
    @click.argument("number", metavar=argument, type=kind)
    def command(builder_file: Path, number: float) -> None:
        with _opened(builder_file) as builder:
            change(builder, number)


_wish(
    "set-replicas", "REPLICAS", click.FloatRange(), Builder.set_replicas,
    "Change how many replicas there are of each object.",
)  # fmt: skip
_wish(
    "set-overload", "OVERLOAD", click.FloatRange(0), Builder.set_overload,
    "Let devices be filled above their weight by this part (0.1: a tenth), where that spreads replicas better.",
)  # fmt: skip
_wish(
    "set-min-part-hours", "HOURS", click.IntRange(0), Builder.set_min_part_hours,
    "Change after how many hours another replica of a partition may be moved.",
)  # fmt: skip


@ring.command()
@builder_argument
@click.option("--seed", type=int, help="For the same outcome again.")
@click.option("--force", is_flag=True, help="Move partitions again that were moved a short time ago.")
@format_option
def rebalance(builder_file: Path, seed: int | None, force: bool, version: int) -> None:
    """Assign partitions, moving as few as needed, and write the ring file."""
    with _opened(builder_file) as builder:
        if force:
            builder.forget_moves()
        done = builder.rebalance(secrets.randbits(32) if seed is None else seed, time.time())
        file = _write(builder, builder_file, version)
    click.echo(
        f"{done.moved} of {builder.partitions} partitions move; balance {done.balance:.2f} %, "
        f"dispersion {done.dispersion:.2f} %\n{file} is written: copy it to every server and proxy"
    )
    devices = sum(each is not None and each.weight > 0 for each in builder.devices)
    if builder.replicas > devices:
        click.echo(
            f"Of {builder.replicas:g} replicas only {devices} are copies on devices of their own, since there are no more: add "
            "devices, or lower the number with `pileus ring set-replicas`."
        )
    elif done.balance > 5 or done.dispersion > 0:
        click.echo(
            f"Not as even as weights ask for, or not as far apart as tiers allow: at most one replica of a partition "
            f"moves in {builder.min_part_hours} hours, so rebalance again later; `pileus ring dispersion` says more, "
            "`pileus ring set-overload` lets weights give way."
        )


def _write(builder: Builder, builder_file: Path, version: int) -> Path:
    file = builder_file.with_suffix(".ring.gz")
    write_whole(file, encode(builder.ring(), version), 0o644)
    return file


@ring.command()
@builder_argument
@format_option
def write(builder_file: Path, version: int) -> None:
    """Write the ring file anew."""
    with _opened(builder_file) as builder:
        file = _write(builder, builder_file, version)
    click.echo(f"{file} is written: copy it to every server and proxy")


@ring.command()
@builder_argument
def show(builder_file: Path) -> None:
    """List devices, and how full each is against what its weight asks for."""
    with _opened(builder_file) as builder:
        click.echo(
            f"{builder_file}: version {builder.version}, {builder.partitions} partitions, {builder.replicas:g} replicas, "
            f"min-part-hours {builder.min_part_hours}, overload {builder.overload:g}"
        )
        try:
            held, is_ring = builder.held(), True
        except BuilderError:
            held, is_ring = Counter(), False
        ideal = builder.ideal() if builder.present else {}
        click.echo("  id region zone  weight partitions balance  device")
        for each in builder.present:
            share = ideal.get(each.id, 0.0)
            off = (held[each.id] / share - 1) * 100 if share else 0.0
            click.echo(
                f"{each.id:>4} {each.region:>6} {each.zone:>4} {each.weight:>7g} {held[each.id]:>10} "
                f"{off:>6.2f} %  {written(each)}"
            )
        if not is_ring:
            click.echo("There is no ring of these devices yet: `pileus ring rebalance` makes it.")


@ring.command()
@builder_argument
def dispersion(builder_file: Path) -> None:
    """Tell which tiers hold more replicas of a partition than they should."""
    with _opened(builder_file) as builder:
        report = builder.dispersion()
        click.echo(
            f"{report.percent:.2f} % of all replicas stand closer together than they need to; "
            f"an overload of {builder.required_overload():.3f} would let all stand apart"
        )
        for tier in report.tiers:
            if tier.too_many:
                name = ".".join(map(str, tier.name))
                click.echo(
                    f"{tier.level} {name}: {tier.too_many} replicas beyond {tier.allowed} of a partition"
                )
